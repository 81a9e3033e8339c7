//! The way that every request takes: its weight is judged, its API answers, its answer gets what every answer has, and it is
//! noted.
//!
//! The tables of routes stand in [`oci::routes`] and [`admin::routes`]: a handler is only reached through them, after the
//! caller was found and allowed.

use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::note::{Noted, note};
use super::state::State;
use super::{admin, body, limits, listen, oci, path, readers};

/// The header of a request's id, both ways.
const REQUEST_ID: &str = "x-request-id";

/// The id that the client or a proxy gave the request, if it is a sane one; else a new one.
fn request_id(request: &HttpRequest) -> String {
    let sane = |id: &&str| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        (1..=128).contains(&id.len()) && id.bytes().all(is_word)
    };
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(sane);
    given.map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), str::to_owned)
}

/// Answers any request: the service behind every path.
pub async fn serve(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let started = Instant::now();
    let (mut payload, received) = body::counted(payload.into_inner());
    let request_id = request_id(&request);
    let is_oci = path::is_oci(request.uri().path());
    let answered = match limits::check(&request, &state.options) {
        Ok(()) if is_oci => oci::routes::answer(&request, &mut payload, &state, &request_id).await,
        Ok(()) => admin::routes::answer(&request, &mut payload, &state, &request_id).await,
        Err(refusal) => {
            // Not even its body is waited for: it is refused so that it goes away.
            payload = Payload::None;
            Err(refusal)
        }
    };
    let answered = answered.and_then(|response| readers::admit(&request, &state.options, response));
    let mut response = match answered {
        Ok(response) => response,
        Err(error) => {
            if listen::is_awaited(&request) || *request.method() == Method::CONNECT {
                // The body is not on its way, or never ends.
                payload = Payload::None;
            }
            body::drain(&mut payload, state.options.read_timeout).await;
            if is_oci { error.into_response() } else { error.into_admin_response() }
        }
    };
    let headers = response.headers_mut();
    // What somebody pushed must not become a page in a browser, whatever it looks like.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_oci {
        let version = HeaderName::from_static("docker-distribution-api-version");
        headers.insert(version, HeaderValue::from_static("registry/2.0"));
    }
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert(HeaderName::from_static(REQUEST_ID), id);
    }
    let noted = Noted { request_id: &request_id, started, received: received.get() };
    note(&request, &response, noted, state.get_ref());
    response
}

//! Every route on one page, and the way that every request takes.
//!
//! A route cannot be written without saying what it asks of its caller, and its handler is only reached through
//! [`serve`], after the caller was found and allowed.

mod limits;

use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use futures_util::future::LocalBoxFuture;
use mcr_actors::db::queries::audit::Record;
use mcr_actors::domain::{Event, Origin};

use super::admin;
use super::auth::{self, Access, Caller, Inquiry};
use super::body;
use super::error::{ApiError, Code};
use super::metrics::Answered;
use super::oci::{blobs, catalog, manifests, referrers, tags, token, uploads};
use super::path::{self, Shape, Target};
use super::query::Query;
use super::state::State;

/// A request that may be handled: its parts are parsed and its caller is allowed.
pub struct Call {
    /// The request.
    pub request: HttpRequest,
    /// Its body.
    pub payload: Payload,
    /// Its query.
    pub query: Query,
    /// Who asks; nobody on open routes.
    pub caller: Option<Caller>,
    /// The actors and the settings.
    pub state: web::Data<State>,
    /// What its path names.
    pub target: Target,
    /// Under which id it is logged and audited.
    pub request_id: String,
}

impl Call {
    /// Who caused what this request changes.
    pub fn origin(&self) -> Origin {
        let principal = self.caller.as_ref().map(|caller| caller.principal.as_ref());
        auth::origin_of(&self.request, &self.state, &self.request_id, principal)
    }

    /// Records a pull, where that is configured.
    pub async fn record_pull(&self, event: Event) -> Result<(), ApiError> {
        if !self.state.options.audit_pulls {
            return Ok(());
        }
        let (origin, now) = (self.origin(), self.state.worker.clock.now());
        Ok(self.state.worker.db.write(Record { origin, now, event, times: 1 }).await?)
    }
}

/// What a handler gives.
pub type Answer<'a> = LocalBoxFuture<'a, Result<HttpResponse, ApiError>>;

/// One method on one shape of path.
#[derive(Debug)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path.
    pub shape: Shape,
    /// What it asks of its caller.
    pub access: Access,
    handler: for<'a> fn(&'a mut Call) -> Answer<'a>,
}

macro_rules! routes {
    ($($method:ident $shape:ident $access:ident => $handler:path;)*) => {
        &[$(Route {
            method: Method::$method,
            shape: Shape::$shape,
            access: Access::$access,
            handler: |call| Box::pin($handler(call)),
        }),*]
    };
}

/// The OCI API. <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints>
pub static ROUTES: &[Route] = routes! {
    // everybody
    GET    Token     Open         => token::exchange;
    POST   Token     Open         => token::exchange;
    // anybody with a token
    GET    Base      VersionCheck => catalog::version;
    HEAD   Base      VersionCheck => catalog::version;
    GET    Catalog   Catalog      => catalog::list;
    // who pulls
    GET    Manifest  Read         => manifests::get;
    HEAD   Manifest  Read         => manifests::head;
    GET    Blob      Read         => blobs::get;
    HEAD   Blob      Read         => blobs::head;
    GET    Tags      Read         => tags::list;
    GET    Referrers Read         => referrers::list;
    // who pushes
    POST   Uploads   Push         => uploads::begin;
    GET    Upload    Read         => uploads::status;
    PATCH  Upload    Push         => uploads::append;
    PUT    Upload    Push         => uploads::finish;
    DELETE Upload    Push         => uploads::cancel;
    PUT    Manifest  Push         => manifests::put;
    // who deletes
    DELETE Manifest  Delete       => manifests::delete;
    DELETE Blob      Delete       => blobs::delete;
};

fn find(method: &Method, shape: Shape) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.shape == shape && route.method == *method)
}

/// The methods that a path takes, for `Allow`.
fn allowed(shape: Shape) -> String {
    let methods = ROUTES.iter().filter(|route| route.shape == shape).map(|route| route.method.as_str());
    methods.collect::<Vec<_>>().join(", ")
}

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
    let path = request.uri().path();
    let is_oci = path == "/v2" || path.starts_with("/v2/");
    let answered = match limits::check(&request, &state.options) {
        Ok(()) if is_oci => answer(&request, &mut payload, &state, &request_id).await,
        Ok(()) => admin::routes::answer(&request, &mut payload, &state, &request_id).await,
        Err(refusal) => {
            // Not even its body is waited for: it is refused so that it goes away.
            payload = Payload::None;
            Err(refusal)
        }
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(error) => {
            body::drain(&mut payload).await;
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

/// What is noted of a request beside its head and its answer.
struct Noted<'a> {
    request_id: &'a str,
    started: Instant,
    received: u64,
}

/// How much of a path is logged, in characters.
const LOGGED: usize = 512;

/// A path as far as it is logged, and a mark where that is not all of it.
fn logged(path: &str) -> (&str, &'static str) {
    path.char_indices().nth(LOGGED).map_or((path, ""), |(end, _)| (&path[..end], "…"))
}

/// One line in the log for each request, without query and headers, so without secrets; and its counters.
fn note(request: &HttpRequest, response: &HttpResponse, noted: Noted<'_>, state: &State) {
    let Noted { request_id, started, received } = noted;
    let extensions = request.extensions();
    let about = extensions.get::<About>();
    let (action, repository) =
        about.map_or(("-", "-"), |about| (about.action, about.repository.as_deref().unwrap_or("-")));
    let principal = extensions.get::<Named>().map_or("-", |named| named.0.as_str());
    let route = extensions.get::<RouteName>().map_or("none", |route| route.0);
    let sent = match response.body().size() {
        BodySize::Sized(bytes) if request.method() != Method::HEAD => bytes,
        BodySize::Sized(_) | BodySize::None | BodySize::Stream => 0,
    };
    let (status, took) = (response.status().as_u16(), started.elapsed());
    state.metrics.count(&Answered { route, method: request.method().as_str(), status, took, sent, received });
    let (path, cut) = logged(request.uri().path());
    log::info!(
        request_id = request_id, principal = principal, action = action, repository = repository, status = status,
        received = received, bytes = sent,
        us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        "{} {}{cut}", request.method(), path.escape_default()
    );
}

/// The template of the route that a request took, for its counters.
#[derive(Debug)]
pub(super) struct RouteName(pub(super) &'static str);

/// Who a request turned out to come from, for its line in the log.
#[derive(Debug)]
pub(super) struct Named(pub(super) String);

/// What a request asks to do, and where, for its line in the log.
#[derive(Debug)]
pub(super) struct About {
    pub(super) action: &'static str,
    pub(super) repository: Option<String>,
}

async fn answer(
    request: &HttpRequest,
    payload: &mut Payload,
    state: &web::Data<State>,
    request_id: &str,
) -> Result<HttpResponse, ApiError> {
    let parsed = path::parse(request.uri().path());
    let target = parsed.as_ref().ok();
    let route = target.and_then(|target| find(request.method(), target.shape()));
    let access = route.map_or(Access::VersionCheck, |route| route.access);
    if let Some(route) = route {
        request.extensions_mut().insert(RouteName(route.shape.template()));
        let repository = target.and_then(Target::repository).map(ToString::to_string);
        request.extensions_mut().insert(About { action: access.action(), repository });
    }
    let query = Query::parse(request.query_string().as_bytes());
    let mut caller = None;
    if access != Access::Open {
        let inquiry = Inquiry::new(request, state, request_id).with_scope(access, target, &query);
        let found = inquiry.caller(target).await?;
        request.extensions_mut().insert(Named(found.principal.name.clone()));
        if let (Some(route), Some(target)) = (route, target) {
            inquiry.authorize(&found, route.access, target.repository()).await?;
        }
        caller = Some(found);
    }
    let target = parsed.map_err(|error| of_path(request.method(), error))?;
    let route = route.ok_or_else(|| ApiError::method_not_allowed(&allowed(target.shape())))?;
    let mut call = Call {
        request: request.clone(),
        payload: std::mem::replace(payload, Payload::None),
        query,
        caller,
        state: state.clone(),
        target,
        request_id: request_id.to_owned(),
    };
    let result = (route.handler)(&mut call).await;
    *payload = call.payload;
    result
}

/// A tag that cannot be is unknown to who reads and invalid to who writes.
fn of_path(method: &Method, error: path::PathError) -> ApiError {
    match error {
        path::PathError::Reference(mcr_actors::domain::ReferenceError::Tag) if *method != Method::PUT => {
            ApiError::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, error)
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_logged_up_to_a_length() {
        let whole = "ä".repeat(LOGGED);
        assert_eq!((logged("/v2/"), logged(&whole)), (("/v2/", ""), (whole.as_str(), "")));
        assert_eq!(logged(&format!("{whole}/more")), (whole.as_str(), "…"));
    }
}

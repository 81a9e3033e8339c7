//! Every route on one page, and the way that every request takes.
//!
//! A route cannot be written without saying what it asks of its caller, and its handler is only reached through
//! [`serve`], after the caller was found and allowed.

use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::LocalBoxFuture;

use super::auth::{self, Access, Caller, Challenge};
use super::body;
use super::error::{ApiError, Code};
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
    pub state: State,
    /// What its path names.
    pub target: Target,
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

/// Answers any request: the service behind every path.
pub async fn serve(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let started = Instant::now();
    let path = request.uri().path();
    if path != "/v2" && !path.starts_with("/v2/") {
        // docker and podman probe /v1; they want a quick answer.
        return HttpResponse::NotFound().json(serde_json::json!({"error": "there is nothing at this path"}));
    }
    let mut payload = payload.into_inner();
    let result = answer(&request, &mut payload, state.get_ref()).await;
    let mut response = match result {
        Ok(response) => response,
        Err(error) => {
            body::drain(&mut payload).await;
            error.into_response()
        }
    };
    let version = (
        HeaderName::from_static("docker-distribution-api-version"),
        HeaderValue::from_static("registry/2.0"),
    );
    response.headers_mut().insert(version.0, version.1);
    log::debug!(
        "{} {} {} {:?}",
        request.method(),
        path.escape_default(),
        response.status().as_u16(),
        started.elapsed()
    );
    response
}

async fn answer(
    request: &HttpRequest,
    payload: &mut Payload,
    state: &State,
) -> Result<HttpResponse, ApiError> {
    let parsed = path::parse(request.uri().path());
    let target = parsed.as_ref().ok();
    let route = target.and_then(|target| find(request.method(), target.shape()));
    let access = route.map_or(Access::VersionCheck, |route| route.access);
    let query = Query::parse(request.query_string().as_bytes());
    let mut caller = None;
    if access != Access::Open {
        let challenge = Challenge::new(request, state, access, target, &query);
        let found = auth::authenticate(request, state, target, &challenge).await?;
        if let (Some(route), Some(target)) = (route, target) {
            auth::authorize(state, &found, route.access, target.repository(), &challenge).await?;
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

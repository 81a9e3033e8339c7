//! Every route under `/v2` on one page, and how its caller is found and allowed.

use actix_web::dev::Payload;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use mcr_actors::domain::ReferenceError;

use super::call::{Call, Oci};
use super::{blobs, catalog, manifests, referrers, tags, token, uploads};
use crate::http::api::Target;
use crate::http::auth::{Access, Inquiry};
use crate::http::error::{ApiError, Code};
use crate::http::note::Named;
use crate::http::path::{self, PathError, Shape};
use crate::http::query::Query;
use crate::http::router::{self, routes};
use crate::http::state::State;

/// A route of the OCI API.
pub type Route = router::Route<Oci>;

/// The OCI API. <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints>
pub static ROUTES: &[Route] = routes! { Access:
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
    HEAD   Upload    Read         => uploads::status;
    PATCH  Upload    Push         => uploads::append;
    PUT    Upload    Push         => uploads::finish;
    DELETE Upload    Push         => uploads::cancel;
    PUT    Manifest  Push         => manifests::put;
    // who deletes
    DELETE Manifest  Delete       => manifests::delete;
    DELETE Blob      Delete       => blobs::delete;
};

/// Answers a request under `/v2`.
pub async fn answer(
    request: &HttpRequest,
    payload: &mut Payload,
    state: &web::Data<State>,
    request_id: &str,
) -> Result<HttpResponse, ApiError> {
    let parsed = path::parse(request.uri().path());
    let target = parsed.as_ref().ok();
    let route = Route::find(ROUTES, request, target);
    let access = route.map_or(Access::VersionCheck, |route| route.access);
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
    let route = route.ok_or_else(|| Route::not_allowed(ROUTES, &target))?;
    let mut call = Call {
        request: request.clone(),
        body: std::mem::replace(payload, Payload::None),
        query,
        caller,
        state: state.clone(),
        target,
        access,
        request_id: request_id.to_owned(),
    };
    let result = route.answer(&mut call).await;
    *payload = call.body;
    result
}

/// A tag that cannot be is unknown to who reads and invalid to who writes.
fn of_path(method: &Method, error: PathError) -> ApiError {
    match error {
        PathError::Reference(ReferenceError::Tag) if *method != Method::PUT => {
            ApiError::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, error)
        }
        error => error.into(),
    }
}

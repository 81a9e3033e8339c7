//! Every route under `/v1` on one page, and how its caller is found and allowed.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

pub use super::call::Access;
use super::call::{Admin, AdminCall, admit};
use super::path::{self, PathError, Shape};
use super::{audit, gc, openapi, policy, repositories, session, snapshots, system, uploads, users};
use crate::http::auth::Caller;
use crate::http::budget::Holder;
use crate::http::error::{ApiError, Code};
use crate::http::origin::client;
use crate::http::query::Query;
use crate::http::router::{self, routes};
use crate::http::small_body::{Bounds, SmallBody, announced, collect};
use crate::http::state::State;

/// The longest JSON body in bytes.
const MAX_BODY: u64 = 256 * 1024;
/// The longest body of a login in bytes: anybody may send one.
const MAX_LOGIN: u64 = 4 * 1024;

/// A route of the admin API. Where it changes anything, its body is read whole before its caller is judged for good.
pub type Route = router::Route<Admin>;

/// The admin API.
pub static ROUTES: &[Route] = routes! {
    // everybody
    GET    Health        Open     => system::health;
    HEAD   Health        Open     => system::health;
    GET    Ready         Open     => system::ready;
    HEAD   Ready         Open     => system::ready;
    POST   Login         Open     => session::login;
    // whoever has a token
    POST   Logout        Anybody  => session::logout;
    GET    Me            Anybody  => session::me;
    GET    OpenApi       Anybody  => openapi::document;
    // administrators
    GET    Repositories  Admin    => repositories::list;
    GET    Repository    Admin    => repositories::show;
    DELETE Repository    Admin    => repositories::delete;
    DELETE RepositoryTag Admin    => repositories::delete_tag;
    GET    Users         Accounts => users::list;
    POST   Users         Accounts => users::create;
    GET    User          Accounts => users::show;
    PATCH  User          Accounts => users::update;
    DELETE User          Accounts => users::delete;
    GET    Tokens        Accounts => users::list_tokens;
    POST   Tokens        Accounts => users::create_token;
    DELETE Token         Accounts => users::revoke_token;
    GET    Uploads       Admin    => uploads::list;
    DELETE Upload        Admin    => uploads::cancel;
    POST   Gc            Admin    => gc::start;
    DELETE Gc            Admin    => gc::stop;
    GET    GcStatus      Admin    => gc::status;
    GET    Sweeps        Admin    => gc::list;
    GET    SweepItems    Admin    => gc::items;
    POST   Snapshots     Admin    => snapshots::start;
    GET    Snapshots     Admin    => snapshots::list;
    GET    Audit         Admin    => audit::list;
    GET    Actors        Admin    => system::actors;
    GET    Metrics       Admin    => system::metrics;
    // whoever may change rules
    GET    Rules         Rules    => policy::list;
    POST   Rules         Rules    => policy::create;
    GET    Rule          Rules    => policy::show;
    PATCH  Rule          Rules    => policy::update;
    DELETE Rule          Rules    => policy::delete;
    POST   PolicyTest    Rules    => policy::test;
};

/// Answers any request that is not under `/v2`. What names nothing is 404 before anybody is asked who they are: docker and
/// podman probe `/v1`.
pub async fn answer(
    request: &HttpRequest,
    payload: &mut Payload,
    state: &web::Data<State>,
    request_id: &str,
) -> Result<HttpResponse, ApiError> {
    let parsed = path::parse(request.uri().path());
    if let Err(error @ (PathError::Nothing | PathError::Slashes(_))) = parsed {
        return Err(ApiError::admin(StatusCode::NOT_FOUND, error));
    }
    let route = Route::find(ROUTES, request, parsed.as_ref().ok());
    let access = route.map_or(Access::Anybody, |route| route.access);
    let mut caller = admit(request, state, request_id, access).await?;
    let target = parsed.map_err(|error| ApiError::admin(StatusCode::BAD_REQUEST, error))?;
    let route = route.ok_or_else(|| Route::not_allowed(ROUTES, &target))?;
    let held = match route.changes() {
        true => Some(
            whole((payload, announced(request)), route, holder(request, state, caller.as_ref()), state)
                .await?,
        ),
        false => None,
    };
    if held.is_some() {
        // It may have been held open for as long as its sender liked, so it is judged by what holds now.
        caller = admit(request, state, request_id, access).await?;
    }
    let body = held.as_ref().map(|held| held.bytes.clone()).unwrap_or_default();
    let mut call = AdminCall {
        request: request.clone(),
        body,
        query: Query::parse(request.query_string().as_bytes()),
        caller,
        state: state.clone(),
        target,
        access,
        request_id: request_id.to_owned(),
    };
    route.answer(&mut call).await
}

/// Who pays for the memory of a body.
fn holder(request: &HttpRequest, state: &State, caller: Option<&Caller>) -> Holder {
    Holder::of(caller.map(|caller| caller.principal.as_ref()), client(request, &state.options))
}

/// A body as a whole. Errors of the admin API show no code.
///
/// # Errors
/// 400 when it does not come whole, 408 when it does not come in time, 413 when it is too long, 503 when others' bodies take
/// all the memory that there is for them.
async fn whole(
    (payload, announced): (&mut Payload, Option<u64>),
    route: &Route,
    holder: Holder,
    state: &State,
) -> Result<SmallBody, ApiError> {
    let limit = if route.shape == Shape::Login { MAX_LOGIN } else { MAX_BODY };
    let read_timeout = state.options.read_timeout;
    let bounds = Bounds { announced, limit, read_timeout, code: Code::Unsupported };
    collect(payload, bounds, holder).await
}

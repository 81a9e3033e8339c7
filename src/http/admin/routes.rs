//! Every route under `/v1` on one page, and the way that every request takes.

use actix_web::dev::Payload;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use futures_util::future::LocalBoxFuture;
use mcr_actors::domain::{Action, Origin};

use super::path::{self, PathError, Shape, Target};
use super::{audit, gc, openapi, policy, repositories, session, snapshots, system, uploads, users};
use crate::http::auth::{Caller, Inquiry, decide, origin_of};
use crate::http::error::ApiError;
use crate::http::query::Query;
use crate::http::routes::{About, Named, RouteName};
use crate::http::state::State;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// Any valid token; it shows only what is the caller's own.
    Anybody,
    /// The role `admin`.
    Admin,
    /// The role `admin`, where the registry itself keeps the accounts.
    Accounts,
    /// `policy:manage`.
    Rules,
}

impl Access {
    /// What it is called by in logs and refusals.
    pub fn action(self) -> &'static str {
        match self {
            Self::Open | Self::Anybody => "-",
            Self::Admin | Self::Accounts => "administration",
            Self::Rules => Action::ManagePolicy.as_str(),
        }
    }
}

/// A request that may be handled.
pub struct AdminCall {
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

impl AdminCall {
    /// Who caused what this request changes.
    pub fn origin(&self) -> Origin {
        let principal = self.caller.as_ref().map(|caller| caller.principal.as_ref());
        origin_of(&self.request, &self.state, &self.request_id, principal)
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
    handler: for<'a> fn(&'a mut AdminCall) -> Answer<'a>,
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

fn allowed(shape: Shape) -> String {
    let methods = ROUTES.iter().filter(|route| route.shape == shape).map(|route| route.method.as_str());
    methods.collect::<Vec<_>>().join(", ")
}

/// Answers any request that is not under `/v2`. What names nothing is 404 before anybody is asked who they are: docker and
/// podman probe `/v1`.
pub async fn answer(
    request: &HttpRequest,
    payload: &mut Payload,
    state: &web::Data<State>,
    request_id: &str,
) -> Result<HttpResponse, ApiError> {
    let parsed = path::parse(request.uri().path());
    if parsed == Err(PathError::Nothing) {
        return Err(ApiError::admin(StatusCode::NOT_FOUND, PathError::Nothing));
    }
    let shape = parsed.as_ref().ok().map(Target::shape);
    let route = shape.and_then(|shape| {
        ROUTES.iter().find(|route| route.shape == shape && route.method == *request.method())
    });
    if let Some(route) = route {
        request.extensions_mut().insert(RouteName(route.shape.template()));
        let repository = parsed.as_ref().ok().and_then(Target::repository).map(ToString::to_string);
        request.extensions_mut().insert(About { action: route.access.action(), repository });
    }
    let caller =
        admit(request, state, request_id, route.map_or(Access::Anybody, |route| route.access)).await?;
    let target = parsed.map_err(|error| ApiError::admin(StatusCode::BAD_REQUEST, error))?;
    let route = route.ok_or_else(|| ApiError::method_not_allowed(&allowed(target.shape())))?;
    let mut call = AdminCall {
        request: request.clone(),
        payload: std::mem::replace(payload, Payload::None),
        query: Query::parse(request.query_string().as_bytes()),
        caller,
        state: state.clone(),
        target,
        request_id: request_id.to_owned(),
    };
    let result = (route.handler)(&mut call).await;
    *payload = call.payload;
    result
}

/// Finds the caller and holds it against what the route asks.
async fn admit(
    request: &HttpRequest,
    state: &State,
    request_id: &str,
    access: Access,
) -> Result<Option<Caller>, ApiError> {
    if access == Access::Open {
        return Ok(None);
    }
    let inquiry = Inquiry::new(request, state, request_id);
    let caller = inquiry.caller(None).await?;
    request.extensions_mut().insert(Named(caller.principal.name.clone()));
    let (allowed, rule) = match access {
        Access::Open | Access::Anybody => (true, None),
        Access::Admin | Access::Accounts => {
            (caller.principal.has_role(mcr_actors::policy::builtin::ADMIN), None)
        }
        Access::Rules => {
            let decision = decide(state, &caller.principal, Action::ManagePolicy, None).await?;
            (decision.allowed, decision.rule)
        }
    };
    if !allowed {
        return Err(inquiry.deny(&caller, access.action(), None, rule).await?);
    }
    match state.registry.provider().managed_elsewhere() {
        Some(place) if access == Access::Accounts => Err(ApiError::admin(
            StatusCode::CONFLICT,
            format!("accounts and tokens are managed in {place}; the registry only asks it"),
        )),
        _ => Ok(Some(caller)),
    }
}

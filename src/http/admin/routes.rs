//! Every route under `/v1` on one page, and how its caller is found and allowed.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::call::{Admin, AdminCall, admit};
use super::path::{self, PathError, Shape};
use super::{
    audit, deletions, gc, manifests, oneself, openapi, policy, repositories, rights, session, snapshots,
    system, tags, tokens, uploads, users,
};
use crate::admin::access::Access;
use crate::admin::refusal::{Kind, Refusal};
use crate::admin::use_case::UseCase;
use crate::http::budget::Holder;
use crate::http::call::holder;
use crate::http::error::{ApiError, Code};
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
pub static ROUTES: &[Route] = routes! { UseCase:
    // everybody
    GET    Health        ReadHealth       => system::health;
    HEAD   Health        ReadHealth       => system::health;
    GET    Ready         ReadReadiness    => system::ready;
    HEAD   Ready         ReadReadiness    => system::ready;
    GET    System        ReadSystem       => system::show;
    POST   Login         LogIn            => session::login;
    // whoever has a token
    POST   Logout        LogOut           => session::logout;
    GET    Me            ReadCaller       => session::me;
    GET    OwnTokens     ListOwnTokens    => oneself::list_own_tokens;
    POST   OwnTokens     CreateOwnToken   => oneself::create_own_token;
    DELETE OwnToken      RevokeOwnToken   => oneself::revoke_own_token;
    POST   OwnTokenRenewal RenewOwnToken  => oneself::renew_own_token;
    POST   Renew         RenewToken       => oneself::renew;
    POST   Password      ChangePassword   => oneself::change_password;
    GET    OpenApi       DescribeApi      => openapi::document;
    // whoever may pull, of what it may pull
    GET    Repositories  ListRepositories => repositories::list;
    GET    Repository    ReadRepository   => repositories::show;
    GET    RepositoryTags ListTags        => tags::list;
    GET    RepositoryManifests ListManifests => manifests::list;
    GET    RepositoryManifest ReadManifest => manifests::show;
    // whoever may delete there
    POST   RepositoryDeletions DeleteContent => deletions::delete;
    // administrators
    GET    RepositoryAccess ReadAccess    => rights::show;
    DELETE Repository    DeleteRepository => repositories::delete;
    DELETE RepositoryTag DeleteTag        => repositories::delete_tag;
    GET    Users         ListUsers        => users::list;
    POST   Users         CreateUser       => users::create;
    GET    User          ReadUser         => users::show;
    PATCH  User          UpdateUser       => users::update;
    DELETE User          DeleteUser       => users::delete;
    GET    Tokens        ListTokens       => tokens::list_tokens;
    POST   Tokens        CreateToken      => tokens::create_token;
    POST   TokenRenewal  RenewRobotToken  => tokens::renew_token;
    DELETE Token         RevokeToken      => tokens::revoke_token;
    GET    Uploads       ListUploads      => uploads::list;
    DELETE Upload        CancelUpload     => uploads::cancel;
    POST   Gc            StartSweep       => gc::start;
    DELETE Gc            StopSweep        => gc::stop;
    GET    GcStatus      ReadCollector    => gc::status;
    GET    Sweeps        ListSweeps       => gc::list;
    GET    SweepItems    ListFindings     => gc::items;
    POST   Snapshots     StartSnapshot    => snapshots::start;
    GET    Snapshots     ListSnapshots    => snapshots::list;
    GET    Audit         ListAudit        => audit::list;
    GET    Actors        ListActors       => system::actors;
    GET    Metrics       ReadMetrics      => system::metrics;
    // whoever may change rules
    GET    Rules         ListRules        => policy::list;
    POST   Rules         CreateRule       => policy::create;
    GET    Rule          ReadRule         => policy::show;
    PATCH  Rule          UpdateRule       => policy::update;
    DELETE Rule          DeleteRule       => policy::delete;
    POST   PolicyTest    TestRules        => policy::test;
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
        return Err(ApiError::new(StatusCode::NOT_FOUND, Code::Unsupported, error));
    }
    let route = Route::find(ROUTES, request, parsed.as_ref().ok());
    let access = route.map_or(Access::Anybody, |route| route.access.access());
    let mut caller = admit(request, state, request_id, access).await?;
    let target = parsed.map_err(malformed)?;
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
        access: route.access,
        request_id: request_id.to_owned(),
    };
    match route.answer(&mut call).await {
        Err(error) if error.kind() == Kind::Lost => Err(call.refused().await),
        answered => answered,
    }
}

/// The refusal of a path that is the right one but for a name in it.
fn malformed(error: PathError) -> ApiError {
    let field = match error {
        PathError::Name(_) => "name",
        PathError::Tag(_) => "tag",
        PathError::Digest(_) => "digest",
        PathError::Id(_) | PathError::Nothing | PathError::Slashes(_) => "id",
    };
    Refusal::invalid(field, error).into()
}

/// A body as a whole.
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

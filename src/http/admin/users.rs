//! Accounts of the embedded provider.

use actix_web::HttpResponse;
use actix_web::http::header;
use mcr_actors::db::queries::users::{ChangedUser, LiveToken, LiveTokens, User};

use super::call::AdminCall;
use super::changed::Changed;
use super::path::Target;
use super::{json, listed, not_found, page};
use crate::admin::users;
use crate::http::error::ApiError;
use crate::http::precondition::{entity_tag, precondition};
use crate::model::{ChangedUserModel, List, LiveTokenModel, NewUser, Problem, UserChange, UserModel};

pub(super) fn user_model(user: User) -> UserModel {
    UserModel {
        id: user.id,
        name: user.name,
        account_type: user.account_type.as_str().to_owned(),
        roles: user.roles,
        disabled: user.disabled,
        created_at: user.created_at.to_string(),
        updated_at: user.updated_at.to_string(),
    }
}

pub(super) fn changed_model(changed: ChangedUser) -> ChangedUserModel {
    let LiveTokens { total, shown } = changed.live;
    let token = |token: LiveToken| LiveTokenModel {
        kind: if token.id.is_some() { "robot" } else { "login" }.into(),
        id: token.id,
        name: token.name,
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.to_string(),
    };
    let tokens = List { total, items: shown.into_iter().map(token).collect() };
    ChangedUserModel { user: user_model(changed.user), ended_tokens: changed.ended, tokens }
}

fn target(call: &AdminCall) -> Result<String, ApiError> {
    match &call.target {
        Target::User(name) => Ok(name.clone()),
        _ => Err(not_found("user")),
    }
}

/// Lists accounts by name; with `q` those whose names have it in them, in whatever case.
#[utoipa::path(get, path = "/v1/users", tag = "users",
    params(("q" = Option<String>, Query), ("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<UserModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let part = call.query.get("q").unwrap_or_default().to_owned();
    let users = users::list(&call.plain(), part, page(call)?).await?;
    Ok(HttpResponse::Ok().json(listed(users, user_model)))
}

/// Makes an account.
#[utoipa::path(post, path = "/v1/users", tag = "users", request_body = NewUser, responses(
    (status = 201, body = UserModel), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn create(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (user, asked) = users::create(&call.plain(), json(call)?).await?;
    Ok(Changed::after(asked, HttpResponse::Created().json(user_model(user))))
}

/// Shows an account. Its `ETag` is what a change can ask for with `If-Match`.
#[utoipa::path(get, path = "/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses(
    (status = 200, body = UserModel, headers(("ETag" = String))), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn show(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let user = users::show(&call.plain(), target(call)?).await?;
    let tag = entity_tag(&user.digest());
    Ok(HttpResponse::Ok().insert_header((header::ETAG, tag)).json(user_model(user)))
}

/// Changes an account's password, roles, or whether it is switched off. It takes effect at once. A new password ends the
/// tokens of logins; `end_tokens` ends those of robots, too. The answer tells which go on. With `If-Match`, the `ETag` of an earlier answer, it is refused when somebody else has
/// changed the account since.
#[utoipa::path(patch, path = "/v1/users/{name}", tag = "users",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = UserChange, responses((status = 200, body = ChangedUserModel, headers(("ETag" = String))),
    (status = 412, body = Problem), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn update(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (name, precondition) = (target(call)?, precondition(&call.request));
    let (changed, asked) = users::update(&call.plain(), name, json(call)?, precondition).await?;
    let tag = (header::ETAG, entity_tag(&changed.user.digest()));
    Ok(Changed::after(asked, HttpResponse::Ok().insert_header(tag).json(changed_model(changed))))
}

/// Deletes an account with its tokens.
#[utoipa::path(delete, path = "/v1/users/{name}", tag = "users",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 204), (status = 412, body = Problem), (status = 413, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem)))]
pub async fn delete(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (name, precondition) = (target(call)?, precondition(&call.request));
    let ((), asked) = users::delete(&call.plain(), name, precondition).await?;
    Ok(Changed::after(asked, HttpResponse::NoContent().finish()))
}

//! What somebody changes of their own account.

use actix_web::HttpResponse;
use actix_web::http::header;

use super::call::AdminCall;
use super::changed::Changed;
use super::path::Target;
use super::session::login_model;
use super::tokens::{made_model, model};
use super::users::changed_model;
use super::{json, json_or_default, listed, not_found, page};
use crate::admin::oneself;
use crate::http::error::ApiError;
use crate::model::{
    ChangedUserModel, List, LoginAnswer, NewOwnToken, NewTokenAnswer, PasswordChange, Problem, TokenModel,
    TokenRenewal,
};

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// Lists the caller's own robot tokens, the newest first. A robot's token is refused, here and wherever one changes what is
/// one's own.
#[utoipa::path(get, path = "/v1/auth/tokens", tag = "session",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<TokenModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn list_own_tokens(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let tokens = oneself::list_tokens(&call.plain(), page(call)?).await?;
    Ok(HttpResponse::Ok().json(listed(tokens, model)))
}

/// Makes a robot token with roles of the caller's own. It is shown this once.
#[utoipa::path(post, path = "/v1/auth/tokens", tag = "session", request_body = NewOwnToken, responses(
    (status = 201, body = NewTokenAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn create_own_token(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (made, asked) = oneself::create_token(&call.plain(), json(call)?).await?;
    Ok(Changed::after(asked, HttpResponse::Created().insert_header(NO_STORE).json(made_model(made))))
}

/// Gives a robot token of the caller's own another secret and another end; its id, name and roles stay, and the secret is shown
/// this once. The old one ends at once, unless `old_ends_in` lets it go on for a while, with an id of its own.
#[utoipa::path(post, path = "/v1/auth/tokens/{id}/renew", tag = "session", params(("id" = String, Path)),
    request_body = Option<TokenRenewal>, responses(
    (status = 200, body = NewTokenAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem)))]
pub async fn renew_own_token(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::OwnTokenRenewal(id) = call.target.clone() else { return Err(not_found("token")) };
    let (made, asked) = oneself::renew_token(&call.plain(), id, json_or_default(call)?).await?;
    Ok(Changed::after(asked, HttpResponse::Ok().insert_header(NO_STORE).json(made_model(made))))
}

/// Revokes a robot token of the caller's own; the next request with it is refused.
#[utoipa::path(delete, path = "/v1/auth/tokens/{id}", tag = "session", params(("id" = String, Path)), responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn revoke_own_token(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::OwnToken(id) = call.target.clone() else { return Err(not_found("token")) };
    let ((), asked) = oneself::revoke_token(&call.plain(), id).await?;
    Ok(Changed::after(asked, HttpResponse::NoContent().finish()))
}

/// Gives a new token for the token of a login that the request came with, which goes on for one more minute: what is asked with it at
/// the same time is answered, and it can be renewed once more until then. It can be done until twelve hours after the login; no
/// renewed token lives longer. Where the accounts are managed elsewhere it is refused: log in again.
#[utoipa::path(post, path = "/v1/auth/renew", tag = "session", responses(
    (status = 200, body = LoginAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn renew(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (login, asked) = oneself::renew(&call.plain()).await?;
    Ok(Changed::after(asked, HttpResponse::Ok().insert_header(NO_STORE).json(login_model(&login))))
}

/// Changes the caller's own password. The old one is asked for, and counts as at a login when it is wrong. The tokens of logins
/// end but for the one that the request came with; `end_tokens` ends those of robots, too. The answer tells which go on.
#[utoipa::path(post, path = "/v1/auth/password", tag = "session", request_body = PasswordChange, responses(
    (status = 200, body = ChangedUserModel), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
    (status = 429, body = Problem)))]
pub async fn change_password(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (changed, asked) = oneself::change_password(&call.plain(), json(call)?).await?;
    Ok(Changed::after(asked, HttpResponse::Ok().json(changed_model(changed))))
}

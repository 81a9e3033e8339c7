//! Robot tokens of the embedded provider.

use actix_web::HttpResponse;
use actix_web::http::header;
use mcr_actors::db::queries::users::RobotToken;
use mcr_actors::domain::Timestamp;

use super::call::AdminCall;
use super::changed::Changed;
use super::path::Target;
use super::{json, json_or_default, listed, not_found, page};
use crate::admin::tokens::{self, Made};
use crate::http::error::ApiError;
use crate::model::{List, NewToken, NewTokenAnswer, Problem, TokenModel, TokenRenewal};

pub(super) fn model(token: RobotToken) -> TokenModel {
    TokenModel {
        id: token.id,
        name: token.name,
        user: token.user,
        roles: token.roles,
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.to_string(),
        last_used_at: token.last_used_at.as_ref().map(Timestamp::to_string),
        revoked: token.revoked,
    }
}

pub(super) fn made_model(made: Made) -> NewTokenAnswer {
    NewTokenAnswer { token: made.token.expose().to_owned(), about: model(made.about) }
}

/// Lists robot tokens, the newest first; with `user` only those of the account of this name.
#[utoipa::path(get, path = "/v1/tokens", tag = "users",
    params(("user" = Option<String>, Query), ("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<TokenModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn list_tokens(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let user = call.query.get("user").map(str::to_owned);
    let tokens = tokens::list(&call.plain(), user, page(call)?).await?;
    Ok(HttpResponse::Ok().json(listed(tokens, model)))
}

/// Makes a robot token. It is shown this once.
#[utoipa::path(post, path = "/v1/tokens", tag = "users", request_body = NewToken, responses(
    (status = 201, body = NewTokenAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem)))]
pub async fn create_token(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (made, asked) = tokens::create(&call.plain(), json(call)?).await?;
    let no_store = (header::CACHE_CONTROL, "no-store");
    Ok(Changed::after(asked, HttpResponse::Created().insert_header(no_store).json(made_model(made))))
}

/// Gives a robot token another secret and another end; its id, name and roles stay, and the secret is shown this once. The old one
/// ends at once, unless `old_ends_in` lets it go on for a while, with an id of its own.
#[utoipa::path(post, path = "/v1/tokens/{id}/renew", tag = "users", params(("id" = String, Path)),
    request_body = Option<TokenRenewal>, responses(
    (status = 200, body = NewTokenAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem)))]
pub async fn renew_token(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::TokenRenewal(id) = call.target.clone() else { return Err(not_found("token")) };
    let (made, asked) = tokens::renew(&call.plain(), id, json_or_default(call)?).await?;
    let no_store = (header::CACHE_CONTROL, "no-store");
    Ok(Changed::after(asked, HttpResponse::Ok().insert_header(no_store).json(made_model(made))))
}

/// Revokes a robot token; the next request with it is refused.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "users", params(("id" = String, Path)), responses((status = 413, body = Problem), 
    (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem)))]
pub async fn revoke_token(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::Token(id) = call.target.clone() else { return Err(not_found("token")) };
    let ((), asked) = tokens::revoke(&call.plain(), id).await?;
    Ok(Changed::after(asked, HttpResponse::NoContent().finish()))
}

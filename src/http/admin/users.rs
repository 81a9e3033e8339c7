//! Accounts and robot tokens of the embedded provider.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use mcr_actors::auth_cache::local::{self, new_token};
use mcr_actors::auth_cache::{Administer, Secret};
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::users::{
    CreateToken, CreateUser, DeleteUser, ListTokens, ListUsers, RevokeRobotToken, RobotToken, UpdateUser,
    User,
};
use mcr_actors::domain::{AccountType, Event, EventName, Timestamp};
use serde_json::json as value;

use super::model::{List, NewToken, NewTokenAnswer, NewUser, Problem, TokenModel, UserChange, UserModel};
use super::path::Target;
use super::routes::AdminCall;
use super::{json, not_found, page};
use crate::http::error::ApiError;

/// How long a robot token lives when nothing is said, and at most.
const TOKEN_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// The shortest password.
const SHORTEST_PASSWORD: usize = 8;

fn bad(message: impl ToString) -> ApiError {
    ApiError::admin(StatusCode::BAD_REQUEST, message)
}

fn user_model(user: User) -> UserModel {
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

fn token_model(token: RobotToken) -> TokenModel {
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

/// A name that can stand in a rule, a log line and a Basic header.
fn check_word(what: &str, word: &str) -> Result<(), ApiError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    if (1..=128).contains(&word.len()) && word.bytes().all(fits) {
        return Ok(());
    }
    Err(bad(format!("a {what} has 1 to 128 letters, digits, '.', '_', '-' or '@'")))
}

fn check_roles(roles: &[String]) -> Result<(), ApiError> {
    roles.iter().try_for_each(|role| check_word("role", role))
}

async fn hash(call: &AdminCall, password: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(password) = password else { return Ok(None) };
    if !(SHORTEST_PASSWORD..=1024).contains(&password.len()) {
        return Err(bad(format!("a password has {SHORTEST_PASSWORD} to 1024 bytes")));
    }
    let password = Secret::new(password);
    if local::is_token(&password) {
        return Err(bad("a password must not look like a token: it would be judged as one"));
    }
    Ok(Some(call.state.worker.passwords.hash(password).await?))
}

/// Lists accounts by name.
#[utoipa::path(get, path = "/v1/users", tag = "users",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<UserModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let (limit, offset) = page(call)?;
    let (items, total) = call.state.worker.db.read(ListUsers { offset, limit }).await?;
    Ok(HttpResponse::Ok().json(List { total, items: items.into_iter().map(user_model).collect() }))
}

/// Makes an account.
#[utoipa::path(post, path = "/v1/users", tag = "users", request_body = NewUser, responses(
    (status = 201, body = UserModel), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn create(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let NewUser { name, password, account_type, roles } = json(call).await?;
    check_word("user name", &name)?;
    check_roles(&roles)?;
    if account_type == AccountType::Anonymous {
        return Err(bad("an account is human or system"));
    }
    let password_hash = hash(call, password).await?;
    let (worker, now) = (&call.state.worker, call.state.worker.clock.now());
    let query = CreateUser { name, account_type, password_hash, roles, now };
    let describe = |user: &User| vec![event(EventName::UserCreated, user)];
    let audited = Audited { query, origin: call.origin(), now, describe };
    let user = worker.identity.ask(Administer(audited)).await?;
    Ok(HttpResponse::Created().json(user_model(user)))
}

fn event(name: EventName, user: &User) -> Event {
    Event::new(name).with(value!({
        "user": user.name, "account_type": user.account_type.as_str(), "roles": user.roles, "disabled": user.disabled,
    }))
}

/// Changes an account's password, roles, or whether it is switched off. It takes effect at once.
#[utoipa::path(patch, path = "/v1/users/{name}", tag = "users", params(("name" = String, Path)),
    request_body = UserChange, responses((status = 200, body = UserModel), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn update(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::User(name) = call.target.clone() else { return Err(not_found("user")) };
    let UserChange { password, roles, disabled } = json(call).await?;
    check_roles(roles.as_deref().unwrap_or_default())?;
    let password_hash = hash(call, password).await?;
    let (worker, now) = (&call.state.worker, call.state.worker.clock.now());
    let new_password = password_hash.is_some();
    let query = UpdateUser { name, password_hash, roles, disabled, now };
    let describe = move |user: &User| {
        let mut event = event(EventName::UserUpdated, user);
        event.details["new_password"] = new_password.into();
        vec![event]
    };
    let audited = Audited { query, origin: call.origin(), now, describe };
    let user = worker.identity.ask(Administer(audited)).await?;
    Ok(HttpResponse::Ok().json(user_model(user)))
}

/// Deletes an account with its tokens.
#[utoipa::path(delete, path = "/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem)))]
pub async fn delete(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::User(name) = call.target.clone() else { return Err(not_found("user")) };
    let (worker, now) = (&call.state.worker, call.state.worker.clock.now());
    let describe = |user: &User| vec![event(EventName::UserDeleted, user)];
    let audited = Audited { query: DeleteUser { name }, origin: call.origin(), now, describe };
    worker.identity.ask(Administer(audited)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Lists robot tokens, the newest first.
#[utoipa::path(get, path = "/v1/tokens", tag = "users",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<TokenModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn list_tokens(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let (limit, offset) = page(call)?;
    let (items, total) = call.state.worker.db.read(ListTokens { offset, limit }).await?;
    Ok(HttpResponse::Ok().json(List { total, items: items.into_iter().map(token_model).collect() }))
}

fn life(expires_in: Option<&str>) -> Result<Duration, ApiError> {
    let Some(text) = expires_in else { return Ok(TOKEN_LIFE) };
    let life = humantime::parse_duration(text).ok().filter(|life| !life.is_zero() && *life <= LONGEST_LIFE);
    life.ok_or_else(|| bad("expires_in is a duration of at most ten years, such as 720h"))
}

/// Makes a robot token. It is shown this once.
#[utoipa::path(post, path = "/v1/tokens", tag = "users", request_body = NewToken, responses(
    (status = 201, body = NewTokenAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem)))]
pub async fn create_token(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let NewToken { name, user, roles, expires_in } = json(call).await?;
    check_word("token name", &name)?;
    check_roles(roles.as_deref().unwrap_or_default())?;
    let (worker, now) = (&call.state.worker, call.state.worker.clock.now());
    let expires_at = now.after(life(expires_in.as_deref())?);
    let token = new_token().map_err(|error| {
        log::error!("no randomness for a token: {error}");
        ApiError::admin(StatusCode::SERVICE_UNAVAILABLE, "the system gives no random numbers; try again")
    })?;
    let query = CreateToken { hash: token.token_hash(), name, user, roles, expires_at, now };
    let describe = |token: &RobotToken| vec![token_event(EventName::TokenCreated, token)];
    let audited = Audited { query, origin: call.origin(), now, describe };
    let about = worker.identity.ask(Administer(audited)).await?;
    let answer = NewTokenAnswer { token: token.expose().to_owned(), about: token_model(about) };
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(answer))
}

fn token_event(name: EventName, token: &RobotToken) -> Event {
    Event::new(name).with(value!({
        "token": token.id, "name": token.name, "user": token.user, "roles": token.roles,
        "expires_at": token.expires_at.to_string(),
    }))
}

/// Revokes a robot token; the next request with it is refused.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "users", params(("id" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem)))]
pub async fn revoke_token(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::Token(id) = call.target.clone() else { return Err(not_found("token")) };
    let (worker, now) = (&call.state.worker, call.state.worker.clock.now());
    let describe = |token: &RobotToken| vec![token_event(EventName::TokenRevoked, token)];
    let audited = Audited { query: RevokeRobotToken { id, now }, origin: call.origin(), now, describe };
    worker.identity.ask(Administer(audited)).await?;
    Ok(HttpResponse::NoContent().finish())
}

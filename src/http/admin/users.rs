//! Accounts and robot tokens of the embedded provider.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use mcr_actors::auth_cache::Secret;
use mcr_actors::auth_cache::local::new_token;
use mcr_actors::auth_cache::password::NewPassword;
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::users::{
    ChangedUser, CreateToken, CreateUser, DeleteUser, ListTokens, ListUsers, LiveToken, LiveTokens,
    RevokeRobotToken, RobotToken, ShowUser, UpdateUser, User,
};
use mcr_actors::domain::{AccountName, AccountType, Event, EventName, Timestamp};
use serde_json::json as value;

use super::call::AdminCall;
use super::door::{Changed, administer};
use super::model::{
    ChangedUserModel, List, LiveTokenModel, NewToken, NewTokenAnswer, NewUser, Problem, TokenModel,
    UserChange, UserModel,
};
use super::path::Target;
use super::{json, not_found, page};
use crate::http::error::ApiError;
use crate::http::precondition::{entity_tag, precondition};

/// How long a robot token lives when nothing is said, and at most.
const TOKEN_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

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

fn changed_model(changed: ChangedUser) -> ChangedUserModel {
    let LiveTokens { total, shown } = changed.live;
    let token = |token: LiveToken| LiveTokenModel {
        kind: if token.id.is_some() { "robot" } else { "login" },
        id: token.id,
        name: token.name,
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.to_string(),
    };
    let tokens = List { total, items: shown.into_iter().map(token).collect() };
    ChangedUserModel { user: user_model(changed.user), ended_tokens: changed.ended, tokens }
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

/// A role or the name of a token, which can stand in a rule and a log line.
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
    let password = NewPassword::try_from(Secret::new(password)).map_err(bad)?;
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
pub async fn create(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let NewUser { name, password, account_type, roles } = json(call)?;
    let name: AccountName = name.parse().map_err(bad)?;
    check_roles(&roles)?;
    if account_type == AccountType::Anonymous {
        return Err(bad("an account is human or system"));
    }
    let password_hash = hash(call, password).await?;
    let now = call.state.worker.clock.now();
    let query = CreateUser { name, account_type, password_hash, roles, now };
    let describe = |user: &User| vec![user.event(EventName::UserCreated)];
    let audited = Audited { query, origin: call.origin(), now, describe };
    let (user, asked) = administer(call, audited).await?;
    Ok(asked.answer(HttpResponse::Created().json(user_model(user))))
}

/// Shows an account. Its `ETag` is what a change can ask for with `If-Match`.
#[utoipa::path(get, path = "/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses(
    (status = 200, body = UserModel, headers(("ETag" = String))), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn show(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::User(name) = call.target.clone() else { return Err(not_found("user")) };
    let user = call.state.worker.db.read(ShowUser(name.clone())).await?;
    let user = user.ok_or_else(|| not_found(format!("user {name}")))?;
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
    let Target::User(name) = call.target.clone() else { return Err(not_found("user")) };
    let UserChange { password, roles, disabled, end_tokens } = json(call)?;
    check_roles(roles.as_deref().unwrap_or_default())?;
    let password_hash = hash(call, password).await?;
    let now = call.state.worker.clock.now();
    let precondition = precondition(&call.request);
    let query = UpdateUser { name, password_hash, roles, disabled, end_tokens, precondition, now };
    let describe = |changed: &ChangedUser| vec![changed.event()];
    let audited = Audited { query, origin: call.origin(), now, describe };
    let (changed, asked) = administer(call, audited).await?;
    let tag = entity_tag(&changed.user.digest());
    Ok(asked.answer(HttpResponse::Ok().insert_header((header::ETAG, tag)).json(changed_model(changed))))
}

/// Deletes an account with its tokens.
#[utoipa::path(delete, path = "/v1/users/{name}", tag = "users",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 204), (status = 412, body = Problem), (status = 413, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem)))]
pub async fn delete(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::User(name) = call.target.clone() else { return Err(not_found("user")) };
    let now = call.state.worker.clock.now();
    let describe = |user: &User| vec![user.event(EventName::UserDeleted)];
    let audited = Audited {
        query: DeleteUser { name, precondition: precondition(&call.request) },
        origin: call.origin(),
        now,
        describe,
    };
    let (_, asked) = administer(call, audited).await?;
    Ok(asked.answer(HttpResponse::NoContent().finish()))
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
pub async fn create_token(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let NewToken { name, user, roles, expires_in } = json(call)?;
    check_word("token name", &name)?;
    check_roles(roles.as_deref().unwrap_or_default())?;
    let now = call.state.worker.clock.now();
    let expires_at = now.after(life(expires_in.as_deref())?);
    let token = new_token().map_err(|error| {
        log::error!("no randomness for a token: {error}");
        ApiError::admin(StatusCode::SERVICE_UNAVAILABLE, "the system gives no random numbers; try again")
    })?;
    let most = call.state.options.max_robot_tokens;
    let query = CreateToken { hash: token.token_hash(), name, user, roles, expires_at, most, now };
    let describe = |token: &RobotToken| vec![token_event(EventName::TokenCreated, token)];
    let audited = Audited { query, origin: call.origin(), now, describe };
    let (about, asked) = administer(call, audited).await?;
    let answer = NewTokenAnswer { token: token.expose().to_owned(), about: token_model(about) };
    let no_store = (header::CACHE_CONTROL, "no-store");
    Ok(asked.answer(HttpResponse::Created().insert_header(no_store).json(answer)))
}

fn token_event(name: EventName, token: &RobotToken) -> Event {
    Event::new(name).with(value!({
        "token": token.id, "name": token.name, "user": token.user, "roles": token.roles,
        "expires_at": token.expires_at.to_string(),
    }))
}

/// Revokes a robot token; the next request with it is refused.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "users", params(("id" = String, Path)), responses((status = 413, body = Problem), 
    (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem)))]
pub async fn revoke_token(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::Token(id) = call.target.clone() else { return Err(not_found("token")) };
    let now = call.state.worker.clock.now();
    let describe = |token: &RobotToken| vec![token_event(EventName::TokenRevoked, token)];
    let audited = Audited { query: RevokeRobotToken { id, now }, origin: call.origin(), now, describe };
    let (_, asked) = administer(call, audited).await?;
    Ok(asked.answer(HttpResponse::NoContent().finish()))
}

//! Login, logout, and who am I.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use mcr_actors::auth_cache::{Credentials, Logout, Secret};
use mcr_actors::db::queries::audit::Record;
use mcr_actors::domain::{Event, EventName};

use super::call::AdminCall;
use super::door::{Asked, Changed};
use super::json;
use super::model::{LoginAnswer, LoginRequest, Me, PrincipalModel, Problem};
use crate::http::auth::credentials;
use crate::http::error::ApiError;
use crate::http::oci::token::log_in;

/// Exchanges a name and password for a token.
#[utoipa::path(post, path = "/v1/auth/login", tag = "session", request_body = LoginRequest, security(()), responses(
    (status = 200, body = LoginAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 413, body = Problem), (status = 429, body = Problem)))]
pub async fn login(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let LoginRequest { username, password } = json(call)?;
    // Not by Basic, for which a browser would ask in a window of its own.
    let login =
        log_in(call, username, Secret::new(password)).await.map_err(|error| error.challenged("Bearer"))?;
    let answer = LoginAnswer {
        token: login.token.expose().to_owned(),
        expires_at: login.expires_at.to_string(),
        principal: PrincipalModel::from(login.principal.as_ref()),
    };
    let response = HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer);
    Ok(Asked::of_own_or_nothing().answer(response))
}

/// Revokes the token that the request came with.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "session", responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 413, body = Problem)))]
pub async fn logout(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Some(Credentials::Token(token)) = credentials(&call.request)? else {
        return Err(ApiError::admin(StatusCode::BAD_REQUEST, "only a token can be given back; use Bearer"));
    };
    if call.caller.as_ref().is_some_and(|caller| caller.principal.is_anonymous()) {
        let message = "an anonymous token is nobody's and ends by itself";
        return Err(ApiError::admin(StatusCode::BAD_REQUEST, message));
    }
    let worker = &call.state.worker;
    worker.auth.ask(Logout { token }).await?;
    let (origin, now, event) = (call.origin(), worker.clock.now(), Event::new(EventName::Logout));
    worker.db.record(Record { origin, now, event, times: 1 }).await?;
    Ok(Asked::of_own_or_nothing().answer(HttpResponse::NoContent().finish()))
}

/// Tells who the caller is.
#[utoipa::path(get, path = "/v1/auth/me", tag = "session", responses(
    (status = 200, body = Me), (status = 401, body = Problem)))]
pub async fn me(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Some(caller) = &call.caller else { return Err(super::not_found("caller")) };
    Ok(HttpResponse::Ok().json(Me { principal: PrincipalModel::from(caller.principal.as_ref()) }))
}

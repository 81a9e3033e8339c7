//! Login, logout, and who am I.

use actix_web::HttpResponse;
use actix_web::http::header;
use mcr_actors::auth_cache::LoggedIn;
use mcr_actors::domain::Timestamp;

use super::call::AdminCall;
use super::changed::Changed;
use super::json;
use crate::admin::{principal, session};
use crate::caller::Caller;
use crate::http::auth::credentials;
use crate::http::error::ApiError;
use crate::model::{LoginAnswer, LoginRequest, Me, Problem};

pub(super) fn login_model(login: &LoggedIn) -> LoginAnswer {
    LoginAnswer {
        token: login.token.expose().to_owned(),
        expires_at: login.expires_at.to_string(),
        principal: principal::model(&login.principal),
    }
}

/// Exchanges a name and password for a token. `totp_code` is passed on to who knows accounts, and refused where that is the registry
/// itself.
#[utoipa::path(post, path = "/v1/auth/login", tag = "session", request_body = LoginRequest, security(()), responses(
    (status = 200, body = LoginAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 413, body = Problem), (status = 429, body = Problem)))]
pub async fn login(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let request: LoginRequest = json(call)?;
    // Not by Basic, for which a browser would ask in a window of its own.
    let refused = |refusal| ApiError::from(refusal).challenged("Bearer");
    let (login, asked) = session::log_in(&call.plain(), request).await.map_err(refused)?;
    call.named(&login.principal.name);
    let no_store = (header::CACHE_CONTROL, "no-store");
    Ok(Changed::after(asked, HttpResponse::Ok().insert_header(no_store).json(login_model(&login))))
}

/// Revokes the token that the request came with.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "session", responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 413, body = Problem)))]
pub async fn logout(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let ((), asked) = session::log_out(&call.plain(), credentials(&call.request)?).await?;
    Ok(Changed::after(asked, HttpResponse::NoContent().finish()))
}

pub(super) fn me_model(caller: &Caller) -> Me {
    let expires_at = caller.expires_at.as_ref().map(Timestamp::to_string);
    Me { principal: principal::model(&caller.principal), expires_at, robot: caller.of_robot }
}

/// Tells who the caller is, and of its token when it ends and whether it is a robot's.
#[utoipa::path(get, path = "/v1/auth/me", tag = "session", responses(
    (status = 200, body = Me), (status = 401, body = Problem)))]
pub async fn me(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(me_model(&session::who(&call.plain()).await?)))
}

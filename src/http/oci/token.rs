//! The token endpoint: credentials for a token, by GET with Basic or by the OAuth2 form.
//! <https://distribution.github.io/distribution/spec/auth/token/>
//!
//! Tokens carry no scope: policy decides each request, so what is asked for is accepted and not looked at.

use actix_web::HttpResponse;
use actix_web::http::{Method, StatusCode, header};
use mcr_actors::ask::AskError;
use mcr_actors::auth_cache::{
    AuthError, Authenticate, Authenticated, Credentials, Login, LoginAnonymous, Secret,
};
use mcr_actors::domain::Timestamp;
use serde_json::json;

use crate::http::auth::credentials;
use crate::http::body::collect;
use crate::http::error::{ApiError, Code};
use crate::http::query::Query;
use crate::http::routes::Call;

/// The longest form in bytes.
const MAX_FORM: u64 = 64 * 1024;
/// Clients raise a shorter life to this, so it is never said.
const SHORTEST: u64 = 60;

/// `GET` or `POST /v2/token`.
pub async fn exchange(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let found = if call.request.method() == Method::POST {
        from_form(call).await?
    } else {
        credentials(&call.request)?
    };
    let auth = &call.state.worker.auth;
    let login = match found {
        None => auth.ask(LoginAnonymous).await,
        Some(Credentials::Basic { name, password }) => auth.ask(Login { name, password }).await,
        Some(Credentials::Token(token)) => return renewed(call, token).await,
    };
    let login = login.map_err(refused)?;
    Ok(token(login.token.expose(), login.expires_at, call.state.worker.clock.now()))
}

/// Whoever holds a token already may ask with it, and keeps it.
async fn renewed(call: &Call, held: Secret) -> Result<HttpResponse, ApiError> {
    let credentials = Credentials::Token(held.clone());
    let found: Authenticated =
        call.state.worker.auth.ask(Authenticate { credentials }).await.map_err(refused)?;
    Ok(token(held.expose(), found.expires_at, call.state.worker.clock.now()))
}

/// The credentials of the OAuth2 form that docker 29 and containerd send first.
async fn from_form(call: &mut Call) -> Result<Option<Credentials>, ApiError> {
    let body = collect(&mut call.payload, MAX_FORM, call.state.options.read_timeout).await?;
    let form = Query::parse(&body);
    match form.get("grant_type") {
        Some("password") => Ok(match (form.get("username"), form.get("password")) {
            (None, None) => None,
            (name, password) => Some(Credentials::Basic {
                name: name.unwrap_or_default().to_owned(),
                password: Secret::new(password.unwrap_or_default()),
            }),
        }),
        None => credentials(&call.request),
        Some(other) => {
            let message = format!(
                "grant_type {} is not supported; use password, or GET with Basic",
                other.escape_default().take(40).collect::<String>()
            );
            Err(ApiError::new(StatusCode::BAD_REQUEST, Code::Unsupported, message))
        }
    }
}

/// A wrong login names the scheme that is wanted here.
fn refused(error: AskError<AuthError>) -> ApiError {
    let error = ApiError::from(error);
    match error.status() {
        StatusCode::UNAUTHORIZED => error.header(header::WWW_AUTHENTICATE, "Basic realm=\"mcr\""),
        _ => error,
    }
}

/// The answer. `expires_in` is the true life less a minute, so that no client uses a token to its last second.
fn token(token: &str, expires_at: Timestamp, now: Timestamp) -> HttpResponse {
    let life = expires_at.since(now).as_secs();
    let expires_in = life.saturating_sub(SHORTEST).max(life.min(SHORTEST));
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({
        "token": token,
        "access_token": token,
        "expires_in": expires_in,
        "issued_at": now.to_string(),
    }))
}

//! The token endpoint: credentials for a token, by GET with Basic or by the OAuth2 form.
//! <https://distribution.github.io/distribution/spec/auth/token/>
//!
//! Tokens carry no scope: policy decides each request, so what is asked for is accepted and not looked at.

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpMessage, HttpResponse};
use mcr_actors::ask::AskError;
use mcr_actors::auth_cache::{
    AuthError, Authenticate, Authenticated, Credentials, LoggedIn, LoginAnonymous, Secret,
};
use mcr_actors::domain::Timestamp;
use serde_json::json;

use super::call::Oci;
use crate::admin::login;
use crate::admin::refusal::Refusal;
use crate::http::auth::{credentials, has_unknown_scheme};
use crate::http::budget::Holder;
use crate::http::call::Call;
use crate::http::error::{ApiError, Code};
use crate::http::note::Named;
use crate::http::origin::client;
use crate::http::query::Query;
use crate::http::small_body::{Bounds, announced, collect};

/// The longest form in bytes.
const MAX_FORM: u64 = 16 * 1024;
/// Clients raise a shorter life to this, so it is never said.
const SHORTEST: u64 = 60;

/// `GET` or `POST /v2/token`.
pub async fn exchange(call: &mut Call<Oci>) -> Result<HttpResponse, ApiError> {
    let found = if call.request.method() == Method::POST {
        from_form(call).await
    } else {
        credentials(&call.request)
    };
    let login = match found {
        Ok(None) => anonymous(call).await?.ok_or_else(|| challenged(Refusal::nobody().into()))?,
        // Where everybody is given a token, whatever else was sent is not looked at.
        Err(error) if error.status() == StatusCode::UNAUTHORIZED && has_unknown_scheme(&call.request) => {
            anonymous(call).await?.ok_or_else(|| challenged(error))?
        }
        Err(error) => return Err(challenged(error)),
        Ok(Some(Credentials::Basic { name, password })) => {
            log_in(call, name, password).await.map_err(challenged)?
        }
        Ok(Some(Credentials::Token(token))) => return renewed(call, token).await,
    };
    Ok(token(login.token.expose(), login.expires_at, call.state.worker.clock.now()))
}

/// A token for whoever does not log in; none where that is not configured.
async fn anonymous(call: &Call<Oci>) -> Result<Option<LoggedIn>, ApiError> {
    match call.state.worker.auth.ask(LoginAnonymous).await {
        Err(AskError::Refused(AuthError::Invalid)) => Ok(None),
        given => given.map(Some).map_err(refused),
    }
}

/// Exchanges a name and password for a token.
async fn log_in(call: &Call<Oci>, name: String, password: Secret) -> Result<LoggedIn, ApiError> {
    let address = client(&call.request, &call.state.options);
    let login = login::log_in(&call.state.worker, call.origin(), address, (name, password, None)).await?;
    call.request.extensions_mut().insert(Named(login.principal.name.clone()));
    Ok(login)
}

/// Whoever holds a token already may ask with it, and keeps it.
async fn renewed(call: &Call<Oci>, held: Secret) -> Result<HttpResponse, ApiError> {
    let (credentials, address) =
        (Credentials::Token(held.clone()), client(&call.request, &call.state.options));
    let authenticate = Authenticate { credentials, address };
    let found: Authenticated = call.state.worker.auth.ask(authenticate).await.map_err(refused)?;
    call.request.extensions_mut().insert(Named(found.principal.name.clone()));
    Ok(token(held.expose(), found.expires_at, call.state.worker.clock.now()))
}

/// The credentials of the OAuth2 form that docker 29 and containerd send first.
async fn from_form(call: &mut Call<Oci>) -> Result<Option<Credentials>, ApiError> {
    let bounds = Bounds {
        announced: announced(&call.request),
        limit: MAX_FORM,
        read_timeout: call.state.options.read_timeout,
        code: Code::Unsupported,
    };
    let holder = Holder::stranger(client(&call.request, &call.state.options));
    let body = collect(&mut call.body, bounds, holder).await?;
    let form = Query::parse(&body.bytes);
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

fn refused(error: AskError<AuthError>) -> ApiError {
    challenged(error.into())
}

fn challenged(error: ApiError) -> ApiError {
    error.challenged("Basic")
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

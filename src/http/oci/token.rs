//! The token endpoint: credentials for a token, by GET with Basic or by the OAuth2 form.
//! <https://distribution.github.io/distribution/spec/auth/token/>
//!
//! Tokens carry no scope: policy decides each request, so what is asked for is accepted and not looked at.

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use mcr_actors::ask::AskError;
use mcr_actors::auth_cache::{
    AuthError, Authenticate, Authenticated, Credentials, LoggedIn, Login, LoginAnonymous, Secret,
};
use mcr_actors::db::queries::audit::Record;
use mcr_actors::domain::{Event, EventName, Timestamp};
use serde_json::json;

use crate::http::auth::{Inquiry, credentials, origin_of};
use crate::http::body::collect;
use crate::http::error::{ApiError, Code};
use crate::http::origin::client;
use crate::http::query::Query;
use crate::http::routes::{Call, Named};
use crate::http::state::State;

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
        None => auth.ask(LoginAnonymous).await.map_err(refused)?,
        Some(Credentials::Basic { name, password }) => {
            log_in(call, name, password).await.map_err(challenged)?
        }
        Some(Credentials::Token(token)) => return renewed(call, token).await,
    };
    Ok(token(login.token.expose(), login.expires_at, call.state.worker.clock.now()))
}

/// Exchanges a name and password for a token, and records how that went.
pub(crate) async fn log_in(call: &Call, name: String, password: Secret) -> Result<LoggedIn, ApiError> {
    let (state, request) = (&call.state, &call.request);
    log_in_from(request, state, &call.request_id, name, password).await
}

/// The same for a request of any kind.
pub(crate) async fn log_in_from(
    request: &HttpRequest,
    state: &State,
    request_id: &str,
    name: String,
    password: Secret,
) -> Result<LoggedIn, ApiError> {
    let address = client(request, &state.options);
    let (is_nobody, tried) = (name.is_empty(), name.clone());
    match state.worker.auth.ask(Login { name, password, address }).await {
        Ok(login) => {
            request.extensions_mut().insert(Named(login.principal.name.clone()));
            let origin = origin_of(request, state, request_id, Some(&login.principal));
            let (now, event) = (state.worker.clock.now(), Event::new(EventName::LoginOk));
            if !login.principal.is_anonymous() {
                state.worker.db.write(Record { origin, now, event, times: 1 }).await?;
            }
            Ok(login)
        }
        Err(error) => {
            if matches!(error, AskError::Refused(AuthError::Invalid)) && !is_nobody {
                Inquiry::new(request, state, request_id).failed_login(&tried).await?;
            }
            Err(error.into())
        }
    }
}

/// Whoever holds a token already may ask with it, and keeps it.
async fn renewed(call: &Call, held: Secret) -> Result<HttpResponse, ApiError> {
    let (credentials, address) =
        (Credentials::Token(held.clone()), client(&call.request, &call.state.options));
    let authenticate = Authenticate { credentials, address };
    let found: Authenticated = call.state.worker.auth.ask(authenticate).await.map_err(refused)?;
    call.request.extensions_mut().insert(Named(found.principal.name.clone()));
    Ok(token(held.expose(), found.expires_at, call.state.worker.clock.now()))
}

/// The credentials of the OAuth2 form that docker 29 and containerd send first.
async fn from_form(call: &mut Call) -> Result<Option<Credentials>, ApiError> {
    let body =
        collect(&mut call.payload, MAX_FORM, call.state.options.read_timeout, Code::Unsupported).await?;
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

fn refused(error: AskError<AuthError>) -> ApiError {
    challenged(error.into())
}

/// A wrong login names the scheme that is wanted here.
fn challenged(error: ApiError) -> ApiError {
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

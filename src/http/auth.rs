//! Who asks, and may they: credentials to a caller, a caller to a permission. The only place where either is decided.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcr_actors::ask::AskError;
use mcr_actors::auth_cache::{AuthError, Authenticate, Authenticated, Credentials, Secret};
use mcr_actors::db::queries::uploads::FindUpload;
use mcr_actors::domain::{Action, Principal, RepositoryName};
use mcr_actors::policy::Decide;
use serde_json::json;

use super::error::{ApiError, Code};
use super::origin::origin;
use super::path::Target;
use super::query::Query;
use super::state::State;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: the token endpoint.
    Open,
    /// Any valid token that policy lets check the version.
    VersionCheck,
    /// `registry:catalog`.
    Catalog,
    /// `registry:pull` or `registry:push` on the repository: every client looks before it pushes.
    Read,
    /// `registry:push` on the repository.
    Push,
    /// `registry:delete` on the repository.
    Delete,
}

impl Access {
    /// The actions of which one must be allowed.
    fn any_of(self) -> &'static [Action] {
        match self {
            Self::Open => &[],
            Self::VersionCheck => &[Action::VersionCheck],
            Self::Catalog => &[Action::Catalog],
            Self::Read => &[Action::Pull, Action::Push],
            Self::Push => &[Action::Push],
            Self::Delete => &[Action::Delete],
        }
    }

    /// The actions of a token's scope, as clients write them.
    fn scope(self) -> &'static str {
        match self {
            Self::Open | Self::VersionCheck => "",
            Self::Catalog => "*",
            Self::Read => "pull",
            Self::Push => "pull,push",
            Self::Delete => "delete,pull,push",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The principal.
    pub principal: Arc<Principal>,
    /// The SHA-256 of the token it came with.
    pub token_hash: Option<[u8; 32]>,
}

/// The credentials of an `Authorization` header; `None` when there are none, an error when they cannot be read.
pub fn credentials(request: &HttpRequest) -> Result<Option<Credentials>, ApiError> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let unreadable = || {
        ApiError::new(
            StatusCode::UNAUTHORIZED,
            Code::Unauthorized,
            "the Authorization header must be Bearer with a token, or Basic with a user name and password",
        )
    };
    let (scheme, rest) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(unreadable)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Credentials::Token(Secret::new(rest))));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unreadable());
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')).ok_or_else(unreadable)? {
        ("", "") => Ok(None),
        (name, password) => {
            Ok(Some(Credentials::Basic { name: name.to_owned(), password: Secret::new(password) }))
        }
    }
}

/// Finds out who asks; every 401 tells where to get a token.
pub async fn authenticate(
    request: &HttpRequest,
    state: &State,
    target: Option<&Target>,
    challenge: &Challenge<'_>,
) -> Result<Caller, ApiError> {
    let unknown = |error: ApiError, why: Option<&'static str>| {
        if error.status() == StatusCode::UNAUTHORIZED { challenge.add(error, why, None) } else { error }
    };
    let credentials = credentials(request).map_err(|error| unknown(error, None))?;
    let Some(credentials) = credentials else {
        let message = "log in to use this registry";
        return Err(unknown(ApiError::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message), None));
    };
    match state.worker.auth.ask(Authenticate { credentials }).await {
        Ok(Authenticated { principal, token_hash, .. }) => Ok(Caller { principal, token_hash }),
        Err(AskError::Refused(AuthError::Lapsed { principal, token_hash })) => {
            match began_upload(state, target, &token_hash).await? {
                true => Ok(Caller { principal, token_hash: Some(token_hash) }),
                false => {
                    let lapsed = AuthError::Lapsed { principal, token_hash };
                    Err(unknown(lapsed.into(), Some("invalid_token")))
                }
            }
        }
        Err(error) => Err(unknown(error.into(), Some("invalid_token"))),
    }
}

/// Whether the request is for the very upload that was begun with this token: a long upload outlives its token.
async fn began_upload(
    state: &State,
    target: Option<&Target>,
    token_hash: &[u8; 32],
) -> Result<bool, ApiError> {
    let Some(Target::Upload(repository, id)) = target else { return Ok(false) };
    let row = state.worker.db.read(FindUpload(*id)).await?;
    Ok(row.is_some_and(|row| row.repository == *repository && row.token_hash.as_ref() == Some(token_hash)))
}

/// Whether policy lets the principal do it.
pub async fn may(
    state: &State,
    principal: &Arc<Principal>,
    action: Action,
    repository: Option<&RepositoryName>,
) -> Result<bool, ApiError> {
    let (principal, repository) = (Arc::clone(principal), repository.cloned());
    Ok(state.worker.policy.ask(Decide { principal, action, repository }).await?.allowed)
}

/// Lets the request pass when one of the actions is allowed; else 403, or 401 when logging in could help.
pub async fn authorize(
    state: &State,
    caller: &Caller,
    access: Access,
    repository: Option<&RepositoryName>,
    challenge: &Challenge<'_>,
) -> Result<(), ApiError> {
    for action in access.any_of() {
        if may(state, &caller.principal, *action, repository).await? {
            return Ok(());
        }
    }
    let action = access.any_of().first().map_or("", |action| action.as_str());
    let place = repository.map_or("this registry", RepositoryName::as_str);
    let detail = json!({"action": action, "repository": repository.map_or("", RepositoryName::as_str)});
    if caller.principal.is_anonymous() {
        let message = format!("log in: {action} on {place} is not allowed to everybody");
        let error = ApiError::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, &message).detail(detail);
        return Err(challenge.add(error, Some("insufficient_scope"), Some(&message)));
    }
    let message = format!("{} is not allowed {action} on {place}", caller.principal.name);
    Err(ApiError::new(StatusCode::FORBIDDEN, Code::Denied, message).detail(detail))
}

/// What a 401 says about getting a token. Exactly one header with one scheme, since clients read the first or the last.
#[derive(Debug)]
pub struct Challenge<'a> {
    request: &'a HttpRequest,
    state: &'a State,
    scope: String,
}

impl<'a> Challenge<'a> {
    /// For a request with this access to this target.
    pub fn new(
        request: &'a HttpRequest,
        state: &'a State,
        access: Access,
        target: Option<&Target>,
        query: &Query,
    ) -> Self {
        let mut scope = match target.and_then(Target::repository) {
            Some(repository) => format!("repository:{repository}:{}", access.scope()),
            None if access == Access::Catalog => "registry:catalog:*".to_owned(),
            None => String::new(),
        };
        let source = query.get("from").and_then(|from| from.parse::<RepositoryName>().ok());
        if let (Some(Target::Uploads(_)), Some(source)) = (target, source) {
            scope.push_str(&format!(" repository:{source}:pull"));
        }
        Self { request, state, scope }
    }

    /// Adds the header to a 401. An empty parameter would end the parse in some clients, so it is left out.
    fn add(&self, error: ApiError, reason: Option<&str>, description: Option<&str>) -> ApiError {
        let realm = format!("{}/v2/token", origin(self.request, &self.state.options));
        let mut value = format!("Bearer realm=\"{realm}\",service=\"{SERVICE}\"");
        let scope = Some(self.scope.as_str()).filter(|scope| !scope.is_empty());
        for (name, text) in [("scope", scope), ("error", reason), ("error_description", description)] {
            if let Some(text) = text {
                value.push_str(&format!(",{name}=\"{text}\""));
            }
        }
        error.header(header::WWW_AUTHENTICATE, value)
    }
}

/// What the registry calls itself when tokens are asked for.
pub const SERVICE: &str = "mcr";

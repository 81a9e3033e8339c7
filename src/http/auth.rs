//! Who asks, and may they: credentials to a caller, a caller to a permission. The only place where either is decided.

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcr_actors::ask::AskError;
use mcr_actors::auth_cache::{AuthError, Authenticate, Credentials, Secret};
use mcr_actors::db::queries::audit::Record;
use mcr_actors::db::queries::uploads::FindUpload;
use mcr_actors::domain::{Action, Event, EventName, Origin, Principal, RepositoryName, network};
use mcr_actors::policy::{Decide, Decision, RuleId};
use serde_json::json;

use super::api::{self, Access as _, Target as _};
use super::error::{ApiError, Code};
use super::origin::{client, origin};
use super::path::Target;
use super::query::Query;
use super::state::State;
use crate::admin::login;
use crate::admin::refusal::{Reason, Refusal};
use crate::caller::Caller;

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

impl api::Access for Access {
    fn action(self) -> &'static str {
        self.any_of().first().map_or("-", |action| action.as_str())
    }
}

/// The credentials of an `Authorization` header; `None` when there are none, an error when they cannot be read.
pub fn credentials(request: &HttpRequest) -> Result<Option<Credentials>, ApiError> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        // Whoever stands between may have looked at the other one.
        let message = "send one Authorization header, not several";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message));
    }
    if value.as_bytes().trim_ascii().is_empty() {
        return Ok(None);
    }
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

/// Whether the request has an `Authorization` header of neither scheme that is known here: some clients send signatures of
/// their own to whoever gives tokens.
pub fn has_unknown_scheme(request: &HttpRequest) -> bool {
    let known = |value: &header::HeaderValue| {
        let scheme = value.as_bytes().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"basic") || scheme.eq_ignore_ascii_case(b"bearer")
    };
    let mut values = request.headers().get_all(header::AUTHORIZATION).peekable();
    values.peek().is_some() && values.all(|value| !known(value))
}

/// A request on its way to its handler: who asks, and may they.
#[derive(Debug)]
pub struct Inquiry<'a> {
    request: &'a HttpRequest,
    state: &'a State,
    request_id: &'a str,
    /// What a token for it would be asked for with.
    scope: String,
}

/// Whether policy lets the principal do it.
pub async fn may(
    state: &State,
    principal: &Arc<Principal>,
    action: Action,
    repository: Option<&RepositoryName>,
) -> Result<bool, ApiError> {
    Ok(decide(state, principal, action, repository).await?.allowed)
}

/// What policy says to it, and by which rule.
async fn decide(
    state: &State,
    principal: &Arc<Principal>,
    action: Action,
    repository: Option<&RepositoryName>,
) -> Result<Decision, ApiError> {
    let (principal, repository) = (Arc::clone(principal), repository.cloned());
    Ok(state.worker.policy.ask(Decide { principal, action, repository }).await?)
}

/// Who caused what a request changes, for the audit log.
pub fn origin_of(
    request: &HttpRequest,
    state: &State,
    request_id: &str,
    principal: Option<&Principal>,
) -> Origin {
    Origin {
        actor_id: principal.map(|principal| principal.subject.clone()).unwrap_or_default(),
        actor_name: principal.map(|principal| principal.name.clone()).unwrap_or_default(),
        address: client(request, &state.options).map(|address| address.to_string()).unwrap_or_default(),
        request_id: request_id.to_owned(),
    }
}

impl<'a> Inquiry<'a> {
    /// About something that is no part of a repository.
    pub fn new(request: &'a HttpRequest, state: &'a State, request_id: &'a str) -> Self {
        Self { request, state, request_id, scope: String::new() }
    }

    /// The same with the scope that a token for this access to this target would be asked for with.
    #[must_use]
    pub fn with_scope(mut self, access: Access, target: Option<&Target>, query: &Query) -> Self {
        match target.and_then(Target::repository) {
            Some(repository) => self.scope = format!("repository:{repository}:{}", access.scope()),
            None if access == Access::Catalog => "registry:catalog:*".clone_into(&mut self.scope),
            None => {}
        }
        let source = query.get("from").and_then(|from| from.parse::<RepositoryName>().ok());
        if let (Some(Target::Uploads(_)), Some(source)) = (target, source) {
            self.scope.push_str(&format!(" repository:{source}:pull"));
        }
        self
    }

    /// Finds out who asks; every 401 tells where to get a token.
    pub async fn caller(&self, target: Option<&Target>) -> Result<Caller, ApiError> {
        let state = self.state;
        let credentials = credentials(self.request).map_err(|error| self.challenge(error, None, None))?;
        let Some(credentials) = credentials else {
            return Err(self.challenge(Refusal::nobody().into(), None, None));
        };
        let name = match &credentials {
            Credentials::Basic { name, .. } => Some(name.clone()),
            Credentials::Token(_) => None,
        };
        let address = client(self.request, &state.options);
        match state.worker.auth.ask(Authenticate { credentials, address }).await {
            Ok(found) => Ok(found.into()),
            Err(AskError::Refused(AuthError::Lapsed { principal, token_hash }))
                if began_upload(state, target, &token_hash).await? =>
            {
                let (token_hash, password, expires_at) = (Some(token_hash), None, None);
                Ok(Caller { principal, token_hash, password, expires_at, of_robot: false })
            }
            Err(error) => {
                if let (Some(name), AskError::Refused(AuthError::Invalid)) = (name, &error) {
                    let origin = origin_of(self.request, state, self.request_id, None);
                    login::failed(&state.worker, origin, &name).await?;
                }
                Err(self.challenge(error.into(), Some("invalid_token"), None))
            }
        }
    }

    async fn record(&self, origin: Origin, event: Event, times: u64) -> Result<(), ApiError> {
        let worker = &self.state.worker;
        Ok(worker.db.record(Record { origin, now: worker.clock.now(), event, times }).await?)
    }

    /// Lets the request pass when one of the actions is allowed.
    pub async fn authorize(
        &self,
        caller: &Caller,
        access: Access,
        repository: Option<&RepositoryName>,
    ) -> Result<(), ApiError> {
        let mut rule = None;
        for action in access.any_of() {
            let decision = decide(self.state, &caller.principal, *action, repository).await?;
            if decision.allowed {
                return Ok(());
            }
            rule = rule.or(decision.rule);
        }
        Err(self.deny(caller, access.action(), repository, rule).await?)
    }

    /// A refusal, recorded with the rule that decided unless too many like it were: 403, or 401 when logging in could help.
    pub async fn deny(
        &self,
        caller: &Caller,
        action: &str,
        repository: Option<&RepositoryName>,
        rule: Option<RuleId>,
    ) -> Result<ApiError, ApiError> {
        let origin = origin_of(self.request, self.state, self.request_id, Some(&caller.principal));
        let place = client(self.request, &self.state.options)
            .map(|address| network(address).to_string())
            .unwrap_or_default();
        if let Some(left_out) = self.state.denials.admit(&origin.actor_id, &place, Instant::now()) {
            let details = json!({"action": action, "rule": rule.map(|rule| rule.0), "method": self.request.method().as_str()});
            let mut event = Event::new(EventName::AccessDenied).with(details);
            if let Some(repository) = repository {
                event = event.at(repository);
            }
            self.record(origin, event, left_out.saturating_add(1)).await?;
        }
        let message = caller.denied(action, repository.map(RepositoryName::as_str));
        let detail = json!({"action": action, "repository": repository.map_or("", RepositoryName::as_str)});
        if caller.principal.is_anonymous() {
            let error = ApiError::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, &message).detail(detail);
            let error = error.because(Reason::NoCredentials);
            return Ok(self.challenge(error, Some("insufficient_scope"), Some(&message)));
        }
        Ok(ApiError::new(StatusCode::FORBIDDEN, Code::Denied, message).detail(detail))
    }

    /// Adds to a 401 where to get a token: one header with one scheme, since clients read the first or the last. An empty
    /// parameter would end the parse in some clients, so it is left out.
    fn challenge(&self, error: ApiError, reason: Option<&str>, description: Option<&str>) -> ApiError {
        if error.status() != StatusCode::UNAUTHORIZED {
            return error;
        }
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

/// What the registry calls itself when tokens are asked for.
pub const SERVICE: &str = "mcr";

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    fn read(value: &[u8]) -> Result<Option<Credentials>, ApiError> {
        let Ok(value) = HeaderValue::from_bytes(value) else { return Ok(None) };
        credentials(&TestRequest::default().insert_header((header::AUTHORIZATION, value)).to_http_request())
    }

    proptest! {
        #[test]
        fn a_name_and_a_password_come_back_as_they_were(name in "[^:\\x00]{0,20}", password in "\\PC{1,20}") {
            let encoded = format!("bAsIc {}", STANDARD.encode(format!("{name}:{password}")));
            match read(encoded.as_bytes()) {
                Ok(Some(Credentials::Basic { name: found, password: secret })) => {
                    prop_assert_eq!((found, secret.expose()), (name, password.as_str()));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn any_header_is_credentials_or_401(
            value in prop::collection::vec(any::<u8>(), 0..60),
            scheme in prop::sample::select(vec!["", "Basic ", "Bearer ", "basic  ", "Digest "]),
        ) {
            if let Err(error) = read(&[scheme.as_bytes(), &value].concat()) {
                prop_assert_eq!(error.status(), StatusCode::UNAUTHORIZED);
            }
        }
    }
}

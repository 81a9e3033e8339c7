//! MCIAS as the identity provider: accounts and tokens of a service that is asked over HTTPS.
//!
//! MCIAS gives two verdicts, and both in one way only: 401 to a login, and `"valid": false` of a token. Whatever else
//! happens, it did not answer; then nobody gets in and nobody is turned away. Remembering is the cache's part.

mod answers;
mod client;
mod trust;

use std::sync::Arc;

use actix_rt::Arbiter;
use mcr_actors::ask::{AskError, Handle};
use mcr_actors::auth_cache::provider::Verdict;
use mcr_actors::auth_cache::{LoggedIn, Provider, ProviderError, Secret, Validation, Verified};
use mcr_actors::clock::Clock;
use mcr_actors::domain::{Principal, Timestamp};
use serde::Serialize;

use self::answers::failed;
use self::client::{Answer, Client, Question};
pub use self::trust::MciasError;
use crate::config::Mcias;

const LOGIN: &str = "/v1/auth/login";
const VALIDATE: &str = "/v1/token/validate";
const LOGOUT: &str = "/v1/auth/logout";
/// What nobody was given: asked for when only the answer matters.
const NO_TOKEN: &str = "none";

/// Accounts of MCIAS.
#[derive(Debug)]
pub struct MciasProvider {
    client: Handle<Client>,
    clock: Clock,
    service_name: String,
    tags: Vec<String>,
    thread: Arbiter,
}

#[derive(Serialize)]
struct Login<'a> {
    username: &'a str,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    totp_code: Option<&'a str>,
    service_name: &'a str,
    tags: &'a [String],
}

#[derive(Serialize)]
struct Validate<'a> {
    token: &'a str,
}

/// A question that was not answered is the provider's failure, whoever was too busy.
fn unanswered(error: AskError<ProviderError>) -> ProviderError {
    match error {
        AskError::Refused(error) => error,
        error @ (AskError::Overloaded(_) | AskError::Deadline(_) | AskError::Down(_)) => failed(error),
    }
}

fn unexpected(path: &str, status: u16) -> ProviderError {
    failed(format_args!("POST {path} was answered {status}"))
}

fn not_valid() -> ProviderError {
    failed("the token of a login a moment ago is not valid")
}

impl MciasProvider {
    /// Starts a thread that speaks with MCIAS. Whether MCIAS is there shows with the first question.
    ///
    /// # Errors
    /// When the authority's file cannot be used, or the system trusts no authority and none is named.
    ///
    /// # Panics
    /// Outside of an actix system.
    pub fn start(settings: &Mcias, clock: Clock) -> Result<Self, MciasError> {
        let tls = trust::client_config(settings.ca_cert.as_deref())?;
        let thread = Arbiter::new();
        let url = settings.server_url.as_str().to_owned();
        Ok(Self {
            client: Client::start(url, settings.timeout, tls, &thread.handle()),
            clock,
            service_name: settings.service_name.clone(),
            tags: settings.tags.clone(),
            thread,
        })
    }

    async fn ask(
        &self,
        path: &'static str,
        body: &impl Serialize,
        bearer: Option<Secret>,
    ) -> Result<Answer, ProviderError> {
        let body = serde_json::to_vec(body).map_err(|_| failed("the question cannot be written"))?;
        self.client.ask(Question { path, body, bearer }).await.map_err(unanswered)
    }

    async fn log_in(
        &self,
        name: &str,
        password: &Secret,
        code: Option<&Secret>,
    ) -> Result<Option<(Secret, Timestamp)>, ProviderError> {
        let login = Login {
            username: name,
            password: password.expose(),
            totp_code: code.map(Secret::expose),
            service_name: &self.service_name,
            tags: &self.tags,
        };
        let Answer { status, body } = self.ask(LOGIN, &login, None).await?;
        match status {
            200 => {
                let (token, expires_at) = answers::login(&body, self.clock.wall())?;
                Ok(Some((token, self.clock.of_wall(expires_at))))
            }
            401 => Ok(None),
            status => Err(unexpected(LOGIN, status)),
        }
    }

    async fn find(&self, token: &Secret) -> Result<Validation, ProviderError> {
        let Answer { status, body } = self.ask(VALIDATE, &Validate { token: token.expose() }, None).await?;
        match status {
            200 => Ok(match answers::validation(&body, self.clock.wall())? {
                Validation::Valid { principal, expires_at, of_robot } => {
                    Validation::Valid { principal, expires_at: self.clock.of_wall(expires_at), of_robot }
                }
                other => other,
            }),
            status => Err(unexpected(VALIDATE, status)),
        }
    }

    async fn check(&self, name: &str, password: &Secret) -> Result<Option<Verified>, ProviderError> {
        let Some((token, _)) = self.log_in(name, password, None).await? else { return Ok(None) };
        let found = self.find(&token).await;
        // Nobody will use this token. What becomes of its revocation changes nothing for who asks, so nobody waits.
        let question = Question { path: LOGOUT, body: b"{}".to_vec(), bearer: Some(token) };
        drop(self.client.ask(question));
        match found? {
            Validation::Valid { principal, .. } => Ok(Some(Verified { principal, password: None })),
            Validation::Lapsed { .. } | Validation::Invalid => Err(not_valid()),
        }
    }

    /// Whose token it is says the other question: a login tells the token alone.
    async fn issue_with_code(
        &self,
        name: &str,
        password: &Secret,
        code: &Secret,
    ) -> Result<Option<LoggedIn>, ProviderError> {
        let given = self.log_in(name, password, Some(code)).await?;
        let Some((token, expires_at)) = given else { return Ok(None) };
        match self.find(&token).await? {
            Validation::Valid { principal, .. } => Ok(Some(LoggedIn { token, principal, expires_at })),
            Validation::Lapsed { .. } | Validation::Invalid => Err(not_valid()),
        }
    }

    async fn issue(
        &self,
        name: &str,
        password: &Secret,
        principal: Arc<Principal>,
    ) -> Result<Option<LoggedIn>, ProviderError> {
        let given = self.log_in(name, password, None).await?;
        Ok(given.map(|(token, expires_at)| LoggedIn { token, principal, expires_at }))
    }

    async fn revoke(&self, token: &Secret) -> Result<(), ProviderError> {
        let bearer = Some(token.clone());
        let Answer { status, .. } = self.ask(LOGOUT, &serde_json::json!({}), bearer).await?;
        match status {
            200 | 204 => Ok(()),
            // A token that is not valid needs no revocation, but only the other question says so for certain.
            401 if self.find(token).await? == Validation::Invalid => Ok(()),
            status => Err(unexpected(LOGOUT, status)),
        }
    }
}

impl Drop for MciasProvider {
    fn drop(&mut self) {
        self.thread.stop();
    }
}

impl Provider for MciasProvider {
    fn may_be_token(&self, password: &Secret) -> bool {
        // Its tokens tell nothing about themselves.
        answers::is_token(password.expose())
    }

    fn validate<'a>(&'a self, token: &'a Secret) -> Verdict<'a, Validation> {
        Box::pin(self.find(token))
    }

    fn verify<'a>(&'a self, name: &'a str, password: &'a Secret) -> Verdict<'a, Option<Verified>> {
        Box::pin(self.check(name, password))
    }

    fn login<'a>(
        &'a self,
        name: &'a str,
        password: &'a Secret,
        verified: Verified,
    ) -> Verdict<'a, Option<LoggedIn>> {
        Box::pin(self.issue(name, password, verified.principal))
    }

    fn has_codes(&self) -> bool {
        true
    }

    fn login_with_code<'a>(
        &'a self,
        name: &'a str,
        password: &'a Secret,
        code: &'a Secret,
    ) -> Verdict<'a, Option<LoggedIn>> {
        Box::pin(self.issue_with_code(name, password, code))
    }

    fn logout<'a>(&'a self, token: &'a Secret) -> Verdict<'a, ()> {
        Box::pin(self.revoke(token))
    }

    fn check(&self) -> Verdict<'_, ()> {
        Box::pin(async { self.find(&Secret::new(NO_TOKEN)).await.map(|_| ()) })
    }

    fn managed_elsewhere(&self) -> Option<&'static str> {
        Some("MCIAS")
    }

    fn purge(&self) -> Verdict<'_, ()> {
        // It is MCIAS that remembers.
        Box::pin(async { Ok(()) })
    }

    fn is_alive(&self) -> bool {
        self.client.is_alive()
    }
}

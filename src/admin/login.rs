//! Logins, by whichever API they come.

use std::net::IpAddr;

use mcr_actors::ask::AskError;
use mcr_actors::auth_cache::{AuthError, LoggedIn, Login, Secret};
use mcr_actors::db::queries::audit::Record;
use mcr_actors::domain::{Event, EventName, Origin};
use mcr_actors::registry::Worker;

use super::refusal::Refusal;

/// Exchanges a name and password, and a one-time code where one is given, for a token, and records how that went. `origin` says from where it comes, not from whom.
///
/// # Errors
/// When they are not valid, are not there at all, or were wrong too often from this address.
pub async fn log_in(
    worker: &Worker,
    origin: Origin,
    address: Option<IpAddr>,
    (name, password, code): (String, Secret, Option<Secret>),
) -> Result<LoggedIn, Refusal> {
    let (is_nobody, tried) = (name.is_empty(), name.clone());
    let is_nothing = is_nobody && password.expose().is_empty();
    match worker.auth.ask(Login { name, password, code, address }).await {
        Ok(login) => {
            let principal = &login.principal;
            let (actor_id, actor_name) = (principal.subject.clone(), principal.name.clone());
            if !principal.is_anonymous() {
                record(worker, Origin { actor_id, actor_name, ..origin }, EventName::LoginOk).await?;
            }
            Ok(login)
        }
        Err(AskError::Refused(AuthError::Invalid)) if is_nothing => Err(Refusal::nobody()),
        Err(error) => {
            if matches!(error, AskError::Refused(AuthError::Invalid)) && !is_nobody {
                failed(worker, origin, &tried).await?;
            }
            Err(error.into())
        }
    }
}

/// Records a wrong name or password.
///
/// # Errors
/// When it cannot be recorded.
pub async fn failed(worker: &Worker, origin: Origin, name: &str) -> Result<(), Refusal> {
    // A token that was pasted as the name is no name, and nobody else's to read.
    let name = if name.starts_with("mcr_") { "mcr_…" } else { name };
    let actor_name = name.chars().take(128).collect();
    record(worker, Origin { actor_name, ..origin }, EventName::LoginFailed).await
}

/// Records what happened to who logs in or out.
pub(super) async fn record(worker: &Worker, origin: Origin, name: EventName) -> Result<(), Refusal> {
    let (now, event) = (worker.clock.now(), Event::new(name));
    Ok(worker.db.record(Record { origin, now, event, times: 1 }).await?)
}

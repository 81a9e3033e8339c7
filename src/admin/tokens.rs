//! Robot tokens of the embedded provider.

use std::time::Duration;

use mcr_actors::auth_cache::Secret;
use mcr_actors::auth_cache::local::new_token;
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::users::{CreateToken, ListTokens, RevokeRobotToken, RobotToken};
use mcr_actors::domain::{Event, EventName};
use serde_json::json;

use super::call::Call;
use super::door::{Asked, administer};
use super::page::{Listed, Page};
use super::refusal::{Kind, Reason, Refusal};
use super::words;
use crate::model::NewToken;

/// How long a robot token lives when nothing is said, and at most.
const TOKEN_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A robot token that was just made: the only time that it is shown.
#[derive(Debug)]
pub struct Made {
    /// The token itself.
    pub token: Secret,
    /// What is kept of it.
    pub about: RobotToken,
}

pub(super) fn life(expires_in: Option<&str>) -> Result<Duration, Refusal> {
    let Some(text) = expires_in else { return Ok(TOKEN_LIFE) };
    let life = humantime::parse_duration(text).ok().filter(|life| !life.is_zero() && *life <= LONGEST_LIFE);
    let message = "expires_in is a duration of at most ten years, such as 720h";
    life.ok_or_else(|| Refusal::invalid("expires_in", message))
}

pub(super) fn event(name: EventName, token: &RobotToken) -> Event {
    Event::new(name).with(json!({
        "token": token.id, "name": token.name, "user": token.user, "roles": token.roles,
        "expires_at": token.expires_at.to_string(),
    }))
}

/// A new token.
pub(super) fn fresh() -> Result<Secret, Refusal> {
    new_token().map_err(|error| {
        log::error!("no randomness for a token: {error}");
        Refusal::new(Reason::Unavailable, "the system gives no random numbers; try again")
    })
}

/// Lists robot tokens, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(call: &Call, page: Page) -> Result<Listed<RobotToken>, Refusal> {
    let Page { limit, offset } = page;
    Ok(call.worker.db.read(ListTokens { offset, limit }).await?.into())
}

/// Makes a robot token.
///
/// # Errors
/// When there is no such account, it has too many tokens or not the roles, or a word is none.
pub async fn create(call: &Call, token: NewToken) -> Result<(Made, Asked), Refusal> {
    let NewToken { name, user, roles, expires_in } = token;
    words::check("name", "token name", &name)?;
    words::check_roles(roles.as_deref().unwrap_or_default())?;
    let now = call.worker.clock.now();
    let expires_at = now.after(life(expires_in.as_deref())?);
    let token = fresh()?;
    let most = call.settings.max_robot_tokens;
    let query = CreateToken { hash: token.token_hash(), name, user, roles, expires_at, most, now };
    let describe = |token: &RobotToken| vec![event(EventName::TokenCreated, token)];
    let made = administer(call, Audited { query, origin: call.origin.clone(), now, describe }).await;
    let (about, asked) = made.map_err(|refusal| match refusal.kind() {
        Kind::NotFound => refusal.at("user"),
        _ => refusal,
    })?;
    Ok((Made { token, about }, asked))
}

/// Revokes a robot token; the next request with it is refused.
///
/// # Errors
/// When there is none of this id.
pub async fn revoke(call: &Call, id: String) -> Result<((), Asked), Refusal> {
    let now = call.worker.clock.now();
    let describe = |token: &RobotToken| vec![event(EventName::TokenRevoked, token)];
    let query = RevokeRobotToken { id, now };
    let (_, asked) = administer(call, Audited { query, origin: call.origin.clone(), now, describe }).await?;
    Ok(((), asked))
}

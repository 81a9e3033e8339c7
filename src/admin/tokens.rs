//! Robot tokens of the embedded provider.

use std::time::Duration;

use mcr_actors::auth_cache::Secret;
use mcr_actors::auth_cache::local::new_token;
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::users::{
    CreateToken, ListTokens, RenewRobotToken, RevokeRobotToken, RobotToken,
};
use mcr_actors::domain::{Event, EventName};
use serde_json::json;

use super::call::Call;
use super::door::{Asked, administer};
use super::page::{Listed, Page};
use super::refusal::{Kind, Reason, Refusal};
use super::words;
use crate::model::{NewToken, TokenRenewal};

/// How long a robot token lives when nothing is said, and at most.
const TOKEN_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long an old secret goes on at most beside the new one.
const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);

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

/// Lists robot tokens, the newest first; with `user` only those of the account of this name.
///
/// # Errors
/// When the database does not answer.
pub async fn list(call: &Call, user: Option<String>, page: Page) -> Result<Listed<RobotToken>, Refusal> {
    let Page { limit, offset } = page;
    Ok(call.worker.db.read(ListTokens { offset, limit, user }).await?.into())
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

/// What a renewal makes of a robot token, and the new secret.
pub(super) fn renewal(
    call: &Call,
    id: String,
    old: Option<[u8; 32]>,
    renewal: TokenRenewal,
) -> Result<(RenewRobotToken, Secret), Refusal> {
    let TokenRenewal { expires_in, old_ends_in } = renewal;
    let life = expires_in.map(|text| life(Some(&text))).transpose()?;
    let going_on = |text: String| {
        let time = humantime::parse_duration(&text).ok().filter(|time| *time <= LONGEST_OVERLAP);
        let message = "old_ends_in is a duration of at most 30 days, such as 1h";
        time.ok_or_else(|| Refusal::invalid("old_ends_in", message))
    };
    let old_ends_in = old_ends_in.map(going_on).transpose()?.unwrap_or_default();
    let (token, most, now) = (fresh()?, call.settings.max_robot_tokens, call.worker.clock.now());
    let query = RenewRobotToken { id, old, new: token.token_hash(), life, old_ends_in, most, now };
    Ok((query, token))
}

/// Gives a robot token another secret and another end. The old secret ends at once, for the next request, unless it is asked to go
/// on for a while.
///
/// # Errors
/// When there is none of this id, it was revoked, its account has too many tokens, or a word is none.
pub async fn renew(call: &Call, id: String, renewal: TokenRenewal) -> Result<(Made, Asked), Refusal> {
    let (query, token) = self::renewal(call, id, None, renewal)?;
    let (origin, now) = (call.origin.clone(), query.now);
    let describe = |token: &RobotToken| vec![event(EventName::TokenRenewed, token)];
    let (about, asked) = administer(call, Audited { query, origin, now, describe }).await?;
    Ok((Made { token, about }, asked))
}

/// Revokes a robot token; the next request with it is refused.
///
/// # Errors
/// When there is none of this id.
pub async fn revoke(call: &Call, id: String) -> Result<((), Asked), Refusal> {
    let now = call.worker.clock.now();
    let describe = |token: &RobotToken| vec![event(EventName::TokenRevoked, token)];
    let query = RevokeRobotToken { id, hash: None, now };
    let (_, asked) = administer(call, Audited { query, origin: call.origin.clone(), now, describe }).await?;
    Ok(((), asked))
}

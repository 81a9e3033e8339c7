//! What somebody changes of their own account: the password, robot tokens, the life of a login.
//!
//! Nothing here gives anybody more than they have: a token has roles of its account only, a renewed one ends some hours after
//! the login, and no robot's token is let in.

use mcr_actors::ask::AskError;
use mcr_actors::auth_cache::password::NewPassword;
use mcr_actors::auth_cache::{AuthError, Authenticate, Authenticated, Credentials, LoggedIn, Secret};
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::identity::PasswordMark;
use mcr_actors::db::queries::users::{
    ChangedUser, CreateToken, FindOwnToken, ListOwnTokens, RenewToken, RevokeRobotToken, RobotToken,
    UpdateUser,
};
use mcr_actors::domain::EventName;

use super::call::Call;
use super::door::{self, Asked};
use super::page::{Listed, Page};
use super::refusal::{Reason, Refusal};
use super::tokens::{self, Made};
use super::{login, words};
use crate::caller::Caller;
use crate::model::{NewOwnToken, PasswordChange, TokenRenewal};

fn caller(call: &Call) -> Result<&Caller, Refusal> {
    call.caller.as_ref().ok_or_else(Refusal::nobody)
}

/// Lists the caller's own robot tokens, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_tokens(call: &Call, page: Page) -> Result<Listed<RobotToken>, Refusal> {
    let (Page { limit, offset }, user_id) = (page, caller(call)?.principal.subject.clone());
    Ok(call.worker.db.read(ListOwnTokens { user_id, offset, limit }).await?.into())
}

/// Makes a robot token for the caller. Nothing is known of it before, so nothing has to be forgotten.
///
/// # Errors
/// When the caller has too many tokens or not the roles, or a word is none.
pub async fn create_token(call: &Call, token: NewOwnToken) -> Result<(Made, Asked), Refusal> {
    let NewOwnToken { name, roles, expires_in } = token;
    words::check("name", "token name", &name)?;
    words::check_roles(roles.as_deref().unwrap_or_default())?;
    let now = call.worker.clock.now();
    let expires_at = now.after(tokens::life(expires_in.as_deref())?);
    let (token, user, most) =
        (tokens::fresh()?, caller(call)?.principal.name.clone(), call.settings.max_robot_tokens);
    let query = CreateToken { hash: token.token_hash(), name, user, roles, expires_at, most, now };
    let describe = |token: &RobotToken| vec![tokens::event(EventName::TokenCreated, token)];
    let (about, asked) =
        door::write(call, Audited { query, origin: call.origin.clone(), now, describe }).await?;
    Ok((Made { token, about }, asked))
}

/// Gives a robot token of the caller another secret and another end, as [`tokens::renew`] does.
///
/// # Errors
/// As there.
pub async fn renew_token(call: &Call, id: String, renewal: TokenRenewal) -> Result<(Made, Asked), Refusal> {
    let hash = own(call, &id).await?;
    let (query, token) = tokens::renewal(call, id, Some(hash), renewal)?;
    let (origin, now) = (call.origin.clone(), query.now);
    let describe = |token: &RobotToken| vec![tokens::event(EventName::TokenRenewed, token)];
    let (about, asked) = door::end_token(call, Audited { query, origin, now, describe }, hash).await?;
    Ok((Made { token, about }, asked))
}

/// The SHA-256 of a robot token of the caller.
async fn own(call: &Call, id: &str) -> Result<[u8; 32], Refusal> {
    let user_id = caller(call)?.principal.subject.clone();
    let found = call.worker.db.read(FindOwnToken { id: id.to_owned(), user_id }).await?;
    found.ok_or_else(|| Refusal::not_found("robot token of yours with this id"))
}

/// Revokes a robot token of the caller; the next request with it is refused.
///
/// # Errors
/// When the caller has none of this id.
pub async fn revoke_token(call: &Call, id: String) -> Result<((), Asked), Refusal> {
    let hash = own(call, &id).await?;
    let now = call.worker.clock.now();
    let describe = |token: &RobotToken| vec![tokens::event(EventName::TokenRevoked, token)];
    let query = RevokeRobotToken { id, hash: Some(hash), now };
    let query = Audited { query, origin: call.origin.clone(), now, describe };
    let (_, asked) = door::end_token(call, query, hash).await?;
    Ok(((), asked))
}

/// Gives a new token for the one that the request came with, as often as the caller likes, up to twelve hours after the login. The
/// old one goes on for a minute, so that who asks with it at the same time is not turned away, and can be renewed until then.
///
/// # Errors
/// When the request came with no token of a login, or the login is older.
pub async fn renew(call: &Call) -> Result<(LoggedIn, Asked), Refusal> {
    let Caller { principal, token_hash, .. } = caller(call)?.clone();
    let old = token_hash.ok_or_else(|| {
        Refusal::new(Reason::TokenNeeded, "only a token can be renewed; use Bearer with that of a login")
    })?;
    let (token, life, now) = (tokens::fresh()?, call.registry.token_life(), call.worker.clock.now());
    let most = call.registry.most_tokens().logins;
    let query = RenewToken { old, new: token.token_hash(), life, most, origin: call.origin.clone(), now };
    let (expires_at, asked) = door::end_token(call, query, old).await?;
    Ok((LoggedIn { token, principal, expires_at }, asked))
}

/// Changes the caller's password, which ends the tokens of its logins but for the one that the request came with. The old
/// password is judged as at a login, and is asked for once more in the transaction of the change.
///
/// # Errors
/// When the old password is wrong, or was too often, or the new one may not be given to an account.
pub async fn change_password(call: &Call, change: PasswordChange) -> Result<(ChangedUser, Asked), Refusal> {
    let PasswordChange { old, new, end_tokens } = change;
    let bad = |error| Refusal::invalid("new", error);
    let new = NewPassword::try_from(Secret::new(new)).map_err(bad)?;
    let caller = caller(call)?;
    let password = judge(call, caller, Secret::new(old)).await?;
    let password_hash = Some(call.worker.passwords.hash(new).await?);
    let now = call.worker.clock.now();
    let keep = caller.token_hash;
    let query = UpdateUser { password_hash, end_tokens, keep, ..UpdateUser::of(&caller.principal.name, now) };
    let describe = |changed: &ChangedUser| vec![changed.event()];
    // It shows both: what it came with and the old password.
    let shown = Caller { password: Some(password), ..caller.clone() };
    let call = Call { caller: Some(shown), ..call.clone() };
    door::administer(&call, Audited { query, origin: call.origin.clone(), now, describe }).await
}

/// Judges the old password by the way of every login, so that wrong ones are counted and recorded as there. A token in its place
/// is none: whoever has taken one knows no password.
async fn judge(call: &Call, caller: &Caller, old: Secret) -> Result<PasswordMark, Refusal> {
    let wrong = || Refusal::new(Reason::WrongPassword, "the old password is wrong").at("old");
    let name = caller.principal.name.clone();
    let credentials = Credentials::Basic { name: name.clone(), password: old };
    match call.worker.auth.ask(Authenticate { credentials, address: call.address }).await {
        Ok(Authenticated { principal, password: Some(password), token_hash: None, .. })
            if principal.subject == caller.principal.subject =>
        {
            Ok(password)
        }
        Ok(_) | Err(AskError::Refused(AuthError::StillInvalid | AuthError::Lapsed { .. })) => Err(wrong()),
        Err(AskError::Refused(AuthError::Invalid)) => {
            login::failed(&call.worker, call.origin.clone(), &name).await?;
            Err(wrong())
        }
        Err(error) => Err(error.into()),
    }
}

//! Accounts of the embedded provider.

use mcr_actors::auth_cache::Secret;
use mcr_actors::auth_cache::password::NewPassword;
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::users::{
    ChangedUser, CreateUser, DeleteUser, ListUsers, ShowUser, UpdateUser, User,
};
use mcr_actors::domain::{AccountName, AccountType, EventName, Precondition};

use super::call::Call;
use super::door::{Asked, administer};
use super::page::{Listed, Page};
use super::principal;
use super::refusal::Refusal;
use super::words::check_roles;
use crate::model::{NewUser, UserChange};

async fn hash(call: &Call, password: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(password) = password else { return Ok(None) };
    let bad = |error| Refusal::invalid("password", error);
    let password = NewPassword::try_from(Secret::new(password)).map_err(bad)?;
    Ok(Some(call.worker.passwords.hash(password).await?))
}

/// Lists accounts by name, those whose names have `part` in them.
///
/// # Errors
/// When the database does not answer.
pub async fn list(call: &Call, part: String, page: Page) -> Result<Listed<User>, Refusal> {
    let Page { limit, offset } = page;
    Ok(call.worker.db.read(ListUsers { part, offset, limit }).await?.into())
}

/// Makes an account.
///
/// # Errors
/// When its name is taken, or a word of it is none.
pub async fn create(call: &Call, user: NewUser) -> Result<(User, Asked), Refusal> {
    let NewUser { name, password, account_type, roles } = user;
    let name: AccountName = name.parse().map_err(|error| Refusal::invalid("name", error))?;
    check_roles(&roles)?;
    let account_type = principal::account_type(account_type);
    if account_type == AccountType::Anonymous {
        return Err(Refusal::invalid("account_type", "an account is human or system"));
    }
    let password_hash = hash(call, password).await?;
    let now = call.worker.clock.now();
    let query = CreateUser { name, account_type, password_hash, roles, now };
    let describe = |user: &User| vec![user.event(EventName::UserCreated)];
    administer(call, Audited { query, origin: call.origin.clone(), now, describe }).await
}

/// Shows an account.
///
/// # Errors
/// When there is none of this name.
pub async fn show(call: &Call, name: String) -> Result<User, Refusal> {
    let user = call.worker.db.read(ShowUser(name.clone())).await?;
    user.ok_or_else(|| Refusal::not_found(format_args!("user {name}")))
}

/// Changes an account's password, roles, or whether it is switched off. It takes effect at once. A new password ends the
/// tokens of logins.
///
/// # Errors
/// When there is none of this name, a word of the change is none, it is not what the caller saw, or nobody could administer
/// the registry any more.
pub async fn update(
    call: &Call,
    name: String,
    change: UserChange,
    precondition: Precondition,
) -> Result<(ChangedUser, Asked), Refusal> {
    let UserChange { password, roles, disabled, end_tokens } = change;
    check_roles(roles.as_deref().unwrap_or_default())?;
    let password_hash = hash(call, password).await?;
    let now = call.worker.clock.now();
    let keep = None;
    let query = UpdateUser { name, password_hash, roles, disabled, end_tokens, keep, precondition, now };
    let describe = |changed: &ChangedUser| vec![changed.event()];
    administer(call, Audited { query, origin: call.origin.clone(), now, describe }).await
}

/// Deletes an account with its tokens.
///
/// # Errors
/// When there is none of this name, it is not what the caller saw, or nobody could administer the registry any more.
pub async fn delete(call: &Call, name: String, precondition: Precondition) -> Result<((), Asked), Refusal> {
    let now = call.worker.clock.now();
    let describe = |user: &User| vec![user.event(EventName::UserDeleted)];
    let query = DeleteUser { name, precondition };
    let (_, asked) = administer(call, Audited { query, origin: call.origin.clone(), now, describe }).await?;
    Ok(((), asked))
}

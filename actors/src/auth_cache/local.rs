//! The embedded identity provider: accounts and tokens in the registry's own database.
//!
//! Tokens are 256 random bits, kept only as their SHA-256.

pub mod reset;

use std::sync::Arc;
use std::time::Duration;

use super::password::{NewPassword, PasswordError, PasswordRule, Passwords};
use super::provider::{Provider, ProviderError, Validation, Verdict, Verified};
use super::token::PREFIX;
pub use super::token::{is_token, new_token};
use super::{AuthSettings, LoggedIn, MostTokens, Secret};
use crate::ask::AskError;
use crate::clock::Clock;
use crate::db::failure::Trouble;
use crate::db::queries::identity::{
    FindAccount, FindToken, HasAccount, InsertAccount, InsertToken, PasswordMark, PurgeTokens, RevokeToken,
    TouchToken, person,
};
use crate::db::queries::users::UserError;
use crate::db::{Db, DbError};
use crate::domain::{ADMIN, AccountName, AccountNameError, Timestamp};

/// How long a lapsed token stays known: no upload that was begun with it is older.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);
/// How exactly the last use of a robot token is noted.
const NOTED: Duration = Duration::from_secs(60);
/// Tokens forgotten in one write.
const PURGE: usize = 5000;

/// Accounts in the database.
#[derive(Debug, Clone)]
pub struct LocalProvider {
    db: Db,
    clock: Clock,
    passwords: Passwords,
    token_ttl: Duration,
    most_tokens: MostTokens,
}

fn failed(error: AskError<DbError>) -> ProviderError {
    ProviderError::Own { trouble: Trouble::from(&error), reason: error.to_string() }
}

fn busy(error: PasswordError) -> ProviderError {
    ProviderError::Own { trouble: Trouble::Busy, reason: error.to_string() }
}

fn no_randomness(error: getrandom::Error) -> ProviderError {
    ProviderError::Own { trouble: Trouble::Failed, reason: error.to_string() }
}

impl LocalProvider {
    /// Knows the accounts of `db`.
    pub fn new(db: Db, clock: Clock, passwords: Passwords, settings: &AuthSettings) -> Self {
        Self { db, clock, passwords, token_ttl: settings.token_ttl, most_tokens: settings.most_tokens }
    }

    async fn find(&self, token: &Secret) -> Result<Validation, ProviderError> {
        let Some(found) = self.db.read(FindToken(token.token_hash())).await.map_err(failed)? else {
            return Ok(Validation::Invalid);
        };
        let now = self.clock.now();
        let noted = found.last_used_at.is_some_and(|noted| now.since(noted) < NOTED);
        if found.of_robot && !found.revoked && !noted {
            let touch = TouchToken { hash: token.token_hash(), now };
            match self.db.write(touch).await {
                // A note of its use is no reason to refuse it.
                Ok(()) | Err(AskError::Refused(DbError::Full)) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let principal = Arc::new(found.principal);
        Ok(match found.expires_at {
            _ if found.revoked => Validation::Invalid,
            expires_at if expires_at <= now => Validation::Lapsed { principal },
            expires_at => Validation::Valid { principal, expires_at, of_robot: found.of_robot },
        })
    }

    async fn check(&self, name: &str, password: &Secret) -> Result<Option<Verified>, ProviderError> {
        let account = self.db.read(FindAccount(name.to_owned())).await.map_err(failed)?;
        let (principal, hash) = match account {
            Some(account) => (Some(account.principal), account.password_hash),
            None => (None, None),
        };
        let mark = hash.as_deref().map(PasswordMark::of);
        let right = self.passwords.verify(password.clone(), hash).await.map_err(busy)?;
        let verified = |principal| Verified { principal: Arc::new(principal), password: mark };
        Ok(principal.filter(|_| right).map(verified))
    }

    async fn issue(&self, verified: Verified) -> Result<Option<LoggedIn>, ProviderError> {
        let Verified { principal, password: Some(password) } = verified else { return Ok(None) };
        let token = new_token().map_err(no_randomness)?;
        let now = self.clock.now();
        let (user_id, expires_at) = (principal.subject.clone(), now.after(self.token_ttl));
        let most = self.most_tokens.logins;
        let insert = InsertToken { hash: token.token_hash(), user_id, password, expires_at, most, now };
        let is_given = self.db.write(insert).await.map_err(failed)?;
        Ok(is_given.then_some(LoggedIn { token, principal, expires_at }))
    }
}

impl Provider for LocalProvider {
    fn may_be_token(&self, password: &Secret) -> bool {
        password.expose().starts_with(PREFIX)
    }

    fn is_token(&self, password: &Secret) -> bool {
        is_token(password)
    }

    fn validate<'a>(&'a self, token: &'a Secret) -> Verdict<'a, Validation> {
        Box::pin(self.find(token))
    }

    fn verify<'a>(&'a self, name: &'a str, password: &'a Secret) -> Verdict<'a, Option<Verified>> {
        Box::pin(self.check(name, password))
    }

    fn login<'a>(
        &'a self,
        _name: &'a str,
        _password: &'a Secret,
        verified: Verified,
    ) -> Verdict<'a, Option<LoggedIn>> {
        Box::pin(self.issue(verified))
    }

    fn logout<'a>(&'a self, token: &'a Secret) -> Verdict<'a, ()> {
        let revoke = RevokeToken { hash: token.token_hash(), now: self.clock.now() };
        Box::pin(async { self.db.write(revoke).await.map_err(failed) })
    }

    fn check(&self) -> Verdict<'_, ()> {
        // It is the database, which is checked for itself.
        Box::pin(async { Ok(()) })
    }

    fn purge(&self) -> Verdict<'_, ()> {
        let before: Timestamp = self.clock.now().before(REMEMBERED);
        Box::pin(async move {
            while self.db.write(PurgeTokens { before, limit: PURGE }).await.map_err(failed)? == PURGE {}
            Ok(())
        })
    }
}

/// Whether the first administrator had to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// It was made with the password given.
    Created,
    /// There is an account of this name; it was left alone.
    AlreadyThere,
}

/// Why the first administrator could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// The database.
    #[error(transparent)]
    Db(#[from] AskError<DbError>),
    /// An account is in its way.
    #[error(transparent)]
    Account(#[from] AskError<UserError>),
    /// The name may not be given to an account.
    #[error(transparent)]
    Name(#[from] AccountNameError),
    /// The password may not be given to an account.
    #[error(transparent)]
    Rule(#[from] PasswordRule),
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// Makes an administrator, a person, unless there is an account of this name, whatever that is and whatever it is called.
///
/// # Errors
/// When the name or the password may not be given to an account, another account is in its way, the database fails or the
/// password cannot be hashed.
pub async fn ensure_admin(
    db: &Db,
    clock: &Clock,
    name: &str,
    password: &Secret,
) -> Result<Ensured, EnsureError> {
    if db.read(HasAccount(name.to_owned())).await? {
        return Ok(Ensured::AlreadyThere);
    }
    let (name, password) = (name.parse::<AccountName>()?, NewPassword::try_from(password.clone())?);
    let hash = Passwords::default().hash(password).await?;
    let account = person(&name, &[ADMIN], hash);
    match db.write(InsertAccount { account, now: clock.now() }).await? {
        true => Ok(Ensured::Created),
        false => Ok(Ensured::AlreadyThere),
    }
}

#[cfg(test)]
mod tests;

//! The embedded identity provider: accounts and tokens in the registry's own database.
//!
//! Tokens are 256 random bits, kept only as their SHA-256.

use std::sync::Arc;
use std::time::Duration;

use super::password::{PasswordError, Passwords};
use super::provider::{Provider, ProviderError, Validation, Verdict};
use super::{AuthSettings, LoggedIn, Secret};
use crate::ask::AskError;
use crate::clock::Clock;
use crate::db::queries::identity::{
    FindAccount, FindToken, InsertAccount, InsertToken, PurgeTokens, RevokeToken, TouchToken, person,
};
use crate::db::{Db, DbError};
use crate::domain::{Principal, Timestamp};

/// What every token begins with, so that one is recognised where it leaked.
const PREFIX: &str = "mcr_";
/// The randomness of a token, in bytes.
const TOKEN_BYTES: usize = 32;
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
}

fn unavailable(error: impl std::fmt::Display) -> ProviderError {
    ProviderError { reason: error.to_string() }
}

/// A new token: 256 random bits in hexadecimal digits.
///
/// # Errors
/// When the system gives no randomness.
pub fn new_token() -> Result<Secret, getrandom::Error> {
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random)?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Secret::new(format!("{PREFIX}{digits}")))
}

/// Whether it looks like what [`new_token`] makes.
pub fn is_token(secret: &Secret) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let digits = secret.expose().strip_prefix(PREFIX);
    digits.is_some_and(|digits| digits.len() == 2 * TOKEN_BYTES && digits.bytes().all(is_digit))
}

impl LocalProvider {
    /// Knows the accounts of `db`.
    pub fn new(db: Db, clock: Clock, passwords: Passwords, settings: &AuthSettings) -> Self {
        Self { db, clock, passwords, token_ttl: settings.token_ttl }
    }

    async fn find(&self, token: &Secret) -> Result<Validation, ProviderError> {
        let Some(found) = self.db.read(FindToken(token.token_hash())).await.map_err(unavailable)? else {
            return Ok(Validation::Invalid);
        };
        let now = self.clock.now();
        let noted = found.last_used_at.is_some_and(|noted| now.since(noted) < NOTED);
        if found.of_robot && !found.revoked && !noted {
            let touch = TouchToken { hash: token.token_hash(), now };
            self.db.write(touch).await.map_err(unavailable)?;
        }
        let principal = Arc::new(found.principal);
        Ok(match found.expires_at {
            _ if found.revoked => Validation::Invalid,
            expires_at if expires_at <= now => Validation::Lapsed { principal },
            expires_at => Validation::Valid { principal, expires_at },
        })
    }

    async fn check(&self, name: &str, password: &Secret) -> Result<Option<Arc<Principal>>, ProviderError> {
        let account = self.db.read(FindAccount(name.to_owned())).await.map_err(unavailable)?;
        let (principal, hash) = match account {
            Some(account) => (Some(account.principal), account.password_hash),
            None => (None, None),
        };
        let right = self.passwords.verify(password.clone(), hash).await.map_err(unavailable)?;
        Ok(principal.filter(|_| right).map(Arc::new))
    }

    async fn issue(&self, principal: Arc<Principal>) -> Result<LoggedIn, ProviderError> {
        let token = new_token().map_err(unavailable)?;
        let now = self.clock.now();
        let (user_id, expires_at) = (principal.subject.clone(), now.after(self.token_ttl));
        let insert = InsertToken { hash: token.token_hash(), user_id, expires_at, now };
        self.db.write(insert).await.map_err(unavailable)?;
        Ok(LoggedIn { token, principal, expires_at })
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

    fn verify<'a>(&'a self, name: &'a str, password: &'a Secret) -> Verdict<'a, Option<Arc<Principal>>> {
        Box::pin(self.check(name, password))
    }

    fn login<'a>(
        &'a self,
        _name: &'a str,
        _password: &'a Secret,
        verified: Arc<Principal>,
    ) -> Verdict<'a, Option<LoggedIn>> {
        Box::pin(async { self.issue(verified).await.map(Some) })
    }

    fn logout<'a>(&'a self, token: &'a Secret) -> Verdict<'a, ()> {
        let revoke = RevokeToken { hash: token.token_hash(), now: self.clock.now() };
        Box::pin(async { self.db.write(revoke).await.map_err(unavailable) })
    }

    fn check(&self) -> Verdict<'_, ()> {
        // It is the database, which is checked for itself.
        Box::pin(async { Ok(()) })
    }

    fn purge(&self) -> Verdict<'_, ()> {
        let before: Timestamp = self.clock.now().before(REMEMBERED);
        Box::pin(async move {
            while self.db.write(PurgeTokens { before, limit: PURGE }).await.map_err(unavailable)? == PURGE {}
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
    /// The password.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// Makes an administrator, a person, unless there is an account of this name.
///
/// # Errors
/// When the database fails or the password cannot be hashed.
pub async fn ensure_admin(
    db: &Db,
    clock: &Clock,
    name: &str,
    password: &Secret,
) -> Result<Ensured, EnsureError> {
    if db.read(FindAccount(name.to_owned())).await?.is_some() {
        return Ok(Ensured::AlreadyThere);
    }
    let hash = Passwords::default().hash(password.clone()).await?;
    let account = person(name, &[crate::policy::builtin::ADMIN], hash);
    match db.write(InsertAccount { account, now: clock.now() }).await? {
        true => Ok(Ensured::Created),
        false => Ok(Ensured::AlreadyThere),
    }
}

#[cfg(test)]
mod tests;

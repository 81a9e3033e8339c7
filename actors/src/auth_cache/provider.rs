//! What an identity provider must be able to do.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{LoggedIn, Secret};
use crate::db::failure::Trouble;
use crate::db::queries::identity::PasswordMark;
use crate::domain::{Principal, Timestamp};

/// What a provider says of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validation {
    /// It is good until `expires_at`.
    Valid {
        /// Whose it is.
        principal: Arc<Principal>,
        /// When its life ends.
        expires_at: Timestamp,
        /// Whether it was made for a robot, and not by a login.
        of_robot: bool,
    },
    /// It was good; its time is over and nobody revoked it.
    Lapsed {
        /// Whose it was.
        principal: Arc<Principal>,
    },
    /// It is unknown or revoked, or its account is disabled.
    Invalid,
}

/// Somebody whose name and password were right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who.
    pub principal: Arc<Principal>,
    /// The password; none where accounts are kept elsewhere.
    pub password: Option<PasswordMark>,
}

/// Why a provider gave no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// A service that knows accounts does not answer.
    #[error("the identity provider does not answer: {reason}")]
    Silent {
        /// What went wrong; it holds no secret.
        reason: String,
    },
    /// The registry itself, which knows accounts, could not look or write.
    #[error("accounts and tokens: {reason}")]
    Own {
        /// Of which kind the trouble is.
        trouble: Trouble,
        /// What went wrong; it holds no secret.
        reason: String,
    },
}

/// The answer on its way.
pub type Verdict<'a, T> = BoxFuture<'a, Result<T, ProviderError>>;

/// Somebody who knows accounts.
pub trait Provider: std::fmt::Debug + Send + Sync + 'static {
    /// Whether a password could be a token of this provider, so that it is worth asking.
    fn may_be_token(&self, password: &Secret) -> bool;

    /// Whether a password can only be a token: nobody guesses one, so it is judged as nothing else, and a wrong one counts
    /// for its address alone.
    fn is_token(&self, _password: &Secret) -> bool {
        false
    }

    /// Says whose token it is.
    fn validate<'a>(&'a self, token: &'a Secret) -> Verdict<'a, Validation>;

    /// Says whose name and password these are; `None` when they are wrong, whichever of the two is.
    fn verify<'a>(&'a self, name: &'a str, password: &'a Secret) -> Verdict<'a, Option<Verified>>;

    /// Makes a token; `None` when the credentials are wrong by now. `verified` is who these very credentials were found
    /// to be a moment ago.
    fn login<'a>(
        &'a self,
        name: &'a str,
        password: &'a Secret,
        verified: Verified,
    ) -> Verdict<'a, Option<LoggedIn>>;

    /// Whether its logins may come with a one-time code.
    fn has_codes(&self) -> bool {
        false
    }

    /// Makes a token for credentials with a one-time code; `None` when they are wrong. A code is good once, so they are found out
    /// about in the one question that gives the token.
    fn login_with_code<'a>(
        &'a self,
        _name: &'a str,
        _password: &'a Secret,
        _code: &'a Secret,
    ) -> Verdict<'a, Option<LoggedIn>> {
        Box::pin(async { Ok(None) })
    }

    /// Revokes a token.
    fn logout<'a>(&'a self, token: &'a Secret) -> Verdict<'a, ()>;

    /// Forgets what is long over; called from time to time.
    fn purge(&self) -> Verdict<'_, ()>;

    /// Whether it answers questions now.
    fn check(&self) -> Verdict<'_, ()>;

    /// Where accounts are managed when that is not the registry itself.
    fn managed_elsewhere(&self) -> Option<&'static str> {
        None
    }

    /// Whether it can still be asked. One that has died for good ends the process; one that does not answer has not.
    fn is_alive(&self) -> bool {
        true
    }
}

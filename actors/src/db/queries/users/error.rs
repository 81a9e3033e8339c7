//! Why accounts and tokens are not changed.

use crate::db::{ChangeError, DbError};
use crate::domain::Digest;

/// Why an account or token was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is none of this name or id.
    #[error("there is no {0}")]
    Unknown(String),
    /// An account is called so, but perhaps for the case of letters.
    #[error(
        "the name is taken: there is an account {0}, and names differ in more than the case of their letters"
    )]
    Taken(String),
    /// The account is not what the request asks for; this is the digest of what it is.
    #[error("the account was changed meanwhile: read it again")]
    Precondition(Digest),
    /// Nobody could administer the registry any more.
    #[error("this is the last administrator who can log in; make another one first")]
    LastAdministrator,
    /// The account has as many robot tokens as one may.
    #[error("the account {user} has {most} live robot tokens, and no more are given: revoke some first")]
    TooManyTokens {
        /// The account.
        user: String,
        /// How many it may have.
        most: usize,
    },
    /// A token would have what its account has not.
    #[error("the account {user} does not have the role {role}: give it to the account first")]
    Role {
        /// The account.
        user: String,
        /// What it has not.
        role: String,
    },
    /// The token was revoked.
    #[error("a token that was revoked is not renewed: make a new one")]
    Revoked,
    /// The token is that of no login, or has ended.
    #[error("only a token of a login that is still good can be renewed")]
    NoLogin,
    /// The login is as old as a login may be.
    #[error("a login is renewed for twelve hours at most: log in again")]
    LoginTooOld,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl ChangeError for UserError {
    fn of_database(&self) -> Option<&DbError> {
        match self {
            Self::Db(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for UserError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error.into())
    }
}

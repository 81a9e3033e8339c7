//! Identity: who holds these credentials.
//!
//! A [`Provider`] knows; [`AuthCache`] remembers what it said for a while and asks it once, however many want to know; an
//! [`AuthReader`] on each worker's thread answers from its own copy.

mod actor;
mod anonymous;
pub mod cache;
mod limiter;
pub mod local;
pub mod password;
pub mod provider;
mod reader;
mod token;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use sha2::{Digest as _, Sha256};

pub use actor::{Administer, AuthCache, CacheState, EndToken, ObserveCache, Purge};
pub use provider::{Provider, ProviderError, Validation, Verified};
pub use reader::AuthReader;

use crate::db::failure::Trouble;
use crate::db::queries::identity::PasswordMark;
use crate::domain::{Principal, Timestamp};

/// The SHA-256 of a token: what is kept in its place.
pub type TokenHash = [u8; 32];

/// A password or token. It cannot be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for who checks it or gives it to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What a token is remembered by.
    pub fn token_hash(&self) -> TokenHash {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a client shows.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A token.
    Token(Secret),
    /// A name and a password, or a token in the password's place.
    Basic {
        /// The name.
        name: String,
        /// The password.
        password: Secret,
    },
}

/// How many tokens an account of the embedded provider has at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MostTokens {
    /// Of its logins, ended ones included: the oldest goes.
    pub logins: usize,
    /// Of its robots, those that are good; as many that are over stay known.
    pub robots: usize,
}

impl MostTokens {
    /// Where nothing else is said.
    pub const DEFAULT: Self = Self { logins: 1000, robots: 1000 };
}

/// How identity behaves.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// How long an answer of the provider is believed.
    pub cache_ttl: Duration,
    /// How long a token of the embedded provider lives.
    pub token_ttl: Duration,
    /// Whether whoever does not log in is the anonymous principal.
    pub anonymous: bool,
    /// Wrong passwords a minute, for each address and each name.
    pub login_attempts_per_minute: NonZeroU32,
    /// How many tokens an account has at most.
    pub most_tokens: MostTokens,
}

/// Why nobody is known by these credentials.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// They are not valid.
    #[error("the credentials are not valid")]
    Invalid,
    /// They are not valid, as is known from a moment ago: nothing was tried, so there is nothing to record.
    #[error("the credentials are still not valid")]
    StillInvalid,
    /// The token was valid; only its time is over.
    #[error("the token has lapsed")]
    Lapsed {
        /// Whose it was.
        principal: Arc<Principal>,
        /// Its SHA-256.
        token_hash: TokenHash,
    },
    /// Too many wrong passwords came from there, or for that name.
    #[error("too many failed logins")]
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// The registry itself could not look or write. This is no verdict on the credentials.
    #[error("the registry's accounts cannot be asked")]
    Own(Trouble),
    /// The provider does not answer. This is no verdict on the credentials.
    #[error("the identity provider does not answer")]
    Unavailable {
        /// When to ask again.
        retry_after: Duration,
    },
}

impl AuthError {
    /// The same verdict when it comes from memory.
    fn remembered(self) -> Self {
        match self {
            Self::Invalid => Self::StillInvalid,
            other => other,
        }
    }
}

/// Somebody who is known.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Who.
    pub principal: Arc<Principal>,
    /// The SHA-256 of the token; none when it was a password.
    pub token_hash: Option<TokenHash>,
    /// The password; none when it was a token, or where accounts are kept elsewhere.
    pub password: Option<PasswordMark>,
    /// When the credentials' life ends; for a password, when it must be looked at again.
    pub expires_at: Timestamp,
    /// Whether it is a token that was made for a robot, and not by a login.
    pub of_robot: bool,
}

/// A token handed out.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The token.
    pub token: Secret,
    /// Whose it is.
    pub principal: Arc<Principal>,
    /// When its life ends.
    pub expires_at: Timestamp,
}

/// Finds out who holds the credentials.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Authenticated, AuthError>")]
pub struct Authenticate {
    /// What was shown.
    pub credentials: Credentials,
    /// From where.
    pub address: Option<IpAddr>,
}

/// Exchanges a name and password for a token. A password that is itself a valid token is given back with the life it has
/// left; an empty name and password count as none.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<LoggedIn, AuthError>")]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// A one-time code beside it, where the provider has such.
    pub code: Option<Secret>,
    /// From where.
    pub address: Option<IpAddr>,
}

/// A token for whoever does not log in, where that is configured.
#[derive(Debug, Message)]
#[rtype(result = "Result<LoggedIn, AuthError>")]
pub struct LoginAnonymous;

/// Revokes a token; when the answer comes, no worker believes it any more.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), AuthError>")]
pub struct Logout {
    /// The token.
    pub token: Secret,
}

#[cfg(test)]
mod tests;

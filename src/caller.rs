//! Who asks, whatever the request came by.

use std::sync::Arc;

use mcr_actors::auth_cache::Authenticated;
use mcr_actors::db::queries::identity::PasswordMark;
use mcr_actors::domain::{Principal, Timestamp};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The principal.
    pub principal: Arc<Principal>,
    /// The SHA-256 of the token it came with.
    pub token_hash: Option<[u8; 32]>,
    /// The password; none when it was a token, or where accounts are kept elsewhere.
    pub password: Option<PasswordMark>,
    /// When the token's life ends; none for a password, and for a token that has lapsed.
    pub expires_at: Option<Timestamp>,
    /// Whether the token was made for a robot, and not by a login.
    pub of_robot: bool,
}

impl From<Authenticated> for Caller {
    fn from(found: Authenticated) -> Self {
        let Authenticated { principal, token_hash, password, expires_at, of_robot } = found;
        let expires_at = token_hash.map(|_| expires_at);
        Self { principal, token_hash, password, expires_at, of_robot }
    }
}

impl Caller {
    /// What it is told when it may not do this to a repository, or to the registry as a whole.
    pub fn denied(&self, action: &str, repository: Option<&str>) -> String {
        let place = repository.unwrap_or("this registry");
        if self.principal.is_anonymous() {
            return format!("log in: {action} on {place} is not allowed to everybody");
        }
        format!("{} is not allowed {action} on {place}", self.principal.name)
    }
}

//! Who asks, whatever the request came by.

use std::sync::Arc;

use mcr_actors::db::queries::identity::PasswordMark;
use mcr_actors::domain::Principal;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The principal.
    pub principal: Arc<Principal>,
    /// The SHA-256 of the token it came with.
    pub token_hash: Option<[u8; 32]>,
    /// The password; none when it was a token, or where accounts are kept elsewhere.
    pub password: Option<PasswordMark>,
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

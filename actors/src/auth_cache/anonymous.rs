//! Tokens for whoever does not log in. They are signed and not stored, so asking for them fills nothing, and the key is
//! kept in the database, so they outlive a restart.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Secret;
use crate::domain::Timestamp;

const PREFIX: &str = "mcr_anonymous_";
/// How long one lives.
const LIFE: Duration = Duration::from_secs(3600);

/// A keyed hash of several parts, each with its length before it.
pub(super) fn keyed_hash(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn sign(key: &[u8; 32], expires_at: i64) -> String {
    let signature = keyed_hash(key, &[PREFIX.as_bytes(), &expires_at.to_be_bytes()]);
    signature.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new token and when its life ends.
pub(super) fn issue(key: &[u8; 32], now: Timestamp) -> (Secret, Timestamp) {
    let expires_at = now.after(LIFE);
    let token = format!("{PREFIX}{}_{}", expires_at.as_millis(), sign(key, expires_at.as_millis()));
    (Secret::new(token), expires_at)
}

/// When the life of this token ends, if it is one of ours.
pub(super) fn verify(key: &[u8; 32], token: &Secret) -> Option<Timestamp> {
    let (expires_at, signature) = token.expose().strip_prefix(PREFIX)?.split_once('_')?;
    let expires_at: i64 = expires_at.parse().ok()?;
    // Both sides are hashed once more, so that the comparison's time tells nothing of the signature.
    let blind = |text: &str| keyed_hash(key, &[text.as_bytes()]);
    (blind(signature) == blind(&sign(key, expires_at))).then(|| Timestamp::from_millis(expires_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_tokens_are_believed() {
        let now = Timestamp::from_millis(5);
        let (token, expires_at) = issue(&[1; 32], now);
        assert_eq!(verify(&[1; 32], &token), Some(expires_at));
        assert_eq!(verify(&[2; 32], &token), None);
        let longer = token.expose().replace("_3600005_", "_9600005_");
        assert_ne!(longer, token.expose());
        assert_eq!(verify(&[1; 32], &Secret::new(longer)), None);
        assert_eq!(verify(&[1; 32], &Secret::new("mcr_anonymous_")), None);
    }
}

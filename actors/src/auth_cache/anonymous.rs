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

fn token(key: &[u8; 32], expires_at: i64) -> String {
    format!("{PREFIX}{expires_at}_{}", sign(key, expires_at))
}

/// A new token and when its life ends.
pub(super) fn issue(key: &[u8; 32], now: Timestamp) -> (Secret, Timestamp) {
    let expires_at = now.after(LIFE);
    (Secret::new(token(key, expires_at.as_millis())), expires_at)
}

/// When the life of this token ends, if it is one of ours, character for character. One that was made in the future, by a
/// run whose clock was ahead, has ended.
pub(super) fn verify(key: &[u8; 32], shown: &Secret, now: Timestamp) -> Option<Timestamp> {
    let (expires_at, _) = shown.expose().strip_prefix(PREFIX)?.split_once('_')?;
    let expires_at: i64 = expires_at.parse().ok()?;
    // Both sides are hashed once more, so that the comparison's time tells nothing of the signature.
    let blind = |text: &str| keyed_hash(key, &[text.as_bytes()]);
    let ends = Timestamp::from_millis(expires_at);
    let ends = if ends > now.after(LIFE) { now } else { ends };
    (blind(shown.expose()) == blind(&token(key, expires_at))).then_some(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_tokens_are_believed() {
        let now = Timestamp::from_millis(5);
        let (token, expires_at) = issue(&[1; 32], now);
        assert_eq!(verify(&[1; 32], &token, now), Some(expires_at));
        assert_eq!(verify(&[2; 32], &token, now), None);
        let before = now.before(Duration::from_secs(86400));
        assert_eq!(verify(&[1; 32], &token, before), Some(before), "a token of the future lives");
        // Neither another time nor another spelling of the same one.
        for time in ["_9600005_", "_+3600005_", "_03600005_", "__", "_x_", "_"] {
            let other = token.expose().replace("_3600005_", time);
            assert_ne!(other, token.expose());
            assert_eq!(verify(&[1; 32], &Secret::new(other), now), None, "{time}");
        }
        assert_eq!(verify(&[1; 32], &Secret::new("mcr_anonymous_"), now), None);
    }
}

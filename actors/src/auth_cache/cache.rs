//! What is remembered of identities, and for how long. Pure: the time is given.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;

use super::{AuthError, Authenticated, TokenHash};
use crate::domain::{Principal, Timestamp};

/// What a set of credentials is remembered by; the credentials themselves are not kept.
pub type Key = [u8; 32];

/// Identities remembered at most.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// How long "not valid" is believed.
const NEGATIVE_TTL: Duration = Duration::from_secs(2);

/// What was found out about a set of credentials.
#[derive(Debug, Clone)]
pub enum Finding {
    /// Somebody.
    Known(Authenticated),
    /// Somebody whose token has lapsed.
    Lapsed(Arc<Principal>, TokenHash),
    /// Nobody.
    Nobody,
}

impl Finding {
    /// As the answer to who asked.
    pub fn answer(self) -> Result<Authenticated, AuthError> {
        match self {
            Self::Known(authenticated) => Ok(authenticated),
            Self::Lapsed(principal, token_hash) => Err(AuthError::Lapsed { principal, token_hash }),
            Self::Nobody => Err(AuthError::Invalid),
        }
    }

    /// Until when it may be believed.
    pub fn believed_until(&self, now: Timestamp, ttl: Duration) -> Timestamp {
        match self {
            Self::Known(known) => now.after(ttl).min(known.expires_at),
            Self::Lapsed(..) => now.after(ttl),
            Self::Nobody => now.after(ttl.min(NEGATIVE_TTL)),
        }
    }
}

/// A bounded memory of findings; what was not asked for longest goes first.
#[derive(Debug)]
pub struct Cache {
    findings: LruCache<Key, (Finding, Timestamp)>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { findings: LruCache::new(CAPACITY) }
    }
}

impl Cache {
    /// What is still believed at `now`, and until when.
    pub fn get(&mut self, key: &Key, now: Timestamp) -> Option<(Finding, Timestamp)> {
        let (finding, until) = self.findings.get(key)?;
        if *until <= now {
            self.findings.pop(key);
            return None;
        }
        Some((finding.clone(), *until))
    }

    /// Remembers a finding until `until`.
    pub fn put(&mut self, key: Key, finding: Finding, until: Timestamp) {
        self.findings.put(key, (finding, until));
    }

    /// Forgets everything: something was revoked.
    pub fn clear(&mut self) {
        self.findings.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(expires_at: Timestamp) -> Finding {
        let principal = Arc::new(Principal::anonymous());
        Finding::Known(Authenticated { principal, token_hash: None, expires_at })
    }

    proptest! {
        #[test]
        fn nothing_is_believed_past_its_time_or_the_tokens(ttl in 0u64..100_000, life in 0i64..100_000, later in 0i64..200_000) {
            let (now, ttl) = (Timestamp::from_millis(0), Duration::from_millis(ttl));
            let finding = known(Timestamp::from_millis(life));
            let mut cache = Cache::default();
            let until = finding.believed_until(now, ttl);
            cache.put([0; 32], finding, until);
            let believed = cache.get(&[0; 32], Timestamp::from_millis(later)).is_some();
            prop_assert_eq!(believed, later < life && u128::from(later.unsigned_abs()) < ttl.as_millis());
        }
    }

    #[test]
    fn a_refusal_is_believed_only_briefly() {
        let now = Timestamp::from_millis(0);
        let until = Finding::Nobody.believed_until(now, Duration::from_secs(30));
        assert_eq!(until, now.after(NEGATIVE_TTL));
    }

    #[test]
    fn its_size_is_bounded() {
        let mut cache = Cache::default();
        let later = Timestamp::from_millis(9);
        for index in 0..20_000u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&index.to_be_bytes());
            cache.put(key, Finding::Nobody, later);
        }
        assert_eq!(cache.findings.len(), CAPACITY.get());
    }
}

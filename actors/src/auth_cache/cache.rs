//! What is remembered of identities, and for how long. Pure: the time is given.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;

use super::{AuthError, Authenticated, TokenHash};
use crate::domain::{Principal, Timestamp};

/// What a set of credentials is remembered by; the credentials themselves are not kept.
pub type Key = [u8; 32];

/// Identities remembered at most, and as many refusals.
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

    /// Whether it is about the token with this hash.
    fn is_of(&self, token: &TokenHash) -> bool {
        match self {
            Self::Known(known) => known.token_hash.as_ref() == Some(token),
            Self::Lapsed(_, hash) => hash == token,
            Self::Nobody => false,
        }
    }
}

/// A finding and the time in which it may be believed.
#[derive(Debug)]
struct Believed {
    finding: Finding,
    /// Before it the clock was set back, and nobody knows how long ago it was found.
    from: Timestamp,
    until: Timestamp,
}

/// A bounded memory of findings; what was not asked for longest goes first.
///
/// Refusals have a memory of their own: whoever tries many wrong credentials pushes out nobody who is known.
#[derive(Debug)]
pub struct Cache {
    somebody: LruCache<Key, Believed>,
    nobody: LruCache<Key, Believed>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { somebody: LruCache::new(CAPACITY), nobody: LruCache::new(CAPACITY) }
    }
}

impl Cache {
    /// What is still believed at `now`, and until when.
    pub fn get(&mut self, key: &Key, now: Timestamp) -> Option<(Finding, Timestamp)> {
        let memory = if self.somebody.contains(key) { &mut self.somebody } else { &mut self.nobody };
        let Believed { finding, from, until } = memory.get(key)?;
        if now < *from || *until <= now {
            memory.pop(key);
            return None;
        }
        Some((finding.clone(), *until))
    }

    /// Remembers a finding of `now` until `until`, in place of an older one.
    pub fn put(&mut self, key: Key, finding: Finding, now: Timestamp, until: Timestamp) {
        let (memory, other) = match finding {
            Finding::Known(_) | Finding::Lapsed(..) => (&mut self.somebody, &mut self.nobody),
            Finding::Nobody => (&mut self.nobody, &mut self.somebody),
        };
        other.pop(&key);
        memory.put(key, Believed { finding, from: now, until });
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.somebody.clear();
        self.nobody.clear();
    }

    /// Forgets what is about this token, under whatever credentials it was found: it was revoked.
    pub fn forget(&mut self, token: &TokenHash) {
        let of_token = self.somebody.iter().filter(|(_, believed)| believed.finding.is_of(token));
        let keys: Vec<Key> = of_token.map(|(key, _)| *key).collect();
        for key in keys {
            self.somebody.pop(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(0);
    const LATER: Timestamp = Timestamp::from_millis(9);

    fn known(token_hash: Option<TokenHash>, expires_at: Timestamp) -> Finding {
        let principal = Arc::new(Principal::anonymous());
        Finding::Known(Authenticated { principal, token_hash, password: None, expires_at, of_robot: false })
    }

    /// The `index`th of many keys.
    fn key(index: u32) -> Key {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&index.to_be_bytes());
        key
    }

    proptest! {
        #[test]
        fn nothing_is_believed_past_its_time_or_the_tokens(ttl in 0u64..100_000, life in 0i64..100_000, later in 0i64..200_000) {
            let ttl = Duration::from_millis(ttl);
            let finding = known(None, Timestamp::from_millis(life));
            let mut cache = Cache::default();
            let until = finding.believed_until(START, ttl);
            cache.put(key(0), finding, START, until);
            let believed = cache.get(&key(0), Timestamp::from_millis(later)).is_some();
            prop_assert_eq!(believed, later < life && u128::from(later.unsigned_abs()) < ttl.as_millis());
        }
    }

    #[test]
    fn a_refusal_is_believed_only_briefly() {
        let until = Finding::Nobody.believed_until(START, Duration::from_secs(30));
        assert_eq!(until, START.after(NEGATIVE_TTL));
    }

    #[test]
    fn nothing_is_believed_when_the_clock_was_set_back() {
        let mut cache = Cache::default();
        cache.put(key(0), known(None, LATER), START, LATER);
        assert!(cache.get(&key(0), Timestamp::from_millis(-1)).is_none());
    }

    #[test]
    fn its_size_is_bounded_and_refusals_push_out_nobody_who_is_known() {
        let mut cache = Cache::default();
        cache.put(key(u32::MAX), known(None, LATER), START, LATER);
        for index in 0..20_000 {
            cache.put(key(index), Finding::Nobody, START, LATER);
        }
        assert_eq!(cache.nobody.len(), CAPACITY.get());
        assert!(matches!(cache.get(&key(u32::MAX), START), Some((Finding::Known(_), _))));
        for index in 0..20_000 {
            cache.put(key(index), known(None, LATER), START, LATER);
        }
        assert_eq!((cache.somebody.len(), cache.nobody.len()), (CAPACITY.get(), 0));
    }

    #[test]
    fn the_latest_finding_counts() {
        let mut cache = Cache::default();
        let is_known = |cache: &mut Cache| cache.get(&key(0), START).map(|found| found.0.answer().is_ok());
        cache.put(key(0), Finding::Nobody, START, LATER);
        assert_eq!(is_known(&mut cache), Some(false));
        cache.put(key(0), known(None, LATER), START, LATER);
        assert_eq!(is_known(&mut cache), Some(true));
        cache.put(key(0), Finding::Nobody, START, LATER);
        assert_eq!(is_known(&mut cache), Some(false));
    }

    #[test]
    fn a_revoked_token_is_forgotten_under_every_credentials_and_nobody_else_is() {
        let mut cache = Cache::default();
        let (revoked, other) = ([1; 32], [2; 32]);
        cache.put(key(0), known(Some(revoked), LATER), START, LATER);
        cache.put(key(1), Finding::Lapsed(Arc::new(Principal::anonymous()), revoked), START, LATER);
        cache.put(key(2), known(Some(other), LATER), START, LATER);
        cache.put(key(3), known(None, LATER), START, LATER);
        cache.forget(&revoked);
        let kept: Vec<bool> = (0..4).map(|index| cache.get(&key(index), START).is_some()).collect();
        assert_eq!(kept, [false, false, true, true]);
    }
}

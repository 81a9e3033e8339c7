//! How many wrong passwords an address and a name may give before both have to wait. The right one costs nothing, so a
//! build farm behind one address is not slowed.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use lru::LruCache;

use crate::domain::Timestamp;

/// Whoever has to wait, remembered at most.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    Name(String),
}

fn keys(address: Option<IpAddr>, name: &str) -> impl Iterator<Item = Key> {
    address.map(Key::Address).into_iter().chain([Key::Name(name.to_owned())])
}

/// Counts failed logins.
pub(super) struct Limiter {
    failures: DefaultKeyedRateLimiter<Key>,
    clock: DefaultClock,
    waiting: LruCache<Key, Timestamp>,
}

impl Limiter {
    /// At most `per_minute` failures for each address and each name.
    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        Self {
            failures: RateLimiter::keyed(Quota::per_minute(per_minute)),
            clock: DefaultClock::default(),
            waiting: LruCache::new(CAPACITY),
        }
    }

    /// How long this one still has to wait.
    pub(super) fn wait(&mut self, address: Option<IpAddr>, name: &str, now: Timestamp) -> Option<Duration> {
        let until = keys(address, name).filter_map(|key| self.waiting.get(&key).copied()).max()?;
        (until > now).then(|| until.since(now))
    }

    /// One more wrong password.
    pub(super) fn failed(&mut self, address: Option<IpAddr>, name: &str, now: Timestamp) {
        for key in keys(address, name) {
            if let Err(full) = self.failures.check_key(&key) {
                let wait = full.wait_time_from(self.clock.now());
                self.waiting.put(key, now.after(wait));
            }
        }
    }

    /// Forgets whoever has not failed for a while.
    pub(super) fn purge(&self) {
        self.failures.retain_recent();
        self.failures.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_and_the_address_wait_after_too_many_failures_and_nobody_else() {
        let now = Timestamp::from_millis(0);
        let (here, there) = (Some("192.0.2.1".parse().unwrap()), Some("192.0.2.2".parse().unwrap()));
        let mut limiter = Limiter::new(NonZeroU32::new(3).unwrap());
        for _ in 0..3 {
            limiter.failed(here, "ada", now);
            assert_eq!(limiter.wait(here, "ada", now), None);
        }
        limiter.failed(here, "ada", now);
        let wait = limiter.wait(here, "bob", now).unwrap();
        assert!(limiter.wait(there, "ada", now).is_some() && limiter.wait(there, "bob", now).is_none());
        assert_eq!(limiter.wait(here, "ada", now.after(wait + Duration::from_millis(1))), None);
        limiter.purge();
    }
}

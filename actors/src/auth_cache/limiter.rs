//! How many wrong passwords an address and a name may give before both have to wait. The right one costs nothing, so a
//! build farm behind one address is not slowed.
//!
//! An attempt takes its place before it is judged and gets it back when it was right: counted only afterwards, any number
//! of guesses made at once would all be judged.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use lru::LruCache;
use sha2::{Digest as _, Sha256};

use crate::domain::network;

/// Who has places to give back, remembered at most.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// An address, or the network of one of version 6.
    Address(IpAddr),
    /// The SHA-256 of a name, which can be as long as a client likes.
    Name([u8; 32]),
}

/// The keys of one attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    address: Option<Key>,
    name: Key,
}

impl Attempt {
    /// From `address`, at the password of `name`.
    pub(super) fn new(address: Option<IpAddr>, name: &str) -> Self {
        Self {
            address: address.map(|address| Key::Address(network(address))),
            name: Key::Name(Sha256::digest(name.as_bytes()).into()),
        }
    }

    fn keys(self) -> impl Iterator<Item = Key> {
        self.address.into_iter().chain([self.name])
    }
}

/// Whether an attempt may be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Now; [`Limiter::settle`] must follow.
    Now,
    /// Perhaps when one that is being judged turns out right and gives its place back.
    Later,
    /// Not before this time is over.
    After(Duration),
}

/// Counts attempts.
pub(super) struct Limiter {
    places: DefaultKeyedRateLimiter<Key>,
    clock: DefaultClock,
    /// Places that right passwords gave back, at most a minute's worth for each key.
    returned: LruCache<Key, u32>,
    per_minute: u32,
    /// How many attempts are being judged.
    judged: HashMap<Key, u32>,
}

impl Limiter {
    /// At most `per_minute` wrong passwords for each address and each name.
    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        Self {
            places: RateLimiter::keyed(Quota::per_minute(per_minute)),
            clock: DefaultClock::default(),
            returned: LruCache::new(CAPACITY),
            per_minute: per_minute.get(),
            judged: HashMap::new(),
        }
    }

    /// Takes a place for the attempt with its address and with its name, or none at all.
    pub(super) fn admit(&mut self, attempt: Attempt) -> Admission {
        let mut taken = Vec::new();
        for key in attempt.keys() {
            match self.take(key) {
                Ok(()) => taken.push(key),
                Err(wait) => {
                    taken.into_iter().for_each(|key| self.give_back(key));
                    return if self.judged.contains_key(&key) {
                        Admission::Later
                    } else {
                        Admission::After(wait)
                    };
                }
            }
        }
        for key in taken {
            *self.judged.entry(key).or_default() += 1;
        }
        Admission::Now
    }

    fn take(&mut self, key: Key) -> Result<(), Duration> {
        if let Some(returned) = self.returned.get_mut(&key).filter(|returned| **returned > 0) {
            *returned -= 1;
            return Ok(());
        }
        self.places.check_key(&key).map_err(|full| full.wait_time_from(self.clock.now()))
    }

    fn give_back(&mut self, key: Key) {
        let returned = self.returned.get_or_insert_mut(key, || 0);
        *returned = self.per_minute.min(returned.saturating_add(1));
    }

    /// A token was judged and is nobody's: it counts for its address like a wrong password, but not for a name, which it
    /// does not guess at. Fails when the address has no place left.
    ///
    /// # Errors
    /// With how long the address has to wait.
    pub(super) fn fail(&mut self, address: IpAddr) -> Result<(), Duration> {
        self.take(Key::Address(network(address)))
    }

    /// An attempt was judged. Only a wrong password keeps its place.
    pub(super) fn settle(&mut self, attempt: Attempt, was_wrong: bool) {
        for key in attempt.keys() {
            if let Some(judged) = self.judged.get_mut(&key) {
                *judged -= 1;
                if *judged == 0 {
                    self.judged.remove(&key);
                }
            }
            if !was_wrong {
                self.give_back(key);
            }
        }
    }

    /// Forgets whoever has not failed for a while.
    pub(super) fn purge(&self) {
        self.places.retain_recent();
        self.places.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Limiter {
        Limiter::new(NonZeroU32::new(3).unwrap())
    }

    fn from(last: u8, name: &str) -> Attempt {
        Attempt::new(Some(IpAddr::from([192, 0, 2, last])), name)
    }

    fn is_refused(admission: Admission) -> bool {
        matches!(admission, Admission::After(wait) if wait > Duration::from_secs(1))
    }

    #[test]
    fn the_name_and_the_address_wait_after_too_many_failures_and_nobody_else() {
        let mut limiter = limiter();
        for _ in 0..3 {
            assert_eq!(limiter.admit(from(1, "ada")), Admission::Now);
            limiter.settle(from(1, "ada"), true);
        }
        for (address, name) in [(1, "ada"), (1, "bob"), (2, "ada")] {
            assert!(is_refused(limiter.admit(from(address, name))), "{name} from {address}");
        }
        assert_eq!(limiter.admit(from(2, "bob")), Admission::Now);
        limiter.purge();
    }

    #[test]
    fn the_addresses_of_one_network_are_one() {
        let mut limiter = limiter();
        let of = |address: &str, name: &str| Attempt::new(Some(address.parse().unwrap()), name);
        for (address, name) in [("2001:db8::1", "a"), ("2001:db8::2", "b"), ("2001:db8::ffff:0:1", "c")] {
            assert_eq!(limiter.admit(of(address, name)), Admission::Now);
            limiter.settle(of(address, name), true);
        }
        assert!(is_refused(limiter.admit(of("2001:db8::3", "d"))));
        assert_eq!(limiter.admit(of("2001:db8:0:1::3", "d")), Admission::Now);
    }

    #[test]
    fn no_more_are_judged_at_once_than_may_be_wrong() {
        let mut limiter = limiter();
        for _ in 0..3 {
            assert_eq!(limiter.admit(from(1, "ada")), Admission::Now);
        }
        assert_eq!(limiter.admit(from(1, "ada")), Admission::Later);
        limiter.settle(from(1, "ada"), false);
        assert_eq!(limiter.admit(from(1, "ada")), Admission::Now, "a right one gave its place back");
        for _ in 0..3 {
            limiter.settle(from(1, "ada"), true);
        }
        assert!(is_refused(limiter.admit(from(1, "ada"))));
    }

    #[test]
    fn right_passwords_cost_nothing_and_save_nothing_up() {
        let mut limiter = limiter();
        for _ in 0..100 {
            assert_eq!(limiter.admit(from(1, "ada")), Admission::Now);
            limiter.settle(from(1, "ada"), false);
        }
        let wrong = (0..100).filter(|_| limiter.admit(from(1, "ada")) == Admission::Now).count();
        assert!(wrong <= 6, "{wrong} guesses were judged");
    }
}

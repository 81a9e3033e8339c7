//! How many wrong passwords an address and a name may give before both have to wait. The right one costs nothing, so a
//! build farm behind one address is not slowed.
//!
//! A name from a network that it has logged in from lately has places of its own: whoever guesses at it from elsewhere keeps
//! nobody out who is at home.
//!
//! An attempt takes its place before it is judged and gets it back when it was right: counted only afterwards, any number
//! of guesses made at once would all be judged.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, Instant};

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
    /// The SHA-256 of a name and of an address that it has logged in from.
    Home([u8; 32]),
}

/// How long an address is remembered that a name has logged in from.
const LATELY: Duration = Duration::from_secs(24 * 3600);

/// The keys of one attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    address: Option<Key>,
    name: Key,
    /// The two as one key, where there is an address.
    home: Option<Key>,
    is_home: bool,
}

impl Attempt {
    /// From `address`, at the password of `name`.
    pub(super) fn new(address: Option<IpAddr>, name: &str) -> Self {
        let address = address.map(network);
        let hash = Sha256::digest(name.as_bytes());
        let home = address.map(|address| {
            let place = Sha256::new().chain_update(hash).chain_update(address.to_string());
            Key::Home(place.finalize().into())
        });
        Self { address: address.map(Key::Address), name: Key::Name(hash.into()), home, is_home: false }
    }

    /// Where it takes its places.
    fn keys(self) -> impl Iterator<Item = Key> {
        let home = self.home.filter(|_| self.is_home);
        let others = self.address.into_iter().chain([self.name]).filter(move |_| home.is_none());
        home.into_iter().chain(others)
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// It was the password.
    Right,
    /// It was not.
    Wrong,
    /// Nobody could say.
    Not,
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
    /// When a name has last logged in from an address.
    homes: LruCache<Key, Instant>,
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
            homes: LruCache::new(CAPACITY),
        }
    }

    /// The attempt as one at home, if its name has logged in from there lately.
    pub(super) fn recognised(&mut self, attempt: Attempt) -> Attempt {
        let seen = attempt.home.and_then(|home| self.homes.get(&home));
        Attempt { is_home: seen.is_some_and(|seen| seen.elapsed() < LATELY), ..attempt }
    }

    /// Takes a place for the attempt with its address and with its name, or with both as one, or none at all: then the wait is
    /// until all have one.
    pub(super) fn admit(&mut self, attempt: Attempt) -> Admission {
        let (mut taken, mut wait, mut perhaps) = (Vec::new(), None, true);
        for key in attempt.keys() {
            match self.take(key) {
                Ok(()) => taken.push(key),
                Err(longer) => {
                    wait = wait.max(Some(longer));
                    perhaps &= self.judged.contains_key(&key);
                }
            }
        }
        if let Some(wait) = wait {
            taken.into_iter().for_each(|key| self.give_back(key));
            return if perhaps { Admission::Later } else { Admission::After(wait) };
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

    /// An attempt was judged. Only a wrong password keeps its place; one that was tried at home counts for its address and its
    /// name, too.
    pub(super) fn settle(&mut self, attempt: Attempt, judged: Judged) {
        for key in attempt.keys() {
            if let Some(judged) = self.judged.get_mut(&key) {
                *judged -= 1;
                if *judged == 0 {
                    self.judged.remove(&key);
                }
            }
            if judged != Judged::Wrong {
                self.give_back(key);
            }
        }
        match (judged, attempt.home) {
            (Judged::Right, Some(home)) => {
                self.homes.put(home, Instant::now());
            }
            (Judged::Wrong, _) if attempt.is_home => {
                for key in attempt.address.into_iter().chain([attempt.name]) {
                    // It was judged already, whatever is left there.
                    let _full = self.take(key);
                }
            }
            _ => {}
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
            limiter.settle(from(1, "ada"), Judged::Wrong);
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
            limiter.settle(of(address, name), Judged::Wrong);
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
        limiter.settle(from(1, "ada"), Judged::Right);
        assert_eq!(limiter.admit(from(1, "ada")), Admission::Now, "a right one gave its place back");
        for _ in 0..3 {
            limiter.settle(from(1, "ada"), Judged::Wrong);
        }
        assert!(is_refused(limiter.admit(from(1, "ada"))));
    }

    /// A guess, judged wrong if it is admitted at all.
    fn guess(limiter: &mut Limiter, attempt: Attempt) -> Admission {
        let attempt = limiter.recognised(attempt);
        let admission = limiter.admit(attempt);
        if admission == Admission::Now {
            limiter.settle(attempt, Judged::Wrong);
        }
        admission
    }

    #[test]
    fn whoever_guesses_from_elsewhere_keeps_nobody_out_who_is_at_home() {
        let mut limiter = limiter();
        let home = limiter.recognised(from(1, "ada"));
        assert_eq!(limiter.admit(home), Admission::Now);
        limiter.settle(home, Judged::Right);
        for address in 10..60 {
            guess(&mut limiter, from(address, "ada"));
        }
        // Somebody else behind the same address, too.
        for number in 0..50 {
            guess(&mut limiter, from(1, &format!("name {number}")));
        }
        assert!(is_refused(guess(&mut limiter, from(2, "ada"))), "elsewhere has to wait");
        assert!(is_refused(guess(&mut limiter, from(1, "bob"))), "who was never there has to wait");
        let home = limiter.recognised(from(1, "ada"));
        assert_eq!(limiter.admit(home), Admission::Now);
        limiter.settle(home, Judged::Right);
        // Home is no place to guess at, either, and what nobody could judge makes no home.
        let guesses = (0..50).filter(|_| guess(&mut limiter, from(1, "ada")) == Admission::Now).count();
        assert!((3..=4).contains(&guesses), "{guesses}");
        let unknown = limiter.recognised(from(90, "eve"));
        assert_eq!(limiter.admit(unknown), Admission::Now);
        limiter.settle(unknown, Judged::Not);
        assert!(!limiter.recognised(from(90, "eve")).is_home);
    }

    #[test]
    fn after_the_wait_that_was_said_there_is_a_place() {
        let mut limiter = Limiter::new(NonZeroU32::new(240).unwrap());
        // The name is full a little later than the address.
        while guess(&mut limiter, from(1, "bob")) == Admission::Now {}
        std::thread::sleep(Duration::from_millis(100));
        while guess(&mut limiter, from(2, "ada")) == Admission::Now {}
        let Admission::After(wait) = guess(&mut limiter, from(1, "ada")) else { panic!("it is full") };
        std::thread::sleep(wait);
        assert_eq!(guess(&mut limiter, from(1, "ada")), Admission::Now, "after {wait:?}");
    }

    #[test]
    fn right_passwords_cost_nothing_and_save_nothing_up() {
        let mut limiter = limiter();
        for _ in 0..100 {
            assert_eq!(limiter.admit(from(1, "ada")), Admission::Now);
            limiter.settle(from(1, "ada"), Judged::Right);
        }
        let wrong = (0..100).filter(|_| limiter.admit(from(1, "ada")) == Admission::Now).count();
        assert!(wrong <= 6, "{wrong} guesses were judged");
    }
}

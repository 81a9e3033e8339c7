//! How many bytes all small bodies may take while they come, so that what one client holds is bounded for all of them together.
//!
//! Strangers have a budget of their own: whatever they send, nobody who pushes waits for it. Of each budget one holder has a
//! share, a quarter for an address of strangers and a half for a principal.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex, PoisonError};

use mcr_actors::domain::{Principal, network};

/// What strangers' bodies take together, in bytes: two thousand logins.
const STRANGERS: usize = 8 * 1024 * 1024;
/// What the bodies of known callers take together, in bytes.
const KNOWN: usize = 64 * 1024 * 1024;

static OF_STRANGERS: LazyLock<Budget> = LazyLock::new(|| Budget::new(STRANGERS, 4));
static OF_KNOWN: LazyLock<Budget> = LazyLock::new(|| Budget::new(KNOWN, 2));

/// Who holds a part of a budget.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Somebody from this address, or from its network of version 6; nobody knows who.
    Stranger(Option<IpAddr>),
    /// The principal with this subject.
    Known(String),
}

impl Holder {
    /// Somebody unknown from this address.
    pub fn stranger(address: Option<IpAddr>) -> Self {
        Self::Stranger(address.map(network))
    }

    /// The caller, or, where nobody knows who it is, somebody from this address. All who did not log in are strangers.
    pub fn of(caller: Option<&Principal>, address: Option<IpAddr>) -> Self {
        match caller {
            Some(principal) if !principal.is_anonymous() => Self::Known(principal.subject.clone()),
            _ => Self::stranger(address),
        }
    }

    fn budget(&self) -> &'static Budget {
        match self {
            Self::Stranger(_) => &OF_STRANGERS,
            Self::Known(_) => &OF_KNOWN,
        }
    }
}

/// A number of bytes that many share.
#[derive(Debug)]
struct Budget {
    total: usize,
    /// The part of it that one holder may have is the total divided by this.
    parts: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by: HashMap<Holder, usize>,
}

impl Budget {
    fn new(total: usize, parts: usize) -> Self {
        Self { total, parts, held: Mutex::default() }
    }

    /// Whether so many bytes more are there for the holder. A single body is always let in while the total allows it, however
    /// large it may be.
    fn take(&self, holder: &Holder, bytes: usize, of_body: usize) -> bool {
        // A panic elsewhere leaves numbers that are right.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_holder = held.by.get(holder).copied().unwrap_or_default();
        let is_single = of_holder == of_body;
        let has_share = is_single || of_holder + bytes <= self.total / self.parts;
        if !has_share || held.all + bytes > self.total.max(of_body + bytes) {
            return false;
        }
        held.all += bytes;
        *held.by.entry(holder.clone()).or_default() += bytes;
        true
    }

    fn give_back(&self, holder: &Holder, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all = held.all.saturating_sub(bytes);
        if let Some(of_holder) = held.by.get_mut(holder) {
            *of_holder = of_holder.saturating_sub(bytes);
            if *of_holder == 0 {
                held.by.remove(holder);
            }
        }
    }
}

/// What one body takes of its holder's budget, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    holder: Holder,
    bytes: usize,
}

impl Permit {
    /// Nothing yet.
    pub fn new(holder: Holder) -> Self {
        Self { holder, bytes: 0 }
    }

    /// Takes so many bytes more; false when they are not there now.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let is_there = self.holder.budget().take(&self.holder, bytes, self.bytes);
        if is_there {
            self.bytes += bytes;
        }
        is_there
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.holder.budget().give_back(&self.holder, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holder(number: u8) -> Holder {
        Holder::Known(number.to_string())
    }

    #[test]
    fn a_single_body_is_let_in_however_large_and_a_second_within_the_share() {
        let budget = Budget::new(100, 2);
        assert!(budget.take(&holder(1), 90, 0), "alone");
        assert!(!budget.take(&holder(1), 1, 0), "a second body beyond the share");
        assert!(!budget.take(&holder(2), 11, 0), "beyond the total");
        assert!(budget.take(&holder(2), 10, 0));
        budget.give_back(&holder(1), 90);
        assert!(budget.take(&holder(2), 40, 0), "its share is half");
        assert!(!budget.take(&holder(2), 1, 0));
    }

    #[test]
    fn addresses_of_one_network_are_one_holder() {
        let of = |address: &str| Holder::stranger(Some(address.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    proptest! {
        #[test]
        fn all_together_hold_no_more_than_the_total_and_everything_comes_back(
            steps in prop::collection::vec((0..4u8, 1..60usize, any::<bool>()), 1..80)
        ) {
            let budget = Budget::new(200, 4);
            let mut bodies: Vec<(u8, usize)> = Vec::new();
            for (number, bytes, ends) in steps {
                if ends && let Some((number, bytes)) = bodies.pop() {
                    budget.give_back(&holder(number), bytes);
                } else if budget.take(&holder(number), bytes, 0) {
                    bodies.push((number, bytes));
                }
                let all: usize = bodies.iter().map(|(_, bytes)| bytes).sum();
                prop_assert!(all <= 200);
                prop_assert_eq!(budget.held.lock().unwrap().all, all);
                for number in 0..4 {
                    let of: Vec<usize> = bodies.iter().filter(|(of, _)| *of == number).map(|(_, bytes)| *bytes).collect();
                    prop_assert!(of.len() <= 1 || of.iter().sum::<usize>() <= 50 || of[0] > 50, "{:?}", of);
                }
            }
            for (number, bytes) in bodies {
                budget.give_back(&holder(number), bytes);
            }
            prop_assert!(budget.held.lock().unwrap().by.is_empty());
        }
    }
}

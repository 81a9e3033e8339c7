//! Which denials are written down at once: all, until somebody is denied again and again. The log has one entry a minute for
//! them whatever this says; whoever may do nothing must not be able to keep the disk busy with its count.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

/// Denials of one principal from one address that a worker records in a minute.
const EACH_MINUTE: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Whom a worker remembers; who was not denied longest goes first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// What a worker has recorded of late.
#[derive(Debug)]
pub struct Denials(RefCell<LruCache<(String, String), Counted>>);

#[derive(Debug, Clone, Copy)]
struct Counted {
    since: Instant,
    recorded: u32,
    left_out: u64,
}

impl Default for Denials {
    fn default() -> Self {
        Self(RefCell::new(LruCache::new(CAPACITY)))
    }
}

impl Denials {
    /// Whether a denial of this principal from this address is recorded now, and how many were left out since the last that
    /// was.
    pub fn admit(&self, subject: &str, address: &str, now: Instant) -> Option<u64> {
        let mut all = self.0.borrow_mut();
        let fresh = || Counted { since: now, recorded: 0, left_out: 0 };
        let counted = all.get_or_insert_mut((subject.to_owned(), address.to_owned()), fresh);
        if now.duration_since(counted.since) >= MINUTE {
            (counted.since, counted.recorded) = (now, 0);
        }
        if counted.recorded < EACH_MINUTE {
            counted.recorded += 1;
            return Some(std::mem::take(&mut counted.left_out));
        }
        counted.left_out += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_denied_again_and_again_is_recorded_a_bounded_number_of_times() {
        let (denials, began) = (Denials::default(), Instant::now());
        let admitted = |address: &str, at: Instant, times: usize| {
            (0..times).filter_map(|_| denials.admit("ci", address, at)).collect::<Vec<_>>()
        };
        assert_eq!(admitted("192.0.2.1", began, 1000), vec![0; 60]);
        assert_eq!(admitted("192.0.2.2", began, 10), vec![0; 10], "somebody else");
        // What was left out is said with the next.
        assert_eq!(admitted("192.0.2.1", began + MINUTE, 2), vec![940, 0]);
    }
}

//! The only place that reads the time, so that tests can set it.
//!
//! One run of the registry has one time: that of the wall clock when it began, and what has gone by since on a clock that
//! nobody sets. So a wall clock that is set meanwhile moves no deadline; the next run takes it over.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// No clock that is right tells a time before this one, 2026-01-01: the program was written later.
const EARLIEST: i64 = 1_767_225_600_000;
/// The same for tests, whose time begins later.
const EARLIEST_OF_TESTS: i64 = 500_000_000;
/// How far the wall clock may go from the run's time before that is told. What keeps a clock right sets it by less.
const STEP: i64 = 2_000;

/// A test's wall clock, and what has gone by, in milliseconds.
#[derive(Debug)]
struct Hands {
    wall: AtomicI64,
    gone_by: AtomicI64,
}

/// Where the two times of a run are read.
#[derive(Debug, Clone)]
enum Source {
    System(Instant),
    Test(Arc<Hands>),
}

/// One run's time, the system's or a test's. Clones are the same.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    /// What is added to what has gone by.
    origin: Arc<AtomicI64>,
    /// By how much the wall clock was ahead when that was told last.
    told: Arc<AtomicI64>,
}

impl Clock {
    fn begin(source: Source) -> Self {
        let clock = Self { source, origin: Arc::default(), told: Arc::default() };
        let origin = clock.wall().as_millis().saturating_sub(clock.gone_by());
        clock.origin.store(origin, Ordering::SeqCst);
        clock
    }

    /// The time of a run that begins now, by the system's clock.
    pub fn system() -> Self {
        Self::begin(Source::System(Instant::now()))
    }

    /// The time of a run that begins at `start`, and stands until [`Clock::advance`] moves it.
    pub fn test(start: Timestamp) -> Self {
        let hands = Hands { wall: AtomicI64::new(start.as_millis()), gone_by: AtomicI64::new(0) };
        Self::begin(Source::Test(Arc::new(hands)))
    }

    /// The time of another run that begins now, by the same clocks.
    #[must_use]
    pub fn of_next_run(&self) -> Self {
        match &self.source {
            Source::System(_) => Self::system(),
            Source::Test(hands) => Self::begin(Source::Test(Arc::clone(hands))),
        }
    }

    /// What has gone by, in milliseconds since some moment.
    fn gone_by(&self) -> i64 {
        match &self.source {
            Source::System(began) => i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX),
            Source::Test(hands) => hands.gone_by.load(Ordering::SeqCst),
        }
    }

    /// The present time of this run, in whole milliseconds since the Unix epoch. It never goes back.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.origin.load(Ordering::SeqCst).saturating_add(self.gone_by()))
    }

    /// What the wall clock says, for what is compared with the clocks of others.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn wall(&self) -> Timestamp {
        match &self.source {
            Source::System(_) => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Test(hands) => Timestamp::from_millis(hands.wall.load(Ordering::SeqCst)),
        }
    }

    /// A moment that somebody else's clock told, in the time of this run.
    pub fn of_wall(&self, moment: Timestamp) -> Timestamp {
        let ahead = self.wall().as_millis().saturating_sub(self.now().as_millis());
        Timestamp::from_millis(moment.as_millis().saturating_sub(ahead))
    }

    /// By how many milliseconds the wall clock was set since that was told last, if it was; negative when it went back.
    pub fn step(&self) -> Option<i64> {
        let ahead = self.wall().as_millis().saturating_sub(self.now().as_millis());
        let by = ahead.saturating_sub(self.told.load(Ordering::SeqCst));
        if by.saturating_abs() < STEP {
            return None;
        }
        self.told.store(ahead, Ordering::SeqCst);
        Some(by)
    }

    /// Puts a run that begins with a wall clock that cannot be right, as that of a machine without a battery, where the
    /// last run stopped. Says whether it did.
    pub fn begin_no_earlier(&self, stopped: Timestamp) -> bool {
        let earliest = match self.source {
            Source::System(_) => EARLIEST,
            Source::Test(_) => EARLIEST_OF_TESTS,
        };
        if self.wall().as_millis() >= earliest {
            return false;
        }
        let start = stopped.as_millis().max(earliest);
        self.origin.store(start.saturating_sub(self.gone_by()), Ordering::SeqCst);
        let ahead = self.wall().as_millis().saturating_sub(self.now().as_millis());
        self.told.store(ahead, Ordering::SeqCst);
        true
    }

    /// Lets time go by on a test's clocks; the system's are not ours to move.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        if let Source::Test(hands) = &self.source {
            hands.gone_by.fetch_add(by, Ordering::SeqCst);
            hands.wall.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Sets a test's wall clock.
    pub fn set_wall(&self, wall: Timestamp) {
        if let Source::Test(hands) = &self.source {
            hands.wall.store(wall.as_millis(), Ordering::SeqCst);
        }
    }

    /// What has gone by since a test's clocks were made, whatever the wall clock says and however many runs there were.
    pub fn of_all_runs(&self) -> Timestamp {
        Timestamp::from_millis(self.gone_by())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_step_of_the_wall_clock_moves_a_run(
            steps in prop::collection::vec((0..4_000_000_000_000_i64, 0..100_000_u64), 1..10),
        ) {
            let clock = Clock::test(Timestamp::from_millis(1_000_000_000));
            let mut expected = clock.now();
            for (wall, gone_by) in steps {
                clock.set_wall(Timestamp::from_millis(wall));
                let told = clock.step();
                prop_assert!(told.is_none_or(|by| by.abs() >= STEP));
                prop_assert_eq!(clock.step(), None, "it is told once");
                clock.advance(Duration::from_millis(gone_by));
                expected = expected.after(Duration::from_millis(gone_by));
                prop_assert_eq!(clock.now(), expected);
                // What is a minute from now by the wall is a minute from now.
                let soon = clock.wall().after(Duration::from_secs(60));
                prop_assert_eq!(clock.of_wall(soon), expected.after(Duration::from_secs(60)));
            }
            let next = clock.of_next_run();
            prop_assert_eq!(next.now(), clock.wall(), "the next run takes the wall clock over");
        }
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_not_believed() {
        let clock = Clock::test(Timestamp::from_millis(1_000_000_000));
        clock.set_wall(Timestamp::from_millis(1));
        let next = clock.of_next_run();
        assert!(next.begin_no_earlier(clock.now()));
        assert_eq!((next.now(), next.step()), (clock.now(), None));
        next.set_wall(Timestamp::from_millis(9_000_000_000));
        assert_eq!(next.step(), Some(8_999_999_999));
        assert!(!next.of_next_run().begin_no_earlier(clock.now()));
    }
}

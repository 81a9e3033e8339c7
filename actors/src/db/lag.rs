//! How late changes are committed: what is kept for a time from an answer was written before it, by so much at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::Timestamp;

/// The longest time from a question to its commit in this run. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Lag(Arc<AtomicU64>);

impl Lag {
    /// A change was committed, or is about to be, so long after it was asked for.
    pub(super) fn saw(&self, late: Duration) {
        // Times are cut to milliseconds, the question's and that of what is over.
        let millis = u64::try_from(late.as_millis()).unwrap_or(u64::MAX).saturating_add(2);
        self.0.fetch_max(millis, Ordering::SeqCst);
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// What is over: whatever was kept until then at most. It is asked when it is used, inside the writer, so that it knows
/// how late the changes are that are committed together with it.
#[derive(Debug, Clone)]
pub struct Due {
    /// The time.
    pub now: Timestamp,
    /// How late changes are.
    pub lag: Lag,
    /// By how much more is kept than was promised: a commit that takes less shortens nothing.
    pub spare: Duration,
}

impl Due {
    /// Until when something must have been kept to be over now.
    pub fn until(&self) -> Timestamp {
        self.now.before(self.lag.longest().saturating_sub(self.spare))
    }
}

impl From<Timestamp> for Due {
    fn from(now: Timestamp) -> Self {
        Self { now, lag: Lag::default(), spare: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::clock::Clock;
    use crate::db::queries::blobs::LinkBlob;
    use crate::db::queries::collection::{Budget, CollectLinks, LinkCursor};
    use crate::db::{Db, DbError, Growth, WriteQuery};
    use crate::domain::{Algorithm, Digest};

    /// A change that keeps the disk busy.
    #[derive(Clone)]
    struct Slow(Duration);

    impl WriteQuery for Slow {
        type Output = ();
        type Error = DbError;

        fn growth(&self) -> Growth {
            Growth::Keeps
        }

        fn run(self, _: &Connection) -> Result<(), DbError> {
            std::thread::sleep(self.0);
            Ok(())
        }
    }

    #[actix_rt::test]
    async fn what_a_late_commit_promised_is_kept_from_the_commit_on() {
        let directory = tempfile::tempdir().unwrap();
        let writer = actix::Arbiter::new();
        let db = Db::start(&directory.path().join("mcr.db"), &writer.handle()).unwrap();
        let (clock, promised, spare) =
            (Clock::system(), Duration::from_millis(400), Duration::from_millis(200));
        let digest = Digest::of(Algorithm::Sha256, b"layer");
        let now = clock.now();
        let (repository, kept_until) = ("a".parse().unwrap(), now.after(promised + spare));
        let late = db.write(Slow(Duration::from_millis(1500)));
        let linked = db.write(LinkBlob { repository, digest, size: 5, upload: None, now, kept_until });
        // Asked when all is over by what is written, and run in one batch with what is late.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let collect = || {
            let due = Due { now: clock.now(), lag: db.lag(), spare };
            db.write(CollectLinks { after: LinkCursor::default(), due, budget: Budget(Duration::ZERO) })
        };
        let in_one_batch = collect();
        late.await.unwrap();
        linked.await.unwrap();
        let answered = std::time::Instant::now();
        assert_eq!(in_one_batch.await.unwrap().taken, 0, "it went with the commit that made it");
        let mut taken = 0;
        while taken == 0 {
            assert!(answered.elapsed() < Duration::from_secs(30), "it never goes");
            taken = collect().await.unwrap().taken;
        }
        assert!(answered.elapsed() >= promised, "it went {:?} after the answer", answered.elapsed());
        writer.stop();
    }
}

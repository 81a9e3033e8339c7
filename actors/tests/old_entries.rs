//! Entries of the audit log that are older than they are kept, millions of them perhaps: a start does not wait for their end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use mcr_actors::db::queries::audit::Record;
use mcr_actors::domain::{Event, EventName, Origin};
use mcr_actors::fs::fake::FakeFs;
use mcr_actors::testing::Harness;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// More than go while a registry starts.
const OLD: u64 = 30_000;
/// Long enough for a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn count(harness: &Harness, old: bool) -> u64 {
    let comparison = if old { "<" } else { ">=" };
    harness.rows(&format!("SELECT '', count(*) FROM audit_log WHERE time {comparison} 1000000"))[0].1
}

#[actix_rt::test]
async fn a_start_does_not_wait_for_old_entries_and_neither_does_who_writes() {
    let fs = Arc::new(FakeFs::default());
    let harness = Harness::start_with(fs.clone(), |settings| settings.audit_keep = Some(DAY)).await;
    let made = harness.rows::<u64>(&format!(
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {OLD})
         INSERT INTO audit_log (time, event, actor_id, actor_name, repository, digest, tag, address, request_id, details)
         SELECT n, 'login_ok', 'a', 'a', 'r', '', '', '', '', '{{}}' FROM number RETURNING event, id"
    ));
    assert_eq!(made.len() as u64, OLD);
    let mut harness = harness.restart(fs.clone()).await;
    let mut left = count(&harness, true);
    assert!(left > OLD / 2, "the start waited for all but {left} of {OLD}");
    // A stop in the middle loses nothing and is taken up again.
    harness = harness.restart(fs).await;
    let (began, mut written, mut longest) = (Instant::now(), 0, Duration::ZERO);
    while left > 0 {
        assert!(began.elapsed() < PATIENCE, "{left} are left");
        let (now, before) = (harness.clock.now(), Instant::now());
        let record =
            Record { origin: Origin::default(), now, event: Event::new(EventName::Logout), times: 1 };
        harness.worker.db.write(record).await.unwrap();
        (written, longest) = (written + 1, longest.max(before.elapsed()));
        left = count(&harness, true);
    }
    assert!(written > 20, "all went between {written} writes");
    assert!(longest < Duration::from_secs(5), "a write waited for {longest:?}");
    assert_eq!(count(&harness, false), written);
    harness.finish().await;
}

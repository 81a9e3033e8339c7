//! The first thing a run does: it holds its clock against what is stored.

use std::time::Duration;

use crate::ask::AskError;
use crate::clock::Clock;
use crate::db::queries::times::{Earlier, FindEarlier, Lifetimes, NoteTime, SettleAudit, SettleTimes};
use crate::db::{Db, DbError};
use crate::domain::Timestamp;

/// Entries of the audit log brought back in one write.
const ENTRIES: usize = 5000;

/// Settles all times before anybody acts on one.
///
/// # Errors
/// When the database fails.
pub(crate) async fn settle(db: &Db, clock: &Clock, lifetimes: Lifetimes) -> Result<(), AskError<DbError>> {
    let earlier: Earlier = db.read(FindEarlier).await?;
    if clock.begin_no_earlier(earlier.newest) {
        let now = clock.now();
        log::warn!(
            "the clock says {}, which cannot be: this run begins at {now}; set the clock and start again",
            clock.wall()
        );
    }
    let now = clock.now();
    let ahead = earlier.newest.since(now);
    if ahead > Duration::ZERO {
        let ahead = humantime::format_duration(Duration::from_secs(ahead.as_secs()));
        log::warn!(
            "the clock says {now}, and what is stored is newer by {ahead}: what is of the future counts as now"
        );
    }
    db.write(SettleTimes { now, earlier, lifetimes }).await?;
    if ahead > Duration::ZERO {
        while db.write(SettleAudit { now, limit: ENTRIES }).await? == ENTRIES {}
    }
    Ok(())
}

/// Notes the time for the next run, and says when the wall clock was set. What was committed late is kept longer, so the
/// time that is noted is earlier by as much.
pub(crate) async fn note(db: &Db, clock: &Clock, spare: Duration) {
    if let Some(by) = clock.step() {
        let size = humantime::format_duration(Duration::from_millis(by.unsigned_abs()));
        let way = if by < 0 { "back" } else { "forward" };
        log::warn!(
            "the clock was set {way} by {size}: deadlines of this run stay, the next start takes it over"
        );
    }
    let noted: Timestamp = clock.now().before(db.lag().longest().saturating_sub(spare));
    if let Err(error) = db.write(NoteTime(noted)).await {
        log::warn!("the time is not noted for the next start: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rusqlite::Connection;
    use uuid::Uuid;

    use super::*;
    use crate::auth_cache::Secret;
    use crate::auth_cache::local::{LocalProvider, ensure_admin};
    use crate::auth_cache::password::Passwords;
    use crate::auth_cache::{AuthSettings, Provider, Validation};
    use crate::db::queries::testing::{database, name};
    use crate::db::queries::uploads::{
        AdvanceUpload, ExpireUpload, FindUpload, InsertUpload, UploadIds, UploadRow,
    };
    use crate::db::{ReadQuery, WriteQuery};
    use crate::domain::{Algorithm, Principal};
    use crate::fs::fake::FakeFs;
    use crate::testing::Harness;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    const TTL: Duration = Duration::from_secs(3600);

    async fn is_valid(harness: &Harness, token: &Secret) -> bool {
        matches!(provider(harness).validate(token).await, Ok(Validation::Valid { .. }))
    }

    fn provider(harness: &Harness) -> LocalProvider {
        let settings = AuthSettings {
            cache_ttl: Duration::ZERO,
            token_ttl: TTL,
            anonymous: false,
            login_attempts_per_minute: std::num::NonZeroU32::MIN,
            most_tokens: crate::auth_cache::MostTokens::DEFAULT,
        };
        LocalProvider::new(harness.worker.db.clone(), harness.clock.clone(), Passwords::default(), &settings)
    }

    #[actix_rt::test]
    async fn a_token_of_the_future_lives_no_longer_than_any_other() {
        let fs = Arc::new(FakeFs::default());
        let harness = Harness::start(fs.clone()).await;
        let right = harness.clock.wall();
        ensure_admin(&harness.worker.db, &harness.clock, "root", &Secret::new("right password"))
            .await
            .unwrap();
        harness.clock.set_wall(right.after(YEAR));
        let harness = harness.restart(fs.clone()).await;
        let password = Secret::new("right password");
        let verified = provider(&harness).verify("root", &password).await.unwrap().unwrap();
        let token = provider(&harness).login("root", &password, verified).await.unwrap().unwrap().token;
        harness.clock.set_wall(right);
        let harness = harness.restart(fs.clone()).await;
        assert!(is_valid(&harness, &token).await, "it was good for an hour from now on");
        // A step within a run moves nothing.
        harness.clock.set_wall(right.after(YEAR));
        assert!(is_valid(&harness, &token).await);
        harness.clock.set_wall(right);
        harness.clock.advance(TTL);
        assert!(!is_valid(&harness, &token).await, "a token of the future is good for a year");
        harness.finish().await;
    }

    #[actix_rt::test]
    async fn a_machine_without_a_battery_goes_on_where_it_stopped() {
        let fs = Arc::new(FakeFs::default());
        let harness = Harness::start(fs.clone()).await;
        let stopped = harness.clock.now();
        harness.clock.set_wall(Timestamp::from_millis(0));
        let harness = harness.restart(fs.clone()).await;
        assert_eq!(harness.clock.now(), stopped);
        harness.finish().await;
    }

    /// What happens to a registry with uploads: time goes by, somebody sends bytes, the wall clock is set, a run ends.
    #[derive(Debug, Clone)]
    enum Happens {
        GoesBy(u64),
        Sends(usize),
        Set(i64),
        Restart,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        const HOUR: i64 = 3600;
        let wrong =
            vec![2 * HOUR, -2 * HOUR, 25 * HOUR, -25 * HOUR, 8760 * HOUR, -8760 * HOUR, -400_000 * HOUR];
        prop_oneof![
            3 => (0..4000_u64).prop_map(Happens::GoesBy),
            3 => (0..3_usize).prop_map(Happens::Sends),
            2 => prop::sample::select(wrong).prop_map(Happens::Set),
            2 => Just(Happens::Restart),
        ]
    }

    const LIVES: Lifetimes = Lifetimes {
        grace: Duration::from_secs(3600),
        kept: Duration::from_secs(5400),
        upload_expiry: Duration::from_secs(24 * 3600),
        untagged_after: None,
        stray: Duration::from_secs(5400),
    };

    fn upload(db: &Connection, now: Timestamp) -> Uuid {
        let row = UploadRow {
            id: Uuid::new_v4(),
            repository: name("a"),
            algorithm: Algorithm::Sha256,
            bytes: 0,
            owner: Principal::anonymous(),
            token_hash: None,
            started_at: now,
            last_active_at: now,
        };
        let id = row.id;
        InsertUpload(row).run(db).unwrap();
        id
    }

    fn restart(db: &Connection, clock: &Clock) -> Clock {
        NoteTime(clock.now()).run(db).unwrap();
        let (next, earlier) = (clock.of_next_run(), FindEarlier.run(db).unwrap());
        next.begin_no_earlier(earlier.newest);
        SettleTimes { now: next.now(), earlier, lifetimes: LIVES }.run(db).unwrap();
        next
    }

    proptest! {
        #[test]
        fn an_upload_lasts_its_grace_and_not_for_ever_whatever_clocks_say(
            history in prop::collection::vec(happens(), 1..40),
        ) {
            let (db, mut clock) = (database(), Clock::test(Timestamp::from_millis(1_700_000_000_000)));
            let uploads: Vec<Uuid> = (0..3).map(|_| upload(&db, clock.now())).collect();
            let mut heard = [clock.of_all_runs(); 3];
            let expire = |clock: &Clock| {
                let before = clock.now().before(LIVES.upload_expiry);
                for id in uploads.iter().copied() {
                    ExpireUpload { id, before }.run(&db).unwrap();
                }
            };
            for event in history {
                match event {
                    Happens::GoesBy(seconds) => clock.advance(Duration::from_secs(seconds)),
                    Happens::Sends(which) => {
                        let (id, now) = (uploads[which], clock.now());
                        if (AdvanceUpload { id, bytes: 1, now }).run(&db).unwrap() {
                            heard[which] = clock.of_all_runs();
                        }
                    }
                    Happens::Set(by) => {
                        let wall = clock.wall().as_millis().saturating_add(by * 1000).max(0);
                        clock.set_wall(Timestamp::from_millis(wall));
                    }
                    Happens::Restart => clock = restart(&db, &clock),
                }
                expire(&clock);
                for (id, heard) in uploads.iter().zip(heard) {
                    let age = clock.of_all_runs().since(heard);
                    let there = FindUpload(*id).run(&db).unwrap().is_some();
                    prop_assert!(there || age >= LIVES.grace, "it went {age:?} after its acknowledgement");
                }
            }
            clock.advance(LIVES.upload_expiry + Duration::from_secs(1));
            expire(&clock);
            prop_assert!(UploadIds.run(&db).unwrap().is_empty(), "an upload of the future stays");
        }
    }
}

//! What a run of the registry finds stored when it begins, held against its clock.
//!
//! A time of the future was written by a run whose clock was ahead; it counts as now. What ran out between the last run and
//! this one, when nobody could use it, gets its time again. Both are settled once, in the rows, so that no question has to
//! think of it.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::Timestamp;

/// Notes the time, for the next run.
#[derive(Debug, Clone)]
pub struct NoteTime(pub Timestamp);

impl WriteQuery for NoteTime {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        tx.prepare_cached(
            "INSERT INTO noted_time (id, time) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET time = excluded.time",
        )?
        .execute([self.0.as_millis()])?;
        Ok(())
    }
}

/// What earlier runs have left of their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// When the last one stopped, as far as it was noted.
    pub stopped: Timestamp,
    /// The newest time that is stored.
    pub newest: Timestamp,
}

/// Finds out when earlier runs were.
#[derive(Debug)]
pub struct FindEarlier;

impl ReadQuery for FindEarlier {
    type Output = Earlier;

    fn run(self, db: &Connection) -> Result<Earlier, DbError> {
        let number = |sql: &str| -> Result<Option<i64>, DbError> {
            let found: Option<Option<i64>> =
                db.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
            Ok(found.flatten())
        };
        let noted = number("SELECT time FROM noted_time")?;
        let recorded = number("SELECT max(time) FROM audit_log")?;
        let active = number("SELECT max(last_active_at) FROM uploads")?;
        let newest = noted.into_iter().chain(recorded).chain(active).max().unwrap_or(0);
        let stopped = Timestamp::from_millis(noted.unwrap_or(0));
        Ok(Earlier { stopped, newest: Timestamp::from_millis(newest) })
    }
}

/// For how long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// What is promised of content without a reference.
    pub grace: Duration,
    /// For how long it is kept.
    pub kept: Duration,
    /// Of uploads.
    pub upload_expiry: Duration,
    /// Of untagged manifests; for ever when there is none.
    pub untagged_after: Option<Duration>,
    /// Of files without a row.
    pub stray: Duration,
}

/// Settles the times of all but the audit log, and notes the time.
#[derive(Debug, Clone)]
pub struct SettleTimes {
    /// When this run begins.
    pub now: Timestamp,
    /// When others were.
    pub earlier: Earlier,
    /// For how long things are kept.
    pub lifetimes: Lifetimes,
}

impl WriteQuery for SettleTimes {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        if self.earlier.newest > self.now {
            self.bring_back(tx)?;
        }
        self.give_time(tx)?;
        NoteTime(self.now).run(tx)
    }
}

impl SettleTimes {
    /// A time of the future counts as now. What is kept from then on is kept from now on, and a token lives from now on.
    fn bring_back(&self, tx: &Connection) -> Result<(), DbError> {
        let (now, kept_until) = (self.now.as_millis(), self.now.after(self.lifetimes.kept).as_millis());
        for (sql, latest) in [
            (
                "UPDATE uploads SET last_active_at = min(last_active_at, ?1), started_at = min(started_at, ?1)
                  WHERE last_active_at > ?1 OR started_at > ?1",
                now,
            ),
            ("UPDATE manifest_ties SET untagged_since = ?1 WHERE untagged_since > ?1", now),
            ("UPDATE strays SET first_seen = ?1 WHERE first_seen > ?1", now),
            ("UPDATE tokens SET expires_at = expires_at - (created_at - ?1), created_at = ?1 WHERE created_at > ?1", now),
            ("UPDATE tokens SET last_used_at = ?1 WHERE last_used_at > ?1", now),
            ("UPDATE repository_blobs SET kept_until = ?1 WHERE kept_until > ?1", kept_until),
            ("UPDATE manifest_ties SET kept_until = ?1 WHERE kept_until > ?1", kept_until),
            ("UPDATE blobs SET kept_until = ?1 WHERE kept_until > ?1", kept_until),
        ] {
            tx.execute(sql, [latest])?;
        }
        Ok(())
    }

    /// What ran out since the last run stopped gets at least `grace` from now.
    fn give_time(&self, tx: &Connection) -> Result<(), DbError> {
        let Lifetimes { grace, upload_expiry, untagged_after, stray, .. } = self.lifetimes;
        let stopped = self.earlier.stopped;
        let kept = (stopped.as_millis(), self.now.as_millis(), self.now.after(grace).as_millis());
        tx.execute(KEPT_LINKS, kept)?;
        tx.execute(KEPT_BLOBS, kept)?;
        tx.execute(KEPT_TIES, kept)?;
        let lived = |life: Duration| {
            let since = self.now.after(grace).before(life).min(self.now);
            (stopped.before(life).as_millis(), self.now.before(life).as_millis(), since.as_millis())
        };
        tx.execute(KEPT_UPLOADS, lived(upload_expiry))?;
        if let Some(life) = untagged_after {
            tx.execute(KEPT_MANIFESTS, lived(life))?;
        }
        tx.execute(KEPT_STRAYS, lived(stray))?;
        Ok(())
    }
}

const KEPT_LINKS: &str = "UPDATE repository_blobs SET kept_until = ?3
  WHERE reference_count = 0 AND kept_until > ?1 AND kept_until <= ?2";
const KEPT_BLOBS: &str = "UPDATE blobs SET kept_until = ?3
  WHERE link_count = 0 AND kept_until > ?1 AND kept_until <= ?2";
const KEPT_TIES: &str = "UPDATE manifest_ties SET kept_until = ?3
  WHERE kept_until > 0 AND kept_until > ?1 AND kept_until <= ?2";
const KEPT_UPLOADS: &str =
    "UPDATE uploads SET last_active_at = ?3 WHERE last_active_at > ?1 AND last_active_at <= ?2";
/// Children of an index too, which is taken with it or before it: of all that have no tag, once at a start.
const KEPT_MANIFESTS: &str =
    "UPDATE manifest_ties SET untagged_since = ?3 WHERE untagged_since > ?1 AND untagged_since <= ?2";
/// There are as few of them as crashes left.
const KEPT_STRAYS: &str = "UPDATE strays SET first_seen = ?3 WHERE first_seen > ?1 AND first_seen <= ?2";

/// Brings entries of the audit log back whose time is of the future, and keeps what their clock said among their details.
/// Answers how many.
#[derive(Debug, Clone)]
pub struct SettleAudit {
    /// The time.
    pub now: Timestamp,
    /// At most so many.
    pub limit: usize,
}

const SETTLED: &str = "UPDATE audit_log
    SET time = ?1,
        details = CASE WHEN json_valid(details)
                       THEN json_set(details, '$.clock_said', strftime('%Y-%m-%dT%H:%M:%SZ', time / 1000, 'unixepoch'))
                       ELSE details END
  WHERE id IN (SELECT id FROM audit_log WHERE time > ?1 ORDER BY time, id LIMIT ?2)";

impl WriteQuery for SettleAudit {
    type Output = usize;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<usize, DbError> {
        Ok(tx.prepare_cached(SETTLED)?.execute((self.now.as_millis(), self.limit))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::queries::audit::Record;
    use crate::db::queries::audit_pages::{AuditFilter, ListAudit};
    use crate::db::queries::testing::{NOW, database};
    use crate::domain::{Event, EventName, Origin};

    #[test]
    fn entries_of_the_future_count_as_now_and_keep_what_their_clock_said() {
        let db = database();
        let year = Duration::from_secs(365 * 24 * 3600);
        for now in [NOW, NOW.after(year), NOW.after(year + year)] {
            Record { origin: Origin::default(), now, event: Event::new(EventName::Logout), times: 1 }
                .run(&db)
                .unwrap();
        }
        let later = NOW.after(Duration::from_secs(60));
        assert_eq!(FindEarlier.run(&db).unwrap().newest, NOW.after(year + year));
        assert_eq!(SettleAudit { now: later, limit: 9 }.run(&db).unwrap(), 2);
        assert_eq!(FindEarlier.run(&db).unwrap().newest, later);
        let now = later.after(Duration::from_secs(1));
        Record { origin: Origin::default(), now, event: Event::new(EventName::Logout), times: 1 }
            .run(&db)
            .unwrap();
        let list = |since, until| {
            let filter = AuditFilter { since, until, ..AuditFilter::default() };
            let page = ListAudit { filter, limit: 9, ..ListAudit::default() }.run(&db).unwrap();
            let ids = page.entries.into_iter().map(|entry| (entry.id, entry.details));
            ids.collect::<Vec<_>>()
        };
        let ids = |list: Vec<(i64, String)>| list.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(list(None, None)), [4, 3, 2, 1]);
        assert_eq!(ids(list(Some(now), None)), [4]);
        assert_eq!(ids(list(None, Some(now))), [3, 2, 1]);
        let said = NOW.after(year).to_string();
        assert!(
            list(None, None)[2].1.contains(&format!("\"clock_said\":\"{said}\"")),
            "{:?}",
            list(None, None)
        );
    }

    #[test]
    fn what_ran_out_meanwhile_is_found_through_an_index() {
        let db = database();
        for sql in [KEPT_LINKS, KEPT_BLOBS, KEPT_TIES, KEPT_UPLOADS, SETTLED] {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = vec![1_i64; sql.matches("?3").count() + 2];
            let steps = plan.query_map(rusqlite::params_from_iter(values), |row| row.get(3)).unwrap();
            let plan = steps.map(Result::unwrap).collect::<Vec<String>>().join("; ");
            assert!(!plan.contains("SCAN"), "{sql}: {plan}");
        }
    }
}

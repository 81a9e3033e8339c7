//! The audit log: entries in the transaction of the change they record, and their end.

use rusqlite::Connection;

use crate::db::{DbError, Growth, WriteQuery};
use crate::domain::{Event, EventName, Origin, Timestamp, network};

/// A change with the entries that record it, in one transaction.
///
/// `describe` makes the entries from what the change answered, so that nothing is recorded that did not happen.
#[derive(Clone)]
pub struct Audited<Q, F> {
    /// The change.
    pub query: Q,
    /// Who asked for it.
    pub origin: Origin,
    /// The time.
    pub now: Timestamp,
    /// Says what happened.
    pub describe: F,
}

impl<Q, F> WriteQuery for Audited<Q, F>
where
    Q: WriteQuery,
    F: FnOnce(&Q::Output) -> Vec<Event> + Clone + Send + 'static,
{
    type Output = Q::Output;
    type Error = Q::Error;

    fn growth(&self) -> Growth {
        self.query.growth()
    }

    fn run(self, tx: &Connection) -> Result<Self::Output, Self::Error> {
        let output = self.query.run(tx)?;
        for event in (self.describe)(&output) {
            insert(tx, &self.origin, self.now, &event)?;
        }
        Ok(output)
    }
}

/// Records what is no change of the registry's content, accounts or rules: a login, a denial, a pull.
///
/// What anybody can cause (`EventName::is_folded`) is one entry for each principal, network, minute and deciding rule: the
/// first of them, with a count. So an address leaves a bounded number of entries a minute, whatever it tries.
#[derive(Debug, Clone)]
pub struct Record {
    /// Who.
    pub origin: Origin,
    /// The time.
    pub now: Timestamp,
    /// What.
    pub event: Event,
    /// How often.
    pub times: u64,
}

impl WriteQuery for Record {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        // Logins, logouts and the end of a sweep go on to the end, and this belongs to them.
        match self.event.name {
            EventName::LoginOk | EventName::Logout | EventName::GcStopped => Growth::Keeps,
            _ => Growth::Adds,
        }
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        let Self { origin, now, event, times } = self;
        if !event.name.is_folded() {
            return insert(tx, &origin, now, &event);
        }
        let key = fold(&origin, now, &event);
        let counted = tx
            .prepare_cached("UPDATE audit_log SET count = count + ?2 WHERE fold = ?1")?
            .execute((&key, times))?;
        if counted == 0 {
            insert(tx, &origin, now, &event)?;
            tx.prepare_cached("UPDATE audit_log SET fold = ?2, count = ?3 WHERE id = ?1")?.execute((
                tx.last_insert_rowid(),
                key,
                times,
            ))?;
        }
        Ok(())
    }
}

/// What makes two entries one.
fn fold(origin: &Origin, now: Timestamp, event: &Event) -> String {
    let place = origin.address.parse().map_or_else(|_| String::new(), |address| network(address).to_string());
    let minute = now.as_millis().div_euclid(60_000);
    let Origin { actor_id, actor_name, .. } = origin;
    serde_json::json!([minute, event.name.as_str(), actor_id, actor_name, place, event.details["rule"]])
        .to_string()
}

pub(crate) fn insert(tx: &Connection, origin: &Origin, now: Timestamp, event: &Event) -> Result<(), DbError> {
    tx.prepare_cached(
        "INSERT INTO audit_log (time, event, actor_id, actor_name, repository, digest, tag, address, request_id, details)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        now.as_millis(),
        event.name.as_str(),
        &origin.actor_id,
        &origin.actor_name,
        &event.repository,
        &event.digest,
        &event.tag,
        &origin.address,
        &origin.request_id,
        event.details.to_string(),
    ))?;
    Ok(())
}

const PURGED: &str = "DELETE FROM audit_log WHERE id IN
    (SELECT id FROM audit_log WHERE time < ?1 ORDER BY time, id LIMIT ?2)";

/// Forgets entries from before `before`, the oldest first. Answers how many.
#[derive(Debug, Clone)]
pub struct PurgeAudit {
    /// Older than this.
    pub before: Timestamp,
    /// At most so many.
    pub limit: usize,
}

impl WriteQuery for PurgeAudit {
    type Output = usize;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<usize, DbError> {
        let purged = tx.prepare_cached(PURGED)?.execute((self.before.as_millis(), self.limit))?;
        Ok(purged)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::db::ReadQuery;
    use crate::db::queries::audit_pages::{AuditEntry, ListAudit};
    use crate::db::queries::testing::{NOW, database};

    fn origin(actor: &str) -> Origin {
        Origin { actor_id: actor.to_owned(), actor_name: actor.to_owned(), ..Origin::default() }
    }

    fn record(db: &Connection, actor: &str, name: EventName, repository: &str, second: u64) {
        let event = Event { repository: repository.to_owned(), ..Event::new(name) };
        let now = NOW.after(Duration::from_secs(second));
        Record { origin: origin(actor), now, event, times: 1 }.run(db).unwrap();
    }

    fn all(db: &Connection) -> (Vec<AuditEntry>, u64) {
        let page = ListAudit { limit: 99, counts: true, ..ListAudit::default() }.run(db).unwrap();
        (page.entries, page.total.unwrap())
    }

    #[test]
    fn old_entries_are_forgotten_oldest_first() {
        let db = database();
        for second in 0..5 {
            record(&db, "ada", EventName::Logout, "", second);
        }
        let purged = PurgeAudit { before: NOW.after(Duration::from_secs(3)), limit: 2 }.run(&db).unwrap();
        assert_eq!(purged, 2);
        let (entries, total) = all(&db);
        assert_eq!((entries.len(), total, entries[2].id), (3, 3, 3));
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {PURGED}")).unwrap();
        let steps = plan.query_map((1, 1), |row| row.get(3)).unwrap();
        let plan = steps.map(Result::unwrap).collect::<Vec<String>>().join("; ");
        assert!(plan.contains("audit_log_by_time") && !plan.contains("SCAN audit_log"), "{plan}");
    }

    #[test]
    fn what_anybody_can_cause_is_one_entry_a_minute_for_each_of_them() {
        let db = database();
        let attempt = |name: EventName, actor: &str, address: String, rule: i64, second: u64| {
            let origin = Origin { address, ..origin(actor) };
            let event = Event::new(name).with(serde_json::json!({"rule": rule}));
            let now = Timestamp::from_millis(60_000_000).after(Duration::from_secs(second));
            Record { origin, now, event, times: 1 }.run(&db).unwrap();
        };
        let kinds: Vec<EventName> = EventName::ALL.iter().copied().filter(|name| name.is_folded()).collect();
        for name in &kinds {
            for index in 0..100u64 {
                let (actor, rule) = (["ada", "bob"][usize::from(index % 2 == 1)], i64::from(index % 4 == 0));
                attempt(*name, actor, format!("2001:db8::{index:x}"), rule, index);
            }
            attempt(*name, "ada", "2001:db8:0:1::1".to_owned(), 0, 0);
        }
        let (entries, total) = all(&db);
        // Two minutes of three pairs of actor and rule, and one from elsewhere.
        assert_eq!((entries.len(), total), (kinds.len() * 7, kinds.len() as u64 * 7));
        assert_eq!(entries.iter().map(|entry| entry.count).sum::<u64>(), kinds.len() as u64 * 101);
        for pulled in 0..3 {
            record(&db, "ada", EventName::ManifestPulled, "a", pulled);
        }
        let (_, total) = all(&db);
        assert_eq!(total, kinds.len() as u64 * 7 + 3);
    }
}

//! The audit log: entries in the transaction of the change they record, and their listing.

use rusqlite::types::Value as Parameter;
use rusqlite::{Connection, Row, params_from_iter};

use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
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

/// One entry.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Its number, rising.
    pub id: i64,
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: String,
    /// Who, by id.
    pub actor_id: String,
    /// Who, by name.
    pub actor_name: String,
    /// Where; empty when it was about none.
    pub repository: String,
    /// About which content.
    pub digest: String,
    /// About which tag.
    pub tag: String,
    /// From which address.
    pub address: String,
    /// In which request.
    pub request_id: String,
    /// More, a JSON object.
    pub details: String,
    /// How often, within a minute of the first.
    pub count: u64,
}

/// An entry's place in the list: its time, then its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditCursor {
    /// The entry's time.
    pub time: Timestamp,
    /// The entry's number.
    pub id: i64,
}

impl std::fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.time.as_millis(), self.id)
    }
}

impl std::str::FromStr for AuditCursor {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (time, id) = text.rsplit_once('-').unwrap_or((text, ""));
        Ok(Self { time: Timestamp::from_millis(time.parse()?), id: id.parse()? })
    }
}

/// Entries, newest first: by their time, then their number.
#[derive(Debug, Clone, Default)]
pub struct ListAudit {
    /// Only this event.
    pub event: Option<String>,
    /// Only this actor, by id.
    pub actor_id: Option<String>,
    /// Only this repository.
    pub repository: Option<String>,
    /// Only at or after this.
    pub since: Option<Timestamp>,
    /// Only before this.
    pub until: Option<Timestamp>,
    /// Only what comes after this one in the list.
    pub after: Option<AuditCursor>,
    /// Entries to pass over.
    pub offset: usize,
    /// Most entries.
    pub limit: usize,
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.get(0)?,
        time: Timestamp::from_millis(row.get(1)?),
        event: row.get(2)?,
        actor_id: row.get(3)?,
        actor_name: row.get(4)?,
        repository: row.get(5)?,
        digest: row.get(6)?,
        tag: row.get(7)?,
        address: row.get(8)?,
        request_id: row.get(9)?,
        details: row.get(10)?,
        count: row.get(11)?,
    })
}

impl ListAudit {
    /// The conditions and their values. One index serves, and has the order of the list: that of the rarest text, since the
    /// entries of a common one are too many to look through for those that have the others, too.
    fn conditions(&self, db: &Connection) -> Result<(String, Vec<Parameter>), DbError> {
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        let texts = [("event", &self.event), ("actor_id", &self.actor_id), ("repository", &self.repository)];
        let mut given: Vec<(&str, &String)> =
            texts.into_iter().filter_map(|(column, value)| Some((column, value.as_ref()?))).collect();
        if given.len() > 1 {
            let counted = given.into_iter().map(|text| Ok((entries_with(db, text)?, text)));
            let mut counted = counted.collect::<Result<Vec<_>, DbError>>()?;
            counted.sort_by_key(|(count, _)| *count);
            given = counted.into_iter().map(|(_, text)| text).collect();
        }
        for (column, value) in given {
            // A plus keeps SQLite from using the index of a column.
            let plus = if conditions.is_empty() { "" } else { "+" };
            values.push(Parameter::from(value.clone()));
            conditions.push(format!("{plus}{column} = ?{}", values.len()));
        }
        for (bound, comparison) in [(self.since, ">="), (self.until, "<")] {
            if let Some(bound) = bound {
                values.push(Parameter::from(bound.as_millis()));
                conditions.push(format!("time {comparison} ?{}", values.len()));
            }
        }
        if let Some(AuditCursor { time, id }) = self.after {
            values.extend([Parameter::from(time.as_millis()), Parameter::from(id)]);
            conditions.push(format!("(time, id) < (?{}, ?{})", values.len() - 1, values.len()));
        }
        let clause =
            if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        Ok((clause, values))
    }

    /// The statement that lists; its plan is held by a test.
    fn sql(clause: &str, values: usize) -> String {
        format!(
            "SELECT id, time, event, actor_id, actor_name, repository, digest, tag, address, request_id, details, count
               FROM audit_log {clause} ORDER BY time DESC, id DESC LIMIT ?{} OFFSET ?{}",
            values + 1,
            values + 2
        )
    }
}

const PURGED: &str = "DELETE FROM audit_log WHERE id IN
    (SELECT id FROM audit_log WHERE time < ?1 ORDER BY time, id LIMIT ?2)";

/// How many entries have this text in this column, counted no further than [`COUNTED`].
fn entries_with(db: &Connection, (column, value): (&str, &String)) -> Result<i64, DbError> {
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM audit_log WHERE {column} = ?1 LIMIT {COUNTED})");
    Ok(db.prepare_cached(&sql)?.query_row([value], |row| row.get(0))?)
}

/// Totals beyond this are not counted out when filters are combined.
const COUNTED: i64 = 10_000;

impl ReadQuery for ListAudit {
    type Output = (Vec<AuditEntry>, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let (clause, mut values) = self.conditions(db)?;
        let total = match (&self.event, clause.matches('?').count()) {
            (_, 0) => db
                .prepare_cached("SELECT coalesce(sum(count), 0) FROM audit_counts")?
                .query_row([], |row| row.get(0))?,
            (Some(event), 1) => db
                .prepare_cached("SELECT coalesce(sum(count), 0) FROM audit_counts WHERE event = ?1")?
                .query_row([event], |row| row.get(0))?,
            _ => db
                .prepare_cached(&format!(
                    "SELECT count(*) FROM (SELECT 1 FROM audit_log {clause} LIMIT {COUNTED})"
                ))?
                .query_row(params_from_iter(&values), |row| row.get(0))?,
        };
        let sql = Self::sql(&clause, values.len());
        let page = [self.limit, self.offset].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        values.extend(page.map(Parameter::from));
        let mut statement = db.prepare_cached(&sql)?;
        let entries = statement.query_map(params_from_iter(&values), entry)?.collect::<Result<_, _>>()?;
        Ok((entries, total))
    }
}

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
    use crate::db::queries::testing::{NOW, database};

    fn origin(actor: &str) -> Origin {
        Origin { actor_id: actor.to_owned(), actor_name: actor.to_owned(), ..Origin::default() }
    }

    fn record(db: &Connection, actor: &str, name: EventName, repository: &str, second: u64) {
        let event = Event { repository: repository.to_owned(), ..Event::new(name) };
        let now = NOW.after(Duration::from_secs(second));
        Record { origin: origin(actor), now, event, times: 1 }.run(db).unwrap();
    }

    #[test]
    fn entries_are_listed_newest_first_by_every_filter() {
        let db = database();
        record(&db, "ada", EventName::Logout, "", 0);
        record(&db, "ada", EventName::ManifestPushed, "a", 1);
        record(&db, "bob", EventName::ManifestPushed, "b", 2);
        let list = |filter: ListAudit| {
            let (entries, total) = ListAudit { limit: 9, ..filter }.run(&db).unwrap();
            assert_eq!(entries.len() as u64, total);
            entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(list(ListAudit::default()), [3, 2, 1]);
        assert_eq!(list(ListAudit { event: text("manifest_pushed"), ..ListAudit::default() }), [3, 2]);
        assert_eq!(list(ListAudit { actor_id: text("ada"), ..ListAudit::default() }), [2, 1]);
        assert_eq!(list(ListAudit { repository: text("b"), ..ListAudit::default() }), [3]);
        let second = |seconds| Some(NOW.after(Duration::from_secs(seconds)));
        assert_eq!(list(ListAudit { since: second(1), ..ListAudit::default() }), [3, 2]);
        assert_eq!(list(ListAudit { until: second(1), ..ListAudit::default() }), [1]);
        assert_eq!(list(ListAudit { since: second(9), ..ListAudit::default() }), Vec::<i64>::new());
    }

    /// How SQLite will run it.
    fn plan(db: &Connection, sql: &str, values: &[Parameter]) -> String {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
        steps.map(Result::unwrap).collect::<Vec<String>>().join("; ")
    }

    #[test]
    fn the_rarest_of_several_filters_leads() {
        let db = database();
        for second in 0..20 {
            record(&db, "ci", EventName::BlobUploaded, "busy", second);
            record(&db, &format!("person-{second}"), EventName::Logout, "", second);
        }
        record(&db, "ci", EventName::TagDeleted, "busy", 20);
        record(&db, "ada", EventName::BlobUploaded, "busy", 21);
        for (event, actor, index) in
            [("tag_deleted", "ci", "audit_log_by_event"), ("blob_uploaded", "ada", "audit_log_by_actor")]
        {
            let filter = ListAudit {
                event: Some(event.to_owned()),
                actor_id: Some(actor.to_owned()),
                repository: Some("busy".to_owned()),
                limit: 9,
                ..ListAudit::default()
            };
            let (clause, mut values) = filter.conditions(&db).unwrap();
            let sql = ListAudit::sql(&clause, values.len());
            values.extend([Parameter::from(1), Parameter::from(0)]);
            let plan = plan(&db, &sql, &values);
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
            let (entries, total) = filter.run(&db).unwrap();
            assert_eq!((entries.len(), total, entries[0].actor_id.as_str()), (1, 1, actor));
        }
    }

    #[test]
    fn no_filter_scans_the_log() {
        let db = database();
        let some = || Some(String::from("x"));
        for index in 0..64 {
            let bit = |bit: u32| index >> bit & 1 == 1;
            let filter = ListAudit {
                event: some().filter(|_| bit(0)),
                actor_id: some().filter(|_| bit(1)),
                repository: some().filter(|_| bit(2)),
                since: Some(NOW).filter(|_| bit(3)),
                until: Some(NOW).filter(|_| bit(4)),
                after: Some(AuditCursor { time: NOW, id: 1 }).filter(|_| bit(5)),
                ..ListAudit::default()
            };
            let (clause, mut values) = filter.conditions(&db).unwrap();
            let sql = ListAudit::sql(&clause, values.len());
            values.extend([Parameter::from(1), Parameter::from(0)]);
            let plan = plan(&db, &sql, &values);
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
            assert!(index == 0 || plan.starts_with("SEARCH"), "{sql}: {plan}");
        }
        let purge = plan(&db, PURGED, &[Parameter::from(1), Parameter::from(1)]);
        assert!(purge.contains("audit_log_by_time") && !purge.contains("SCAN audit_log"), "{purge}");
    }

    #[test]
    fn the_order_is_that_of_times_and_no_entry_is_passed_over_between_pages() {
        let db = database();
        for second in [5, 3, 3, 9, 3, 0, 9] {
            record(&db, "ada", EventName::Logout, "", second);
        }
        let (mut after, mut ids) = (None, Vec::new());
        loop {
            let page = ListAudit { after, limit: 2, ..ListAudit::default() }.run(&db).unwrap().0;
            let Some(last) = page.last() else { break };
            let cursor = AuditCursor { time: last.time, id: last.id };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
            after = Some(cursor);
            ids.extend(page.into_iter().map(|entry| entry.id));
            // What is recorded meanwhile moves no page.
            record(&db, "bob", EventName::Logout, "", 9);
        }
        assert_eq!(ids, [7, 4, 1, 5, 3, 2, 6]);
    }

    #[test]
    fn old_entries_are_forgotten_oldest_first() {
        let db = database();
        for second in 0..5 {
            record(&db, "ada", EventName::Logout, "", second);
        }
        let purged = PurgeAudit { before: NOW.after(Duration::from_secs(3)), limit: 2 }.run(&db).unwrap();
        assert_eq!(purged, 2);
        let (entries, total) = ListAudit { limit: 9, ..ListAudit::default() }.run(&db).unwrap();
        assert_eq!((entries.len(), total, entries[2].id), (3, 3, 3));
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
        let (entries, total) = ListAudit { limit: 99, ..ListAudit::default() }.run(&db).unwrap();
        // Two minutes of three pairs of actor and rule, and one from elsewhere.
        assert_eq!((entries.len(), total), (kinds.len() * 7, kinds.len() as u64 * 7));
        assert_eq!(entries.iter().map(|entry| entry.count).sum::<u64>(), kinds.len() as u64 * 101);
        for pulled in 0..3 {
            record(&db, "ada", EventName::ManifestPulled, "a", pulled);
        }
        let (_, total) = ListAudit { limit: 99, ..ListAudit::default() }.run(&db).unwrap();
        assert_eq!(total, kinds.len() as u64 * 7 + 3);
    }
}

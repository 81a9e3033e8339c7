//! The audit log as administrators look for what happened: by what an entry says, newest first or as it came, page by page.
//!
//! One filter has the page's rows by an index in the order of the list: that of the rarest text. What the others ask is looked at row by
//! row, so a page can end before it is full, and says where the next one begins.

use rusqlite::types::Value as Parameter;
use rusqlite::{Connection, Row, params_from_iter};

use crate::db::{DbError, ReadQuery};
use crate::domain::Timestamp;

/// Most entries looked at for one page, whether they are of it or not.
pub const EXAMINED: usize = 10_000;
/// Totals beyond this are not counted out, but for those of events alone.
const COUNTED: i64 = 10_000;

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

/// Where a page begins, and in which direction it goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuditPlace {
    /// Newest first, from the newest on.
    #[default]
    Newest,
    /// Newest first: what comes after this entry in the list.
    Before(AuditCursor),
    /// As they came: those with higher numbers than this.
    After(i64),
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only these events; all when there are none.
    pub events: Vec<String>,
    /// Only this actor, by id.
    pub actor_id: Option<String>,
    /// Only this actor, by name.
    pub actor_name: Option<String>,
    /// Only this repository.
    pub repository: Option<String>,
    /// Only this content.
    pub digest: Option<String>,
    /// Only this tag.
    pub tag: Option<String>,
    /// Only from this address.
    pub address: Option<String>,
    /// Only at or after this.
    pub since: Option<Timestamp>,
    /// Only before this.
    pub until: Option<Timestamp>,
}

/// A column, and the texts of which it has one.
type Texts<'a> = (&'static str, &'a [String]);

impl AuditFilter {
    /// What is asked of the texts of an entry, one column after the other.
    fn texts(&self) -> Vec<Texts<'_>> {
        fn one(text: &Option<String>) -> &[String] {
            text.as_ref().map(std::slice::from_ref).unwrap_or_default()
        }
        let columns = [
            ("event", self.events.as_slice()),
            ("actor_id", one(&self.actor_id)),
            ("actor_name", one(&self.actor_name)),
            ("repository", one(&self.repository)),
            ("digest", one(&self.digest)),
            ("tag", one(&self.tag)),
            ("address", one(&self.address)),
        ];
        columns.into_iter().filter(|(_, texts)| !texts.is_empty()).collect()
    }

    /// That of the rarest texts: the entries of a common one are too many to look through for those that have the others, too.
    fn leading<'a>(&self, db: &Connection, texts: &[Texts<'a>]) -> Result<Option<Texts<'a>>, DbError> {
        let [_, _, ..] = texts else { return Ok(texts.first().copied()) };
        let mut counted = Vec::with_capacity(texts.len());
        for text in texts {
            counted.push((entries_with(db, *text)?, *text));
        }
        Ok(counted.into_iter().min_by_key(|(count, _)| *count).map(|(_, text)| text))
    }

    /// Whether the entry of this row is wanted.
    fn matches(&self, texts: &[Texts<'_>], row: &Row<'_>) -> Result<bool, DbError> {
        let time = Timestamp::from_millis(row.get(1)?);
        if self.since.is_some_and(|since| time < since) || self.until.is_some_and(|until| time >= until) {
            return Ok(false);
        }
        for (column, wanted) in texts {
            let found = row.get_ref(*column)?.as_str().map_err(rusqlite::Error::from)?;
            if !wanted.iter().any(|text| text == found) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds the bounds of time.
    fn bound(&self, conditions: &mut Vec<String>, values: &mut Vec<Parameter>) {
        for (bound, comparison) in [(self.since, ">="), (self.until, "<")] {
            if let Some(bound) = bound {
                values.push(Parameter::from(bound.as_millis()));
                conditions.push(format!("time {comparison} ?{}", values.len()));
            }
        }
    }
}

/// That a column has this text. An index leaves out the entries without one, and is used where that is said.
fn has(column: &str, text: &str, values: &mut Vec<Parameter>) -> String {
    values.push(Parameter::from(text.to_owned()));
    match column {
        "digest" => {
            let value = values.len();
            format!("substr(digest, 1, 19) = substr(?{value}, 1, 19) AND digest = ?{value} AND digest <> ''")
        }
        "tag" | "address" => format!("{column} = ?{} AND {column} <> ''", values.len()),
        _ => format!("{column} = ?{}", values.len()),
    }
}

/// How many entries have these texts in this column, counted no further than [`COUNTED`] for each.
fn entries_with(db: &Connection, (column, texts): Texts<'_>) -> Result<i64, DbError> {
    let mut count: i64 = 0;
    for text in texts {
        let mut values = Vec::new();
        let has = has(column, text, &mut values);
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM audit_log WHERE {has} LIMIT {COUNTED})");
        count += db.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get::<_, i64>(0))?;
    }
    Ok(count)
}

/// A page of the entries that are wanted.
#[derive(Debug, Clone)]
pub struct ListAudit {
    /// Which entries.
    pub filter: AuditFilter,
    /// Where the page begins.
    pub place: AuditPlace,
    /// Entries to pass over.
    pub offset: usize,
    /// Most entries.
    pub limit: usize,
    /// Most entries looked at.
    pub examined: usize,
    /// Whether they are counted.
    pub counts: bool,
    /// The column that leads, as an earlier page found.
    pub leading: Option<&'static str>,
}

impl Default for ListAudit {
    fn default() -> Self {
        let (filter, place) = (AuditFilter::default(), AuditPlace::default());
        Self { filter, place, offset: 0, limit: 0, examined: EXAMINED, counts: false, leading: None }
    }
}

/// A page of the audit log.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The entries; fewer than were asked for, or none, where many were passed over.
    pub entries: Vec<AuditEntry>,
    /// How many there are, where that was asked; of more than are counted, or looked at, at least so many.
    pub total: Option<u64>,
    /// Where the next page begins, unless this was the last.
    pub next: Option<AuditPlace>,
    /// The number of the last entry that was looked at; none when there was none.
    pub seen: Option<i64>,
    /// The column that leads.
    pub leading: Option<&'static str>,
}

/// A statement with its values.
type Statement = (String, Vec<Parameter>);

const COLUMNS: &str =
    "id, time, event, actor_id, actor_name, repository, digest, tag, address, request_id, details, count";

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

fn number(number: usize) -> Parameter {
    Parameter::from(i64::try_from(number).unwrap_or(i64::MAX))
}

fn clause(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
}

impl ListAudit {
    /// The rows to look at, in their order, and how many of them SQLite passes over by itself; their plan is held by a test. Several
    /// texts of the leading column are as many walks along its index, which SQLite merges as they go.
    fn rows(&self, leading: Option<Texts<'_>>, skip: usize) -> Statement {
        let mut values = Vec::new();
        if let AuditPlace::After(id) = self.place {
            values.extend([Parameter::from(id), number(self.examined.saturating_add(1)), number(skip)]);
            let rows =
                format!("SELECT {COLUMNS} FROM audit_log WHERE id > ?1 ORDER BY id LIMIT ?2 OFFSET ?3");
            return (rows, values);
        }
        let (column, texts) = leading.unwrap_or(("", &[]));
        let mut walk = |text: Option<&String>| {
            let mut conditions = Vec::new();
            conditions.extend(text.map(|text| has(column, text, &mut values)));
            self.filter.bound(&mut conditions, &mut values);
            if let AuditPlace::Before(AuditCursor { time, id }) = self.place {
                values.extend([Parameter::from(time.as_millis()), Parameter::from(id)]);
                conditions.push(format!("(time, id) < (?{}, ?{})", values.len() - 1, values.len()));
            }
            format!("SELECT {COLUMNS} FROM audit_log {}", clause(&conditions))
        };
        let walks: Vec<String> = match texts {
            [] => vec![walk(None)],
            texts => texts.iter().map(|text| walk(Some(text))).collect(),
        };
        values.extend([number(self.examined.saturating_add(1)), number(skip)]);
        let (limit, offset) = (values.len() - 1, values.len());
        let walks = walks.join(" UNION ALL ");
        (format!("{walks} ORDER BY time DESC, id DESC LIMIT ?{limit} OFFSET ?{offset}"), values)
    }

    /// Looks through the rows until the page is full, or as many were looked at as may be.
    fn find(
        &self,
        db: &Connection,
        texts: &[Texts<'_>],
        leading: Option<Texts<'_>>,
    ) -> Result<AuditPage, DbError> {
        // Where each row is of the list, SQLite passes over them faster.
        let is_exact = texts.len() < 2 && !matches!(self.place, AuditPlace::After(_));
        let (skipped, mut left) = if is_exact { (self.offset, 0) } else { (0, self.offset) };
        let (sql, values) = self.rows(leading, skipped);
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut page = AuditPage { entries: Vec::new(), total: None, next: None, seen: None, leading: None };
        let mut last = None;
        for _ in 0..self.examined {
            let Some(row) = rows.next()? else { return Ok(page) };
            if self.filter.matches(texts, row)? {
                if left == 0 && page.entries.len() == self.limit {
                    page.next = last;
                    return Ok(page);
                }
                match left {
                    0 => page.entries.push(entry(row)?),
                    _ => left -= 1,
                }
            }
            let place = AuditCursor { time: Timestamp::from_millis(row.get(1)?), id: row.get(0)? };
            page.seen = Some(place.id);
            last = Some(match self.place {
                AuditPlace::After(_) => AuditPlace::After(place.id),
                _ => AuditPlace::Before(place),
            });
        }
        let more = rows.next()?.is_some();
        page.next = last.filter(|_| more);
        Ok(page)
    }

    fn count(
        &self,
        db: &Connection,
        texts: &[Texts<'_>],
        leading: Option<Texts<'_>>,
    ) -> Result<u64, DbError> {
        let AuditFilter { events, since, until, .. } = &self.filter;
        let is_timed = since.is_some() || until.is_some();
        if !is_timed && texts.iter().all(|(column, _)| *column == "event") {
            let some = if events.is_empty() { "" } else { "WHERE event = ?1" };
            let sql = format!("SELECT coalesce(sum(count), 0) FROM audit_counts {some}");
            let mut statement = db.prepare_cached(&sql)?;
            if events.is_empty() {
                return Ok(statement.query_row([], |row| row.get(0))?);
            }
            let mut total = 0;
            for event in events {
                total += statement.query_row([event], |row| row.get::<_, u64>(0))?;
            }
            return Ok(total);
        }
        let (sql, values) = self.counted(texts, leading);
        Ok(db.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?)
    }

    /// Counts those that are wanted among those that may be looked at.
    fn counted(&self, texts: &[Texts<'_>], leading: Option<Texts<'_>>) -> Statement {
        let (mut values, mut conditions, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for text in texts {
            let any: Vec<String> =
                text.1.iter().map(|wanted| format!("({})", has(text.0, wanted, &mut values))).collect();
            let any = format!("({})", any.join(" OR "));
            if Some(*text) == leading { conditions.push(any) } else { rest.push(any) }
        }
        self.filter.bound(&mut conditions, &mut values);
        values.push(number(self.examined));
        let looked_at = format!(
            "SELECT event, actor_id, actor_name, repository, digest, tag, address FROM audit_log {} LIMIT ?{}",
            clause(&conditions),
            values.len()
        );
        let sql =
            format!("SELECT count(*) FROM (SELECT 1 FROM ({looked_at}) {} LIMIT {COUNTED})", clause(&rest));
        (sql, values)
    }
}

impl ReadQuery for ListAudit {
    type Output = AuditPage;

    fn run(self, db: &Connection) -> Result<AuditPage, DbError> {
        let texts = self.filter.texts();
        let leading = match self.place {
            AuditPlace::After(_) => None,
            _ => match texts.iter().find(|(column, _)| Some(*column) == self.leading) {
                Some(known) => Some(*known),
                None => self.filter.leading(db, &texts)?,
            },
        };
        let mut page = self.find(db, &texts, leading)?;
        page.leading = leading.map(|(column, _)| column);
        if self.counts {
            page.total = Some(self.count(db, &texts, leading)?);
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests;

//! Past sweeps: their reports, and what the last dry run found.

use rusqlite::{Connection, OptionalExtension};

use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::Timestamp;

/// Reports that are kept.
const KEPT: usize = 1000;

/// Remembers that a sweep began, and answers its number.
#[derive(Debug, Clone)]
pub struct InsertSweep {
    /// When.
    pub started_at: Timestamp,
    /// The report so far, JSON.
    pub report: String,
}

impl WriteQuery for InsertSweep {
    type Output = i64;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<i64, DbError> {
        tx.prepare_cached("INSERT INTO sweeps (started_at, report) VALUES (?1, ?2)")?
            .execute((self.started_at.as_millis(), self.report))?;
        let id = tx.last_insert_rowid();
        tx.prepare_cached(
            "DELETE FROM sweeps WHERE id <= (SELECT id FROM sweeps ORDER BY id DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([KEPT])?;
        Ok(id)
    }
}

/// Keeps the report of a sweep that ended.
#[derive(Debug, Clone)]
pub struct FinishSweep {
    /// Which.
    pub id: i64,
    /// When.
    pub finished_at: Timestamp,
    /// The report, JSON.
    pub report: String,
}

impl WriteQuery for FinishSweep {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        tx.prepare_cached("UPDATE sweeps SET finished_at = ?2, report = ?3 WHERE id = ?1")?.execute((
            self.id,
            self.finished_at.as_millis(),
            self.report,
        ))?;
        Ok(())
    }
}

/// A sweep's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepRow {
    /// Its number, rising.
    pub id: i64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; nothing while it runs, or when the program ended first.
    pub finished_at: Option<Timestamp>,
    /// Its report, JSON.
    pub report: String,
}

/// Past sweeps, the newest first, and how many there are.
#[derive(Debug)]
pub struct ListSweeps {
    /// Sweeps to pass over.
    pub offset: usize,
    /// Most sweeps.
    pub limit: usize,
}

impl ReadQuery for ListSweeps {
    type Output = (Vec<SweepRow>, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let total = db.prepare_cached("SELECT count(*) FROM sweeps")?.query_row([], |row| row.get(0))?;
        let mut statement = db.prepare_cached(
            "SELECT id, started_at, finished_at, report FROM sweeps ORDER BY id DESC LIMIT ?1 OFFSET ?2",
        )?;
        let rows = statement.query_map((self.limit, self.offset), |row| {
            Ok(SweepRow {
                id: row.get(0)?,
                started_at: Timestamp::from_millis(row.get(1)?),
                finished_at: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
                report: row.get(3)?,
            })
        })?;
        Ok((rows.collect::<Result<_, _>>()?, total))
    }
}

/// The kind of a file without a row that would go.
pub const STRAY: &str = "stray";
/// The kind of one that stays for now.
pub const WAITING_STRAY: &str = "waiting_stray";

/// Something that a sweep would take, or a file without a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// `manifest`, `blob`, `upload`, `stray` or `waiting_stray`.
    pub kind: &'static str,
    /// Where it is, or was last; empty for a stray file.
    pub repository: String,
    /// Its digest, or the upload's id.
    pub name: String,
    /// What it would free, in bytes.
    pub bytes: u64,
}

impl Item {
    /// A file without a row stays for now; anything else goes.
    pub fn stays(&mut self) {
        if self.kind == STRAY {
            self.kind = WAITING_STRAY;
        }
    }
}

/// Keeps some of what a dry run found.
#[derive(Debug, Clone)]
pub struct SaveItems {
    /// The dry run.
    pub sweep: i64,
    /// The number of the first.
    pub first: usize,
    /// What was found.
    pub items: Vec<Item>,
}

impl WriteQuery for SaveItems {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        let mut insert = tx.prepare_cached(
            "INSERT INTO sweep_items (sweep_id, number, kind, repository, name, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (index, item) in self.items.into_iter().enumerate() {
            insert.execute((
                self.sweep,
                self.first + index,
                item.kind,
                item.repository,
                item.name,
                item.bytes,
            ))?;
        }
        Ok(())
    }
}

/// Forgets some of what dry runs before this one found, and says whether there may be more.
#[derive(Debug, Clone)]
pub struct DropItems {
    /// The dry run whose findings stay.
    pub before: i64,
    /// Most findings.
    pub limit: usize,
}

impl WriteQuery for DropItems {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let dropped = tx
            .prepare_cached(
                "DELETE FROM sweep_items WHERE (sweep_id, number) IN
                     (SELECT sweep_id, number FROM sweep_items WHERE sweep_id < ?1 LIMIT ?2)",
            )?
            .execute((self.before, self.limit))?;
        Ok(dropped == self.limit)
    }
}

/// What a dry run found.
#[derive(Debug)]
pub struct ListItems {
    /// The dry run.
    pub sweep: i64,
    /// Findings to pass over.
    pub offset: usize,
    /// Most findings.
    pub limit: usize,
}

/// One finding as it is stored: kind, repository, name, bytes.
pub type StoredItem = (String, String, String, u64);

impl ReadQuery for ListItems {
    type Output = (Vec<StoredItem>, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let total: Option<u64> = db
            .prepare_cached("SELECT max(number) + 1 FROM sweep_items WHERE sweep_id = ?1")?
            .query_row([self.sweep], |row| row.get(0))
            .optional()?
            .flatten();
        let mut statement = db.prepare_cached(
            "SELECT kind, repository, name, bytes FROM sweep_items
              WHERE sweep_id = ?1 AND number >= ?2 ORDER BY number LIMIT ?3",
        )?;
        let items = statement.query_map((self.sweep, self.offset, self.limit), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        Ok((items.collect::<Result<_, _>>()?, total.unwrap_or_default()))
    }
}

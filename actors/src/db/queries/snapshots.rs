//! Snapshots that were asked for, and what became of blobs that one found bad.

use rusqlite::Connection;

use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{Digest, Timestamp};

/// Reports that are kept.
const KEPT: usize = 1000;

/// Remembers that a snapshot began, and answers its number.
#[derive(Debug, Clone)]
pub struct InsertSnapshot {
    /// The name of its directory.
    pub name: String,
    /// When.
    pub started_at: Timestamp,
    /// The report so far, JSON.
    pub report: String,
}

impl WriteQuery for InsertSnapshot {
    type Output = i64;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

    fn run(self, tx: &Connection) -> Result<i64, DbError> {
        tx.prepare_cached("INSERT INTO snapshots (name, started_at, report) VALUES (?1, ?2, ?3)")?
            .execute((self.name, self.started_at.as_millis(), self.report))?;
        let id = tx.last_insert_rowid();
        tx.prepare_cached(
            "DELETE FROM snapshots WHERE id <= (SELECT id FROM snapshots ORDER BY id DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([KEPT])?;
        Ok(id)
    }
}

/// Keeps the report of a snapshot that ended.
#[derive(Debug, Clone)]
pub struct FinishSnapshot {
    /// Which.
    pub id: i64,
    /// When.
    pub finished_at: Timestamp,
    /// The report, JSON.
    pub report: String,
}

impl WriteQuery for FinishSnapshot {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        tx.prepare_cached("UPDATE snapshots SET finished_at = ?2, report = ?3 WHERE id = ?1")?.execute((
            self.id,
            self.finished_at.as_millis(),
            self.report,
        ))?;
        Ok(())
    }
}

/// A snapshot's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Its number, rising.
    pub id: i64,
    /// The name of its directory.
    pub name: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; nothing while it runs, or when the program ended first.
    pub finished_at: Option<Timestamp>,
    /// Its report, JSON.
    pub report: String,
}

/// Snapshots, the newest first, and how many there are.
#[derive(Debug)]
pub struct ListSnapshots {
    /// Snapshots to pass over.
    pub offset: usize,
    /// Most snapshots.
    pub limit: usize,
}

impl ReadQuery for ListSnapshots {
    type Output = (Vec<SnapshotRow>, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let total = db.prepare_cached("SELECT count(*) FROM snapshots")?.query_row([], |row| row.get(0))?;
        let mut statement = db.prepare_cached(
            "SELECT id, name, started_at, finished_at, report FROM snapshots ORDER BY id DESC LIMIT ?1 OFFSET ?2",
        )?;
        let rows = statement.query_map((self.limit, self.offset), |row| {
            Ok(SnapshotRow {
                id: row.get(0)?,
                name: row.get(1)?,
                started_at: Timestamp::from_millis(row.get(2)?),
                finished_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
                report: row.get(4)?,
            })
        })?;
        Ok((rows.collect::<Result<_, _>>()?, total))
    }
}

/// Those of the names that are of snapshots which this registry began.
#[derive(Debug)]
pub struct OwnSnapshots(pub Vec<String>);

impl ReadQuery for OwnSnapshots {
    type Output = Vec<String>;

    fn run(self, db: &Connection) -> Result<Vec<String>, DbError> {
        let mut known = db.prepare_cached("SELECT 1 FROM snapshots WHERE name = ?1")?;
        let mut own = Vec::new();
        for name in self.0 {
            if known.exists([&name])? {
                own.push(name);
            }
        }
        Ok(own)
    }
}

/// Marks a blob as bad: absent to every look-up until it is pushed again. Says whether it was good before.
///
/// The asker holds the digest's reservation and has found the file bad under it, so that no push that was answered
/// with 201 meanwhile is undone.
#[derive(Debug, Clone)]
pub struct MarkBad(pub Digest);

impl WriteQuery for MarkBad {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let marked = tx
            .prepare_cached("UPDATE blobs SET state = 2 WHERE digest = ?1 AND state = 0")?
            .execute([self.0.to_string()])?;
        Ok(marked == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::queries::testing::{NOW, database};
    use crate::domain::Algorithm;

    #[test]
    fn the_newest_comes_first_and_one_without_an_end_shows_it() {
        let db = database();
        let insert = |name: &str| {
            InsertSnapshot { name: name.to_owned(), started_at: NOW, report: "{}".to_owned() }.run(&db)
        };
        let first = insert("a").unwrap();
        FinishSnapshot { id: first, finished_at: NOW, report: "1".to_owned() }.run(&db).unwrap();
        let second = insert("b").unwrap();
        let (rows, total) = ListSnapshots { offset: 0, limit: 10 }.run(&db).unwrap();
        assert_eq!((total, rows[0].id, rows[0].finished_at), (2, second, None));
        assert_eq!(
            (rows[1].name.as_str(), rows[1].finished_at, rows[1].report.as_str()),
            ("a", Some(NOW), "1")
        );
        let names = ["b", "of-another", "a"].map(str::to_owned).to_vec();
        assert_eq!(OwnSnapshots(names).run(&db).unwrap(), ["b", "a"]);
    }

    #[test]
    fn only_a_good_blob_is_marked_bad() {
        let db = database();
        let digest = Digest::of(Algorithm::Sha256, b"layer");
        assert!(!MarkBad(digest).run(&db).unwrap());
        db.execute("INSERT INTO blobs (digest, size, created_at) VALUES (?1, 5, 0)", [digest.to_string()])
            .unwrap();
        assert!(MarkBad(digest).run(&db).unwrap());
        assert!(!MarkBad(digest).run(&db).unwrap());
    }
}

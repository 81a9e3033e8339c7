//! Files without a row: when each was found first, and which may go.

use rusqlite::Connection;

use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{Digest, Timestamp};

/// Notes files that were found without a row; the first time is kept.
#[derive(Debug, Clone)]
pub struct NoteStrays {
    /// Which.
    pub digests: Vec<Digest>,
    /// When the look began.
    pub seen: Timestamp,
    /// The sweep that looks.
    pub sweep: i64,
}

impl WriteQuery for NoteStrays {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        let mut note = tx.prepare_cached(
            "INSERT INTO strays (digest, first_seen, last_sweep) VALUES (?1, ?2, ?3)
             ON CONFLICT (digest) DO UPDATE SET last_sweep = excluded.last_sweep",
        )?;
        for digest in self.digests {
            note.execute((digest.to_string(), self.seen.as_millis(), self.sweep))?;
        }
        Ok(())
    }
}

/// Forgets what was noted and is no stray any more: what this sweep did not find, or what is gone.
#[derive(Debug, Clone)]
pub enum ForgetStrays {
    /// All but those that the sweep with this number found.
    NotFoundBy(i64),
    /// These.
    Gone(Vec<Digest>),
}

impl WriteQuery for ForgetStrays {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        match self {
            Self::NotFoundBy(sweep) => {
                tx.prepare_cached("DELETE FROM strays WHERE last_sweep <> ?1")?.execute([sweep])?;
            }
            Self::Gone(digests) => {
                let mut forget = tx.prepare_cached("DELETE FROM strays WHERE digest = ?1")?;
                for digest in digests {
                    forget.execute([digest.to_string()])?;
                }
            }
        }
        Ok(())
    }
}

/// Those of the digests that were found without a row at this time already, or before.
#[derive(Debug)]
pub struct SeenBefore {
    /// Of these.
    pub digests: Vec<Digest>,
    /// The time.
    pub until: Timestamp,
}

impl ReadQuery for SeenBefore {
    type Output = Vec<Digest>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut seen = db.prepare_cached("SELECT 1 FROM strays WHERE digest = ?1 AND first_seen <= ?2")?;
        let mut before = Vec::new();
        for digest in self.digests {
            if seen.exists((digest.to_string(), self.until.as_millis()))? {
                before.push(digest);
            }
        }
        Ok(before)
    }
}

/// Files that were found without a row at this time already, or before, in the order of their digests.
#[derive(Debug)]
pub struct DueStrays {
    /// The last digest of the page before; empty for the first page.
    pub after: String,
    /// The time.
    pub until: Timestamp,
    /// Most digests.
    pub limit: usize,
}

impl ReadQuery for DueStrays {
    type Output = Vec<Digest>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut due = db.prepare_cached(
            "SELECT digest FROM strays WHERE digest > ?1 AND first_seen <= ?2 ORDER BY digest LIMIT ?3",
        )?;
        let rows = due.query_map((self.after, self.until.as_millis(), self.limit), |row| row.get(0))?;
        rows.map(|digest: rusqlite::Result<String>| crate::db::parse("digest", digest?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::db::queries::testing::{NOW, database};
    use crate::domain::Algorithm;

    #[test]
    fn a_stray_keeps_the_time_of_its_first_look_for_as_long_as_each_look_finds_it() {
        let db = database();
        let [one, two, three] = [b"1", b"2", b"3"].map(|content| Digest::of(Algorithm::Sha256, content));
        let later = NOW.after(Duration::from_secs(60));
        let note = |digests: &[Digest], seen, sweep| {
            NoteStrays { digests: digests.to_vec(), seen, sweep }.run(&db).unwrap();
            ForgetStrays::NotFoundBy(sweep).run(&db).unwrap();
        };
        let due = |until| {
            let mut due = DueStrays { after: String::new(), until, limit: 9 }.run(&db).unwrap();
            due.sort_by_key(|digest| [one, two, three].iter().position(|other| other == digest));
            due
        };
        note(&[one, two], NOW, 1);
        note(&[two, three], later, 2);
        assert_eq!((due(NOW), due(later)), (vec![two], vec![two, three]));
        let seen = SeenBefore { digests: vec![one, two, three], until: NOW };
        assert_eq!(seen.run(&db).unwrap(), [two]);
        // One that was not found once begins anew.
        note(&[one, two], later, 3);
        assert_eq!(due(NOW), [two]);
        ForgetStrays::Gone(vec![two]).run(&db).unwrap();
        assert_eq!(due(later), [one]);
    }
}

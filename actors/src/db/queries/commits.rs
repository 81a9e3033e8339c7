//! A change of nothing that matters.

use rusqlite::Connection;

use crate::db::{DbError, Growth, WriteQuery};

/// Changes a number that nobody reads, so that there is something to commit.
#[derive(Debug, Clone, Copy)]
pub struct TryCommit;

impl WriteQuery for TryCommit {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        let number: i32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        tx.pragma_update(None, "user_version", number.wrapping_add(1))?;
        Ok(())
    }
}

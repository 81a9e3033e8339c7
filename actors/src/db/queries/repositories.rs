//! Repositories: their rows and their listing.

use rusqlite::{Connection, OptionalExtension};

use crate::db::{DbError, ReadQuery};
use crate::domain::{Page, RepositoryName, Timestamp};

/// A repository's row id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RepositoryId(pub(crate) i64);

/// The repository's row, if there is one.
pub(crate) fn find(db: &Connection, name: &RepositoryName) -> Result<Option<RepositoryId>, DbError> {
    let id = db
        .prepare_cached("SELECT id FROM repositories WHERE name = ?1")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()?;
    Ok(id.map(RepositoryId))
}

/// The repository's row; its first push makes it.
pub(crate) fn find_or_create(
    tx: &Connection,
    name: &RepositoryName,
    now: Timestamp,
) -> Result<RepositoryId, DbError> {
    if let Some(id) = find(tx, name)? {
        return Ok(id);
    }
    tx.prepare_cached("INSERT INTO repositories (name, created_at) VALUES (?1, ?2)")?
        .execute((name.as_str(), now.as_millis()))?;
    Ok(RepositoryId(tx.last_insert_rowid()))
}

/// Names of repositories after `after`, in byte order.
#[derive(Debug)]
pub struct ListRepositories {
    /// Where the page begins: names greater than this; empty for the first page.
    pub after: String,
    /// Most names on the page.
    pub limit: usize,
}

impl ReadQuery for ListRepositories {
    type Output = Page<RepositoryName>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut statement =
            db.prepare_cached("SELECT name FROM repositories WHERE name > ?1 ORDER BY name LIMIT ?2")?;
        let names = statement
            .query_map((self.after, self.limit.saturating_add(1)), |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()?;
        let names = names.into_iter().map(|name| crate::db::parse("repository name", name));
        Ok(Page::cut(names.collect::<Result<_, _>>()?, self.limit))
    }
}

/// Whether there is such a repository.
#[derive(Debug)]
pub struct RepositoryExists(pub RepositoryName);

impl ReadQuery for RepositoryExists {
    type Output = bool;

    fn run(self, db: &Connection) -> Result<bool, DbError> {
        Ok(find(db, &self.0)?.is_some())
    }
}

//! Repositories: their rows and their listing.

use rusqlite::{Connection, OptionalExtension};

use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
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

/// The repository's row, and whether it is new: its first push makes it.
pub(crate) fn find_or_create(
    tx: &Connection,
    name: &RepositoryName,
    now: Timestamp,
) -> Result<(RepositoryId, bool), DbError> {
    if let Some(id) = find(tx, name)? {
        return Ok((id, false));
    }
    tx.prepare_cached("INSERT INTO repositories (name, created_at, updated_at) VALUES (?1, ?2, ?2)")?
        .execute((name.as_str(), now.as_millis()))?;
    Ok((RepositoryId(tx.last_insert_rowid()), true))
}

/// Notes that something is pushed to it.
pub(super) fn touch(tx: &Connection, id: RepositoryId, now: Timestamp) -> Result<(), DbError> {
    tx.prepare_cached("UPDATE repositories SET updated_at = ?2 WHERE id = ?1 AND updated_at < ?2")?
        .execute((id.0, now.as_millis()))?;
    Ok(())
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
        let Page { items, more } = Page::cut(names, self.limit);
        let names = items.into_iter().map(|name| crate::db::parse("repository name", name));
        Ok(Page { items: crate::db::readable(names), more })
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

/// A repository with its counts and sizes, which are kept by the transactions that change them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositorySummary {
    /// Its name.
    pub name: RepositoryName,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something was last pushed to it.
    pub updated_at: Timestamp,
    /// Its tags.
    pub tags: u64,
    /// Its manifests.
    pub manifests: u64,
    /// The blobs it shows.
    pub blobs: u64,
    /// Its manifests and all blobs it shows, in bytes.
    pub logical_bytes: u64,
    /// Its manifests and the blobs that no other repository shows, in bytes; nothing for who may not know.
    pub exclusive_bytes: Option<u64>,
}

pub(super) const SUMMARY: &str =
    "name, created_at, tag_count, manifest_count, blob_count, logical_bytes, exclusive_bytes, updated_at";

pub(super) type SummaryColumns = (String, i64, u64, u64, u64, u64, Option<u64>, i64);

pub(super) fn summary_columns(row: &rusqlite::Row<'_>) -> rusqlite::Result<SummaryColumns> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
        row.get(7)?,
    ))
}

pub(super) fn summary(columns: SummaryColumns) -> Result<RepositorySummary, DbError> {
    let (name, created_at, tags, manifests, blobs, logical_bytes, exclusive_bytes, updated_at) = columns;
    let name = crate::db::parse("repository name", name)?;
    let (created_at, updated_at) = (Timestamp::from_millis(created_at), Timestamp::from_millis(updated_at));
    Ok(RepositorySummary {
        name,
        created_at,
        updated_at,
        tags,
        manifests,
        blobs,
        logical_bytes,
        exclusive_bytes,
    })
}

/// Deletes a repository with all in it. Its blobs' rows and files stay for the collector. Says whether it was there.
#[derive(Debug, Clone)]
pub struct DeleteRepository {
    /// Which.
    pub name: RepositoryName,
    /// Until when the bytes of blobs are kept that no other repository shows.
    pub kept_until: Timestamp,
}

impl WriteQuery for DeleteRepository {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let Some(id) = find(tx, &self.name)? else { return Ok(false) };
        tx.prepare_cached(
            "UPDATE repository_blobs SET kept_until = max(kept_until, ?2) WHERE repository_id = ?1",
        )?
        .execute((id.0, self.kept_until.as_millis()))?;
        // What it holds goes first, each by its own delete, so that counts of other repositories follow.
        for sql in [
            "DELETE FROM tags WHERE repository_id = ?1",
            "DELETE FROM manifests WHERE repository_id = ?1",
            "DELETE FROM repository_blobs WHERE repository_id = ?1",
            "DELETE FROM repositories WHERE id = ?1",
        ] {
            tx.prepare_cached(sql)?.execute([id.0])?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;

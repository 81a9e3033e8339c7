//! Tags: their listing and their removal. They are set where manifests are published.

use rusqlite::{Connection, OptionalExtension};

use super::repositories;
use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{Page, RepositoryName, Tag, Timestamp};

/// Tags after `after`, in byte order; `None` when there is no such repository.
#[derive(Debug)]
pub struct ListTags {
    /// Where.
    pub repository: RepositoryName,
    /// Where the page begins: tags greater than this; empty for the first page.
    pub after: String,
    /// Most tags on the page.
    pub limit: usize,
}

impl ReadQuery for ListTags {
    type Output = Option<Page<String>>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let Some(repository) = repositories::find(db, &self.repository)? else { return Ok(None) };
        let mut statement = db.prepare_cached(
            "SELECT name FROM tags WHERE repository_id = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
        )?;
        let tags = statement
            .query_map((repository.0, self.after, self.limit.saturating_add(1)), |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()?;
        Ok(Some(Page::cut(tags, self.limit)))
    }
}

/// Takes a tag away; the manifest stays. Says whether it was there.
#[derive(Debug, Clone)]
pub struct DeleteTag {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub tag: Tag,
    /// The time: a manifest that loses its last tag is untagged since then.
    pub now: Timestamp,
}

impl WriteQuery for DeleteTag {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let Some(repository) = repositories::find(tx, &self.repository)? else { return Ok(false) };
        let manifest: Option<i64> = tx
            .prepare_cached("DELETE FROM tags WHERE repository_id = ?1 AND name = ?2 RETURNING manifest_id")?
            .query_row((repository.0, self.tag.as_str()), |row| row.get(0))
            .optional()?;
        let Some(manifest) = manifest else { return Ok(false) };
        tx.prepare_cached(
            "UPDATE manifest_ties SET untagged_since = ?2
              WHERE manifest_id = ?1 AND NOT EXISTS (SELECT 1 FROM tags WHERE manifest_id = ?1)",
        )?
        .execute((manifest, self.now.as_millis()))?;
        Ok(true)
    }
}

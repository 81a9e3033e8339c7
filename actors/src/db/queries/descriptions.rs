//! A repository with its tags, and what people look for in what they point at.

use rusqlite::Connection;

use super::facts::{self, Summary};
use super::repositories::{RepositorySummary, SUMMARY, find, summary, summary_columns};
use crate::db::{DbError, ReadQuery};
use crate::domain::{RepositoryName, Timestamp};

/// A tag with what it points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSummary {
    /// The tag.
    pub name: String,
    /// Its manifest's digest.
    pub digest: String,
    /// Its manifest's media type.
    pub media_type: String,
    /// What its manifest's type is for: `artifactType`, or the config's media type.
    pub artifact_type: Option<String>,
    /// When it was set.
    pub updated_at: Timestamp,
    /// When its manifest was pushed last.
    pub pushed_at: Timestamp,
    /// What people look for in its manifest; nothing until it was read.
    pub facts: Option<Summary>,
}

/// One repository with its sizes and a page of its tags.
#[derive(Debug)]
pub struct DescribeRepository {
    /// Which.
    pub name: RepositoryName,
    /// Where the page of tags begins: tags greater than this.
    pub after: String,
    /// Most tags.
    pub limit: usize,
}

impl ReadQuery for DescribeRepository {
    type Output = Option<(RepositorySummary, Vec<TagSummary>)>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let Some(id) = find(db, &self.name)? else { return Ok(None) };
        let found = db
            .prepare_cached(&format!("SELECT {SUMMARY} FROM repositories WHERE id = ?1"))?
            .query_row([id.0], summary_columns)?;
        let mut statement = db.prepare_cached(
            "SELECT tags.name, manifests.digest, manifests.media_type, artifact_type, tags.updated_at, pushed_at,
                    manifest_id
               FROM tags CROSS JOIN manifests ON manifests.id = tags.manifest_id
              WHERE tags.repository_id = ?1 AND tags.name > ?2 ORDER BY tags.name LIMIT ?3",
        )?;
        let tags = statement.query_map((id.0, self.after, self.limit), |row| {
            let tag = TagSummary {
                name: row.get(0)?,
                digest: row.get(1)?,
                media_type: row.get(2)?,
                artifact_type: row.get(3)?,
                updated_at: Timestamp::from_millis(row.get(4)?),
                pushed_at: Timestamp::from_millis(row.get(5)?),
                facts: None,
            };
            Ok((tag, row.get(6)?))
        })?;
        let mut tags = tags.collect::<Result<Vec<(TagSummary, i64)>, _>>()?;
        for (tag, manifest) in &mut tags {
            tag.facts = facts::summary(db, id, (*manifest, &tag.digest))?;
        }
        Ok(Some((summary(found)?, tags.into_iter().map(|(tag, _)| tag).collect())))
    }
}

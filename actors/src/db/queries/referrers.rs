//! Referrers: the manifests that say which manifest they are about.

use rusqlite::{Connection, Row};

use super::repositories;
use crate::db::{DbError, ReadQuery};
use crate::domain::{Digest, Page, RepositoryName};

/// One entry of a referrers list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// The referring manifest's digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its artifact type, or its config's media type.
    pub artifact_type: Option<String>,
    /// Its annotations, a JSON object.
    pub annotations: Option<String>,
}

/// The manifests of a repository whose subject is `subject`, by digest. The subject itself need not be there.
#[derive(Debug)]
pub struct ListReferrers {
    /// Where.
    pub repository: RepositoryName,
    /// What they are about.
    pub subject: Digest,
    /// Only those of this artifact type.
    pub artifact_type: Option<String>,
    /// Where the page begins: digests greater than this; empty for the first page.
    pub after: String,
    /// Most entries on the page.
    pub limit: usize,
}

fn referrer(row: &Row<'_>) -> rusqlite::Result<Referrer> {
    Ok(Referrer {
        digest: row.get(0)?,
        media_type: row.get(1)?,
        size: row.get(2)?,
        artifact_type: row.get(3)?,
        annotations: row.get(4)?,
    })
}

impl ReadQuery for ListReferrers {
    type Output = Page<Referrer>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let Some(repository) = repositories::find(db, &self.repository)? else {
            return Ok(Page { items: Vec::new(), more: false });
        };
        let (subject, limit) = (self.subject.to_string(), self.limit.saturating_add(1));
        let entries = match self.artifact_type {
            Some(artifact_type) => db
                .prepare_cached(
                    "SELECT digest, media_type, size, artifact_type, annotations FROM manifests
                      WHERE repository_id = ?1 AND subject = ?2 AND artifact_type = ?3 AND digest > ?4
                      ORDER BY digest LIMIT ?5",
                )?
                .query_map((repository.0, subject, artifact_type, self.after, limit), referrer)?
                .collect::<Result<Vec<_>, _>>()?,
            None => db
                .prepare_cached(
                    "SELECT digest, media_type, size, artifact_type, annotations FROM manifests
                      WHERE repository_id = ?1 AND subject = ?2 AND digest > ?3
                      ORDER BY digest LIMIT ?4",
                )?
                .query_map((repository.0, subject, self.after, limit), referrer)?
                .collect::<Result<Vec<_>, _>>()?,
        };
        Ok(Page::cut(entries, self.limit))
    }
}

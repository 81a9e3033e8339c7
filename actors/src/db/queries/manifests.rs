//! Manifests: the transaction that makes an image visible, and those that find and delete it.

mod conditional;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};

use super::repositories::{self, RepositoryId};
use super::{facts, references};
use crate::db::{ChangeError, DbError, Growth, Memorable, ReadQuery, WriteQuery};
use crate::domain::{Digest, Manifest, MediaType, Reference, RepositoryName, Tag, Timestamp};
pub use conditional::PublishIf;

/// What a HEAD says of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// The digest it was pushed under.
    pub digest: Digest,
    /// The media type it was pushed with.
    pub media_type: MediaType,
    /// Its size in bytes.
    pub size: u64,
    /// Until when it is kept although nothing holds it.
    pub kept_until: Timestamp,
}

type HeadColumns = (String, String, u64, i64);

fn head(row: &Row<'_>) -> rusqlite::Result<HeadColumns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn parse_head((digest, media_type, size, kept_until): HeadColumns) -> Result<ManifestHead, DbError> {
    let media_type = MediaType::parse(&media_type)
        .ok_or(DbError::Corrupt { what: "media type", value: media_type.clone() })?;
    let (digest, kept_until) = (crate::db::parse("digest", digest)?, Timestamp::from_millis(kept_until));
    Ok(ManifestHead { digest, media_type, size, kept_until })
}

/// The manifest's digest, type and size.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FindManifestHead {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub reference: Reference,
}

impl ReadQuery for FindManifestHead {
    type Output = Option<ManifestHead>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let sql = match self.reference {
            Reference::Tag(_) => {
                "SELECT manifests.digest, manifests.media_type, manifests.size,
                        coalesce((SELECT kept_until FROM manifest_ties WHERE manifest_id = manifests.id), 0)
                   FROM repositories
                   CROSS JOIN tags ON tags.repository_id = repositories.id AND tags.name = ?2
                   CROSS JOIN manifests ON manifests.id = tags.manifest_id
                  WHERE repositories.name = ?1"
            }
            Reference::Digest(_) => {
                "SELECT manifests.digest, manifests.media_type, manifests.size,
                        coalesce((SELECT kept_until FROM manifest_ties WHERE manifest_id = manifests.id), 0)
                   FROM repositories
                   CROSS JOIN manifests ON manifests.repository_id = repositories.id AND manifests.digest = ?2
                  WHERE repositories.name = ?1"
            }
        };
        let found = db
            .prepare_cached(sql)?
            .query_row((self.repository.as_str(), self.reference.to_string()), head)
            .optional()?;
        found.map(parse_head).transpose()
    }
}

impl Memorable for FindManifestHead {
    fn weight(answer: &Self::Output) -> usize {
        answer.as_ref().map_or(0, |head| head.media_type.as_str().len())
    }
}

/// The manifest with its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FindManifest {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub reference: Reference,
}

impl ReadQuery for FindManifest {
    type Output = Option<(ManifestHead, Bytes)>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let sql = match self.reference {
            Reference::Tag(_) => {
                "SELECT manifests.digest, manifests.media_type, manifests.size,
                        coalesce((SELECT kept_until FROM manifest_ties WHERE manifest_id = manifests.id), 0), manifests.body
                   FROM repositories
                   CROSS JOIN tags ON tags.repository_id = repositories.id AND tags.name = ?2
                   CROSS JOIN manifests ON manifests.id = tags.manifest_id
                  WHERE repositories.name = ?1"
            }
            Reference::Digest(_) => {
                "SELECT manifests.digest, manifests.media_type, manifests.size,
                        coalesce((SELECT kept_until FROM manifest_ties WHERE manifest_id = manifests.id), 0), manifests.body
                   FROM repositories
                   CROSS JOIN manifests ON manifests.repository_id = repositories.id AND manifests.digest = ?2
                  WHERE repositories.name = ?1"
            }
        };
        let found = db
            .prepare_cached(sql)?
            .query_row((self.repository.as_str(), self.reference.to_string()), |row| {
                Ok((head(row)?, row.get::<_, Vec<u8>>(4)?))
            })
            .optional()?;
        found.map(|(head, body)| Ok((parse_head(head)?, body.into()))).transpose()
    }
}

impl Memorable for FindManifest {
    fn weight(answer: &Self::Output) -> usize {
        answer.as_ref().map_or(0, |(_, body)| body.len())
    }
}

/// Makes a manifest, its references, its referrer entry and its tags visible, all or nothing.
#[derive(Debug, Clone)]
pub struct PublishManifest {
    /// Where.
    pub repository: RepositoryName,
    /// What.
    pub manifest: Manifest,
    /// The tags that shall point at it.
    pub tags: Vec<Tag>,
    /// Whether it may refer to what is not there.
    pub allow_sparse: bool,
    /// The time.
    pub now: Timestamp,
    /// Until when it is kept whatever holds it, if it has a subject.
    pub kept_until: Timestamp,
    /// The name of who pushes it; empty when nobody says.
    pub pushed_by: String,
}

/// Why a manifest was not published; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It refers to content that is not visible in the repository.
    #[error("the manifest refers to {} that this repository does not have", missing_words(.0))]
    Missing(Vec<Digest>),
    /// The reference names something else than the request's precondition asks for.
    #[error("{reference} is not what the request's precondition asks for: it names {}", found_words(.found.as_ref()))]
    Precondition {
        /// What the push is addressed to.
        reference: Reference,
        /// What it names; nothing when there is no such manifest.
        found: Option<Digest>,
    },
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl ChangeError for PublishError {
    fn of_database(&self) -> Option<&DbError> {
        match self {
            Self::Db(error) => Some(error),
            _ => None,
        }
    }
}

fn missing_words(digests: &[Digest]) -> String {
    let words = digests.iter().take(3).map(Digest::to_string).collect::<Vec<_>>().join(", ");
    if digests.len() > 3 { format!("{words} and {} more", digests.len() - 3) } else { words }
}

fn found_words(found: Option<&Digest>) -> String {
    found.map_or_else(|| "nothing".to_owned(), Digest::to_string)
}

/// What publishing a manifest changed besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// It was the repository's first push.
    pub repository_created: bool,
    /// The tags that pointed at another manifest before, with that one's digest.
    pub moved: Vec<(Tag, String)>,
}

impl WriteQuery for PublishManifest {
    type Output = Published;
    type Error = PublishError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

    fn run(self, tx: &Connection) -> Result<Published, PublishError> {
        let (repository, repository_created) = repositories::find_or_create(tx, &self.repository, self.now)?;
        if !self.allow_sparse {
            let missing = references::missing(tx, repository, &self.manifest.references)?;
            if !missing.is_empty() {
                return Err(PublishError::Missing(missing));
            }
        }
        let id = insert_manifest(tx, repository, &self.manifest, self.now)?;
        references::insert(tx, repository, id, &self.manifest.references)?;
        facts::insert(tx, id, &self.manifest.facts, Some(&self.pushed_by))?;
        if self.manifest.subject.is_some() {
            // Its subject may have gone already, and then nothing else holds it.
            keep(tx, id, self.kept_until)?;
        }
        repositories::touch(tx, repository, self.now)?;
        let mut moved = Vec::new();
        for tag in self.tags {
            let before = set_tag(tx, repository, &tag, id, self.now)?;
            moved.extend(before.map(|before| (tag, before)));
        }
        Ok(Published { repository_created, moved })
    }
}

/// Points the tag at the manifest; answers the digest of another one that it pointed at before.
fn set_tag(
    tx: &Connection,
    repository: RepositoryId,
    tag: &Tag,
    manifest_id: i64,
    now: Timestamp,
) -> Result<Option<String>, DbError> {
    let before = tx
        .prepare_cached(
            "SELECT manifests.digest FROM tags CROSS JOIN manifests ON manifests.id = tags.manifest_id
              WHERE tags.repository_id = ?1 AND tags.name = ?2 AND tags.manifest_id <> ?3",
        )?
        .query_row((repository.0, tag.as_str(), manifest_id), |row| row.get(0))
        .optional()?;
    tx.prepare_cached(
        "INSERT INTO tags (repository_id, name, manifest_id, updated_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET manifest_id = excluded.manifest_id, updated_at = excluded.updated_at",
    )?
    .execute((repository.0, tag.as_str(), manifest_id, now.as_millis()))?;
    Ok(before)
}

fn insert_manifest(
    tx: &Connection,
    repository: RepositoryId,
    manifest: &Manifest,
    now: Timestamp,
) -> Result<i64, DbError> {
    let id = tx
        .prepare_cached(
            "INSERT INTO manifests
                    (repository_id, digest, media_type, artifact_type, subject, size, pushed_at, annotations, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (repository_id, digest) DO UPDATE
                SET media_type = excluded.media_type, artifact_type = excluded.artifact_type,
                    subject = excluded.subject, annotations = excluded.annotations, pushed_at = excluded.pushed_at
             RETURNING id",
        )?
        .query_row(
            (
                repository.0,
                manifest.digest.to_string(),
                manifest.media_type.as_str(),
                &manifest.artifact_type,
                manifest.subject.as_ref().map(Digest::to_string),
                manifest.body.len(),
                now.as_millis(),
                &manifest.annotations,
                manifest.body.as_ref(),
            ),
            |row| row.get(0),
        )?;
    Ok(id)
}

/// Keeps the manifest until then at least.
fn keep(tx: &Connection, id: i64, kept_until: Timestamp) -> Result<bool, DbError> {
    let kept = tx
        .prepare_cached("UPDATE manifest_ties SET kept_until = max(kept_until, ?2) WHERE manifest_id = ?1")?
        .execute((id, kept_until.as_millis()))?;
    Ok(kept == 1)
}

/// The row of a manifest.
fn find(tx: &Connection, repository: RepositoryId, digest: &Digest) -> Result<Option<i64>, DbError> {
    let id = tx
        .prepare_cached("SELECT id FROM manifests WHERE repository_id = ?1 AND digest = ?2")?
        .query_row((repository.0, digest.to_string()), |row| row.get(0))
        .optional()?;
    Ok(id)
}

/// Keeps a manifest longer, since somebody who may push was told that it is here. Says whether it still is.
#[derive(Debug, Clone)]
pub struct KeepManifest {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub digest: Digest,
    /// Until when.
    pub kept_until: Timestamp,
}

impl WriteQuery for KeepManifest {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let Some(repository) = repositories::find(tx, &self.repository)? else { return Ok(false) };
        let Some(id) = find(tx, repository, &self.digest)? else { return Ok(false) };
        keep(tx, id, self.kept_until)
    }
}

/// Deletes a manifest with its tags, references and the referrer entry that it made. What it referred to, and what refers
/// to it as its subject, is kept for `grace` from now. Says whether it was there.
#[derive(Debug, Clone)]
pub struct DeleteManifest {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub digest: Digest,
    /// Until when what it held is kept without a reference.
    pub kept_until: Timestamp,
}

impl WriteQuery for DeleteManifest {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let Some(repository) = repositories::find(tx, &self.repository)? else { return Ok(false) };
        let Some(id) = find(tx, repository, &self.digest)? else { return Ok(false) };
        delete(tx, repository, id, self.kept_until)?;
        Ok(true)
    }
}

/// Deletes the manifest with what hangs on it; what it held is kept until then.
pub(super) fn delete(
    tx: &Connection,
    repository: RepositoryId,
    id: i64,
    kept_until: Timestamp,
) -> Result<(), DbError> {
    for kept in [
        "UPDATE repository_blobs SET kept_until = max(kept_until, ?3)
          WHERE repository_id = ?1
            AND blob_id IN (SELECT blobs.id FROM manifest_references
                              CROSS JOIN blobs ON blobs.digest = manifest_references.digest
                             WHERE manifest_references.manifest_id = ?2)",
        "UPDATE manifest_ties SET kept_until = max(kept_until, ?3)
          WHERE manifest_id IN (SELECT manifests.id FROM manifest_references
                                  CROSS JOIN manifests ON manifests.repository_id = ?1
                                                      AND manifests.digest = manifest_references.digest
                                 WHERE manifest_references.manifest_id = ?2 AND holds = 1)",
        "UPDATE manifest_ties SET kept_until = max(kept_until, ?3)
          WHERE manifest_id IN (SELECT referrers.id FROM manifests
                                  CROSS JOIN manifests AS referrers ON referrers.repository_id = ?1
                                                                   AND referrers.subject = manifests.digest
                                 WHERE manifests.id = ?2)",
    ] {
        tx.prepare_cached(kept)?.execute((repository.0, id, kept_until.as_millis()))?;
    }
    tx.prepare_cached("DELETE FROM manifests WHERE id = ?1")?.execute([id])?;
    Ok(())
}

#[cfg(test)]
mod tests;

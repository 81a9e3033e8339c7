//! References: what manifests need and hold, each digest once, whatever it is the digest of.

use rusqlite::Connection;

use super::repositories::RepositoryId;
use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{Digest, Referenced, digests_in};

/// References read again at once, unless one manifest alone has more.
const PAGE: usize = 500;
/// Bytes of manifests read again at once, unless one alone has more.
const PAGE_BYTES: usize = 1024 * 1024;

/// Whether the repository has a manifest or shows a blob of that digest.
const IS_THERE: &str = "SELECT EXISTS (SELECT 1 FROM blobs
           CROSS JOIN repository_blobs ON repository_blobs.repository_id = ?1 AND repository_blobs.blob_id = blobs.id
           WHERE blobs.digest = ?2 AND blobs.state = 0)
     OR EXISTS (SELECT 1 FROM manifests WHERE repository_id = ?1 AND digest = ?2)";

/// The digests that must be there and are not, in the order of the document.
pub(super) fn missing(
    tx: &Connection,
    repository: RepositoryId,
    references: &[Referenced],
) -> Result<Vec<Digest>, DbError> {
    let mut is_there = tx.prepare_cached(IS_THERE)?;
    let mut missing = Vec::new();
    for Referenced { digest, .. } in references.iter().filter(|reference| reference.required) {
        if !is_there.query_row((repository.0, digest.to_string()), |row| row.get::<_, bool>(0))? {
            missing.push(*digest);
        }
    }
    Ok(missing)
}

/// Stores the references of a manifest. One that was dropped stays so unless the blob is visible again: only a link restores
/// it.
pub(super) fn insert(
    tx: &Connection,
    repository: RepositoryId,
    manifest_id: i64,
    references: &[Referenced],
) -> Result<(), DbError> {
    let mut insert = tx.prepare_cached(
        "INSERT OR IGNORE INTO manifest_references (manifest_id, digest, repository_id, holds)
         VALUES (?1, ?2, ?3, ?4)",
    )?;
    for Referenced { digest, holds, .. } in references {
        insert.execute((manifest_id, digest.to_string(), repository.0, holds))?;
    }
    Ok(())
}

/// Reads manifests again that were stored when fewer things counted as references: some of them, until none is left.
#[derive(Debug)]
pub struct ReadUnread;

/// Manifests that were read again.
#[derive(Debug, Default)]
pub struct Unread {
    /// The rows of the manifests; none when all are read.
    pub manifests: Vec<i64>,
    /// What they refer to, each with the manifest's row.
    pub references: Vec<(i64, Digest)>,
}

impl ReadQuery for ReadUnread {
    type Output = Unread;

    fn run(self, db: &Connection) -> Result<Unread, DbError> {
        let mut statement = db.prepare_cached(
            "SELECT manifests.id, manifests.body FROM unread_manifests
              CROSS JOIN manifests ON manifests.id = unread_manifests.manifest_id ORDER BY manifest_id",
        )?;
        let mut rows = statement.query([])?;
        let (mut unread, mut bytes) = (Unread::default(), 0);
        while let Some(row) = rows.next()? {
            let (id, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            bytes += body.len();
            let digests = digests_in(&body);
            let fits = bytes <= PAGE_BYTES && unread.references.len() + digests.len() <= PAGE;
            if !fits && !unread.manifests.is_empty() {
                break;
            }
            unread.manifests.push(id);
            unread.references.extend(digests.into_iter().map(|digest| (id, digest)));
        }
        Ok(unread)
    }
}

/// Stores references that were found when manifests were read again; these manifests need not be read any more.
#[derive(Debug, Clone)]
pub struct NoteReferences {
    /// The references, each with its manifest's row.
    pub references: Vec<(i64, Digest)>,
    /// The manifests.
    pub read: Vec<i64>,
}

impl WriteQuery for NoteReferences {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        // The manifest may be gone by now.
        let mut insert = tx.prepare_cached(
            "INSERT OR IGNORE INTO manifest_references (manifest_id, digest, repository_id, holds)
             SELECT id, ?2, repository_id, subject IS NOT ?2 FROM manifests WHERE id = ?1",
        )?;
        for (manifest, digest) in self.references {
            insert.execute((manifest, digest.to_string()))?;
        }
        let mut read = tx.prepare_cached("DELETE FROM unread_manifests WHERE manifest_id = ?1")?;
        for manifest in self.read {
            read.execute([manifest])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

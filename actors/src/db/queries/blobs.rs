//! Blobs and the links that make them visible in repositories.

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::repositories::{self, RepositoryId};
use crate::db::{DbError, Growth, Memorable, ReadQuery, WriteQuery};
use crate::domain::{Digest, RepositoryName, Timestamp};

/// A blob that is visible in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisibleBlob {
    /// Its size in bytes.
    pub size: u64,
    /// Until when it is kept there although nothing refers to it.
    pub kept_until: Timestamp,
    /// Whether a manifest there refers to it. When the last one goes, it is kept for `grace` from then.
    pub referenced: bool,
}

/// The blob, if it is visible in the repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FindBlob {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub digest: Digest,
}

impl ReadQuery for FindBlob {
    type Output = Option<VisibleBlob>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let found = db
            .prepare_cached(
                "SELECT blobs.size, repository_blobs.kept_until, repository_blobs.reference_count > 0
                   FROM repositories
                   CROSS JOIN blobs ON blobs.digest = ?2 AND blobs.state = 0
                   CROSS JOIN repository_blobs ON repository_blobs.repository_id = repositories.id
                                              AND repository_blobs.blob_id = blobs.id
                  WHERE repositories.name = ?1",
            )?
            .query_row((self.repository.as_str(), self.digest.to_string()), |row| {
                Ok(VisibleBlob {
                    size: row.get(0)?,
                    kept_until: Timestamp::from_millis(row.get(1)?),
                    referenced: row.get(2)?,
                })
            })
            .optional()?;
        Ok(found)
    }
}

impl Memorable for FindBlob {
    fn weight(_: &Self::Output) -> usize {
        0
    }
}

/// The size in bytes of a blob that is there and good, wherever it is visible.
#[derive(Debug)]
pub struct FindGoodBlob {
    /// Which.
    pub digest: Digest,
}

impl ReadQuery for FindGoodBlob {
    type Output = Option<u64>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let size = db
            .prepare_cached("SELECT size FROM blobs WHERE digest = ?1 AND state = 0")?
            .query_row([self.digest.to_string()], |row| row.get(0))
            .optional()?;
        Ok(size)
    }
}

/// Those of the repositories where the blob is visible, for a mount that names no source.
///
/// The work is the same whatever other repositories show: each is looked at, also when the registry has no such blob.
#[derive(Debug)]
pub struct WhichShow {
    /// Which blob.
    pub digest: Digest,
    /// Where it is looked for.
    pub repositories: Vec<RepositoryName>,
}

const SHOWS: &str = "SELECT EXISTS (
    SELECT 1 FROM repositories
     CROSS JOIN repository_blobs ON repository_blobs.repository_id = repositories.id AND repository_blobs.blob_id = ?2
     WHERE repositories.name = ?1)";

impl ReadQuery for WhichShow {
    type Output = Vec<RepositoryName>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let blob: Option<i64> = db
            .prepare_cached("SELECT id FROM blobs WHERE digest = ?1 AND state = 0")?
            .query_row([self.digest.to_string()], |row| row.get(0))
            .optional()?;
        // No row has this number.
        let blob = blob.unwrap_or(-1);
        let mut shows = db.prepare_cached(SHOWS)?;
        let mut found = Vec::new();
        for repository in self.repositories {
            if shows.query_row((repository.as_str(), blob), |row| row.get(0))? {
                found.push(repository);
            }
        }
        Ok(found)
    }
}

/// What making a blob visible brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linked {
    /// It was the repository's first push.
    pub repository_created: bool,
}

/// Makes a published blob visible in the repository, and protects it, in one transaction; ends its upload.
///
/// Its file must be in its place and synced: a row that names a digest comes after the file.
#[derive(Debug, Clone)]
pub struct LinkBlob {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The upload that brought it, when it has a row.
    pub upload: Option<Uuid>,
    /// The time.
    pub now: Timestamp,
    /// Until when it is kept without a reference.
    pub kept_until: Timestamp,
}

impl WriteQuery for LinkBlob {
    type Output = Linked;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

    fn run(self, tx: &Connection) -> Result<Linked, DbError> {
        let (repository, repository_created) = repositories::find_or_create(tx, &self.repository, self.now)?;
        let digest = self.digest.to_string();
        let blob: i64 = tx
            .prepare_cached(
                "INSERT INTO blobs (digest, size, created_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (digest) DO UPDATE SET state = 0, size = excluded.size
                 RETURNING id",
            )?
            .query_row((&digest, self.size, self.now.as_millis()), |row| row.get(0))?;
        link(tx, repository, blob, &digest, self.kept_until)?;
        if let Some(upload) = self.upload {
            tx.prepare_cached("DELETE FROM uploads WHERE id = ?1")?.execute([upload.to_string()])?;
        }
        Ok(Linked { repository_created })
    }
}

/// Makes the link, or protects the one that is there, and restores references that a delete had dropped.
fn link(
    tx: &Connection,
    repository: RepositoryId,
    blob: i64,
    digest: &str,
    kept_until: Timestamp,
) -> Result<(), DbError> {
    tx.prepare_cached(
        "INSERT INTO repository_blobs (repository_id, blob_id, kept_until) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET kept_until = max(kept_until, excluded.kept_until)",
    )?
    .execute((repository.0, blob, kept_until.as_millis()))?;
    tx.prepare_cached(
        "UPDATE manifest_references SET dropped = 0 WHERE repository_id = ?1 AND digest = ?2 AND dropped = 1",
    )?
    .execute((repository.0, digest))?;
    Ok(())
}

/// Makes a blob of another repository visible in this one. `None` when it is not visible there.
#[derive(Debug, Clone)]
pub struct MountBlob {
    /// Where it is.
    pub from: RepositoryName,
    /// Where it shall be too.
    pub repository: RepositoryName,
    /// Which.
    pub digest: Digest,
    /// The time.
    pub now: Timestamp,
    /// Until when it is kept without a reference.
    pub kept_until: Timestamp,
}

impl WriteQuery for MountBlob {
    type Output = Option<Linked>;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

    fn run(self, tx: &Connection) -> Result<Self::Output, DbError> {
        let digest = self.digest.to_string();
        let source: Option<i64> = tx
            .prepare_cached(
                "SELECT blobs.id
                   FROM repositories
                   CROSS JOIN blobs ON blobs.digest = ?2 AND blobs.state = 0
                   CROSS JOIN repository_blobs ON repository_blobs.repository_id = repositories.id
                                              AND repository_blobs.blob_id = blobs.id
                  WHERE repositories.name = ?1",
            )?
            .query_row((self.from.as_str(), &digest), |row| row.get(0))
            .optional()?;
        let Some(blob) = source else { return Ok(None) };
        let (repository, repository_created) = repositories::find_or_create(tx, &self.repository, self.now)?;
        link(tx, repository, blob, &digest, self.kept_until)?;
        Ok(Some(Linked { repository_created }))
    }
}

/// Keeps an unreferenced blob longer, since somebody who may push was told that it is here. Says whether the blob is
/// still visible.
#[derive(Debug, Clone)]
pub struct KeepBlob {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub digest: Digest,
    /// Until when.
    pub kept_until: Timestamp,
}

impl WriteQuery for KeepBlob {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let changed = tx
            .prepare_cached(
                "UPDATE repository_blobs SET kept_until = max(kept_until, ?3)
                  WHERE repository_id = (SELECT id FROM repositories WHERE name = ?1)
                    AND blob_id = (SELECT id FROM blobs WHERE digest = ?2 AND state = 0)",
            )?
            .execute((self.repository.as_str(), self.digest.to_string(), self.kept_until.as_millis()))?;
        Ok(changed == 1)
    }
}

/// Takes the blob out of the repository: its link goes, and its manifests' references to it are marked as dropped. The
/// blob's row and file stay, since other repositories may show it. Says whether it was visible.
#[derive(Debug, Clone)]
pub struct UnlinkBlob {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub digest: Digest,
    /// Until when its bytes are kept, should no other repository show it.
    pub kept_until: Timestamp,
}

impl WriteQuery for UnlinkBlob {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let Some(repository) = repositories::find(tx, &self.repository)? else { return Ok(false) };
        let digest = self.digest.to_string();
        tx.prepare_cached(
            "UPDATE repository_blobs SET kept_until = max(kept_until, ?3)
              WHERE repository_id = ?1
                AND blob_id = (SELECT id FROM blobs WHERE digest = ?2 AND state = 0)",
        )?
        .execute((repository.0, &digest, self.kept_until.as_millis()))?;
        let unlinked = tx
            .prepare_cached(
                "DELETE FROM repository_blobs
                  WHERE repository_id = ?1
                    AND blob_id = (SELECT id FROM blobs WHERE digest = ?2 AND state = 0)",
            )?
            .execute((repository.0, &digest))?;
        if unlinked == 0 {
            return Ok(false);
        }
        tx.prepare_cached(
            "UPDATE manifest_references SET dropped = 1 WHERE repository_id = ?1 AND digest = ?2",
        )?
        .execute((repository.0, &digest))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::queries::testing::{NOW, database, name};
    use crate::domain::Algorithm;

    fn digest() -> Digest {
        Digest::of(Algorithm::Sha256, b"layer")
    }

    fn push(db: &Connection, repository: &str, kept_until: Timestamp) {
        let repository = name(repository);
        LinkBlob { repository, digest: digest(), size: 5, upload: None, now: NOW, kept_until }
            .run(db)
            .unwrap();
    }

    fn find(db: &Connection, repository: &str) -> Option<VisibleBlob> {
        FindBlob { repository: name(repository), digest: digest() }.run(db).unwrap()
    }

    #[test]
    fn a_blob_is_visible_only_where_it_was_pushed_or_mounted() {
        let db = database();
        push(&db, "a", NOW);
        assert_eq!(find(&db, "a"), Some(VisibleBlob { size: 5, kept_until: NOW, referenced: false }));
        assert_eq!(find(&db, "b"), None);
        let mount = |from: &str, to: &str| {
            let (from, repository) = (name(from), name(to));
            MountBlob { from, repository, digest: digest(), now: NOW, kept_until: NOW }.run(&db).unwrap()
        };
        assert_eq!(mount("elsewhere", "b"), None);
        assert_eq!(mount("a", "b"), Some(Linked { repository_created: true }));
        assert!(find(&db, "b").is_some());
    }

    /// Counts what SQLite does: a clock could not tell so little.
    #[test]
    fn looking_for_a_mount_is_the_same_work_whatever_others_show() {
        let work = |elsewhere: usize, visible: bool| {
            let db = database();
            push(&db, "mine/other", NOW);
            UnlinkBlob { repository: name("mine/other"), digest: digest(), kept_until: NOW }
                .run(&db)
                .unwrap();
            (0..elsewhere).for_each(|number| push(&db, &format!("hidden/{number}"), NOW));
            if visible {
                push(&db, "mine/other", NOW);
            }
            if elsewhere == 0 && !visible {
                db.execute("DELETE FROM blobs", []).unwrap();
            }
            let repositories = vec![name("mine/absent"), name("mine/other")];
            let found = WhichShow { digest: digest(), repositories }.run(&db).unwrap();
            assert_eq!(found.len(), usize::from(visible));
            let mut shows = db.prepare(SHOWS).unwrap();
            for repository in ["mine/absent", "mine/other"] {
                let blob: i64 =
                    db.query_row("SELECT coalesce(max(id), -1) FROM blobs", [], |row| row.get(0)).unwrap();
                let _: bool = shows.query_row((repository, blob), |row| row.get(0)).unwrap();
            }
            shows.get_status(rusqlite::StatementStatus::VmStep)
        };
        assert_eq!(work(0, false), work(1, false));
        assert_eq!(work(0, false), work(500, false));
        assert_ne!(work(0, false), work(0, true), "the steps tell nothing");
    }

    #[test]
    fn deleting_a_blob_hides_it_in_that_repository_only() {
        let db = database();
        push(&db, "a", NOW);
        push(&db, "b", NOW);
        let unlink =
            || UnlinkBlob { repository: name("a"), digest: digest(), kept_until: NOW }.run(&db).unwrap();
        assert_eq!((unlink(), unlink()), (true, false));
        assert_eq!((find(&db, "a"), find(&db, "b").is_some()), (None, true));
    }

    #[test]
    fn protection_is_only_ever_extended() {
        let db = database();
        let later = NOW.after(std::time::Duration::from_secs(5));
        push(&db, "a", later);
        push(&db, "a", NOW);
        assert!(KeepBlob { repository: name("a"), digest: digest(), kept_until: NOW }.run(&db).unwrap());
        assert_eq!(find(&db, "a").unwrap().kept_until, later);
        assert!(!KeepBlob { repository: name("b"), digest: digest(), kept_until: NOW }.run(&db).unwrap());
    }

    #[test]
    fn a_condemned_or_bad_blob_is_absent_until_it_is_pushed_again() {
        let db = database();
        for state in [1, 2] {
            push(&db, "a", NOW);
            db.execute("UPDATE blobs SET state = ?1", [state]).unwrap();
            assert_eq!(find(&db, "a"), None);
            assert_eq!(FindGoodBlob { digest: digest() }.run(&db).unwrap(), None);
        }
        push(&db, "a", NOW);
        assert!(find(&db, "a").is_some());
    }
}

//! Rows of uploads: what lets one go on after a restart.

use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{Algorithm, Principal, RepositoryName, Timestamp};
use crate::upload::fairness::Standing;

/// An upload as its row describes it.
#[derive(Debug, Clone)]
pub struct UploadRow {
    /// Its id.
    pub id: Uuid,
    /// Where the blob shall be.
    pub repository: RepositoryName,
    /// The hash that was announced when it began.
    pub algorithm: Algorithm,
    /// How many bytes are durable and acknowledged.
    pub bytes: u64,
    /// Who began it.
    pub owner: Principal,
    /// The SHA-256 of the token it was begun with.
    pub token_hash: Option<[u8; 32]>,
    /// When it began.
    pub started_at: Timestamp,
    /// When something was last acknowledged.
    pub last_active_at: Timestamp,
}

/// What a row holds before it is parsed.
type Columns = (String, String, String, u64, String, Option<[u8; 32]>, i64, i64);

const COLUMNS: &str = "id, repository, algorithm, bytes, owner, token_hash, started_at, last_active_at";

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
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

fn parse_row(columns: Columns) -> Result<UploadRow, DbError> {
    let (id, repository, algorithm, bytes, owner, token_hash, started_at, last_active_at) = columns;
    let owner = serde_json::from_str(&owner)
        .map_err(|error| DbError::Corrupt { what: "upload owner", value: error.to_string() })?;
    Ok(UploadRow {
        id: crate::db::parse("upload id", id)?,
        repository: crate::db::parse("repository name", repository)?,
        algorithm: crate::db::parse("algorithm", algorithm)?,
        bytes,
        owner,
        token_hash,
        started_at: Timestamp::from_millis(started_at),
        last_active_at: Timestamp::from_millis(last_active_at),
    })
}

/// Remembers a new upload.
#[derive(Debug, Clone)]
pub struct InsertUpload(pub UploadRow);

impl WriteQuery for InsertUpload {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        let Self(row) = self;
        let owner = serde_json::to_string(&row.owner).map_err(|error| DbError::Failed(error.to_string()))?;
        tx.prepare_cached(
            "INSERT INTO uploads (id, repository, algorithm, bytes, owner, token_hash, started_at, last_active_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            row.id.to_string(),
            row.repository.as_str(),
            row.algorithm.as_str(),
            row.bytes,
            owner,
            row.token_hash,
            row.started_at.as_millis(),
            row.last_active_at.as_millis(),
        ))?;
        Ok(())
    }
}

/// The upload's row, if there is one.
#[derive(Debug)]
pub struct FindUpload(pub Uuid);

impl ReadQuery for FindUpload {
    type Output = Option<UploadRow>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let found = db
            .prepare_cached(&format!("SELECT {COLUMNS} FROM uploads WHERE id = ?1"))?
            .query_row([self.0.to_string()], columns)
            .optional()?;
        found.map(parse_row).transpose()
    }
}

/// The upload's row, if there is one, as the changes leave it that were asked for before, answered or not.
#[derive(Debug, Clone)]
pub struct SettledUpload(pub Uuid);

impl WriteQuery for SettledUpload {
    type Output = Option<UploadRow>;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<Self::Output, DbError> {
        FindUpload(self.0).run(tx)
    }
}

/// Moves an upload's offset: the bytes before it are durable. Says whether the upload is still there.
#[derive(Debug, Clone)]
pub struct AdvanceUpload {
    /// Which.
    pub id: Uuid,
    /// The new offset in bytes.
    pub bytes: u64,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for AdvanceUpload {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let changed = tx
            .prepare_cached("UPDATE uploads SET bytes = ?2, last_active_at = ?3 WHERE id = ?1")?
            .execute((self.id.to_string(), self.bytes, self.now.as_millis()))?;
        Ok(changed == 1)
    }
}

/// Forgets an upload.
#[derive(Debug, Clone)]
pub struct DeleteUpload(pub Uuid);

impl WriteQuery for DeleteUpload {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        tx.prepare_cached("DELETE FROM uploads WHERE id = ?1")?.execute([self.0.to_string()])?;
        Ok(())
    }
}

/// Forgets an upload in which nothing was acknowledged since `before`. Says whether it did.
#[derive(Debug, Clone)]
pub struct ExpireUpload {
    /// Which.
    pub id: Uuid,
    /// The time of the last activity that counts.
    pub before: Timestamp,
}

impl WriteQuery for ExpireUpload {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let expired = tx
            .prepare_cached("DELETE FROM uploads WHERE id = ?1 AND last_active_at < ?2")?
            .execute((self.id.to_string(), self.before.as_millis()))?;
        Ok(expired == 1)
    }
}

/// The ids of all uploads.
#[derive(Debug)]
pub struct UploadIds;

impl ReadQuery for UploadIds {
    type Output = Vec<Uuid>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut statement = db.prepare_cached("SELECT id FROM uploads")?;
        let ids = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        Ok(crate::db::readable(ids.into_iter().map(|id| crate::db::parse("upload id", id))))
    }
}

/// The ids of uploads in which nothing was acknowledged since `before`.
#[derive(Debug)]
pub struct IdleUploads {
    /// The time of the last activity that counts.
    pub before: Timestamp,
    /// Most ids.
    pub limit: usize,
}

impl ReadQuery for IdleUploads {
    type Output = Vec<Uuid>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut statement = db.prepare_cached(
            "SELECT id FROM uploads WHERE last_active_at < ?1 ORDER BY last_active_at LIMIT ?2",
        )?;
        let ids = statement
            .query_map((self.before.as_millis(), self.limit), |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()?;
        Ok(crate::db::readable(ids.into_iter().map(|id| crate::db::parse("upload id", id))))
    }
}

/// Every upload with who holds its place.
#[derive(Debug)]
pub struct StandingUploads;

impl ReadQuery for StandingUploads {
    type Output = Vec<Standing>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut statement =
            db.prepare_cached("SELECT id, owner ->> '$.subject', bytes, last_active_at FROM uploads")?;
        let rows = statement.query_map([], |row| {
            let (owner, last_active): (Option<String>, i64) = (row.get(1)?, row.get(3)?);
            Ok((row.get::<_, String>(0)?, owner.unwrap_or_default(), row.get(2)?, last_active))
        })?;
        let standing = |(id, owner, bytes, last_active)| -> Result<Standing, DbError> {
            let id = crate::db::parse("upload id", id)?;
            Ok(Standing { id, owner, bytes, last_active: Timestamp::from_millis(last_active) })
        };
        Ok(crate::db::readable(rows.collect::<Result<Vec<_>, _>>()?.into_iter().map(standing)))
    }
}

/// Uploads, the longest idle first, and how many there are.
#[derive(Debug)]
pub struct ListUploads {
    /// Uploads to pass over.
    pub offset: usize,
    /// Most uploads.
    pub limit: usize,
}

impl ReadQuery for ListUploads {
    type Output = (Vec<UploadRow>, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let total = db.prepare_cached("SELECT count(*) FROM uploads")?.query_row([], |row| row.get(0))?;
        let mut statement = db.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM uploads ORDER BY last_active_at, id LIMIT ?1 OFFSET ?2"
        ))?;
        let rows = statement.query_map((self.limit, self.offset), columns)?.collect::<Result<Vec<_>, _>>()?;
        Ok((crate::db::readable(rows.into_iter().map(parse_row)), total))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::db::queries::testing::{NOW, database, name};

    fn inserted(db: &Connection) -> UploadRow {
        let row = UploadRow {
            id: Uuid::new_v4(),
            repository: name("a/b"),
            algorithm: Algorithm::Sha512,
            bytes: 0,
            owner: Principal::anonymous(),
            token_hash: Some([7; 32]),
            started_at: NOW,
            last_active_at: NOW,
        };
        InsertUpload(row.clone()).run(db).unwrap();
        row
    }

    #[test]
    fn only_an_upload_that_is_idle_expires() {
        let db = database();
        let (id, later) = (inserted(&db).id, NOW.after(Duration::from_secs(1)));
        let expire = |before| ExpireUpload { id, before }.run(&db).unwrap();
        AdvanceUpload { id, bytes: 1, now: later }.run(&db).unwrap();
        assert!(!expire(later) && SettledUpload(id).run(&db).unwrap().is_some());
        let after = later.after(Duration::from_millis(1));
        assert!(expire(after) && SettledUpload(id).run(&db).unwrap().is_none());
        assert!(!expire(after), "it expired twice");
    }

    #[test]
    fn a_row_keeps_what_an_upload_needs_to_go_on() {
        let db = database();
        let row = inserted(&db);
        let later = NOW.after(Duration::from_secs(1));
        assert!(AdvanceUpload { id: row.id, bytes: 42, now: later }.run(&db).unwrap());
        let found = FindUpload(row.id).run(&db).unwrap().unwrap();
        assert_eq!((found.bytes, found.owner, found.token_hash), (42, row.owner, row.token_hash));
        let idle = |before| IdleUploads { before, limit: 9 }.run(&db).unwrap();
        assert_eq!((idle(later), idle(later.after(Duration::from_secs(1)))), (vec![], vec![row.id]));
        DeleteUpload(row.id).run(&db).unwrap();
        assert!(FindUpload(row.id).run(&db).unwrap().is_none() && UploadIds.run(&db).unwrap().is_empty());
        assert!(!AdvanceUpload { id: row.id, bytes: 43, now: later }.run(&db).unwrap());
    }
}

//! What the whole registry has. It is kept by the transactions that change it, so nobody counts it.

use rusqlite::Connection;

use crate::db::{DbError, ReadQuery};

/// What the whole registry has, uploads in progress left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Repositories.
    pub repositories: u64,
    /// Tags of all repositories.
    pub tags: u64,
    /// Manifests of all repositories.
    pub manifests: u64,
    /// Blobs, each once.
    pub blobs: u64,
    /// Bytes of all manifests.
    pub manifest_bytes: u64,
    /// Bytes of every blob, once.
    pub blob_bytes: u64,
    /// Bytes of every blob in each repository that shows it.
    pub linked_bytes: u64,
    /// Bytes of blobs that no repository shows.
    pub unlinked_bytes: u64,
}

impl Totals {
    /// Bytes that are stored: manifests, and each blob once.
    pub fn stored_bytes(&self) -> u64 {
        self.manifest_bytes.saturating_add(self.blob_bytes)
    }

    /// Bytes as people pushed them: of each repository its manifests and every blob it shows.
    pub fn logical_bytes(&self) -> u64 {
        self.manifest_bytes.saturating_add(self.linked_bytes)
    }

    /// Bytes that are not stored a second time, since repositories share blobs.
    pub fn saved_bytes(&self) -> u64 {
        self.linked_bytes.saturating_sub(self.blob_bytes.saturating_sub(self.unlinked_bytes))
    }
}

const SQL: &str =
    "SELECT repositories, tags, manifests, blobs, manifest_bytes, blob_bytes, linked_bytes, unlinked_bytes
  FROM totals WHERE one = 1";

/// Reads [`Totals`].
#[derive(Debug)]
pub struct ReadTotals;

impl ReadQuery for ReadTotals {
    type Output = Totals;

    fn run(self, db: &Connection) -> Result<Totals, DbError> {
        let totals = db.prepare_cached(SQL)?.query_row([], |row| {
            Ok(Totals {
                repositories: row.get(0)?,
                tags: row.get(1)?,
                manifests: row.get(2)?,
                blobs: row.get(3)?,
                manifest_bytes: row.get(4)?,
                blob_bytes: row.get(5)?,
                linked_bytes: row.get(6)?,
                unlinked_bytes: row.get(7)?,
            })
        })?;
        Ok(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::migrate::{migrate, migrate_new};
    use crate::db::queries::testing::database;

    #[test]
    fn totals_are_one_row_found_by_its_key() {
        let db = database();
        assert_eq!(ReadTotals.run(&db).unwrap(), Totals::default());
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {SQL}")).unwrap();
        let lines = plan.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let lines = lines.map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(lines, ["SEARCH totals USING INTEGER PRIMARY KEY (rowid=?)"]);
    }

    #[test]
    fn what_was_stored_before_there_were_totals_counts() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate_new(&mut db, 14).unwrap();
        db.execute_batch(
            "INSERT INTO repositories (id, name, created_at) VALUES (1, 'a', 0), (2, 'b', 0);
             INSERT INTO blobs (id, digest, size, created_at) VALUES (1, 'x', 100, 0), (2, 'y', 30, 0), (3, 'z', 5, 0);
             INSERT INTO repository_blobs (repository_id, blob_id, kept_until) VALUES (1, 1, 0), (2, 1, 0), (1, 2, 0);
             INSERT INTO manifests (id, repository_id, digest, media_type, size, pushed_at, body)
                 VALUES (1, 1, 'm', 't', 7, 0, x'00');
             INSERT INTO tags (repository_id, name, manifest_id, updated_at) VALUES (1, 'v1', 1, 0), (1, 'v2', 1, 0);",
        )
        .unwrap();
        migrate(&mut db).unwrap();
        let totals = ReadTotals.run(&db).unwrap();
        let expected = Totals {
            repositories: 2,
            tags: 2,
            manifests: 1,
            blobs: 3,
            manifest_bytes: 7,
            blob_bytes: 135,
            linked_bytes: 230,
            unlinked_bytes: 5,
        };
        assert_eq!(totals, expected);
        assert_eq!((totals.stored_bytes(), totals.logical_bytes(), totals.saved_bytes()), (142, 237, 100));
    }
}

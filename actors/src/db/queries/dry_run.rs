//! What a sweep would take, computed from one consistent state without changing it.
//!
//! It follows the sweep's own order: manifests, then links, then blobs. What goes in one step makes more go in the next, so
//! what would be gone is remembered here; memory is in proportion to the garbage.

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::collection::LOOSE;
use super::holds::{CHILDREN, PARENTS, REFERENCES, REFERRERS, SUBJECT};
use super::sweeps::Item;
use crate::db::{DbError, ReadQuery};
use crate::domain::Timestamp;

/// Lists the manifests, blobs and uploads that a sweep would take now.
#[derive(Debug)]
pub struct Foresee {
    /// The time.
    pub now: Timestamp,
    /// Until when what loses its last reference now is kept.
    pub kept_until: Timestamp,
    /// Manifests untagged since then at the latest would go; none when there is nothing.
    pub untagged_before: Option<Timestamp>,
    /// Uploads in which nothing happened since then would go.
    pub idle_since: Timestamp,
}

impl ReadQuery for Foresee {
    type Output = Vec<Item>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let snapshot = db.unchecked_transaction()?;
        let mut foresight = Foresight { db: &snapshot, query: &self, items: Vec::new() };
        foresight.uploads()?;
        let manifests = match self.untagged_before {
            Some(before) => foresight.manifests(before)?,
            None => HashSet::new(),
        };
        let links = foresight.links(&manifests)?;
        foresight.blobs(&links)?;
        Ok(foresight.items)
    }
}

/// A link in the order in which links go: until when it is kept, its repository, its blob.
type Link = (i64, i64, i64);

struct Foresight<'a> {
    db: &'a Connection,
    query: &'a Foresee,
    items: Vec<Item>,
}

impl Foresight<'_> {
    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, DbError> {
        Ok(self.db.prepare_cached(sql)?)
    }

    fn ids(&self, sql: &str, id: i64) -> Result<Vec<i64>, DbError> {
        Ok(self.prepare(sql)?.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    fn uploads(&mut self) -> Result<(), DbError> {
        let mut statement = self.db.prepare_cached(
            "SELECT repository, id, bytes FROM uploads WHERE last_active_at < ?1 ORDER BY last_active_at",
        )?;
        let uploads = statement.query_map([self.query.idle_since.as_millis()], |row| {
            Ok(Item { kind: "upload", repository: row.get(0)?, name: row.get(1)?, bytes: row.get(2)? })
        })?;
        for upload in uploads {
            self.items.push(upload?);
        }
        Ok(())
    }

    /// The manifests that would go.
    fn manifests(&mut self, before: Timestamp) -> Result<HashSet<i64>, DbError> {
        let mut loose = self
            .prepare(LOOSE)?
            .query_map((before.as_millis(), i64::MAX, self.query.now.as_millis()), |row| row.get(0))?
            .collect::<Result<Vec<i64>, _>>()?;
        let mut gone = HashSet::new();
        while let Some(id) = loose.pop() {
            if !self.is_loose(id, &gone, before)? || !gone.insert(id) {
                continue;
            }
            let item = self
                .prepare(
                    "SELECT (SELECT name FROM repositories WHERE id = repository_id), digest, size
                       FROM manifests WHERE id = ?1",
                )?
                .query_row([id], |row| {
                    let (repository, name, bytes) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok(Item { kind: "manifest", repository, name, bytes })
                })?;
            self.items.push(item);
            if self.query.kept_until > self.query.now {
                // What it held is kept for a while yet.
                continue;
            }
            loose.extend(self.ids(CHILDREN, id)?);
            loose.extend(self.ids(REFERRERS, id)?);
        }
        Ok(gone)
    }

    /// Whether nothing would hold the manifest when those in `gone` are gone.
    fn is_loose(&self, id: i64, gone: &HashSet<i64>, before: Timestamp) -> Result<bool, DbError> {
        let ties: Option<(Option<i64>, i64)> = self
            .prepare(
                "SELECT untagged_since, subject_state FROM manifest_ties
                  WHERE manifest_id = ?1 AND kept_until <= ?2",
            )?
            .query_row((id, self.query.now.as_millis()), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((Some(untagged_since), subject_state)) = ties else { return Ok(false) };
        if self.ids(PARENTS, id)?.iter().any(|parent| !gone.contains(parent)) {
            return Ok(false);
        }
        let subject = self.ids(SUBJECT, id)?;
        Ok(match subject_state {
            0 => untagged_since <= before.as_millis(),
            1 => false,
            _ => subject.iter().all(|subject| gone.contains(subject)),
        })
    }

    /// The links that would go.
    fn links(&self, manifests: &HashSet<i64>) -> Result<BTreeSet<Link>, DbError> {
        let now = self.query.now.as_millis();
        let mut links: BTreeSet<Link> = self
            .prepare(
                "SELECT kept_until, repository_id, blob_id FROM repository_blobs
                  WHERE reference_count = 0 AND kept_until <= ?1",
            )?
            .query_map([now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        if self.query.kept_until > self.query.now {
            // What these manifests refer to is kept for a while yet.
            return Ok(links);
        }
        let mut lost: HashMap<(i64, i64), u64> = HashMap::new();
        let mut references = self.prepare(REFERENCES)?;
        for id in manifests {
            for link in references.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))? {
                *lost.entry(link?).or_default() += 1;
            }
        }
        let mut link = self.prepare(
            "SELECT kept_until, reference_count FROM repository_blobs WHERE repository_id = ?1 AND blob_id = ?2",
        )?;
        for ((repository, blob), lost) in lost {
            let found: Option<(i64, u64)> =
                link.query_row((repository, blob), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            if let Some((kept_until, references)) = found
                && references <= lost
                && kept_until <= now
            {
                // The loss of the last reference is its last sign of life.
                links.remove(&(kept_until, repository, blob));
                links.insert((kept_until.max(self.query.kept_until.as_millis()), repository, blob));
            }
        }
        Ok(links)
    }

    fn blobs(&mut self, links: &BTreeSet<Link>) -> Result<(), DbError> {
        let now = self.query.now.as_millis();
        let unlinked = self
            .prepare(
                "SELECT coalesce(last_repository, ''), digest, size FROM blobs
                  WHERE link_count = 0 AND kept_until <= ?1",
            )?
            .query_map([now], blob_item)?
            .collect::<Result<Vec<_>, _>>()?;
        let mut lost: HashMap<i64, (u64, i64)> = HashMap::new();
        for (_, repository, blob) in links {
            let (count, last) = lost.entry(*blob).or_default();
            (*count, *last) = (*count + 1, *repository);
        }
        let mut found = Vec::new();
        let mut blob = self.prepare(
            "SELECT (SELECT name FROM repositories WHERE id = ?2), digest, size FROM blobs
              WHERE id = ?1 AND link_count <= ?3 AND kept_until <= ?4",
        )?;
        for (id, (count, repository)) in lost {
            found.extend(blob.query_row((id, repository, count, now), blob_item).optional()?);
        }
        drop(blob);
        found.extend(unlinked);
        found.sort();
        self.items.extend(found);
        Ok(())
    }
}

fn blob_item(row: &rusqlite::Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item { kind: "blob", repository: row.get(0)?, name: row.get(1)?, bytes: row.get(2)? })
}

//! What the collector finds and takes away: untagged manifests, links that nothing needs, blobs that no repository shows.
//!
//! Candidates come from indexes over counts. Before one goes, the references themselves are asked, in the transaction
//! that takes it; a count that is found wrong is set right and reported, and what it pointed at stays.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};
use serde_json::json;

use super::audit;
use super::holds::{LINKS, PARENTS, REFERRING, SUBJECT, TAGS};
use super::manifests;
use super::repositories::RepositoryId;
use crate::db::lag::Due;
use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{COLLECTOR, Digest, Event, EventName, Origin, Timestamp};

/// Candidates looked up at once.
const PAGE: usize = 32;

/// How long one write may hold the writer; it ends after the item that exceeds it.
#[derive(Debug, Clone, Copy)]
pub struct Budget(pub Duration);

impl Budget {
    fn begin(self) -> Watch {
        Watch { began: Instant::now(), most: self.0 }
    }
}

struct Watch {
    began: Instant,
    most: Duration,
}

impl Watch {
    fn took(&self) -> Duration {
        self.began.elapsed()
    }

    fn is_over(&self) -> bool {
        self.took() >= self.most
    }
}

/// Takes untagged manifests whose time is over, or whose subject was here and is gone. Never one that a manifest which is here
/// refers to, nor a referrer of a subject that is, nor one that was promised to somebody. Each is recorded in the audit log.
#[derive(Debug, Clone)]
pub struct CollectUntagged {
    /// The sweep that takes them.
    pub sweep: i64,
    /// The last moment of having a tag, or of a push, that is long ago.
    pub before: Timestamp,
    /// What is kept for no longer.
    pub due: Due,
    /// Until when what they held is kept.
    pub kept_until: Timestamp,
    /// How long it may take.
    pub budget: Budget,
}

/// A manifest that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenManifest {
    /// Where it was.
    pub repository: String,
    /// Which it was.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
}

/// What [`CollectUntagged`] did.
#[derive(Debug, Default)]
pub struct UntaggedCollected {
    /// What went.
    pub taken: Vec<TakenManifest>,
    /// How many had a wrong count, which is right now.
    pub wrong: u64,
    /// Whether there may be more.
    pub more: bool,
    /// How long the writer was held.
    pub took: Duration,
}

/// Untagged manifests that nothing seems to hold, those of a lost subject first. `?1`: untagged since then at the latest.
/// `?3`: kept until then at the latest.
pub(super) const LOOSE: &str = "SELECT manifest_id FROM manifest_ties
  WHERE subject_state = 3 AND untagged_since IS NOT NULL AND parent_count = 0 AND kept_until <= ?3
 UNION ALL
 SELECT manifest_id FROM manifest_ties
  WHERE subject_state = 0 AND untagged_since <= ?1 AND untagged_since IS NOT NULL AND parent_count = 0
    AND kept_until <= ?3
 LIMIT ?2";

impl WriteQuery for CollectUntagged {
    type Output = UntaggedCollected;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<Self::Output, DbError> {
        let watch = self.budget.begin();
        let mut collected = UntaggedCollected::default();
        let loose = tx
            .prepare_cached(LOOSE)?
            .query_map((self.before.as_millis(), PAGE, self.due.until().as_millis()), |row| row.get(0))?
            .collect::<Result<Vec<i64>, _>>()?;
        collected.more = loose.len() == PAGE;
        for id in loose {
            match self.take(tx, id)? {
                Some(manifest) => {
                    // Where nothing is kept, its children, and those that refer to it, may be loose now.
                    collected.more = true;
                    collected.taken.push(manifest);
                }
                None => {
                    mend_ties(tx, id)?;
                    collected.wrong += 1;
                }
            }
            if watch.is_over() {
                collected.more = true;
                break;
            }
        }
        collected.took = watch.took();
        Ok(collected)
    }
}

impl CollectUntagged {
    fn take(&self, tx: &Connection, id: i64) -> Result<Option<TakenManifest>, DbError> {
        let found: Option<(i64, TakenManifest)> = tx
            .prepare_cached(&format!(
                "SELECT repository_id, (SELECT name FROM repositories WHERE id = repository_id), digest, size
                   FROM manifests
                  WHERE id = ?1 AND NOT EXISTS ({TAGS}) AND NOT EXISTS ({PARENTS}) AND NOT EXISTS ({SUBJECT})",
            ))?
            .query_row([id], |row| {
                let (repository, digest, size) = (row.get(1)?, row.get(2)?, row.get(3)?);
                Ok((row.get(0)?, TakenManifest { repository, digest, size }))
            })
            .optional()?;
        let Some((repository, manifest)) = found else { return Ok(None) };
        manifests::delete(tx, RepositoryId(repository), id, self.kept_until)?;
        let mut event = Event::new(EventName::ManifestDeleted).with(json!({"sweep": self.sweep}));
        (event.repository, event.digest) = (manifest.repository.clone(), manifest.digest.clone());
        audit::insert(tx, &collector(), self.due.now, &event)?;
        Ok(Some(manifest))
    }
}

/// Who is named in the audit log for what the collector does by itself.
pub fn collector() -> Origin {
    Origin { actor_name: COLLECTOR.to_owned(), ..Origin::default() }
}

fn mend_ties(tx: &Connection, id: i64) -> Result<(), DbError> {
    tx.prepare_cached(&format!(
        "UPDATE manifest_ties SET
             untagged_since = CASE WHEN EXISTS ({TAGS}) THEN NULL ELSE untagged_since END,
             parent_count = (SELECT count(*) FROM ({PARENTS})),
             subject_state = CASE WHEN EXISTS ({SUBJECT}) THEN 2 ELSE subject_state END
          WHERE manifest_id = ?1",
    ))?
    .execute([id])?;
    Ok(())
}

/// Where a walk over links stands, in the order of their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkCursor {
    kept_until: i64,
    repository: i64,
    blob: i64,
}

impl Default for LinkCursor {
    fn default() -> Self {
        Self { kept_until: i64::MIN, repository: 0, blob: 0 }
    }
}

/// Takes links that no manifest of their repository needs and whose `grace` is over.
#[derive(Debug, Clone)]
pub struct CollectLinks {
    /// Where the walk stands.
    pub after: LinkCursor,
    /// What is over.
    pub due: Due,
    /// How long it may take.
    pub budget: Budget,
}

/// What [`CollectLinks`] did.
#[derive(Debug, Default)]
pub struct LinksCollected {
    /// How many were looked at.
    pub examined: u64,
    /// How many went.
    pub taken: u64,
    /// How many had a wrong count, which is right now.
    pub wrong: u64,
    /// Where to go on; nothing when all were looked at.
    pub next: Option<LinkCursor>,
    /// How long the writer was held.
    pub took: Duration,
}

pub(super) const DUE_LINKS: &str = "SELECT kept_until, repository_id, blob_id FROM repository_blobs
  WHERE reference_count = 0 AND kept_until <= ?1 AND (kept_until, repository_id, blob_id) > (?2, ?3, ?4)
  ORDER BY kept_until, repository_id, blob_id LIMIT ?5";

impl WriteQuery for CollectLinks {
    type Output = LinksCollected;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<Self::Output, DbError> {
        let (watch, after, due) = (self.budget.begin(), self.after, self.due.until());
        let page = (due.as_millis(), after.kept_until, after.repository, after.blob, PAGE);
        let found = tx
            .prepare_cached(DUE_LINKS)?
            .query_map(page, |row| {
                Ok(LinkCursor { kept_until: row.get(0)?, repository: row.get(1)?, blob: row.get(2)? })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let mut collected = LinksCollected::default();
        let all = found.len() < PAGE;
        let last = found.last().copied();
        for link in found {
            collected.examined += 1;
            match take_link(tx, link, due)? {
                true => collected.taken += 1,
                false => {
                    mend_count(tx, link)?;
                    collected.wrong += 1;
                }
            }
            collected.next = if all && last == Some(link) { None } else { Some(link) };
            if watch.is_over() {
                break;
            }
        }
        collected.took = watch.took();
        Ok(collected)
    }
}

fn take_link(tx: &Connection, link: LinkCursor, now: Timestamp) -> Result<bool, DbError> {
    let taken = tx
        .prepare_cached(&format!(
            "DELETE FROM repository_blobs
              WHERE blob_id = ?1 AND repository_id = ?2 AND kept_until <= ?3 AND NOT EXISTS ({REFERRING})",
        ))?
        .execute((link.blob, link.repository, now.as_millis()))?;
    Ok(taken == 1)
}

fn mend_count(tx: &Connection, link: LinkCursor) -> Result<(), DbError> {
    tx.prepare_cached(&format!(
        "UPDATE repository_blobs SET reference_count = (SELECT count(*) FROM ({REFERRING}))
          WHERE blob_id = ?1 AND repository_id = ?2",
    ))?
    .execute((link.blob, link.repository))?;
    Ok(())
}

/// Where a walk over blobs stands, in the order of their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobCursor {
    kept_until: i64,
    id: i64,
}

impl Default for BlobCursor {
    fn default() -> Self {
        Self { kept_until: i64::MIN, id: 0 }
    }
}

/// A blob that no repository shows and whose `grace` is over.
#[derive(Debug, Clone)]
pub struct DueBlob {
    /// Its row.
    pub id: i64,
    /// Its digest as the row has it, which may be none.
    pub digest: String,
    /// The repository that showed it last.
    pub last_repository: String,
    /// Its place in the walk.
    pub cursor: BlobCursor,
}

/// Blobs that no repository shows and whose `grace` is over, those that a sweep has condemned already included.
#[derive(Debug)]
pub struct ListDueBlobs {
    /// Where the walk stands.
    pub after: BlobCursor,
    /// The time.
    pub now: Timestamp,
    /// Most blobs.
    pub limit: usize,
}

pub(super) const DUE_BLOBS: &str = "SELECT kept_until, id, digest, coalesce(last_repository, '') FROM blobs
  WHERE link_count = 0 AND kept_until <= ?1 AND (kept_until, id) > (?2, ?3)
  ORDER BY kept_until, id LIMIT ?4";

impl ReadQuery for ListDueBlobs {
    type Output = Vec<DueBlob>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let page = (self.now.as_millis(), self.after.kept_until, self.after.id, self.limit);
        let mut statement = db.prepare_cached(DUE_BLOBS)?;
        let due = statement.query_map(page, |row| {
            let cursor = BlobCursor { kept_until: row.get(0)?, id: row.get(1)? };
            Ok(DueBlob { id: cursor.id, digest: row.get(2)?, last_repository: row.get(3)?, cursor })
        })?;
        Ok(due.collect::<Result<_, _>>()?)
    }
}

/// Marks blobs that nothing refers to as condemned: absent to every look-up from the commit on. In the same
/// transaction forgets those condemned before whose files are gone.
///
/// The asker holds the reservation of each digest, so no upload of it is between its file and its row.
#[derive(Debug, Clone)]
pub struct Condemn {
    /// Condemned blobs without a file.
    pub forget: Vec<i64>,
    /// Candidates.
    pub candidates: Vec<i64>,
    /// What is over.
    pub due: Due,
    /// How long it may take.
    pub budget: Budget,
}

/// What [`Condemn`] did.
#[derive(Debug, Default)]
pub struct Condemned {
    /// The candidates that are condemned now.
    pub ids: Vec<i64>,
    /// How many candidates were looked at, from the first on.
    pub reached: usize,
    /// How long the writer was held.
    pub took: Duration,
}

impl WriteQuery for Condemn {
    type Output = Condemned;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<Condemned, DbError> {
        let watch = self.budget.begin();
        let mut forget =
            tx.prepare_cached("DELETE FROM blobs WHERE id = ?1 AND state = 1 AND link_count = 0")?;
        for id in self.forget {
            forget.execute([id])?;
        }
        let mut condemn = tx.prepare_cached(&format!(
            "UPDATE blobs SET state = 1 WHERE id = ?1 AND kept_until <= ?2 AND NOT EXISTS ({LINKS})",
        ))?;
        let mut condemned = Condemned::default();
        for id in self.candidates {
            condemned.reached += 1;
            if condemn.execute((id, self.due.until().as_millis()))? == 1 {
                condemned.ids.push(id);
            }
            if watch.is_over() {
                break;
            }
        }
        condemned.took = watch.took();
        Ok(condemned)
    }
}

/// Those of the digests that have no row, whatever its state.
#[derive(Debug)]
pub struct Unrecorded(pub Vec<Digest>);

impl ReadQuery for Unrecorded {
    type Output = Vec<Digest>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut row = db.prepare_cached("SELECT 1 FROM blobs WHERE digest = ?1")?;
        let mut unrecorded = Vec::new();
        for digest in self.0 {
            if !row.exists([digest.to_string()])? {
                unrecorded.push(digest);
            }
        }
        Ok(unrecorded)
    }
}

/// How many links and blobs are due, a million of each at most.
#[derive(Debug)]
pub struct CountDue {
    /// The time.
    pub now: Timestamp,
}

impl ReadQuery for CountDue {
    type Output = (u64, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let counted = |sql: &str| db.prepare_cached(sql)?.query_row([self.now.as_millis()], |row| row.get(0));
        let links = counted(
            "SELECT count(*) FROM (SELECT 1 FROM repository_blobs
              WHERE reference_count = 0 AND kept_until <= ?1 LIMIT 1000000)",
        )?;
        let blobs = counted(
            "SELECT count(*) FROM (SELECT 1 FROM blobs WHERE link_count = 0 AND kept_until <= ?1 LIMIT 1000000)",
        )?;
        Ok((links, blobs))
    }
}

#[cfg(test)]
pub(super) mod tests;

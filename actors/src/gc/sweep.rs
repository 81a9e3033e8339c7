//! One step of a sweep: asks those who own rows and files, in the order that makes it safe.

pub(super) mod strays;

use std::sync::Arc;
use std::time::Duration;

use super::pace::{Pace, Walk};
use super::plan::{Found, Looked, Step};
use super::report::Gain;
use super::{GcError, asked};
use crate::ask::Handle;
use crate::blob_store::{BlobStore, Layout, RemoveAll, Reservation, ReserveIdle};
use crate::clock::Clock;
use crate::db::Db;
use crate::db::lag::Due;
use crate::db::queries::collection::{
    BlobCursor, Budget, CollectLinks, CollectUntagged, Condemn, DueBlob, LinkCursor, ListDueBlobs,
};
use crate::db::queries::dry_run::Foresee;
use crate::db::queries::references::{NoteReferences, ReadUnread, Unread};
use crate::db::queries::sweeps::{DropItems, Item, STRAY, SaveItems};
use crate::domain::{Digest, Timestamp};
use crate::fs::Fs;
use crate::upload::{self, Uploads};

/// How long a sweep's write may hold the writer.
const BUDGET: Budget = Budget(Duration::from_millis(2));
/// Blobs taken in one step.
const BLOBS: usize = 64;
/// Findings kept or forgotten in one write.
const ITEMS: usize = 500;

/// What a sweep works with.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    pub(super) db: Db,
    pub(super) blobs: Handle<BlobStore>,
    pub(super) uploads: Handle<Uploads>,
    pub(super) fs: Arc<dyn Fs>,
    pub(super) layout: Layout,
    pub(super) clock: Clock,
    pub(super) pace: Pace,
    /// How long a blob is kept from the loss of its last reference.
    pub(super) keep: Duration,
    /// By how much that is longer than was promised.
    pub(super) spare: Duration,
    /// How long a manifest may be untagged; for ever when there is none.
    pub(super) untagged_after: Option<Duration>,
    /// How long an upload may rest.
    pub(super) upload_expiry: Duration,
}

/// Which sweep it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweep {
    /// Its number.
    pub(super) id: i64,
    /// When it began.
    pub(super) began: Timestamp,
    /// Whether files without a row go however many they are.
    pub(super) take_strays: bool,
}

/// What a step came to.
pub(super) struct Taken {
    pub(super) step: Step,
    pub(super) gain: Gain,
    pub(super) found: Result<Found, GcError>,
    pub(super) walk: Walk,
}

/// Takes one step of this sweep, at the pace of `walk`.
pub(super) async fn take(step: Step, sweep: Sweep, tools: Tools, walk: Walk) -> Taken {
    let mut work = Work { tools, sweep, walk, gain: Gain::default() };
    let (step, found) = work.take(step).await;
    Taken { step, gain: work.gain, found, walk: work.walk }
}

struct Work {
    tools: Tools,
    sweep: Sweep,
    walk: Walk,
    gain: Gain,
}

impl Work {
    async fn take(&mut self, step: Step) -> (Step, Result<Found, GcError>) {
        match step {
            Step::References => (step, self.references().await),
            Step::Uploads => (step, self.uploads().await),
            Step::Manifests => (step, self.manifests().await),
            Step::Links(after) => (step, self.links(after).await),
            Step::Blobs(after, forget) => (Step::Blobs(after, Vec::new()), self.blobs(after, forget).await),
            Step::Look(directory, looked) => (step, self.look(directory, looked).await),
            Step::Strays(ref after) => {
                let after = after.clone();
                (step, self.strays(after).await)
            }
            Step::Foresee => (step, self.foresee().await),
            Step::ForeseeStrays(directory, items, looked) => {
                let found = self.foresee_strays(directory, items, looked).await;
                (Step::ForeseeStrays(directory, Vec::new(), looked), found)
            }
            Step::Save(items, from) => (Step::Save(Vec::new(), from), self.save(items, from).await),
        }
    }

    fn now(&self) -> Timestamp {
        self.tools.clock.now()
    }

    /// What was kept until now at most: promises count from the commit, so a late one lasts as much longer.
    fn due(&self) -> Due {
        Due { now: self.now(), lag: self.tools.db.lag(), spare: self.tools.spare }
    }

    /// Since when nothing happened in what had `life` from its last change.
    fn lived(&self, life: Duration) -> Timestamp {
        self.now().before(life).before(self.tools.db.lag().longest())
    }

    /// Reads manifests again, and stores what they refer to in small writes.
    async fn references(&mut self) -> Result<Found, GcError> {
        self.walk.turn().await;
        let Unread { manifests, references } = self.tools.db.read(ReadUnread).await.map_err(asked)?;
        if manifests.is_empty() {
            return Ok(Found::Nothing);
        }
        for some in references.chunks(ITEMS) {
            self.walk.turn().await;
            let note = NoteReferences { references: some.to_vec(), read: Vec::new() };
            self.tools.db.write(note).await.map_err(asked)?;
        }
        self.walk.turn().await;
        let read = NoteReferences { references: Vec::new(), read: manifests };
        self.tools.db.write(read).await.map_err(asked)?;
        Ok(Found::MoreReferences)
    }

    async fn uploads(&mut self) -> Result<Found, GcError> {
        let idle_since = self.lived(self.tools.upload_expiry);
        self.walk.turn().await;
        let sweep = upload::Sweep { idle_since, take_strays: self.sweep.take_strays };
        let swept = self.tools.uploads.ask(sweep).await.map_err(asked)?;
        if swept.kept > 0 {
            self.gain.error(swept);
        }
        self.gain.counts.uploads += swept.expired;
        self.gain.counts.strays += swept.strays;
        Ok(Found::Nothing)
    }

    async fn manifests(&mut self) -> Result<Found, GcError> {
        let Some(untagged_after) = self.tools.untagged_after else { return Ok(Found::Nothing) };
        self.walk.turn().await;
        let (before, kept_until) = (self.lived(untagged_after), self.now().after(self.tools.keep));
        let query =
            CollectUntagged { sweep: self.sweep.id, before, due: self.due(), kept_until, budget: BUDGET };
        let collected = self.tools.db.write(query).await.map_err(asked)?;
        self.gain.wrote(collected.took);
        self.report_wrong(collected.wrong, "manifest");
        for manifest in collected.taken {
            self.gain.counts.manifests += 1;
            self.gain.share(manifest.repository, manifest.size);
        }
        Ok(if collected.more { Found::MoreManifests } else { Found::Nothing })
    }

    fn report_wrong(&mut self, wrong: u64, what: &str) {
        for _ in 0..wrong {
            self.gain.error(format_args!("a {what} was counted wrong; it stays, and its count is right now"));
        }
    }

    async fn links(&mut self, after: LinkCursor) -> Result<Found, GcError> {
        self.walk.turn().await;
        let query = CollectLinks { after, due: self.due(), budget: BUDGET };
        let collected = self.tools.db.write(query).await.map_err(asked)?;
        self.gain.wrote(collected.took);
        self.report_wrong(collected.wrong, "link");
        self.gain.counts.examined += collected.examined;
        self.gain.counts.links += collected.taken;
        Ok(collected.next.map_or(Found::Nothing, Found::MoreLinks))
    }

    /// Reserves, condemns and commits, removes the files, lets the reservations go. The rows go with the next step's
    /// write.
    async fn blobs(&mut self, after: BlobCursor, forget: Vec<i64>) -> Result<Found, GcError> {
        self.walk.turn().await;
        let query = ListDueBlobs { after, now: self.due().until(), limit: BLOBS };
        let due = self.tools.db.read(query).await.map_err(asked)?;
        let full = due.len() == BLOBS;
        let last = due.last().map_or(after, |blob| blob.cursor);
        let mut reserved = self.reserve(due).await?;
        self.walk.turn().await;
        let candidates = reserved.iter().map(|(blob, _)| blob.id).collect();
        let query = Condemn { forget, candidates, due: self.due(), budget: BUDGET };
        let condemned = self.tools.db.write(query).await.map_err(asked)?;
        self.gain.wrote(condemned.took);
        self.gain.counts.condemned += condemned.ids.len() as u64;
        let unreached = reserved.split_off(condemned.reached.min(reserved.len()));
        let next = match reserved.last() {
            Some((blob, _)) if !unreached.is_empty() => Some(blob.cursor),
            _ => full.then_some(last),
        };
        drop(unreached);
        reserved.retain(|(blob, _)| condemned.ids.contains(&blob.id));
        let forget = self.remove(reserved).await?;
        Ok(Found::Blobs { forget, next })
    }

    /// Those of the blobs whose fate nobody else decides now.
    async fn reserve(&mut self, due: Vec<DueBlob>) -> Result<Vec<(DueBlob, Reservation)>, GcError> {
        self.gain.counts.examined += due.len() as u64;
        let mut blobs: Vec<(DueBlob, Digest)> = Vec::with_capacity(due.len());
        for blob in due {
            match blob.digest.parse() {
                Ok(digest) => blobs.push((blob, digest)),
                Err(_) => self
                    .gain
                    .error(format_args!("the blob in row {} has no digest: {:?}", blob.id, blob.digest)),
            }
        }
        if blobs.is_empty() {
            return Ok(Vec::new());
        }
        self.walk.turn().await;
        let digests = blobs.iter().map(|(_, digest)| *digest).collect();
        let reservations = self.tools.blobs.ask(ReserveIdle { digests }).await.map_err(asked)?;
        self.gain.counts.busy += (blobs.len() - reservations.len()) as u64;
        let mut reservations = reservations.into_iter().peekable();
        let mut reserved = Vec::with_capacity(blobs.len());
        for (blob, digest) in blobs {
            if let Some(reservation) = reservations.next_if(|reservation| reservation.digest() == digest) {
                reserved.push((blob, reservation));
            }
        }
        Ok(reserved)
    }

    /// Removes the files of condemned blobs. Answers whose file is gone.
    async fn remove(&mut self, condemned: Vec<(DueBlob, Reservation)>) -> Result<Vec<i64>, GcError> {
        if condemned.is_empty() {
            return Ok(Vec::new());
        }
        let (blobs, reservations): (Vec<_>, Vec<_>) = condemned.into_iter().unzip();
        self.walk.turn().await;
        let removed = self.tools.blobs.ask(RemoveAll { reservations }).await.map_err(asked)?;
        let mut gone = Vec::with_capacity(blobs.len());
        for (blob, (digest, removed)) in blobs.into_iter().zip(removed) {
            match removed {
                Ok(bytes) => {
                    let bytes = bytes.unwrap_or_default();
                    self.gain.counts.removed += 1;
                    self.gain.counts.freed_bytes += bytes;
                    self.gain.share(blob.last_repository, bytes);
                    gone.push(blob.id);
                }
                Err(error) => {
                    self.gain.error(format_args!("the file of {digest} cannot be removed: {error}"))
                }
            }
        }
        Ok(gone)
    }

    async fn foresee(&mut self) -> Result<Found, GcError> {
        self.walk.turn().await;
        let now = self.now();
        let foresee = Foresee {
            now,
            kept_until: now.after(self.tools.keep),
            untagged_before: self.tools.untagged_after.map(|after| now.before(after)),
            idle_since: now.before(self.tools.upload_expiry),
        };
        let items = self.tools.db.read(foresee).await.map_err(asked)?;
        Ok(Found::Items(items, Looked::default()))
    }

    /// Keeps some findings, and counts them; the first time forgets those of earlier dry runs.
    async fn save(&mut self, items: Vec<Item>, from: usize) -> Result<Found, GcError> {
        if from == 0 {
            let drop_items = || DropItems { before: self.sweep.id, limit: ITEMS };
            while self.tools.db.write(drop_items()).await.map_err(asked)? {
                self.walk.turn().await;
            }
        }
        let next = items.len().min(from + ITEMS);
        for item in &items[from..next] {
            self.count(item);
        }
        self.walk.turn().await;
        let save = SaveItems { sweep: self.sweep.id, first: from, items: items[from..next].to_vec() };
        self.tools.db.write(save).await.map_err(asked)?;
        Ok(Found::Saved(items, next))
    }

    fn count(&mut self, item: &Item) {
        let counts = &mut self.gain.counts;
        match item.kind {
            "upload" => counts.uploads += 1,
            "manifest" => counts.manifests += 1,
            "blob" => {
                counts.removed += 1;
                counts.freed_bytes += item.bytes;
            }
            STRAY => {
                counts.strays += 1;
                counts.freed_bytes += item.bytes;
                return;
            }
            _ => {
                counts.strays_waiting += 1;
                return;
            }
        }
        self.gain.share(item.repository.clone(), item.bytes);
    }
}

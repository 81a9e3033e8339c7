//! Files without a row: a crash leaves few of them, and a database that is not the right one makes all of them seem so. One goes
//! only when two looks found it so, far enough apart, and none goes when they are more than a tenth of all files.

use std::path::PathBuf;
use std::sync::Arc;

use super::Work;
use crate::blob_store::{Layout, RemoveAll, Reservation, ReserveIdle};
use crate::db::queries::collection::Unrecorded;
use crate::db::queries::strays::{DueStrays, ForgetStrays, NoteStrays, SeenBefore};
use crate::db::queries::sweeps::{Item, STRAY, WAITING_STRAY};
use crate::domain::{Digest, Timestamp};
use crate::gc::plan::{Found, Looked, strays_wait};
use crate::gc::{GcError, asked};

/// Files compared with rows at once.
const FILES: usize = 256;

impl Work {
    /// The digests whose files are in one directory.
    async fn files(&mut self, directory: usize) -> Result<Vec<Digest>, GcError> {
        let (fs, layout) = (Arc::clone(&self.tools.fs), self.tools.layout.clone());
        let path = layout.directory(directory);
        let listed = actix_rt::task::spawn_blocking(move || {
            let names = fs.list(&path)?;
            let of = |name: PathBuf| {
                let path = path.join(name);
                layout.digest(&path).ok_or(path)
            };
            Ok::<_, std::io::Error>(names.into_iter().map(of).collect::<Vec<_>>())
        });
        let names = match listed.await {
            Ok(Ok(names)) => names,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Ok(Err(error)) => {
                self.gain.error(format_args!(
                    "{} cannot be listed: {error}",
                    self.tools.layout.directory(directory).display()
                ));
                Vec::new()
            }
            Err(_) => return Err(GcError::Unavailable("the thread that lists files")),
        };
        let mut digests = Vec::with_capacity(names.len());
        for name in names {
            match name {
                Ok(digest) => digests.push(digest),
                Err(path) => self.gain.error(format_args!("{} is no blob; it stays", path.display())),
            }
        }
        Ok(digests)
    }

    /// Those of the digests that have no row while nobody decides about them: whoever holds one has placed its file and may be
    /// about to write its row.
    async fn rowless(&mut self, digests: Vec<Digest>) -> Result<Vec<Reservation>, GcError> {
        self.walk.turn().await;
        let digests = self.tools.db.read(Unrecorded(digests)).await.map_err(asked)?;
        if digests.is_empty() {
            return Ok(Vec::new());
        }
        self.walk.turn().await;
        let reserved = self.tools.blobs.ask(ReserveIdle { digests }).await.map_err(asked)?;
        self.walk.turn().await;
        // Who held it a moment ago may have written its row.
        let digests = reserved.iter().map(Reservation::digest).collect();
        let strays = self.tools.db.read(Unrecorded(digests)).await.map_err(asked)?;
        Ok(reserved.into_iter().filter(|reservation| strays.contains(&reservation.digest())).collect())
    }

    /// Notes the files without a row in one directory, and after the last one forgets those that are none any more.
    pub(super) async fn look(&mut self, directory: usize, looked: Looked) -> Result<Found, GcError> {
        let files = self.files(directory).await?;
        let mut found = 0;
        for some in files.chunks(FILES) {
            let digests: Vec<_> =
                self.rowless(some.to_vec()).await?.iter().map(Reservation::digest).collect();
            if digests.is_empty() {
                continue;
            }
            found += digests.len() as u64;
            self.walk.turn().await;
            let note = NoteStrays { digests, seen: self.sweep.began, sweep: self.sweep.id };
            self.tools.db.write(note).await.map_err(asked)?;
        }
        self.gain.counts.strays_waiting += found;
        if directory + 1 == Layout::DIRECTORIES {
            self.walk.turn().await;
            self.tools.db.write(ForgetStrays::NotFoundBy(self.sweep.id)).await.map_err(asked)?;
        }
        Ok(Found::Looked(looked.and(files.len() as u64, found)))
    }

    /// What was without a row then already may go now.
    fn since(&self) -> Timestamp {
        self.sweep.began.before(strays_wait(self.tools.keep))
    }

    /// Takes some of the files that have had no row for long enough.
    pub(super) async fn strays(&mut self, after: String) -> Result<Found, GcError> {
        self.walk.turn().await;
        let due = DueStrays { after, until: self.since(), limit: FILES };
        let due = self.tools.db.read(due).await.map_err(asked)?;
        let next = due.last().filter(|_| due.len() == FILES).map(ToString::to_string);
        if !due.is_empty() {
            let gone = self.remove_strays(due).await?;
            self.walk.turn().await;
            self.tools.db.write(ForgetStrays::Gone(gone)).await.map_err(asked)?;
        }
        Ok(next.map_or(Found::Nothing, Found::MoreStrays))
    }

    /// Removes those that nobody decides about now and that still have no row; answers which.
    async fn remove_strays(&mut self, digests: Vec<Digest>) -> Result<Vec<Digest>, GcError> {
        let reservations = self.rowless(digests).await?;
        // A row that may come back yet is settled first.
        self.tools.db.observe().await.map_err(asked)?;
        self.walk.turn().await;
        let removed = self.tools.blobs.ask(RemoveAll { reservations }).await.map_err(asked)?;
        let mut gone = Vec::with_capacity(removed.len());
        for (digest, removed) in removed {
            match removed {
                Ok(bytes) => {
                    self.gain.counts.strays += 1;
                    self.gain.counts.freed_bytes += bytes.unwrap_or_default();
                    self.gain.taken_strays += 1;
                    gone.push(digest);
                }
                Err(error) => self.gain.error(format_args!("the stray file of {digest} stays: {error}")),
            }
        }
        Ok(gone)
    }

    /// Finds the files without a row in one directory, and says of each whether it may go already.
    pub(super) async fn foresee_strays(
        &mut self,
        directory: usize,
        mut items: Vec<Item>,
        looked: Looked,
    ) -> Result<Found, GcError> {
        let files = self.files(directory).await?;
        let mut found = 0;
        for some in files.chunks(FILES) {
            let strays: Vec<_> = self.rowless(some.to_vec()).await?.iter().map(Reservation::digest).collect();
            found += strays.len() as u64;
            let seen = SeenBefore { digests: strays.clone(), until: self.since() };
            let due = self.tools.db.read(seen).await.map_err(asked)?;
            for digest in strays {
                let kind = if due.contains(&digest) { STRAY } else { WAITING_STRAY };
                let bytes = self.tools.fs.len(&self.tools.layout.path(&digest)).ok().flatten();
                let (name, bytes) = (digest.to_string(), bytes.unwrap_or_default());
                items.push(Item { kind, repository: String::new(), name, bytes });
            }
        }
        Ok(Found::Items(items, looked.and(files.len() as u64, found)))
    }
}

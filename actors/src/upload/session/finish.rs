//! The end of an upload: verify, sync, publish, record, and only then answer.
//!
//! From before the rename until the row is committed the digest stays reserved, so the collector cannot come between. The
//! change of the row holds the reservation too: it is in force as long as that may still be made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix::{ActorFutureExt, AtomicResponse, Context, Handler, Message, WrapFuture};
use serde_json::json;
use uuid::Uuid;

use super::{Session, Shared, hash_file, hash_start};
use crate::ask::AskError;
use crate::blob_store::{BlobError, Check, Open, Publish, Remove, Reservation, Reserve, durable};
use crate::db::DbError;
use crate::db::queries::audit::Audited;
use crate::db::queries::blobs::{FindGoodBlob, LinkBlob, Linked};
use crate::db::queries::uploads::DeleteUpload;
use crate::db::writer::Holding;
use crate::domain::{Digest, Event, EventName, Hasher, Origin, RepositoryName};
use crate::fs::{ReadFile, WriteFile};
use crate::upload::state::verify;
use crate::upload::{Refusal, UploadError, asked, undecided};

/// Completes the upload.
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, UploadError>")]
pub(in crate::upload) struct Finish {
    pub(in crate::upload) turn: u64,
    pub(in crate::upload) digest: Digest,
    pub(in crate::upload) origin: Origin,
}

/// How finishing ended, for the session to draw the consequences.
enum Finished {
    /// The blob is there; nothing is left of the upload.
    Done(u64),
    /// The upload is over and the client must begin anew.
    Over(UploadError),
    /// The upload is as it was before this request; its file is back.
    AsBefore(UploadError, Option<Box<dyn WriteFile>>),
    /// What became of the upload is to be learned from its row and its file; the next request does.
    Rests(UploadError),
}

impl Finished {
    /// A change of rows failed before the file was touched.
    fn unrecorded(error: AskError<DbError>, file: Box<dyn WriteFile>) -> Self {
        if undecided(&error) { Self::Rests(asked(error)) } else { Self::AsBefore(asked(error), Some(file)) }
    }
}

/// What is in the place of a blob that was uploaded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Nothing that a row calls good.
    Nothing,
    /// A row says that it is good; its file is not.
    Damaged,
    /// A good copy, with a row.
    Good,
}

/// All that finishing needs, taken out of the session.
struct Job {
    shared: Shared,
    repository: RepositoryName,
    row: Option<Uuid>,
    path: PathBuf,
    /// Acknowledged before this request.
    acknowledged: u64,
    size: u64,
    digest: Digest,
    computed: Digest,
    origin: Origin,
}

impl Handler<Finish> for Session {
    type Result = AtomicResponse<Self, Result<u64, UploadError>>;

    fn handle(&mut self, Finish { turn, digest, origin }: Finish, _: &mut Context<Self>) -> Self::Result {
        let allowed = self.must_have_turn(turn).and_then(|()| self.open_file().map(|_| ()));
        let job = Job {
            shared: self.shared.clone(),
            repository: self.repository.clone(),
            row: self.has_row().then_some(self.id),
            path: self.path(),
            acknowledged: self.progress.acknowledged(),
            size: self.progress.received(),
            digest,
            computed: self.progress.digest(),
            origin,
        };
        let file = self.file.take();
        let finished = async move {
            match (allowed, file) {
                (Ok(()), Some(file)) => job.run(file).await,
                (Ok(()), None) => Finished::Over(UploadError::Unknown),
                (Err(error), file) => Finished::AsBefore(error, file),
            }
        };
        AtomicResponse::new(Box::pin(
            finished
                .into_actor(self)
                .map(move |finished, session, context| session.conclude(turn, finished, context)),
        ))
    }
}

impl Session {
    fn conclude(
        &mut self,
        turn: u64,
        finished: Finished,
        context: &mut Context<Self>,
    ) -> Result<u64, UploadError> {
        match finished {
            Finished::Done(size) => {
                self.end(context);
                Ok(size)
            }
            Finished::Over(error) => {
                self.end(context);
                Err(error)
            }
            Finished::AsBefore(error, file) => {
                self.file = file;
                let error = self.judged(error, context);
                self.forget_turn(turn, context);
                self.next_turn();
                Err(error)
            }
            Finished::Rests(error) => {
                self.rest(context);
                Err(error)
            }
        }
    }
}

impl Job {
    async fn run(self, file: Box<dyn WriteFile>) -> Finished {
        match self.verify().await {
            Ok(()) => self.publish(file).await,
            Err(error @ UploadError::Refused(Refusal::WrongDigest { .. })) => match self.forget_row().await {
                Ok(()) => Finished::Over(error),
                Err(failed) => Finished::unrecorded(failed, file),
            },
            Err(error) => Finished::AsBefore(error, Some(file)),
        }
    }

    /// Holds the content against the claimed digest, hashing it again when that is of another algorithm.
    async fn verify(&self) -> Result<(), UploadError> {
        if self.digest.algorithm() == self.computed.algorithm() {
            return Ok(verify(self.digest, self.computed)?);
        }
        let (fs, path, size) = (self.shared.fs.clone(), self.path.clone(), self.size);
        let hasher = Hasher::new(self.digest.algorithm());
        let hashed =
            actix_rt::task::spawn_blocking(move || hash_file(fs.as_ref(), &path, size, hasher)).await;
        let hasher = hashed.map_err(std::io::Error::from)??;
        Ok(verify(self.digest, hasher.finish())?)
    }

    async fn forget_row(&self) -> Result<(), AskError<DbError>> {
        match self.row {
            Some(id) => self.shared.db.write(DeleteUpload(id)).await,
            None => Ok(()),
        }
    }

    async fn publish(self, mut file: Box<dyn WriteFile>) -> Finished {
        let reservation = match self.shared.blobs.ask(Reserve { digest: self.digest }).await {
            Ok(reservation) => reservation,
            Err(error) => return Finished::AsBefore(asked(error), Some(file)),
        };
        let found = match self.look().await {
            Ok(found) => found,
            Err(error) => return Finished::AsBefore(error, Some(file)),
        };
        if found == Found::Good {
            // The good file stays; this copy of it goes when the session ends.
            return match self.record(Arc::new(reservation)).await {
                Ok(()) => Finished::Done(self.size),
                Err(error) => Finished::unrecorded(error, file),
            };
        }
        let from = match file.sync().and_then(|()| self.name_to_move()) {
            Ok(from) => from,
            Err(error) => return Finished::AsBefore(error.into(), Some(file)),
        };
        // What is hashed is what is published: nobody can write to it any more.
        drop(file);
        let publish = Publish { reservation, from: from.clone() };
        let reservation = match self.shared.blobs.ask(publish).await {
            Ok(reservation) => Arc::new(reservation),
            Err(error) => {
                self.forget_name(&from);
                return Finished::Rests(asked(error));
            }
        };
        match self.record(Arc::clone(&reservation)).await {
            Ok(()) => Finished::Done(self.size),
            Err(error) => {
                if found == Found::Nothing && !undecided(&error) {
                    self.take_away(reservation).await;
                }
                Finished::Rests(asked(error))
            }
        }
    }

    /// Looks what is in the blob's place. While nobody can tell, nothing is replaced: it may be good.
    async fn look(&self) -> Result<Found, UploadError> {
        let digest = self.digest;
        let Some(size) = self.shared.db.read(FindGoodBlob { digest }).await.map_err(asked)? else {
            return Ok(Found::Nothing);
        };
        let reader = &self.shared.reader;
        let looked = match self.shared.verify_on_push {
            true => reader.ask(Open { digest, size }).await.map(Some),
            false => reader.ask(Check { digest, size }).await.map(|()| None),
        };
        match looked {
            Ok(Some(file)) => self.compare(file).await,
            Ok(None) => Ok(Found::Good),
            Err(AskError::Refused(BlobError::Missing(_) | BlobError::Length { .. })) => Ok(Found::Damaged),
            Err(error) => Err(asked(error)),
        }
    }

    /// Reads the stored file. One that has other bytes, or cannot be read, is replaced by these, which are right.
    async fn compare(&self, file: Arc<dyn ReadFile>) -> Result<Found, UploadError> {
        let digest = self.digest;
        let hash = move || hash_start(file.as_ref(), file.len(), Hasher::new(digest.algorithm()));
        let hashed = actix_rt::task::spawn_blocking(hash).await.map_err(std::io::Error::from)?;
        let found = match hashed.map(Hasher::finish) {
            Ok(found) if found == digest => return Ok(Found::Good),
            Ok(found) => format!("has other bytes: they are {found}"),
            Err(error) => format!("cannot be read: {error}"),
        };
        log::error!("corruption: the file of {digest} {found}; what was pushed replaces it");
        Ok(Found::Damaged)
    }

    /// The name of the file that becomes the blob's. A store that is late moves whatever has it by then, so it is one that nothing
    /// has had or will have: where acknowledged bytes rest on the upload's own name, a second one. An upload without a row never
    /// goes on, and its name is as good.
    fn name_to_move(&self) -> std::io::Result<PathBuf> {
        let fs = self.shared.fs.as_ref();
        match (self.row, self.acknowledged) {
            (None, _) => Ok(self.path.clone()),
            (Some(_), 0) => durable::other_name(fs, &self.path),
            (Some(_), _) => durable::second_name(fs, &self.path),
        }
    }

    /// Takes away the name that was to become the blob's: a store that is late must not move it when others wait no more.
    fn forget_name(&self, from: &Path) {
        if let Err(error) = self.shared.fs.remove(from) {
            log::warn!("{} stays for now: {error}", from.display());
        }
    }

    /// Takes the published file away again, which no row names: it shares its bytes with an upload that goes on.
    async fn take_away(&self, reservation: Arc<Reservation>) {
        // The change that held it too was refused and is gone.
        let Some(reservation) = Arc::into_inner(reservation) else { return };
        if let Err(error) = self.shared.blobs.ask(Remove { reservation }).await {
            log::warn!("the file of {} stays until the next sweep: {error}", self.digest);
        }
    }

    /// Makes the blob visible; the row, the link and the audit entry are one commit, which holds the reservation.
    async fn record(&self, held: Arc<Reservation>) -> Result<(), AskError<DbError>> {
        let now = self.shared.clock.now();
        let (repository, digest, size) = (self.repository.clone(), self.digest, self.size);
        let kept_until = now.after(self.shared.keep);
        let query =
            LinkBlob { repository: repository.clone(), digest, size, upload: self.row, now, kept_until };
        let describe = move |linked: &Linked| {
            let created = Event::new(EventName::RepositoryCreated).at(&repository);
            let uploaded = Event::new(EventName::BlobUploaded).at(&repository).of(&digest);
            let created = linked.repository_created.then_some(created);
            created.into_iter().chain([uploaded.with(json!({"size": size}))]).collect()
        };
        let origin = self.origin.clone();
        let query = Audited { query, origin, now, describe };
        self.shared.db.write(Holding { query, held }).await.map(|_| ())
    }
}

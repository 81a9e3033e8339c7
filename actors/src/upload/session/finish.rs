//! The end of an upload: verify, sync, publish, record, and only then answer.
//!
//! From before the rename until the row is committed the session holds the digest's reservation, so the collector
//! cannot come between.

use std::path::PathBuf;

use actix::{ActorFutureExt, AtomicResponse, Context, Handler, WrapFuture};
use serde_json::json;
use uuid::Uuid;

use super::{Finish, Session, Shared, hash_file};
use crate::ask::AskError;
use crate::blob_store::{Check, Publish, Remove, Reserve};
use crate::db::DbError;
use crate::db::queries::audit::Audited;
use crate::db::queries::blobs::{FindGoodBlob, LinkBlob, Linked};
use crate::db::queries::uploads::DeleteUpload;
use crate::domain::{Digest, Event, EventName, Hasher, Origin, RepositoryName};
use crate::fs::WriteFile;
use crate::upload::state::verify;
use crate::upload::{Refusal, UploadError, asked};

/// How finishing ended, for the session to draw the consequences.
enum Finished {
    /// The blob is there; nothing is left of the upload.
    Done(u64),
    /// The upload is over and the client must begin anew.
    Over(UploadError),
    /// The upload is as it was before this request; its file is back.
    AsBefore(UploadError, Option<Box<dyn WriteFile>>),
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
            path: self.shared.path(self.id),
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
                self.forget_turn(turn);
                self.next_turn(context);
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
                Err(failed) => Finished::AsBefore(failed, Some(file)),
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

    async fn forget_row(&self) -> Result<(), UploadError> {
        match self.row {
            Some(id) => self.shared.db.write(DeleteUpload(id)).await.map_err(asked),
            None => Ok(()),
        }
    }

    async fn publish(self, mut file: Box<dyn WriteFile>) -> Finished {
        let reservation = match self.shared.blobs.ask(Reserve { digest: self.digest }).await {
            Ok(reservation) => reservation,
            Err(error) => return Finished::AsBefore(asked(error), Some(file)),
        };
        match self.is_there_already().await {
            Err(error) => return Finished::AsBefore(error, Some(file)),
            // The good file stays; this copy of it goes when the session ends.
            Ok(true) => {
                return match self.record().await {
                    Ok(()) => Finished::Done(self.size),
                    Err(error) => Finished::AsBefore(asked(error), Some(file)),
                };
            }
            Ok(false) => {}
        }
        if let Err(error) = file.sync() {
            return Finished::AsBefore(error.into(), Some(file));
        }
        // What is hashed is what is published: nobody can write to it any more.
        drop(file);
        let keep_name = self.acknowledged > 0;
        let publish = Publish { reservation, from: self.path.clone(), keep_name };
        let reservation = match self.shared.blobs.ask(publish).await {
            Ok(reservation) => reservation,
            Err(error) => return self.reopened(asked(error)),
        };
        match self.record().await {
            Ok(()) => Finished::Done(self.size),
            Err(error @ AskError::Refused(DbError::Full | DbError::Failed(_) | DbError::Corrupt { .. })) => {
                // Without a row it would be a stray, and it may share its bytes with an upload that goes on.
                match self.shared.blobs.ask(Remove { reservation }).await {
                    Ok(_reservation) => self.reopened(asked(error)),
                    Err(_) => Finished::Over(asked(error)),
                }
            }
            // The row may be there, so the file must stay; without the row it is a stray.
            Err(error) => Finished::Over(asked(error)),
        }
    }

    /// Whether a good copy is in its place, with a row.
    async fn is_there_already(&self) -> Result<bool, UploadError> {
        let digest = self.digest;
        match self.shared.db.read(FindGoodBlob { digest }).await.map_err(asked)? {
            Some(size) => Ok(self.shared.reader.ask(Check { digest, size }).await.is_ok()),
            None => Ok(false),
        }
    }

    /// Makes the blob visible; the row, the link and the audit entry are one commit.
    async fn record(&self) -> Result<(), AskError<DbError>> {
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
        self.shared.db.write(Audited { query, origin, now, describe }).await.map(|_| ())
    }

    /// The upload goes on with what was acknowledged, if there is any and it can still be written.
    fn reopened(&self, error: UploadError) -> Finished {
        match self.shared.fs.open_to_write(&self.path) {
            Ok(file) => Finished::AsBefore(error, Some(file)),
            Err(_) if self.acknowledged == 0 => Finished::AsBefore(error, None),
            Err(_) => Finished::Over(error),
        }
    }
}

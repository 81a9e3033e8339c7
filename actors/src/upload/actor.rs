//! Finds, revives and expires uploads, and keeps their number within bounds.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, ArbiterHandle, AsyncContext, Context, Handler, ResponseActFuture, ResponseFuture,
    WrapFuture,
};
use uuid::Uuid;

use super::session::{Beginning, End, Ended, Session, Shared};
use super::writer::of_session;
use super::{Begin, BeginOnce, Cancel, CheckStorage, Find, Storage, Sweep, Swept, UploadError, asked};
use crate::ask::Handle;
use crate::blob_store::{BlobReader, BlobStore};
use crate::clock::Clock;
use crate::db::Db;
use crate::db::queries::uploads::{
    DeleteUpload, FindUpload, IdleUploads, InsertUpload, UploadIds, UploadRow,
};
use crate::domain::{Hasher, RepositoryName};
use crate::fs::Fs;

const LIMIT: usize = 4096;
const DEADLINE: Duration = Duration::from_secs(60);
/// Expired uploads ended in one sweep; the rest waits for the next.
const SWEEP: usize = 10_000;

/// What uploads need to know.
#[derive(Debug, Clone)]
pub struct UploadSettings {
    /// The directory of files under way, on the file system of the blobs.
    pub directory: PathBuf,
    /// Bytes that must stay free on the disk.
    pub min_free: u64,
    /// The most bytes of a blob.
    pub max_blob_size: Option<u64>,
    /// The most uploads at once.
    pub max_uploads: usize,
    /// How long a blob is kept without a reference, from its upload.
    pub keep: Duration,
    /// The threads that sessions are spread over, at least one.
    pub threads: Vec<ArbiterHandle>,
}

/// Owns the list of uploads.
#[derive(Debug)]
pub struct Uploads {
    shared: Shared,
    max_uploads: usize,
    /// Every upload there is; without a handle while it rests on disk.
    uploads: HashMap<Uuid, Option<Handle<Session>>>,
    threads: Vec<ArbiterHandle>,
    next_thread: usize,
}

/// The others that uploads rest on.
#[derive(Debug, Clone)]
pub struct Foundations {
    /// The file system.
    pub fs: Arc<dyn Fs>,
    /// The database.
    pub db: Db,
    /// Who decides about blobs.
    pub blobs: Handle<BlobStore>,
    /// Who looks at blobs.
    pub reader: Handle<BlobReader>,
    /// The time.
    pub clock: Clock,
}

impl Uploads {
    /// Starts on `thread`, knowing the uploads that rest on disk.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn start(
        foundations: Foundations,
        settings: UploadSettings,
        thread: &ArbiterHandle,
    ) -> Result<Handle<Self>, UploadError> {
        let resting = foundations.db.read(UploadIds).await.map_err(asked)?;
        let Foundations { fs, db, blobs, reader, clock } = foundations;
        let UploadSettings { directory, min_free, max_blob_size, max_uploads, keep, threads } = settings;
        let shared = Shared { fs, directory, db, blobs, reader, clock, min_free, limit: max_blob_size, keep };
        let addr = Self::start_in_arbiter(thread, move |_| Self {
            shared,
            max_uploads,
            uploads: resting.into_iter().map(|id| (id, None)).collect(),
            threads,
            next_thread: 0,
        });
        Ok(Handle::new("uploads", addr, LIMIT, DEADLINE))
    }

    fn has_place(&self) -> Result<(), UploadError> {
        if self.uploads.len() >= self.max_uploads { Err(UploadError::TooMany) } else { Ok(()) }
    }

    fn start_session(
        &mut self,
        id: Uuid,
        repository: RepositoryName,
        beginning: Beginning,
        hasher: Hasher,
        context: &Context<Self>,
    ) -> Handle<Session> {
        self.next_thread = (self.next_thread + 1) % self.threads.len().max(1);
        let (shared, ended) = (self.shared.clone(), context.address().recipient());
        let addr = Session::start_in_arbiter(&self.threads[self.next_thread], move |_| {
            Session::new(id, repository, beginning, hasher, shared, ended)
        });
        let handle = Session::handle(addr);
        self.uploads.insert(id, Some(handle.clone()));
        handle
    }

    /// The session, if it runs.
    fn running(&self, id: Uuid) -> Option<Handle<Session>> {
        self.uploads.get(&id).cloned().flatten().filter(Handle::is_alive)
    }

    /// Starts the session of a row, unless it runs meanwhile.
    fn revive(&mut self, row: UploadRow, context: &Context<Self>) -> Handle<Session> {
        self.running(row.id).unwrap_or_else(|| {
            let beginning = Beginning::Row { acknowledged: row.bytes };
            self.start_session(row.id, row.repository, beginning, Hasher::new(row.algorithm), context)
        })
    }
}

impl Actor for Uploads {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
    }
}

impl Handler<Ended> for Uploads {
    type Result = ();

    fn handle(&mut self, Ended(id): Ended, _: &mut Self::Context) {
        self.uploads.remove(&id);
    }
}

impl Handler<Begin> for Uploads {
    type Result = ResponseActFuture<Self, Result<(Uuid, Handle<Session>), UploadError>>;

    fn handle(&mut self, begin: Begin, _: &mut Self::Context) -> Self::Result {
        let id = Uuid::new_v4();
        let room = self.has_place().and_then(|()| self.shared.has_room_for(0));
        if room.is_ok() {
            // The place is taken before the row is written, so that the bound holds for those who come meanwhile.
            self.uploads.insert(id, None);
        }
        let (db, now) = (self.shared.db.clone(), self.shared.clock.now());
        let row = UploadRow {
            id,
            repository: begin.repository,
            algorithm: begin.algorithm,
            bytes: 0,
            owner: begin.owner.principal,
            token_hash: begin.owner.token_hash,
            started_at: now,
            last_active_at: now,
        };
        let inserted = async move {
            room?;
            db.write(InsertUpload(row.clone())).await.map_err(asked).map(|()| row)
        };
        Box::pin(inserted.into_actor(self).map(move |inserted, uploads, context| match inserted {
            Ok(row) => {
                let hasher = Hasher::new(row.algorithm);
                Ok((id, uploads.start_session(id, row.repository, Beginning::New, hasher, context)))
            }
            Err(error) => {
                uploads.uploads.remove(&id);
                Err(error)
            }
        }))
    }
}

impl Handler<BeginOnce> for Uploads {
    type Result = Result<Handle<Session>, UploadError>;

    fn handle(&mut self, begin: BeginOnce, context: &mut Self::Context) -> Self::Result {
        self.has_place()?;
        self.shared.has_room_for(0)?;
        let hasher = Hasher::new(begin.algorithm);
        Ok(self.start_session(Uuid::new_v4(), begin.repository, Beginning::Once, hasher, context))
    }
}

/// The row of an upload that began in this repository.
async fn find_row(db: Db, id: Uuid, repository: RepositoryName) -> Result<UploadRow, UploadError> {
    let row = db.read(FindUpload(id)).await.map_err(asked)?;
    row.filter(|row| row.repository == repository).ok_or(UploadError::Unknown)
}

impl Handler<Find> for Uploads {
    type Result = ResponseActFuture<Self, Result<Handle<Session>, UploadError>>;

    fn handle(&mut self, Find { id, repository }: Find, _: &mut Self::Context) -> Self::Result {
        let row = find_row(self.shared.db.clone(), id, repository);
        Box::pin(row.into_actor(self).map(|row, uploads, context| Ok(uploads.revive(row?, context))))
    }
}

impl Handler<Cancel> for Uploads {
    type Result = ResponseActFuture<Self, Result<(), UploadError>>;

    fn handle(&mut self, Cancel { id, repository }: Cancel, _: &mut Self::Context) -> Self::Result {
        let row = find_row(self.shared.db.clone(), id, repository);
        Box::pin(row.into_actor(self).then(|row, uploads, _| {
            let ended = match row {
                Ok(row) => uploads.end(row.id, None),
                Err(error) => Box::pin(std::future::ready(Err(error))),
            };
            ended.into_actor(uploads).map(|ended, _, _| ended.map(|_| ()))
        }))
    }
}

impl Uploads {
    /// Ends one upload, running or resting, and says whether it did.
    fn end(
        &mut self,
        id: Uuid,
        unless_active_since: Option<crate::domain::Timestamp>,
    ) -> ResponseFuture<Result<bool, UploadError>> {
        if let Some(session) = self.running(id) {
            return Box::pin(
                async move { session.ask(End { unless_active_since }).await.map_err(of_session) },
            );
        }
        self.uploads.remove(&id);
        let shared = self.shared.clone();
        Box::pin(async move {
            shared.db.write(DeleteUpload(id)).await.map_err(asked)?;
            shared.fs.remove(&shared.path(id))?;
            Ok(true)
        })
    }

    /// A session that died without a word rests on disk like any other, if it has a row.
    fn forget_dead_sessions(&mut self) {
        for session in self.uploads.values_mut() {
            if session.as_ref().is_some_and(|handle| !handle.is_alive()) {
                *session = None;
            }
        }
    }

    /// Removes files that belong to no upload: what a crash or a failed removal left.
    fn remove_strays(&self) -> Result<u64, UploadError> {
        let known: HashSet<PathBuf> = self.uploads.keys().map(|id| self.shared.path(*id)).collect();
        let mut removed = 0;
        for name in self.shared.fs.list(&self.shared.directory)? {
            let path = self.shared.directory.join(name);
            if known.contains(&path) {
                continue;
            }
            match self.shared.fs.remove(&path) {
                Ok(()) => removed += 1,
                Err(error) => log::warn!("stray upload file {} stays behind: {error}", path.display()),
            }
        }
        Ok(removed)
    }
}

impl Handler<Sweep> for Uploads {
    type Result = ResponseActFuture<Self, Result<Swept, UploadError>>;

    fn handle(&mut self, Sweep { idle_since }: Sweep, _: &mut Self::Context) -> Self::Result {
        let db = self.shared.db.clone();
        let idle =
            async move { db.read(IdleUploads { before: idle_since, limit: SWEEP }).await.map_err(asked) };
        let ended = idle.into_actor(self).then(move |idle, uploads, _| {
            let ending: Vec<_> = idle
                .as_ref()
                .map(|ids| ids.iter().map(|id| uploads.end(*id, Some(idle_since))).collect())
                .unwrap_or_default();
            async move {
                idle?;
                let mut expired = 0;
                for end in ending {
                    match end.await {
                        Ok(true) => expired += 1,
                        Ok(false) | Err(UploadError::Unknown) => {}
                        Err(error) => log::warn!("an expired upload stays behind: {error}"),
                    }
                }
                Ok::<_, UploadError>(expired)
            }
            .into_actor(uploads)
        });
        Box::pin(ended.map(|expired, uploads, _| {
            uploads.forget_dead_sessions();
            Ok(Swept { expired: expired?, strays: uploads.remove_strays()? })
        }))
    }
}

impl Handler<CheckStorage> for Uploads {
    type Result = Result<Storage, UploadError>;

    fn handle(&mut self, _: CheckStorage, _: &mut Self::Context) -> Self::Result {
        let probe = self.shared.path(Uuid::new_v4());
        drop(self.shared.fs.create(&probe)?);
        self.shared.fs.remove(&probe)?;
        let (free, enough) =
            (self.shared.fs.free_space(&self.shared.directory)?, self.shared.has_room_for(0));
        Ok(Storage { free, enough: enough.is_ok() })
    }
}

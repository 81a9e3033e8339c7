//! Finds, revives and expires uploads, and keeps their number within bounds.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, Addr, ArbiterHandle, AsyncContext, Context, Handler, Message, ResponseActFuture,
    ResponseFuture, WrapFuture,
};
use serde_json::json;
use uuid::Uuid;

use super::names;
use super::session::{Beginning, End, Ended, Ending, Session, Shared};
use super::writer::{Writer, of_session};
use super::{
    Begin, BeginOnce, Beginner, Cancel, CheckStorage, Find, Storage, Sweep, Swept, UploadError, asked,
};
use crate::ask::Handle;
use crate::blob_store::{BlobReader, BlobStore};
use crate::clock::Clock;
use crate::db::Db;
use crate::db::queries::uploads::{
    FindUpload, IdleUploads, InsertUpload, SettledUpload, UploadIds, UploadRow,
};
use crate::domain::{Event, EventName, Hasher, RepositoryName, Timestamp};
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
    /// Every upload there is, from when its row is written, if it has one; without a handle while it rests on disk.
    uploads: HashMap<Uuid, Option<Handle<Session>>>,
    /// Places of those whose row is being written.
    beginning: usize,
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
            beginning: 0,
            threads,
            next_thread: 0,
        });
        Ok(Self::handle(addr))
    }

    fn handle(addr: Addr<Self>) -> Handle<Self> {
        Handle::new("uploads", addr, LIMIT, DEADLINE)
    }

    /// Refuses one more upload when there are enough, or when the disk is nearly full.
    fn has_place(&self) -> Result<(), UploadError> {
        if self.uploads.len() + self.beginning >= self.max_uploads {
            return Err(UploadError::TooMany);
        }
        self.shared.has_room_for(0)
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
        let place = self.has_place();
        // Taken before the row is written, so that the bound holds for those who come meanwhile.
        let taken = usize::from(place.is_ok());
        self.beginning += taken;
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
            place?;
            db.write(InsertUpload(row.clone())).await.map_err(asked).map(|()| row)
        };
        Box::pin(inserted.into_actor(self).map(move |inserted, uploads, context| {
            uploads.beginning -= taken;
            let row = inserted?;
            let hasher = Hasher::new(row.algorithm);
            Ok((id, uploads.start_session(id, row.repository, Beginning::New, hasher, context)))
        }))
    }
}

impl Handler<BeginOnce> for Uploads {
    type Result = ResponseFuture<Result<Writer, UploadError>>;

    /// Answers with the turn. The session ends with that, also when the asker is gone when the answer comes.
    fn handle(&mut self, begin: BeginOnce, context: &mut Self::Context) -> Self::Result {
        let BeginOnce { repository, algorithm, request } = begin;
        let session = self.has_place().map(|()| {
            self.start_session(Uuid::new_v4(), repository, Beginning::Once, Hasher::new(algorithm), context)
        });
        Box::pin(async move {
            let session = session?;
            session.ask(request).await.map_err(asked)
        })
    }
}

/// The row of an upload that one of these began in this repository.
async fn find_row(
    db: Db,
    id: Uuid,
    repository: RepositoryName,
    by: Beginner,
) -> Result<UploadRow, UploadError> {
    let row = db.read(FindUpload(id)).await.map_err(asked)?;
    row.filter(|row| row.repository == repository && by.is(&row.owner)).ok_or(UploadError::Unknown)
}

impl Handler<Find> for Uploads {
    type Result = ResponseActFuture<Self, Result<Handle<Session>, UploadError>>;

    fn handle(&mut self, Find { id, repository, by }: Find, _: &mut Self::Context) -> Self::Result {
        let row = find_row(self.shared.db.clone(), id, repository, by);
        Box::pin(row.into_actor(self).then(move |row, uploads, _| {
            let (running, db) = (uploads.running(id), uploads.shared.db.clone());
            let row = async move {
                match (row, running) {
                    // A change that its last session asked for may not be made yet.
                    (Ok(_), None) => {
                        db.write(SettledUpload(id)).await.map_err(asked)?.ok_or(UploadError::Unknown)
                    }
                    (row, _) => row,
                }
            };
            row.into_actor(uploads)
                .map(|row, uploads, context| Ok::<_, UploadError>(uploads.revive(row?, context)))
        }))
    }
}

impl Handler<Cancel> for Uploads {
    type Result = ResponseActFuture<Self, Result<(), UploadError>>;

    fn handle(&mut self, cancel: Cancel, _: &mut Self::Context) -> Self::Result {
        let Cancel { id, repository, by, origin } = cancel;
        let row = find_row(self.shared.db.clone(), id, repository, by);
        Box::pin(row.into_actor(self).then(move |row, uploads, _| {
            let ended: ResponseActFuture<Self, Result<bool, UploadError>> = match row {
                Ok(row) => {
                    let event = Event::new(EventName::UploadCancelled).at(&row.repository);
                    let event = event.with(json!({"upload": id.to_string(), "owner": row.owner.name}));
                    uploads.end(id, Ending::Cancelled { origin, event })
                }
                Err(error) => Box::pin(std::future::ready(Err(error)).into_actor(uploads)),
            };
            ended.map(|ended, _, _| ended.map(|_| ()))
        }))
    }
}

impl Uploads {
    /// Ends one upload, running or resting, and says whether it did.
    fn end(&mut self, id: Uuid, ending: Ending) -> ResponseActFuture<Self, Result<bool, UploadError>> {
        if let Some(session) = self.running(id) {
            let ended = async move { session.ask(End(ending)).await.map_err(of_session) };
            return Box::pin(ended.into_actor(self));
        }
        let shared = self.shared.clone();
        let forgotten = async move { ending.forget_row(&shared, id).await.map_err(asked) };
        Box::pin(forgotten.into_actor(self).map(move |forgotten, uploads, _| {
            if forgotten? {
                uploads.forget(id)?;
                return Ok(true);
            }
            Ok(false)
        }))
    }

    /// Forgets an upload that rested, whose row is gone.
    fn forget(&mut self, id: Uuid) -> Result<(), UploadError> {
        if let Some(session) = self.running(id) {
            // It was revived meanwhile, in vain. Nobody need wait for its end.
            drop(session.ask(End(Ending::Forgotten)));
            return Ok(());
        }
        self.uploads.remove(&id);
        Ok(self.shared.fs.remove(&self.shared.path(id))?)
    }

    /// Forgets those of `listed` that have neither a session nor one of `rows`, which were read later: what is left of
    /// them are strays. The others rest on disk, whatever became of their sessions.
    fn forget_gone(&mut self, listed: &[Uuid], rows: Vec<Uuid>) {
        let rows: HashSet<Uuid> = rows.into_iter().collect();
        for id in listed.iter().filter(|id| !rows.contains(id)) {
            if self.running(*id).is_none() {
                self.uploads.remove(id);
            }
        }
    }

    /// Removes files that belong to no upload: what a crash or a failed removal left. Whatever has a name of another form,
    /// or is a link, a socket or a directory, is somebody else's and stays.
    fn remove_strays(&self) -> Result<u64, UploadError> {
        let known: HashSet<PathBuf> = self.uploads.keys().map(|id| self.shared.path(*id)).collect();
        let running = self.uploads.keys().filter(|id| self.running(**id).is_some());
        let running: HashSet<PathBuf> = running.map(|id| self.shared.path(*id)).collect();
        let mut removed = 0;
        for name in self.shared.fs.list(&self.shared.directory)? {
            let path = self.shared.directory.join(&name);
            // A session may just need a second name, which has an extension.
            let is_needed = known.contains(&path) || running.contains(&path.with_extension(""));
            if is_needed || !names::is_own(&name) || !matches!(self.shared.fs.len(&path), Ok(Some(_))) {
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

/// Ends an upload unless something happened in it since. Says whether it did.
#[derive(Debug, Message)]
#[rtype(result = "Result<bool, UploadError>")]
struct Expire {
    id: Uuid,
    idle_since: Timestamp,
}

impl Handler<Expire> for Uploads {
    type Result = ResponseActFuture<Self, Result<bool, UploadError>>;

    fn handle(&mut self, Expire { id, idle_since }: Expire, _: &mut Self::Context) -> Self::Result {
        self.end(id, Ending::Idle { since: idle_since })
    }
}

/// Ends the uploads that are idle, one after another, and says how many did end.
async fn expire_all(db: Db, uploads: Handle<Uploads>, idle_since: Timestamp) -> Result<u64, UploadError> {
    let idle = db.read(IdleUploads { before: idle_since, limit: SWEEP }).await.map_err(asked)?;
    let mut expired = 0;
    for id in idle {
        match uploads.ask(Expire { id, idle_since }).await.map_err(asked) {
            Ok(true) => expired += 1,
            Ok(false) | Err(UploadError::Unknown) => {}
            Err(error) => log::warn!("an expired upload stays behind: {error}"),
        }
    }
    Ok(expired)
}

impl Handler<Sweep> for Uploads {
    type Result = ResponseActFuture<Self, Result<Swept, UploadError>>;

    fn handle(&mut self, Sweep { idle_since }: Sweep, context: &mut Self::Context) -> Self::Result {
        let expired = expire_all(self.shared.db.clone(), Self::handle(context.address()), idle_since);
        Box::pin(expired.into_actor(self).then(|expired, uploads, _| {
            let listed: Vec<Uuid> = uploads.uploads.keys().copied().collect();
            let db = uploads.shared.db.clone();
            let rows = async move { db.read(UploadIds).await.map_err(asked) };
            rows.into_actor(uploads).map(move |rows, uploads, _| {
                uploads.forget_gone(&listed, rows?);
                Ok::<_, UploadError>(Swept { expired: expired?, strays: uploads.remove_strays()? })
            })
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

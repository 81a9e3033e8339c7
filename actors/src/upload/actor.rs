//! Finds, revives and expires uploads, and keeps their number within bounds.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, ActorTryFutureExt, Addr, ArbiterHandle, AsyncContext, Context, Handler, Message,
    ResponseActFuture, WrapFuture,
};
use serde_json::json;
use uuid::Uuid;

use super::fairness::{UnderWay, give_way};
use super::session::{Beginning, Cancellation, End, Ended, Ending, Session, Shared};
use super::strays::{Needed, Strays};
use super::writer::{Writer, of_session};
use super::{
    Begin, BeginOnce, Beginner, Cancel, CheckStorage, Find, FreeSpace, Storage, Sweep, Swept, UploadError,
    asked,
};
use crate::ask::Handle;
use crate::blob_store::durable::Root;
use crate::blob_store::{BlobReader, BlobStore};
use crate::clock::Clock;
use crate::db::Db;
use crate::db::queries::uploads::{
    FindUpload, IdleUploads, InsertUpload, SettledUpload, StandingUploads, UploadIds, UploadRow,
};
use crate::domain::{Event, EventName, Hasher, RepositoryName, Timestamp};
use crate::fs::Fs;
use crate::identity::marker::Marker;

const LIMIT: usize = 4096;
const DEADLINE: Duration = Duration::from_secs(60);
/// Uploads that are tried, when one shall give way: bytes may be coming in the first of them.
const GIVE_WAY: usize = 8;
/// Expired uploads ended in one sweep; the rest waits for the next.
const SWEEP: usize = 10_000;

/// What uploads need to know.
#[derive(Debug, Clone)]
pub struct UploadSettings {
    /// The directory of files under way, on the file system of the blobs.
    pub directory: PathBuf,
    /// Whose it is.
    pub marker: Marker,
    /// Bytes that must stay free on the disk.
    pub min_free: u64,
    /// The most bytes of a blob.
    pub max_blob_size: Option<u64>,
    /// Whether the stored file is read when a blob is pushed that is there already.
    pub verify_on_push: bool,
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
    /// Those that are one request each.
    under_way: UnderWay,
    threads: Vec<ArbiterHandle>,
    next_thread: usize,
    /// Files that belong to no upload.
    strays: Strays,
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
        let UploadSettings { directory, marker, min_free, verify_on_push, keep, .. } = settings;
        let UploadSettings { max_blob_size: limit, max_uploads, threads, .. } = settings;
        let directory = Root::of(fs.as_ref(), &directory, marker);
        let shared =
            Shared { fs, directory, db, blobs, reader, clock, min_free, limit, verify_on_push, keep };
        let addr = Self::start_in_arbiter(thread, move |_| Self {
            shared,
            max_uploads,
            uploads: resting.into_iter().map(|id| (id, None)).collect(),
            beginning: 0,
            under_way: UnderWay::default(),
            threads,
            next_thread: 0,
            strays: Strays::default(),
        });
        Ok(Self::handle(addr))
    }

    fn handle(addr: Addr<Self>) -> Handle<Self> {
        Handle::new("uploads", addr, LIMIT, DEADLINE)
    }

    /// How many places are taken.
    fn taken(&self) -> usize {
        self.uploads.len() + self.beginning
    }

    /// Refuses one more upload when there are enough, or when the disk is nearly full.
    fn has_place(&self) -> Result<(), UploadError> {
        if self.taken() >= self.max_uploads {
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
        self.under_way.give_back(id);
    }
}

impl Handler<Begin> for Uploads {
    type Result = ResponseActFuture<Self, Result<(Uuid, Handle<Session>), UploadError>>;

    fn handle(&mut self, begin: Begin, context: &mut Self::Context) -> Self::Result {
        let way = self.make_way(&begin.owner.principal.subject, context);
        Box::pin(way.and_then(|(), uploads, _| uploads.begin(begin)))
    }
}

impl Uploads {
    /// Sees to a place for this asker: where all are taken, one gives way, but never for who is refused all the same.
    fn make_way(
        &self,
        asker: &str,
        context: &Context<Self>,
    ) -> ResponseActFuture<Self, Result<(), UploadError>> {
        let room = self.shared.has_room_for(0);
        if room.is_err() || self.taken() < self.max_uploads {
            return Box::pin(std::future::ready(room).into_actor(self));
        }
        let asker = (asker.to_owned(), self.under_way.held_by(asker));
        let made = make_way(self.shared.db.clone(), Self::handle(context.address()), asker);
        Box::pin(made.into_actor(self))
    }
}

/// Ends the first upload that gives way to one of this asker, who has so many under way, and in which nothing happens now.
async fn make_way(
    db: Db,
    uploads: Handle<Uploads>,
    (asker, under_way): (String, usize),
) -> Result<(), UploadError> {
    let standings = db.read(StandingUploads).await.map_err(asked)?;
    for standing in give_way(standings, &asker, under_way).into_iter().take(GIVE_WAY) {
        let idle_since = standing.last_active.after(Duration::from_millis(1));
        if uploads.ask(Expire { id: standing.id, idle_since }).await.map_err(asked).unwrap_or(false) {
            log::info!(
                "upload {} of {} gives its place to another: all were taken",
                standing.id,
                standing.owner
            );
            return Ok(());
        }
    }
    Err(UploadError::TooMany)
}

impl Uploads {
    /// Begins an upload in a free place.
    fn begin(
        &mut self,
        begin: Begin,
    ) -> ResponseActFuture<Self, Result<(Uuid, Handle<Session>), UploadError>> {
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
    type Result = ResponseActFuture<Self, Result<Writer, UploadError>>;

    /// Answers with the turn. The session ends with that, also when the asker is gone when the answer comes.
    fn handle(&mut self, begin: BeginOnce, context: &mut Self::Context) -> Self::Result {
        if !self.under_way.may_take(&begin.owner, self.max_uploads) {
            return Box::pin(std::future::ready(Err(UploadError::TooMany)).into_actor(self));
        }
        let way = self.make_way(&begin.owner, context);
        // Counted from now on: of many that ask at once no more make others give way than may begin.
        let id = Uuid::new_v4();
        self.under_way.take(id, begin.owner.clone());
        Box::pin(way.then(move |way, uploads, context| uploads.begin_once(id, way, begin, context)))
    }
}

impl Uploads {
    /// Begins an upload of one request in a free place.
    fn begin_once(
        &mut self,
        id: Uuid,
        way: Result<(), UploadError>,
        begin: BeginOnce,
        context: &Context<Self>,
    ) -> ResponseActFuture<Self, Result<Writer, UploadError>> {
        let BeginOnce { repository, algorithm, request, .. } = begin;
        let place = way.and_then(|()| self.has_place());
        if place.is_err() {
            self.under_way.give_back(id);
        }
        let session = place
            .map(|()| self.start_session(id, repository, Beginning::Once, Hasher::new(algorithm), context));
        let turn = async move { session?.ask(request).await.map_err(asked) };
        Box::pin(turn.into_actor(self))
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
        let Cancel { id, repository, by, origin, caller } = cancel;
        let row = find_row(self.shared.db.clone(), id, repository, by);
        Box::pin(row.into_actor(self).then(move |row, uploads, _| {
            let ended: ResponseActFuture<Self, Result<bool, UploadError>> = match row {
                Ok(row) => {
                    let event = Event::new(EventName::UploadCancelled).at(&row.repository);
                    let event = event.with(json!({"upload": id.to_string(), "owner": row.owner.name}));
                    uploads.end(id, Ending::Cancelled(Box::new(Cancellation { origin, event, caller })))
                }
                Err(error) => Box::pin(std::future::ready(Err(error)).into_actor(uploads)),
            };
            ended.map(|ended, _, _| if ended? { Ok(()) } else { Err(UploadError::Lost) })
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
                self.under_way.give_back(*id);
            }
        }
    }

    fn remove_strays(&mut self, take: bool) -> Result<Swept, UploadError> {
        let path = |id: &Uuid| self.shared.path(*id);
        let running = self.uploads.keys().filter(|id| self.running(**id).is_some()).map(path).collect();
        let needed = Needed { known: self.uploads.keys().map(path).collect(), running };
        self.strays.remove(&self.shared, &needed, take)
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

    fn handle(&mut self, sweep: Sweep, context: &mut Self::Context) -> Self::Result {
        let Sweep { idle_since, take_strays } = sweep;
        let expired = expire_all(self.shared.db.clone(), Self::handle(context.address()), idle_since);
        Box::pin(expired.into_actor(self).then(move |expired, uploads, _| {
            let listed: Vec<Uuid> = uploads.uploads.keys().copied().collect();
            let db = uploads.shared.db.clone();
            let rows = async move {
                let rows = db.read(UploadIds).await.map_err(asked)?;
                // A row that may come back yet is settled before a file goes.
                db.observe().await.map_err(asked).map(|_| rows)
            };
            rows.into_actor(uploads).map(move |rows, uploads, _| {
                uploads.forget_gone(&listed, rows?);
                let expired = expired?;
                Ok::<_, UploadError>(Swept { expired, ..uploads.remove_strays(take_strays)? })
            })
        }))
    }
}

impl Handler<FreeSpace> for Uploads {
    type Result = Result<u64, UploadError>;

    fn handle(&mut self, _: FreeSpace, _: &mut Self::Context) -> Self::Result {
        Ok(self.shared.free_space()?)
    }
}

impl Handler<CheckStorage> for Uploads {
    type Result = Result<Storage, UploadError>;

    fn handle(&mut self, _: CheckStorage, _: &mut Self::Context) -> Self::Result {
        let free = self.shared.free_space()?;
        let probe = self.shared.path(Uuid::new_v4());
        drop(self.shared.fs.create(&probe)?);
        self.shared.fs.remove(&probe)?;
        let (taken, places) = (self.taken(), self.max_uploads);
        Ok(Storage { free, enough: self.shared.is_enough(free), taken, places })
    }
}

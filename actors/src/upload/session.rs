//! One upload: the actor that owns its file, its running hash and the order of its requests.
//!
//! Its handlers block on the file and on hashing; sessions live on threads of their own where nothing else waits.
//! It knows nothing of the client: one that goes away is a [`Turn`] that was dropped.

mod ending;
mod file;
mod finish;
mod shared;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, Message, Recipient,
    ResponseFuture, StreamHandler, WrapFuture,
};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub(super) use self::ending::{Cancellation, End, Ending};
pub(crate) use self::file::{hash_file, read_start};
use self::file::{hash_start, new_file, reopen};
pub(super) use self::finish::Finish;
pub(super) use self::shared::Shared;
use super::error::{UploadError, asked, undecided};
use super::state::Progress;
use super::turn::Turn;
use crate::ask::Handle;
use crate::db::queries::uploads::AdvanceUpload;
use crate::domain::{Hasher, RepositoryName, Timestamp};
use crate::fs::WriteFile;

/// How long a second request waits for the first to end.
const MOMENT: Duration = Duration::from_secs(1);
/// A request that has received nothing for so long is taken over.
const STALLED: Duration = Duration::from_secs(5);
/// Requests that may wait for one session.
const LIMIT: usize = 256;
/// Finishing may hash the whole file again and wait for the disk.
const DEADLINE: Duration = Duration::from_secs(600);
/// Who does not answer while an upload cannot be gone on with.
const FILE: &str = "the upload's file";

/// Sent upwards when a session has ended, so that its place is free.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Ended(pub(super) Uuid);

/// How a session begins.
#[derive(Debug)]
pub(super) enum Beginning {
    /// A row was made for it.
    New,
    /// It has a row that says how far it had come.
    Row { acknowledged: u64 },
    /// It has no row and ends with its first request.
    Once,
}

/// What a session can still do for its upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Anything.
    Open,
    /// Nothing: acknowledged bytes are gone. It waits to be cancelled or to expire.
    Lost,
    /// Nothing: it stops, and the next request revives the upload from its row and its file.
    Resting,
    /// Nothing: it stops, and the upload is over.
    Over,
}

/// One upload.
pub struct Session {
    id: Uuid,
    repository: RepositoryName,
    shared: Shared,
    beginning: Beginning,
    ended: Recipient<Ended>,
    progress: Progress,
    file: Option<Box<dyn WriteFile>>,
    /// Whether the file's name lasts.
    name_synced: bool,
    state: State,
    present: Option<Present>,
    waiting: VecDeque<Waiting>,
    turns: u64,
    over: mpsc::UnboundedSender<u64>,
    over_events: Option<mpsc::UnboundedReceiver<u64>>,
}

/// The request whose turn it is.
#[derive(Debug)]
struct Present {
    turn: u64,
    received_at: Timestamp,
}

/// A request that waits for its turn.
struct Waiting {
    request: BeginRequest,
    reply: oneshot::Sender<Result<Turn, UploadError>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("present", &self.present)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(
        id: Uuid,
        repository: RepositoryName,
        beginning: Beginning,
        hasher: Hasher,
        shared: Shared,
        ended: Recipient<Ended>,
    ) -> Self {
        let (over, over_events) = mpsc::unbounded_channel();
        Self {
            id,
            repository,
            progress: Progress::resumed(0, hasher, shared.limit),
            shared,
            beginning,
            ended,
            file: None,
            name_synced: false,
            state: State::Open,
            present: None,
            waiting: VecDeque::new(),
            turns: 0,
            over,
            over_events: Some(over_events),
        }
    }

    /// A handle with the bounds of a session.
    pub(super) fn handle(addr: actix::Addr<Self>) -> Handle<Self> {
        Handle::new("upload", addr, LIMIT, DEADLINE)
    }

    /// Where its bytes are.
    fn path(&self) -> PathBuf {
        if self.has_row() { self.shared.path(self.id) } else { self.shared.passing_path(self.id) }
    }

    fn has_row(&self) -> bool {
        !matches!(self.beginning, Beginning::Once)
    }

    /// Hashes the acknowledged bytes again; until that is done no message is handled.
    fn revive(&mut self, acknowledged: u64, context: &mut Context<Self>) {
        let (shared, path, hasher) =
            (self.shared.clone(), self.shared.path(self.id), Hasher::new(self.progress.algorithm()));
        let hash = actix_rt::task::spawn_blocking(move || {
            let fs = shared.fs.as_ref();
            let file = reopen(fs, &path, acknowledged)?;
            Ok::<_, io::Error>((file, hash_file(fs, &path, acknowledged, hasher)?))
        });
        context.wait(hash.into_actor(self).map(move |result, session, context| match result {
            Ok(Ok((file, hasher))) => {
                session.file = Some(file);
                session.progress = Progress::resumed(acknowledged, hasher, session.shared.limit);
            }
            Ok(Err(error)) => session.failed(&error, context),
            Err(error) => session.failed(&error.into(), context),
        }));
    }

    /// The file cannot be brought to where the upload stands. Unless acknowledged bytes are gone, it may go next time.
    fn failed(&mut self, error: &io::Error, context: &mut Context<Self>) {
        if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) {
            log::error!("upload {}: its file is not whole and the upload is lost: {error}", self.id);
            // What has no name any more holds its room no longer.
            (self.state, self.file) = (State::Lost, None);
        } else {
            log::warn!("upload {}: its file failed, and it rests: {error}", self.id);
            self.rest(context);
        }
    }

    /// Where the file has no name any more somebody has removed it, and the upload is lost.
    fn judged(&mut self, error: UploadError, context: &mut Context<Self>) -> UploadError {
        match error {
            UploadError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                self.failed(&error, context);
                UploadError::Unknown
            }
            error => error,
        }
    }

    fn must_be_open(&self) -> Result<(), UploadError> {
        match self.state {
            State::Open => Ok(()),
            State::Resting => Err(UploadError::Unavailable(FILE)),
            State::Lost | State::Over => Err(UploadError::Unknown),
        }
    }

    /// Gives the turn, or says why not.
    fn begin(&mut self, request: BeginRequest) -> Result<Turn, UploadError> {
        self.must_be_open()?;
        self.progress.may_begin(request.at, request.length)?;
        self.shared.has_room_for(request.length.unwrap_or(0))?;
        self.turns += 1;
        self.present = Some(Present { turn: self.turns, received_at: self.shared.clock.now() });
        Ok(Turn { number: self.turns, at: self.progress.acknowledged(), over: self.over.clone() })
    }

    fn stalled(&self) -> bool {
        let now = self.shared.clock.now();
        self.present.as_ref().is_some_and(|present| now.since(present.received_at) >= STALLED)
    }

    fn must_have_turn(&self, turn: u64) -> Result<(), UploadError> {
        self.must_be_open()?;
        match &self.present {
            Some(present) if present.turn == turn => Ok(()),
            _ => Err(UploadError::TakenOver),
        }
    }

    /// The request of the present turn did not succeed: the upload is as it was before.
    fn roll_back(&mut self, context: &mut Context<Self>) {
        self.present = None;
        self.progress.roll_back();
        let acknowledged = self.progress.acknowledged();
        if let Some(Err(error)) = self.file.as_mut().map(|file| file.truncate(acknowledged)) {
            self.failed(&error, context);
        }
    }

    /// Gives the turn to the next who still waits.
    fn next_turn(&mut self) {
        while self.present.is_none()
            && let Some(Waiting { request, reply }) = self.waiting.pop_front()
        {
            if !reply.is_closed() {
                // When the asker has gone away meanwhile the turn comes back and is over.
                let _unheard = reply.send(self.begin(request));
            }
        }
    }

    fn write(&mut self, at: u64, pieces: &[Bytes]) -> Result<(), UploadError> {
        // A request need not say how much it brings, and others write at the same time.
        self.shared.has_room_for(0)?;
        self.progress.append(at, pieces)?;
        self.open_file()?.append(pieces)?;
        Ok(())
    }

    fn open_file(&mut self) -> Result<&mut Box<dyn WriteFile>, UploadError> {
        if self.file.is_none() {
            self.file = Some(new_file(self.shared.fs.as_ref(), &self.path())?);
            self.name_synced = false;
        }
        self.file.as_mut().ok_or(UploadError::Unavailable(FILE))
    }

    /// Makes all that came last, and the file's name with it.
    fn sync(&mut self) -> Result<(), UploadError> {
        self.open_file()?.sync()?;
        if !self.name_synced {
            self.shared.fs.sync_dir(self.shared.directory.path())?;
            self.name_synced = true;
        }
        // What lasts in a file without a name is lost all the same.
        self.shared.fs.links(&self.path())?;
        Ok(())
    }

    /// Stops, and leaves row and file as they are for the next request. Without a row there is none, and this is the end.
    fn rest(&mut self, context: &mut Context<Self>) {
        if !self.has_row() {
            return self.end(context);
        }
        (self.state, self.present, self.file) = (State::Resting, None, None);
        for Waiting { reply, .. } in self.waiting.drain(..) {
            // The asker may have gone away.
            let _unheard = reply.send(Err(UploadError::Unavailable(FILE)));
        }
        context.stop();
    }

    /// Forgets the file and stops; the row is the caller's business.
    fn end(&mut self, context: &mut Context<Self>) {
        if std::mem::replace(&mut self.state, State::Over) == State::Over {
            return;
        }
        self.file = None;
        if let Err(error) = self.shared.fs.remove(&self.path()) {
            log::warn!("upload {}: its file stays behind: {error}", self.id);
        }
        self.ended.do_send(Ended(self.id));
        context.stop();
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
        if let Some(events) = self.over_events.take() {
            context.add_stream(tokio_stream(events));
        }
        if let Beginning::Row { acknowledged } = self.beginning
            && acknowledged > 0
        {
            self.revive(acknowledged, context);
        }
    }
}

/// The receiving end of a channel as a stream.
fn tokio_stream<T>(mut events: mpsc::UnboundedReceiver<T>) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::poll_fn(move |context| events.poll_recv(context))
}

/// A turn is over: it was dropped. What it had not got acknowledged never happened.
impl StreamHandler<u64> for Session {
    fn handle(&mut self, turn: u64, context: &mut Self::Context) {
        if self.present.as_ref().is_some_and(|present| present.turn == turn) {
            self.roll_back(context);
        }
        if self.has_row() {
            self.next_turn();
        } else {
            self.end(context);
        }
    }
}

/// Asks for a turn to write. Waits a moment for the one who has it, takes over from one that stalls.
#[derive(Debug, Clone, Copy)]
pub struct BeginRequest {
    /// Where the client says its bytes begin.
    pub at: Option<u64>,
    /// How many bytes it says will come.
    pub length: Option<u64>,
}

impl Session {
    /// A turn at once, or when it comes.
    pub(super) fn turn(
        &mut self,
        request: BeginRequest,
        context: &mut Context<Self>,
    ) -> ResponseFuture<Result<Turn, UploadError>> {
        if self.stalled() {
            self.roll_back(context);
        }
        if self.present.is_none() {
            let turn = self.begin(request);
            if turn.is_err() && !self.has_row() {
                // It was for this request only.
                self.end(context);
            }
            return Box::pin(std::future::ready(turn));
        }
        let (reply, turn) = oneshot::channel();
        self.waiting.push_back(Waiting { request, reply });
        Box::pin(async move {
            match tokio::time::timeout(MOMENT, turn).await {
                Ok(Ok(turn)) => turn,
                Ok(Err(_ended)) => Err(UploadError::Unknown),
                Err(_elapsed) => Err(UploadError::Busy),
            }
        })
    }
}

/// Adds bytes to the present request.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), UploadError>")]
pub(super) struct Append {
    pub(super) turn: u64,
    pub(super) at: u64,
    pub(super) pieces: Vec<Bytes>,
}

impl Handler<Append> for Session {
    type Result = Result<(), UploadError>;

    fn handle(&mut self, Append { turn, at, pieces }: Append, context: &mut Self::Context) -> Self::Result {
        self.must_have_turn(turn)?;
        if let Some(present) = &mut self.present {
            present.received_at = self.shared.clock.now();
        }
        let written = self.write(at, &pieces);
        if written.is_err() {
            self.roll_back(context);
            self.next_turn();
        }
        written
    }
}

/// Ends the present request: what it brought lasts and counts.
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, UploadError>")]
pub(super) struct Acknowledge {
    pub(super) turn: u64,
}

impl Handler<Acknowledge> for Session {
    type Result = AtomicResponse<Self, Result<u64, UploadError>>;

    fn handle(&mut self, Acknowledge { turn }: Acknowledge, context: &mut Self::Context) -> Self::Result {
        let (db, now) = (self.shared.db.clone(), self.shared.clock.now());
        let advance = AdvanceUpload { id: self.id, bytes: self.progress.received(), now };
        let synced = self.must_have_turn(turn).and_then(|()| self.sync());
        let synced = synced.map_err(|error| self.judged(error, context));
        let recorded = async move {
            synced.map_err(|error| (false, error))?;
            db.write(advance).await.map_err(|error| (undecided(&error), asked(error)))
        };
        AtomicResponse::new(Box::pin(recorded.into_actor(self).map(move |recorded, session, context| {
            let result = match recorded {
                Ok(true) => {
                    session.present = None;
                    Ok(session.progress.acknowledge())
                }
                // Its row is gone, so there is nothing to go on with.
                Ok(false) => {
                    session.end(context);
                    Err(UploadError::Unknown)
                }
                // The row may count these bytes yet, so they stay: the next request asks it.
                Err((true, error)) => {
                    session.rest(context);
                    Err(error)
                }
                Err((false, error)) => {
                    session.forget_turn(turn, context);
                    Err(error)
                }
            };
            session.next_turn();
            result
        })))
    }
}

impl Session {
    /// Rolls back, if it still is this turn.
    fn forget_turn(&mut self, turn: u64, context: &mut Context<Self>) {
        if self.present.as_ref().is_some_and(|present| present.turn == turn) {
            self.roll_back(context);
        }
    }
}

/// What an upload says of itself.
#[derive(Debug, Clone)]
pub struct Status {
    /// How many bytes are acknowledged.
    pub acknowledged: u64,
}

/// Asks for the [`Status`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Status, UploadError>")]
pub struct GetStatus;

impl Handler<GetStatus> for Session {
    type Result = Result<Status, UploadError>;

    fn handle(&mut self, _: GetStatus, _: &mut Self::Context) -> Self::Result {
        self.must_be_open()?;
        Ok(Status { acknowledged: self.progress.acknowledged() })
    }
}

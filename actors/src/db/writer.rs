//! The only writer, with group commit: all changes that wait run in one transaction, each in a savepoint of its
//! own, then one durable commit, then all answers.

mod job;
mod settle;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, ResponseFuture};
use rusqlite::Connection;
use tokio::sync::oneshot;

use self::job::{Batch, Waiting};
use super::error::DbError;
use super::floor::{Floor, Growth};
use super::lag::Lag;
use super::memory::Commits;
use super::query::{LIMIT, Write, WriteQuery};
use super::reserve::Reserve;

/// Most changes in one transaction.
const BATCH: usize = 256;
/// How long a commit without a known outcome is settled before the program ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many commits there were: counted when each is durable, before anybody hears of it. One that may have happened
/// counts too.
#[derive(Debug, Clone, Default)]
pub(super) struct CommitCount(Arc<AtomicU64>);

impl CommitCount {
    /// The present count.
    pub(super) fn now(&self) -> Commits {
        Commits(self.0.load(Ordering::Acquire))
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// What commits the transaction that is open.
pub(super) type Commit = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

/// From now on transactions are committed so, for tests of commits that fail.
#[cfg(feature = "testing")]
#[derive(Message)]
#[rtype(result = "Result<(), DbError>")]
pub(super) struct CommitBy(pub(super) Commit);

#[cfg(feature = "testing")]
impl Handler<CommitBy> for Writer {
    type Result = Result<(), DbError>;

    fn handle(&mut self, CommitBy(commit): CommitBy, _: &mut Self::Context) -> Self::Result {
        self.commit = commit;
        Ok(())
    }
}

/// Owns the writing connection.
pub struct Writer {
    connection: Connection,
    commit: Commit,
    commits: CommitCount,
    lag: Lag,
    floor: Floor,
    reserve: Reserve,
    waiting: Batch,
    flush_announced: bool,
    state: WriterState,
    /// How long the outcome of a commit may be unknown.
    patience: Duration,
    /// It was unknown for longer: nothing is done any more.
    has_given_up: bool,
    /// SQLite's number of what others have written, as it was last looked at.
    data_version: Option<i64>,
}

/// What the writer says of itself, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriterState {
    /// Transactions committed.
    pub commits: u64,
    /// Changes in them.
    pub writes: u64,
    /// The time that they took.
    pub busy: Duration,
    /// Whether the last transaction failed as a whole.
    pub failing: bool,
}

/// Asks for the [`WriterState`].
#[derive(Debug, Message)]
#[rtype(result = "Result<WriterState, DbError>")]
pub(super) struct Observe;

impl Handler<Observe> for Writer {
    type Result = Result<WriterState, DbError>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        Ok(self.state)
    }
}

/// Asks whether somebody else has written to the database since this was last asked: another program, by hand or beside.
#[derive(Debug, Message)]
#[rtype(result = "Result<bool, DbError>")]
pub(super) struct LookForOthers;

impl Handler<LookForOthers> for Writer {
    type Result = Result<bool, DbError>;

    fn handle(&mut self, _: LookForOthers, _: &mut Self::Context) -> Self::Result {
        // Commits of this connection do not change it, and no other one of this program writes.
        let version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        let before = self.data_version.replace(version);
        let written = before.is_some_and(|before| before != version);
        if written {
            // What readers remember is from before.
            self.commits.add();
        }
        Ok(written)
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("waiting", &self.waiting.len()).finish()
    }
}

/// A change that holds something until it is committed, undone or refused, whether anybody still waits for its answer or
/// not.
#[derive(Debug, Clone)]
pub struct Holding<Q, T> {
    /// The change.
    pub query: Q,
    /// What it holds. Given back with the answer.
    pub held: T,
}

impl<Q: WriteQuery, T: Clone + Send + 'static> WriteQuery for Holding<Q, T> {
    type Output = (Q::Output, T);
    type Error = Q::Error;

    fn growth(&self) -> Growth {
        self.query.growth()
    }

    fn run(self, tx: &Connection) -> Result<Self::Output, Self::Error> {
        // A part of the output, since that is kept until after the commit.
        Ok((self.query.run(tx)?, self.held))
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

impl Writer {
    pub(super) fn new(
        connection: Connection,
        (floor, reserve): (Floor, Reserve),
        commits: CommitCount,
        lag: Lag,
    ) -> Self {
        Self {
            connection,
            commit: Box::new(|db| db.execute_batch("COMMIT")),
            commits,
            lag,
            floor: floor.above(reserve.owed()),
            reserve,
            waiting: Vec::new(),
            flush_announced: false,
            state: WriterState::default(),
            patience: PATIENCE,
            has_given_up: false,
            data_version: None,
        }
    }

    fn flush(&mut self) {
        let batch = self.take_waiting();
        if batch.is_empty() || self.has_given_up {
            return;
        }
        let began = Instant::now();
        // Told before the batch, for those in it who ask what is over, and after it, for those who come later.
        let first = batch.iter().map(|job| job.asked()).min().unwrap_or(began);
        self.lag.saw(first.elapsed());
        let (mut batch, ran) = self.run(batch);
        if let Err(Failed { undone: Undone::Perhaps, error }) = &ran
            && !self.settle(error)
        {
            self.has_given_up = true;
            // What they hold is let go by the end of the program, and they are not answered.
            std::mem::forget(batch);
            return;
        }
        self.lag.saw(first.elapsed());
        self.commits.add();
        self.state.commits += u64::from(ran.is_ok());
        self.state.failing = ran.is_err();
        self.state.writes += batch.len() as u64;
        self.state.busy += began.elapsed();
        match ran {
            Ok(()) => self.reserve.take(),
            Err(failed) => batch.iter_mut().for_each(|job| job.undo(failed.told())),
        }
        for job in batch {
            job.answer();
        }
    }

    /// All that wait, but for those that there is no room for: they are refused.
    fn take_waiting(&mut self) -> Batch {
        let batch = std::mem::take(&mut self.waiting);
        if batch.iter().all(|job| job.growth() == Growth::Keeps) || !self.floor.is_undercut() {
            return batch;
        }
        let (refused, batch): (Batch, Batch) =
            batch.into_iter().partition(|job| job.growth() == Growth::Adds);
        refuse(refused);
        batch
    }

    /// Runs and commits. On a full disk what adds is refused, and the rest is made again: by itself, then in room that is given up
    /// for it.
    fn run(&mut self, mut batch: Batch) -> (Batch, Result<(), Failed>) {
        loop {
            let ran = self.run_batch(&mut batch);
            if !matches!(ran, Err(Failed { error: DbError::Full, .. })) {
                return (batch, ran);
            }
            let (keeps, adds): (Batch, Batch) =
                batch.into_iter().partition(|job| job.growth() == Growth::Keeps);
            if keeps.is_empty() {
                return (adds, ran);
            }
            if adds.is_empty() && !self.reserve.give_up() {
                return (keeps, ran);
            }
            refuse(adds);
            batch = keeps;
        }
    }

    /// Runs and commits; on an error none of the batch has happened, or nobody knows.
    fn run_batch(&mut self, batch: &mut Batch) -> Result<(), Failed> {
        let connection = &self.connection;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(Failed::surely)?;
        for job in batch.iter_mut() {
            let step = savepoint(connection, |tx| job.run(tx)).map_err(DbError::from);
            let found_full = job.found_full();
            if !found_full && step.is_ok() && !connection.is_autocommit() {
                continue;
            }
            // Where SQLite could not write it has given up the whole transaction, or will.
            self.roll_back();
            let gave_up = || DbError::Failed("a write failed, and undid the others beside it".to_owned());
            let error = if found_full { DbError::Full } else { step.err().unwrap_or_else(gave_up) };
            return Err(Failed { undone: Undone::Surely, error });
        }
        if let Err(error) = (self.commit)(&self.connection) {
            let error = DbError::from(error);
            // What a full disk cuts short is the log before its last frame, and only that one commits.
            let surely = self.roll_back() || matches!(error, DbError::Full);
            return Err(Failed { undone: if surely { Undone::Surely } else { Undone::Perhaps }, error });
        }
        Ok(())
    }

    /// Says whether there still was a transaction to undo.
    fn roll_back(&self) -> bool {
        !self.connection.is_autocommit() && self.connection.execute_batch("ROLLBACK").is_ok()
    }
}

/// Refuses changes that there is no room for.
fn refuse(batch: Batch) {
    for mut job in batch {
        job.undo(DbError::Full);
        job.answer();
    }
}

/// A transaction that failed.
struct Failed {
    undone: Undone,
    error: DbError,
}

/// What is known of it.
#[derive(Clone, Copy)]
enum Undone {
    Surely,
    Perhaps,
}

impl Failed {
    fn surely(error: rusqlite::Error) -> Self {
        Self { undone: Undone::Surely, error: error.into() }
    }

    /// What one of the batch is told.
    fn told(&self) -> DbError {
        match (self.undone, &self.error) {
            (Undone::Perhaps, error) => DbError::Unknown(error.to_string()),
            (Undone::Surely, DbError::Full) => DbError::Full,
            (Undone::Surely, DbError::Busy(reason)) => DbError::Busy(reason.clone()),
            (Undone::Surely, other) => DbError::Failed(other.to_string()),
        }
    }
}

/// Keeps the changes of `run` when it says so; undoes them otherwise.
fn savepoint(connection: &Connection, run: impl FnOnce(&Connection) -> bool) -> rusqlite::Result<()> {
    connection.prepare_cached("SAVEPOINT change")?.execute([])?;
    let keep = run(connection);
    if connection.is_autocommit() {
        return Ok(());
    }
    if !keep {
        connection.prepare_cached("ROLLBACK TO change")?.execute([])?;
    }
    connection.prepare_cached("RELEASE change")?.execute([])?;
    Ok(())
}

impl Actor for Writer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.flush();
    }
}

impl<Q: WriteQuery> Handler<Write<Q>> for Writer {
    type Result = ResponseFuture<Result<Q::Output, Q::Error>>;

    fn handle(&mut self, Write(query, asked): Write<Q>, context: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        self.waiting.push(Box::new(Waiting::new(query, asked, reply)));
        if self.waiting.len() >= BATCH {
            self.flush_or_stop(context);
        } else if !std::mem::replace(&mut self.flush_announced, true) {
            // Handled when the mailbox is empty, so everything that waits there joins the batch.
            context.notify(Flush);
        }
        Box::pin(async move {
            answer.await.unwrap_or_else(|_| Err(DbError::Busy("the writer stopped".to_owned()).into()))
        })
    }
}

impl Handler<Flush> for Writer {
    type Result = ();

    fn handle(&mut self, _: Flush, context: &mut Self::Context) {
        self.flush_announced = false;
        self.flush_or_stop(context);
    }
}

impl Writer {
    /// Without a way to commit it stops, and with it the program.
    fn flush_or_stop(&mut self, context: &mut Context<Self>) {
        self.flush();
        if self.has_given_up {
            context.stop();
        }
    }
}

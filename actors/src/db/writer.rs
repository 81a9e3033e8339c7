//! The only writer, with group commit: all changes that wait run in one transaction, each in a savepoint of its
//! own, then one durable commit, then all answers.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, Message, ResponseFuture};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::lag::Lag;
use super::memory::Commits;
use super::{DbError, LIMIT, Write, WriteQuery};

/// Most changes in one transaction.
const BATCH: usize = 256;

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

/// Owns the writing connection.
pub struct Writer {
    connection: Connection,
    commits: CommitCount,
    lag: Lag,
    waiting: Vec<Box<dyn Job>>,
    flush_announced: bool,
    state: WriterState,
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

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("waiting", &self.waiting.len()).finish()
    }
}

/// A change that holds something until it is committed, undone or refused, whether anybody still waits for its answer or
/// not.
#[derive(Debug)]
pub struct Holding<Q, T> {
    /// The change.
    pub query: Q,
    /// What it holds. Given back with the answer.
    pub held: T,
}

impl<Q: WriteQuery, T: Send + 'static> WriteQuery for Holding<Q, T> {
    type Output = (Q::Output, T);
    type Error = Q::Error;

    fn run(self, tx: &Connection) -> Result<Self::Output, Self::Error> {
        // A part of the output, since that is kept until after the commit.
        Ok((self.query.run(tx)?, self.held))
    }
}

/// One change that waits, whatever its query is.
trait Job: Send {
    /// Runs the query and keeps its answer; says whether its changes are to be kept.
    fn run(&mut self, tx: &Connection) -> bool;
    /// The transaction of this change was undone although the query had succeeded.
    fn undo(&mut self, error: DbError);
    /// When it was asked for.
    fn asked(&self) -> Instant;
    /// Sends the answer.
    fn answer(self: Box<Self>);
}

struct Waiting<Q: WriteQuery> {
    asked: Instant,
    query: Option<Q>,
    result: Option<Result<Q::Output, Q::Error>>,
    reply: oneshot::Sender<Result<Q::Output, Q::Error>>,
}

impl<Q: WriteQuery> Job for Waiting<Q> {
    fn run(&mut self, tx: &Connection) -> bool {
        if let Some(query) = self.query.take() {
            self.result = Some(query.run(tx));
        }
        matches!(self.result, Some(Ok(_)))
    }

    fn undo(&mut self, error: DbError) {
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(error.into()));
        }
    }

    fn asked(&self) -> Instant {
        self.asked
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // Whoever asked may be gone; the change stands all the same.
            let _unheard = self.reply.send(result);
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

impl Writer {
    pub(super) fn new(connection: Connection, commits: CommitCount, lag: Lag) -> Self {
        Self {
            connection,
            commits,
            lag,
            waiting: Vec::new(),
            flush_announced: false,
            state: WriterState::default(),
        }
    }

    fn flush(&mut self) {
        let mut batch = std::mem::take(&mut self.waiting);
        if batch.is_empty() {
            return;
        }
        let began = Instant::now();
        // Told before the batch, for those in it who ask what is over, and after it, for those who come later.
        let first = batch.iter().map(|job| job.asked()).min().unwrap_or(began);
        self.lag.saw(first.elapsed());
        let ran = self.run_batch(&mut batch);
        self.lag.saw(first.elapsed());
        self.commits.add();
        self.state.commits += u64::from(ran.is_ok());
        self.state.writes += batch.len() as u64;
        self.state.busy += began.elapsed();
        if let Err((undone, error)) = ran {
            for job in &mut batch {
                job.undo(match undone {
                    Undone::Surely => error.again(),
                    Undone::Perhaps => DbError::Unknown(error.to_string()),
                });
            }
        }
        for job in batch {
            job.answer();
        }
    }

    /// Runs and commits; on an error none of the batch has happened, or nobody knows.
    fn run_batch(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), (Undone, DbError)> {
        let surely = |error: rusqlite::Error| (Undone::Surely, DbError::from(error));
        let connection = &self.connection;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(surely)?;
        for job in batch.iter_mut() {
            let step = savepoint(connection, |tx| job.run(tx));
            if connection.is_autocommit() {
                // SQLite gave up the whole transaction (disk full, I/O error).
                return Err((Undone::Surely, step.err().map_or(DbError::Full, DbError::from)));
            }
            if let Err(error) = step {
                self.roll_back();
                return Err(surely(error));
            }
        }
        if let Err(error) = connection.execute_batch("COMMIT") {
            // What a full disk cuts short is the log before its last frame, and only that one commits.
            let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
            let undone = if self.roll_back() || full { Undone::Surely } else { Undone::Perhaps };
            return Err((undone, error.into()));
        }
        Ok(())
    }

    /// Says whether there still was a transaction to undo.
    fn roll_back(&self) -> bool {
        !self.connection.is_autocommit() && self.connection.execute_batch("ROLLBACK").is_ok()
    }
}

/// What is known of a transaction that failed.
#[derive(Clone, Copy)]
enum Undone {
    Surely,
    Perhaps,
}

impl DbError {
    /// The same error for another asker of the same batch.
    fn again(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            other => Self::Failed(other.to_string()),
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
        self.waiting.push(Box::new(Waiting { asked, query: Some(query), result: None, reply }));
        if self.waiting.len() >= BATCH {
            self.flush();
        } else if !std::mem::replace(&mut self.flush_announced, true) {
            // Handled when the mailbox is empty, so everything that waits there joins the batch.
            context.notify(Flush);
        }
        Box::pin(async move {
            answer.await.unwrap_or_else(|_| Err(DbError::Failed("the writer stopped".to_owned()).into()))
        })
    }
}

impl Handler<Flush> for Writer {
    type Result = ();

    fn handle(&mut self, _: Flush, _: &mut Self::Context) {
        self.flush_announced = false;
        self.flush();
    }
}

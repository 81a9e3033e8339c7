//! Answers questions on the thread of whoever asks, with a connection of its own.
//!
//! A point read takes a few microseconds, less than a hop to another thread, so there is a reader on each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler};
use r2d2::PooledConnection;
use r2d2_sqlite::SqliteConnectionManager;

use super::error::DbError;
use super::memory::{Memorable, Memory, Recall};
use super::query::{LIMIT, Read, ReadQuery};
use super::writer::CommitCount;

/// What all readers did since the start.
#[derive(Debug, Default)]
pub(super) struct Reads {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Reads {
    fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many questions were answered, and how long that took.
    pub(super) fn so_far(&self) -> (u64, Duration) {
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        (self.count.load(Ordering::Relaxed), Duration::from_nanos(nanoseconds))
    }
}

/// One reader; its connection refuses to write.
pub(super) struct Reader {
    connection: PooledConnection<SqliteConnectionManager>,
    commits: CommitCount,
    memory: Memory,
    reads: Arc<Reads>,
}

impl Reader {
    pub(super) fn new(
        connection: PooledConnection<SqliteConnectionManager>,
        commits: CommitCount,
        reads: Arc<Reads>,
    ) -> Self {
        Self { connection, commits, memory: Memory::default(), reads }
    }

    fn look_up<Q: ReadQuery>(&self, query: Q) -> Result<Q::Output, DbError> {
        let began = Instant::now();
        let answer = query.run(&self.connection);
        self.reads.add(began.elapsed());
        answer
    }
}

impl Actor for Reader {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
    }
}

impl<Q: ReadQuery> Handler<Read<Q>> for Reader {
    type Result = Result<Q::Output, DbError>;

    fn handle(&mut self, Read(query): Read<Q>, _: &mut Self::Context) -> Self::Result {
        self.look_up(query)
    }
}

impl<Q: Memorable> Handler<Recall<Q>> for Reader {
    type Result = Result<Q::Output, DbError>;

    fn handle(&mut self, Recall(query): Recall<Q>, _: &mut Self::Context) -> Self::Result {
        let commits = self.commits.now();
        if let Some(known) = self.memory.recall(&query, commits) {
            return Ok(known);
        }
        let answer = self.look_up(query.clone())?;
        self.memory.remember(query, answer.clone(), commits);
        Ok(answer)
    }
}

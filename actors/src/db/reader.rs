//! Answers questions on the thread of whoever asks, with a connection of its own.
//!
//! A point read takes a few microseconds, less than a hop to another thread, so there is a reader on each.

use actix::{Actor, Context, Handler};
use r2d2::PooledConnection;
use r2d2_sqlite::SqliteConnectionManager;

use super::memory::{Memorable, Memory};
use super::writer::CommitCount;
use super::{DbError, LIMIT, Read, ReadQuery, Recall};

/// One reader; its connection refuses to write.
pub(super) struct Reader {
    connection: PooledConnection<SqliteConnectionManager>,
    commits: CommitCount,
    memory: Memory,
}

impl Reader {
    pub(super) fn new(connection: PooledConnection<SqliteConnectionManager>, commits: CommitCount) -> Self {
        Self { connection, commits, memory: Memory::default() }
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
        query.run(&self.connection)
    }
}

impl<Q: Memorable> Handler<Recall<Q>> for Reader {
    type Result = Result<Q::Output, DbError>;

    fn handle(&mut self, Recall(query): Recall<Q>, _: &mut Self::Context) -> Self::Result {
        let commits = self.commits.now();
        if let Some(known) = self.memory.recall(&query, commits) {
            return Ok(known);
        }
        let answer = query.clone().run(&self.connection)?;
        self.memory.remember(query, answer.clone(), commits);
        Ok(answer)
    }
}

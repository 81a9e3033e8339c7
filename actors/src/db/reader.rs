//! Answers questions on the thread of whoever asks, with a connection of its own.
//!
//! A point read takes a few microseconds, less than a hop to another thread, so there is a reader on each.

use actix::{Actor, Context, Handler};
use r2d2::PooledConnection;
use r2d2_sqlite::SqliteConnectionManager;

use super::{DbError, LIMIT, Read, ReadQuery};

/// One reader; its connection refuses to write.
pub(super) struct Reader {
    connection: PooledConnection<SqliteConnectionManager>,
}

impl Reader {
    pub(super) fn new(connection: PooledConnection<SqliteConnectionManager>) -> Self {
        Self { connection }
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

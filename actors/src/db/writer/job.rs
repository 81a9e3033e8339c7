//! One change that waits for the writer, whatever its query is.

use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::db::{ChangeError, DbError, Growth, WriteQuery};

/// One change that waits.
pub(super) trait Job: Send {
    /// Runs the query and keeps its answer; says whether its changes are to be kept. What goes on to the end can be run again.
    fn run(&mut self, tx: &Connection) -> bool;
    /// Whether its query found the disk full.
    fn found_full(&self) -> bool;
    /// The transaction of this change was undone although the query had succeeded.
    fn undo(&mut self, error: DbError);
    /// Whether it may need room that must stay free.
    fn growth(&self) -> Growth;
    /// When it was asked for.
    fn asked(&self) -> Instant;
    /// Sends the answer.
    fn answer(self: Box<Self>);
}

/// Several of them.
pub(super) type Batch = Vec<Box<dyn Job>>;

/// A change, and who waits for it.
pub(super) struct Waiting<Q: WriteQuery> {
    pub(super) asked: Instant,
    query: Option<Q>,
    growth: Growth,
    result: Option<Result<Q::Output, Q::Error>>,
    reply: oneshot::Sender<Result<Q::Output, Q::Error>>,
}

impl<Q: WriteQuery> Waiting<Q> {
    pub(super) fn new(query: Q, asked: Instant, reply: oneshot::Sender<Result<Q::Output, Q::Error>>) -> Self {
        Self { asked, growth: query.growth(), query: Some(query), result: None, reply }
    }
}

impl<Q: WriteQuery> Job for Waiting<Q> {
    fn run(&mut self, tx: &Connection) -> bool {
        let query = match self.growth {
            Growth::Keeps => self.query.clone(),
            Growth::Adds => self.query.take(),
        };
        self.result = query.map(|query| query.run(tx));
        matches!(self.result, Some(Ok(_)))
    }

    fn found_full(&self) -> bool {
        let Some(Err(error)) = &self.result else { return false };
        matches!(error.of_database(), Some(DbError::Full))
    }

    fn undo(&mut self, error: DbError) {
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(error.into()));
        }
    }

    fn growth(&self) -> Growth {
        self.growth
    }

    fn asked(&self) -> Instant {
        self.asked
    }

    fn answer(self: Box<Self>) {
        let Self { query, result, reply, .. } = *self;
        // Whoever hears the answer may be the last who holds what it holds.
        drop(query);
        if let Some(result) = result {
            // Whoever asked may be gone; the change stands all the same.
            let _unheard = reply.send(result);
        }
    }
}

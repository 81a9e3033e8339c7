//! What a question and a change are, and how they are asked.

use std::time::Instant;

use actix::Message;
use rusqlite::Connection;

use super::error::{ChangeError, DbError};
use super::floor::Growth;

/// How many requests may wait for one reader or for the writer.
pub(super) const LIMIT: usize = 20_000;

/// A question. It changes nothing and sees one consistent state.
pub trait ReadQuery: Send + 'static {
    /// The answer.
    type Output: Send + 'static;

    /// Runs it; the connection refuses to write.
    fn run(self, db: &Connection) -> Result<Self::Output, DbError>;
}

/// A change. It happens whole or not at all, and it is durable when its answer comes.
pub trait WriteQuery: Clone + Send + 'static {
    /// The answer.
    type Output: Send + 'static;
    /// Why it may be refused; nothing is changed then.
    type Error: ChangeError;

    /// Whether it goes on while less is free than must stay free, and on a full disk.
    fn growth(&self) -> Growth;

    /// Runs it inside a transaction that the writer opens and commits.
    fn run(self, tx: &Connection) -> Result<Self::Output, Self::Error>;
}

/// Asks a question.
#[derive(Debug)]
pub struct Read<Q>(pub Q);

impl<Q: ReadQuery> Message for Read<Q> {
    type Result = Result<Q::Output, DbError>;
}

/// Makes a change, which was asked for then.
#[derive(Debug)]
pub struct Write<Q>(pub Q, pub Instant);

impl<Q: WriteQuery> Message for Write<Q> {
    type Result = Result<Q::Output, Q::Error>;
}

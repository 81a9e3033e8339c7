//! The right to add to an upload, as the request that holds it sees it.

use std::future::Future;

use actix::{AsyncContext, Handler, Message, ResponseFuture};
use bytes::Bytes;

use super::error::{UploadError, asked};
use super::session::{Acknowledge, Append, BeginRequest, Finish, Session};
use super::turn::Turn;
use crate::ask::{AskError, Handle};
use crate::domain::{Digest, Origin};

/// One request's turn at an upload. Dropped before its end, what it brought is rolled back, whatever made the request
/// go away.
#[derive(Debug)]
pub struct Writer {
    pub(super) session: Handle<Session>,
    pub(super) turn: Turn,
    at: u64,
}

// A session gives turns, and does not know what is made of them.
impl Message for BeginRequest {
    type Result = Result<Writer, UploadError>;
}

impl Handler<BeginRequest> for Session {
    type Result = ResponseFuture<Result<Writer, UploadError>>;

    fn handle(&mut self, request: BeginRequest, context: &mut Self::Context) -> Self::Result {
        let session = Self::handle(context.address());
        let turn = self.turn(request, context);
        Box::pin(async move {
            let turn = turn.await?;
            let at = turn.at;
            Ok(Writer { session, turn, at })
        })
    }
}

impl Writer {
    /// Sends bytes at once; the answer says that they are written, not that they last. Appends are taken in the order
    /// of the calls, so the next may be sent before the answer to the last.
    pub fn append(&mut self, pieces: Vec<Bytes>) -> impl Future<Output = Result<(), UploadError>> + use<> {
        let at = self.at;
        self.at += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let answer = self.session.ask(Append { turn: self.turn.number, at, pieces });
        async move { answer.await.map_err(of_session) }
    }

    /// The request is complete: makes its bytes last and answers the new offset.
    pub async fn acknowledge(self) -> Result<u64, UploadError> {
        self.session.ask(Acknowledge { turn: self.turn.number }).await.map_err(of_session)
    }

    /// The upload is complete: verifies it, publishes the blob, records that `origin` did, and answers its size in bytes.
    pub async fn finish(self, digest: Digest, origin: Origin) -> Result<u64, UploadError> {
        self.session.ask(Finish { turn: self.turn.number, digest, origin }).await.map_err(of_session)
    }
}

/// A session may end alone, so one that is gone is an upload that ended.
pub(super) fn of_session(error: AskError<UploadError>) -> UploadError {
    match error {
        AskError::Down(_) => UploadError::Unknown,
        other => asked(other),
    }
}

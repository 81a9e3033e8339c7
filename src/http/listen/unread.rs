//! Bodies of HTTP/1.1 requests that nobody reads to their end.
//!
//! The library waits without a bound for the rest of a chunked body that was let go, and ends the connection unannounced when
//! that is malformed. It knows what to do when a body is still held where the answer begins: it announces the close, throws
//! away what comes for a while after the answer, and closes. So a body is held until the last byte of the answer, whoever
//! reads it, unless its end was seen.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::error::PayloadError;
use actix_http::{BoxedPayloadStream, Payload, Request};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

/// How long, and for how many bytes, the end of a body that nobody reads is waited for, so that the connection can stay.
const BRIEFLY: (Duration, usize) = (Duration::from_millis(100), 64 * 1024);

/// A request's body, shared by whoever reads it and its connection.
#[derive(Clone)]
pub(super) struct Unread {
    payload: Rc<RefCell<Payload>>,
    /// Whether nothing of it comes any more, and whether that is because it came whole.
    over: Rc<Cell<Option<bool>>>,
}

impl Unread {
    /// Takes a share in the body of the request, if it has one that comes over HTTP/1.1.
    pub(super) fn of(request: Request) -> (Request, Option<Self>) {
        let (request, payload) = request.replace_payload(Payload::<BoxedPayloadStream>::None);
        if !matches!(payload, Payload::H1 { .. }) {
            return (request.replace_payload(payload).0, None);
        }
        let unread = Self { payload: Rc::new(RefCell::new(payload)), over: Rc::default() };
        let payload: BoxedPayloadStream = Box::pin(unread.clone());
        (request.replace_payload(Payload::Stream { payload }).0, Some(unread))
    }

    /// Looks for the end of it, briefly, where what is left is little and on its way.
    pub(super) async fn finish(&mut self) {
        let (time, mut left) = BRIEFLY;
        let rest = async {
            while self.over.get().is_none() && left > 0 {
                let piece = self.next().await.and_then(Result::ok);
                left = left.saturating_sub(piece.map_or(0, |piece| piece.len()));
            }
        };
        let _bounded = timeout(time, rest).await;
    }

    /// Whether it came whole, so that another request can come after it.
    pub(super) fn is_whole(&self) -> bool {
        self.over.get() == Some(true)
    }

    /// The body of an answer with which this one is held.
    pub(super) fn held_with(self, body: BoxBody) -> BoxBody {
        Holding { body, _unread: self }.boxed()
    }
}

impl Stream for Unread {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut *self.payload.borrow_mut()).poll_next(context);
        match &polled {
            Poll::Ready(None) => self.over.set(Some(self.over.get().unwrap_or(true))),
            Poll::Ready(Some(Err(_))) => self.over.set(Some(false)),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }
}

/// The body of an answer whose request's body is not let go before it.
struct Holding {
    body: BoxBody,
    _unread: Unread,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

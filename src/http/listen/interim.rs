//! `100 Continue`: sent when somebody reads a body whose client waits to be asked for it, and not before (RFC 9110 §10.1.1).
//!
//! Whoever refuses the request without its body answers with the final status in its place.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::error::PayloadError;
use actix_http::{BoxedPayloadStream, HttpMessage, Payload, Request};
use actix_web::HttpRequest;
use bytes::Bytes;
use futures_util::Stream;

/// The interim answer as it goes onto the wire.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What the client of a request whose head is being read waits for.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Body100(bool);

impl Body100 {
    /// It waits to be asked for the body.
    pub(super) fn is_awaited(&mut self) {
        self.0 = true;
    }

    #[cfg(test)]
    pub(super) fn is_wanted(self) -> bool {
        self.0
    }

    /// Whether it waits; asked once for each request.
    pub(super) fn take(&mut self) -> bool {
        std::mem::take(&mut self.0)
    }
}

/// How far the asking for a body has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Not,
    /// Somebody reads the body; the interim answer is to be sent.
    Now,
    Done,
}

/// A request whose client waits to be asked for the body, shared by the request and its connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Awaited(Rc<Cell<Asked>>);

impl Awaited {
    /// Whether the interim answer is to be sent now; true once.
    pub(super) fn is_due(&self) -> bool {
        let is_due = self.0.get() == Asked::Now;
        if is_due {
            self.0.set(Asked::Done);
        }
        is_due
    }

    /// Whether it was asked for its body, or sends it without.
    pub(super) fn is_asked(&self) -> bool {
        self.0.get() != Asked::Not
    }

    /// The final answer is there: no interim one may follow it.
    pub(super) fn is_over(&self) {
        self.0.set(Asked::Done);
    }
}

/// Whether the client of this request has sent no body and waits to be asked for it.
pub(in crate::http) fn is_awaited(request: &HttpRequest) -> bool {
    request.extensions().get::<Awaited>().is_some_and(|awaited| !awaited.is_asked())
}

/// Lets the body of the request ask for itself when it is read.
pub(super) fn ask_when_read(request: Request, awaited: &Awaited) -> Request {
    request.extensions_mut().insert(awaited.clone());
    let (request, payload) = request.replace_payload(Payload::<BoxedPayloadStream>::None);
    let payload: BoxedPayloadStream = Box::pin(Asking { payload, awaited: awaited.clone() });
    request.replace_payload(Payload::Stream { payload }).0
}

struct Asking {
    payload: Payload,
    awaited: Awaited,
}

impl Stream for Asking {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.payload).poll_next(context);
        // A client that sends without waiting need not be asked.
        if self.awaited.0.get() == Asked::Not {
            self.awaited.0.set(if polled.is_pending() { Asked::Now } else { Asked::Done });
        }
        polled
    }
}

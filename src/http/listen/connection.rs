//! The stream under one connection: what the HTTP library leaves open about its end.
//!
//! - A server that stops waits for its connections. The library closes idle HTTP/1.1 connections by itself, but an idle
//!   HTTP/2 connection would hold the stop up until the time-out, so its stream ends here once its last answer is out.
//! - A write that makes no progress is given up after a while.
//! - An HTTP/2 client may have any number of requests in flight, since the library sets no limit: with far too many the
//!   connection ends.
//! - A kept-alive HTTP/1.1 connection whose client begins the next request and never ends its head is closed, and so is
//!   an HTTP/2 connection without a request, which the library keeps for as long as its client answers pings.
//!
//! It does not know requests: it is told when one begins and when its answer has been handed over.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_http::{HttpMessage, Protocol, Request};
use actix_server::GracefulShutdownSignal;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// With how many requests in flight a connection ends. Refusals are in flight too for as long as nobody reads them, so
/// that only this bounds what one connection holds. Go's proxies have up to 1000.
pub(super) const MOST_IN_FLIGHT: usize = 4096;

/// The time-outs of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// How long a write may make no progress; zero for as long as it likes.
    pub(super) write: Duration,
    /// How long the head of the next request may take to arrive in full, counted from the last byte of an answer.
    pub(super) between_requests: Duration,
}

/// What the requests of a connection tell its stream.
#[derive(Debug, Default)]
pub(super) struct Activity {
    in_flight: Cell<usize>,
    served: Cell<bool>,
    /// Whether everything that was handed over when the last request ended has been written to the socket.
    flushed: Cell<bool>,
    reader: RefCell<Option<Waker>>,
}

impl Activity {
    /// Counts a request in, until what is returned is dropped, and leaves its [`Place`] with it.
    pub(super) fn begin(request: &Request) -> Option<InFlight> {
        let activity = Rc::clone(request.conn_data::<Rc<Activity>>()?);
        let place = activity.in_flight.get() + 1;
        activity.in_flight.set(place);
        activity.served.set(true);
        request.extensions_mut().insert(Place(place));
        Some(InFlight(activity))
    }

    fn is_idle(&self) -> bool {
        self.in_flight.get() == 0
    }
}

/// How many requests of its connection were in flight when a request began, with itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(pub(super) usize);

/// A request in flight.
#[derive(Debug)]
pub(super) struct InFlight(Rc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
        if self.0.is_idle() {
            self.0.flushed.set(false);
            if let Some(reader) = self.0.reader.take() {
                reader.wake();
            }
        }
    }
}

/// The body of an answer, during which its request is in flight.
#[derive(Debug)]
pub(super) struct Tracked {
    body: BoxBody,
    _in_flight: Option<InFlight>,
}

impl Tracked {
    pub(super) fn new(body: BoxBody, in_flight: Option<InFlight>) -> Self {
        Self { body, _in_flight: in_flight }
    }
}

impl MessageBody for Tracked {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

/// A time-out that is set, or not.
#[derive(Debug)]
struct Deadline {
    after: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    set: bool,
}

impl Deadline {
    fn new(after: Duration) -> Self {
        Self { after, timer: None, set: false }
    }

    fn clear(&mut self) {
        self.set = false;
    }

    /// Sets it when it is not set, and tells whether its time has come; the task is woken when it does.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.after.is_zero() {
            return Poll::Pending;
        }
        let after = self.after;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(after)));
        if !self.set {
            timer.as_mut().reset(Instant::now() + after);
            self.set = true;
        }
        timer.as_mut().poll(cx)
    }
}

/// The stream under one connection.
pub(super) struct Connection<IO> {
    io: IO,
    protocol: Protocol,
    activity: Rc<Activity>,
    write: Deadline,
    next_head: Deadline,
    stop: Pin<Box<dyn Future<Output = ()>>>,
    stopping: bool,
}

impl<IO> Connection<IO> {
    pub(super) fn new(io: IO, protocol: Protocol, times: Times, stop: GracefulShutdownSignal) -> Self {
        Self {
            io,
            protocol,
            activity: Rc::default(),
            write: Deadline::new(times.write),
            next_head: Deadline::new(times.between_requests),
            stop: Box::pin(async move { stop.notified().await }),
            stopping: false,
        }
    }

    pub(super) fn activity(&self) -> Rc<Activity> {
        Rc::clone(&self.activity)
    }

    /// Decides about a read that has nothing to read: wait on, end the stream, or give the client up.
    fn poll_nothing_to_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.protocol {
            Protocol::Http2 => {
                self.stopping = self.stopping || self.stop.as_mut().poll(cx).is_ready();
                self.activity.reader.replace(Some(cx.waker().clone()));
                if !self.activity.is_idle() || !self.activity.flushed.get() {
                    self.next_head.clear();
                    return Poll::Pending;
                }
                if self.stopping { Poll::Ready(Ok(())) } else { self.next_head.poll(cx).map(Ok) }
            }
            _ if self.activity.is_idle() && self.activity.served.get() => {
                self.next_head.poll(cx).map(|()| Err(timed_out("the next request did not arrive in time")))
            }
            _ => {
                self.next_head.clear();
                Poll::Pending
            }
        }
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write.clear();
            // The pings of an idle HTTP/2 connection do not make it less idle.
            if self.protocol != Protocol::Http2 {
                self.next_head.clear();
            }
            return written;
        }
        self.write.poll(cx).map(|()| Err(timed_out("the client does not read")))
    }
}

fn timed_out(why: &str) -> io::Error {
    closed(io::ErrorKind::TimedOut, why)
}

fn closed(kind: io::ErrorKind, why: &str) -> io::Error {
    log::debug!("a connection is closed: {why}");
    io::Error::new(kind, why)
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.activity.in_flight.get() > MOST_IN_FLIGHT {
            let error = closed(io::ErrorKind::ConnectionAborted, "far too many requests are in flight");
            return Poll::Ready(Err(error));
        }
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Pending => this.poll_nothing_to_read(cx),
            ready => ready,
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.written(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.io).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                this.write.clear();
                // The HTTP/2 library reads before it writes: an answer that was handed over is out only after a flush.
                if this.activity.is_idle() && !this.activity.flushed.replace(true) && this.stopping {
                    cx.waker().wake_by_ref();
                }
                Poll::Ready(Ok(()))
            }
            flushed => this.written(cx, flushed),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

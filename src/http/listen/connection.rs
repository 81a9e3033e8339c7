//! The stream under one connection: what the HTTP library leaves open about its end.
//!
//! - A server that stops waits for its connections. The library closes idle HTTP/1.1 connections by itself, but an idle
//!   HTTP/2 connection would hold the stop up until the time-out, so its stream ends here once its last answer is out.
//! - A write that makes no progress is given up after a while.
//! - An HTTP/2 client may have any number of requests in flight, since the library sets no limit: with far too many the
//!   connection ends.
//! - The library takes a body whose chunks are malformed for a client that is gone, and drops the connection with its request
//!   unanswered: then the answer is written here.
//! - A kept-alive HTTP/1.1 connection whose client begins the next request and never ends its head is closed, and so is
//!   an HTTP/2 connection without a request, which the library keeps for as long as its client answers pings.
//!
//! It does not know requests: it is told when one begins and when its answer has been handed over.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_http::Protocol;
use actix_server::GracefulShutdownSignal;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::{Activity, InFlight};
use super::deadline::Deadline;
use super::heads::Heads;
use super::interim::{Awaited, CONTINUE};
use super::queue::Queue;

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

/// The body of an answer, during which its request is in flight.
#[derive(Debug)]
pub(super) struct Tracked {
    body: BoxBody,
    in_flight: Option<InFlight>,
    /// How long the last piece of it was.
    last: usize,
}

impl Tracked {
    pub(super) fn new(body: BoxBody, in_flight: Option<InFlight>) -> Self {
        Self { body, in_flight, last: 0 }
    }

    fn activity(&self) -> Option<&Activity> {
        self.in_flight.as_ref().map(|in_flight| &*in_flight.activity)
    }
}

impl MessageBody for Tracked {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Some(activity) = self.activity() {
            if activity.queue.as_ref().is_some_and(|queue| queue.poll_room(cx).is_pending()) {
                // It writes what it can, and finds out whether anything is left.
                activity.reader.borrow().as_ref().inspect(|connection| connection.wake_by_ref());
                return Poll::Pending;
            }
            activity.pulse.beat();
        }
        let polled = Pin::new(&mut self.body).poll_next(cx);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            if let Some(queue) = self.activity().and_then(|activity| activity.queue.as_ref()) {
                queue.hand_over(self.last, piece.len());
            }
            self.last = piece.len();
        }
        polled
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if let Some(queue) = self.activity().and_then(|activity| activity.queue.as_ref()) {
            queue.end(self.last);
        }
    }
}

/// The stream under one connection.
pub(super) struct Connection<IO: AsyncWrite + Unpin> {
    io: IO,
    protocol: Protocol,
    activity: Rc<Activity>,
    write: Deadline,
    /// How long nothing of any answer of an HTTP/2 connection is taken.
    unread: Deadline,
    next_head: Deadline,
    stop: Pin<Box<dyn Future<Output = ()>>>,
    stopping: bool,
    heads: Heads,
    /// What is left to write of an interim answer.
    interim: &'static [u8],
    /// Whether the client has ended the stream, or it has failed.
    ended: bool,
}

/// The answer to a body whose framing cannot be read (RFC 9112 §7.1): its head, and its body.
const BAD_FRAMING: [&[u8]; 2] = [
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 116\r\n\r\n",
    b"{\"errors\":[{\"code\":\"SIZE_INVALID\",\"message\":\"the request's body is not chunked as HTTP/1.1 writes it\",\"detail\":{}}]}",
];

thread_local! {
    /// Whether a connection is being served at this moment on this thread.
    static SERVING: Cell<bool> = const { Cell::new(false) };
}

/// Serves a connection to its end. One that is dropped while it is served was ended by the library; one that is dropped
/// otherwise is cut off, since the program stops.
pub(super) async fn serve<F: Future>(connection: F) -> F::Output {
    let mut connection = Some(Box::pin(connection));
    std::future::poll_fn(move |context| {
        SERVING.set(true);
        let served = match &mut connection {
            Some(serving) => serving.as_mut().poll(context),
            None => Poll::Pending,
        };
        if served.is_ready() {
            connection = None;
        }
        SERVING.set(false);
        served
    })
    .await
}

impl<IO: AsyncWrite + Unpin> Drop for Connection<IO> {
    fn drop(&mut self) {
        if let Some(queue) = &self.activity.queue {
            queue.is_over();
        }
        let is_left = self.protocol != Protocol::Http2 && self.activity.unanswered.get() > 0;
        if !is_left || !SERVING.get() || self.ended || !self.interim.is_empty() {
            return;
        }
        let answer = BAD_FRAMING[..if self.activity.head_only.get() { 1 } else { 2 }].concat();
        // Nobody waits here: what the socket does not take at once is not heard.
        let mut context = Context::from_waker(Waker::noop());
        let mut io = Pin::new(&mut self.io);
        if let Poll::Ready(Ok(_)) = io.as_mut().poll_write(&mut context, &answer) {
            let _ended = io.as_mut().poll_flush(&mut context).map(|_| io.poll_shutdown(&mut context));
        }
    }
}

impl<IO: AsyncWrite + Unpin> Connection<IO> {
    pub(super) fn new(io: IO, protocol: Protocol, times: Times, stop: GracefulShutdownSignal) -> Self {
        Self {
            io,
            protocol,
            activity: Rc::new(Activity::new(protocol)),
            write: Deadline::new(times.write),
            unread: Deadline::new(times.write),
            next_head: Deadline::new(times.between_requests),
            stop: Box::pin(async move { stop.notified().await }),
            stopping: false,
            heads: Heads::default(),
            interim: &[],
            ended: false,
        }
    }

    pub(super) fn activity(&self) -> Rc<Activity> {
        Rc::clone(&self.activity)
    }

    /// Decides about a read that has nothing to read: wait on, end the stream, or give the client up.
    fn poll_nothing_to_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.pulse.poll_cut(cx) {
            return Poll::Ready(Err(self.gave_way()));
        }
        match self.protocol {
            Protocol::Http2 => {
                self.stopping = self.stopping || self.stop.as_mut().poll(cx).is_ready();
                self.activity.reader.replace(Some(cx.waker().clone()));
                if self.activity.is_answering() {
                    let idle = self.activity.pulse.idle();
                    return self
                        .unread
                        .poll_idle(cx, idle)
                        .map(|()| Err(timed_out("the client takes nothing")));
                }
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

    fn gave_way(&mut self) -> io::Error {
        self.ended = true;
        closed(io::ErrorKind::ConnectionAborted, "nobody reads its answers, and others wait")
    }

    fn sent(&mut self, cx: &mut Context<'_>, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Poll::Ready(Ok(bytes)), Some(queue)) = (&sent, &self.activity.queue) {
            queue.written(*bytes);
        }
        self.written(cx, sent)
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write.clear();
            // The pings of an idle HTTP/2 connection do not make it less idle.
            if self.protocol != Protocol::Http2 {
                self.next_head.clear();
                self.activity.pulse.beat();
            }
            return written;
        }
        if self.activity.pulse.poll_cut(cx) {
            return Poll::Ready(Err(self.gave_way()));
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

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.activity.in_flight.get() > MOST_IN_FLIGHT {
            let error = closed(io::ErrorKind::ConnectionAborted, "far too many requests are in flight");
            return Poll::Ready(Err(error));
        }
        if this.activity.pulse.is_cut() {
            return Poll::Ready(Err(this.gave_way()));
        }
        match this.poll_heads(cx, buf) {
            Poll::Pending => this.poll_nothing_to_read(cx),
            ready => ready,
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Connection<IO> {
    /// Reads, and takes out of heads what the library must not hear.
    fn poll_heads(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.protocol == Protocol::Http2 {
            let read = Pin::new(&mut self.io).poll_read(cx, buf);
            if read.is_ready() && self.activity.unanswered.get() > 0 {
                // Who sends a body need not take anything meanwhile.
                self.activity.pulse.beat();
            }
            return read;
        }
        if self.activity.between.take() {
            self.heads.begin();
        }
        loop {
            let (before, held) = (buf.filled().len(), self.heads.held());
            if held.len() >= buf.remaining() {
                // There is no room to wait for more of the line.
                buf.put_slice(&held[..buf.remaining()]);
                return Poll::Ready(Ok(()));
            }
            buf.put_slice(&held);
            let read = Pin::new(&mut self.io).poll_read(cx, buf);
            if read.is_pending() {
                buf.set_filled(before);
                self.heads.hold(held);
                return Poll::Pending;
            }
            if buf.filled().len() == before + held.len() || matches!(read, Poll::Ready(Err(_))) {
                self.ended = true;
                return read;
            }
            let mut told = self.activity.told.get();
            let passed = self.heads.filter(&mut buf.filled_mut()[before..], &mut told);
            self.activity.told.set(told);
            buf.set_filled(before + passed);
            if passed > 0 {
                return read;
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> Connection<IO> {
    /// Sends an interim answer that is due; nothing else may be written before it is out.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.awaited.borrow().as_ref().is_some_and(Awaited::is_due) {
            self.interim = CONTINUE;
        }
        self.poll_rest_of_interim(cx)
    }

    fn poll_rest_of_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let written = Pin::new(&mut self.io).poll_write(cx, self.interim);
            let written = std::task::ready!(self.written(cx, written))?;
            self.interim = &self.interim[written..];
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        std::task::ready!(this.poll_rest_of_interim(cx))?;
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.sent(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        std::task::ready!(this.poll_rest_of_interim(cx))?;
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.sent(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The library flushes when it has written all that it had: what comes now is of the request that is in flight.
        std::task::ready!(this.poll_interim(cx))?;
        match Pin::new(&mut this.io).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                this.write.clear();
                if this.activity.queue.as_ref().is_some_and(Queue::flushed) {
                    cx.waker().wake_by_ref();
                }
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

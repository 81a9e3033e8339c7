//! Bodies of blobs both ways, in pieces: nothing is ever held whole.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody, SizedStream};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use mcr_actors::fs::ReadFile;
use mcr_actors::place::Place;
use mcr_actors::upload::{UploadError, Writer};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::error::{ApiError, Code};
use super::readers::Opened;

/// How many bytes of a body travel to an upload in one message.
const BATCH: usize = 512 * 1024;
/// The most that a connection reads at once.
const READ: usize = 128 * 1024;
/// Requests whose bytes are joined now.
static JOINERS: AtomicUsize = AtomicUsize::new(0);
/// How many messages may be unanswered.
const IN_FLIGHT: usize = 2;
/// The longest that bytes wait for more of their batch, so that a slow client is seen to be alive.
const LINGER: Duration = Duration::from_secs(1);
/// A part of a blob that has no more bytes is read at once, and its file is closed.
const AT_ONCE: u64 = 64 * 1024;
/// How much of a refused body is read before the answer: containerd 1.6 hangs when the answer comes first.
const DRAIN: usize = 128 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// Why a body did not come whole; `code` says what it should have been.
pub(super) fn broken(error: &PayloadError, code: Code) -> ApiError {
    let message = format!("the request's body did not come whole: {error}");
    ApiError::new(StatusCode::BAD_REQUEST, code, message)
}

pub(super) fn stalled(after: Duration, code: Code) -> ApiError {
    let message = format!("nothing was received for {} s; send the request again", after.as_secs());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, code, message)
}

/// A request's body, and how many bytes of it have come so far, whoever reads them.
pub fn counted(payload: Payload) -> (Payload, Rc<Cell<u64>>) {
    let received = Rc::new(Cell::new(0));
    if matches!(payload, Payload::None) {
        return (payload, received);
    }
    let counter = Rc::clone(&received);
    let pieces = payload.inspect(move |piece| {
        if let Ok(piece) = piece {
            counter.set(counter.get() + piece.len() as u64);
        }
    });
    (Payload::Stream { payload: Box::pin(pieces) }, received)
}

/// Sends a request's body to an upload, and answers how many bytes came. They are not acknowledged yet.
pub async fn receive(
    payload: &mut Payload,
    writer: &mut Writer,
    read_timeout: Duration,
) -> Result<u64, ApiError> {
    let mut unanswered = VecDeque::new();
    let mut batch = Batch::default();
    let mut received = 0;
    let mut alive = Instant::now();
    loop {
        let silence = read_timeout.saturating_sub(alive.elapsed());
        let wait = batch.since.map_or(silence, |since| LINGER.saturating_sub(since.elapsed()));
        let ended = match timeout(wait, payload.next()).await {
            // It is no sign of life.
            Ok(Some(Ok(piece))) if piece.is_empty() => false,
            Ok(Some(Ok(piece))) => {
                received += piece.len() as u64;
                batch.add(piece);
                alive = Instant::now();
                false
            }
            Ok(Some(Err(error))) => return Err(broken(&error, Code::BlobUploadInvalid)),
            Ok(None) => true,
            Err(_elapsed) if batch.since.is_some() => false,
            Err(_elapsed) => return Err(stalled(read_timeout, Code::BlobUploadInvalid)),
        };
        if batch.is_due() || ended && !batch.is_empty() {
            unanswered.push_back(Box::pin(writer.append(batch.take())));
        }
        let most = if ended { 0 } else { IN_FLIGHT };
        while unanswered.len() > most
            && let Some(answer) = unanswered.pop_front()
        {
            answer.await.map_err(|error: UploadError| ApiError::from(error))?;
        }
        if ended {
            return Ok(received);
        }
    }
}

/// Bytes on their way to one message.
#[derive(Default)]
struct Batch {
    pieces: Vec<Bytes>,
    length: usize,
    since: Option<Instant>,
    /// Copies what comes into one piece, once so much has come that it is worth the memory.
    joiner: Option<Joiner>,
}

impl Batch {
    fn add(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.length += piece.len();
        self.since.get_or_insert_with(Instant::now);
        match &mut self.joiner {
            Some(joiner) => joiner.add(&piece),
            None => self.pieces.push(piece),
        }
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn is_due(&self) -> bool {
        self.length >= BATCH || self.since.is_some_and(|since| since.elapsed() >= LINGER)
    }

    fn take(&mut self) -> Vec<Bytes> {
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.extend(self.joiner.as_mut().map(Joiner::take));
        if self.joiner.is_none() && self.length >= BATCH {
            self.joiner = Joiner::start();
        }
        (self.length, self.since) = (0, None);
        pieces
    }
}

/// Copies what a connection read, so that it may read the next bytes into the same memory, and more of them at once.
///
/// A connection whose last piece is still held reads into a new buffer that grows, 8 KiB at first, and each growth is a
/// copy too. Where more uploads than processors come at once their copies drive one another out of the processors'
/// caches, which costs more than it brings.
struct Joiner {
    joined: BytesMut,
    /// Pieces that were sent. When those who got them have let go of the oldest, its memory is used again.
    sent: VecDeque<Bytes>,
    _place: Place,
}

impl Joiner {
    /// None where as many as there are processors are at work.
    fn start() -> Option<Self> {
        Place::take(&JOINERS).map(|place| Self {
            joined: BytesMut::new(),
            sent: VecDeque::new(),
            _place: place,
        })
    }

    fn add(&mut self, piece: &[u8]) {
        if self.joined.capacity() == 0 {
            self.joined = self.memory();
        }
        self.joined.extend_from_slice(piece);
    }

    fn take(&mut self) -> Bytes {
        let piece = std::mem::take(&mut self.joined).freeze();
        self.sent.push_back(piece.clone());
        piece
    }

    fn memory(&mut self) -> BytesMut {
        let oldest = if self.sent.len() > IN_FLIGHT { self.sent.pop_front() } else { None };
        match oldest.map(Bytes::try_into_mut) {
            Some(Ok(mut memory)) => {
                memory.clear();
                memory
            }
            _ => BytesMut::with_capacity(BATCH + READ),
        }
    }
}

/// Reads on and throws away, within bounds, so that a client that does not listen while it sends hears the refusal. Whoever
/// pauses for longer than `read_timeout` is not waited for.
pub async fn drain(payload: &mut Payload, read_timeout: Duration) {
    let all = async {
        let mut read = 0;
        while let Ok(Some(Ok(piece))) = timeout(read_timeout, payload.next()).await {
            read += piece.len();
            if read > DRAIN {
                break;
            }
        }
    };
    // Whoever is slower than that does without the answer.
    let _bounded = timeout(DRAIN_TIME, all).await;
}

/// The body of an answer to HEAD: none, with the length that GET would have.
pub fn of_length(length: u64) -> BoxBody {
    BoxBody::new(SizedStream::new(length, futures_util::stream::empty::<Result<Bytes, std::io::Error>>()))
}

/// A part of a blob on its way to a client.
///
/// What is in memory is read in place; what is not is read on a blocking thread, so that a wait for the disk does not
/// stall the worker. It yields after each piece, so that small requests keep their latency. How long a piece is says who
/// opened the file, and what is short comes whole.
pub struct BlobBody {
    opened: Opened,
    at: u64,
    left: u64,
    /// Whether it is all of it, so that the file is closed with its last byte.
    closes: bool,
    is_short: bool,
    rests: bool,
    /// The last piece, whose memory the next one takes when the connection has let go of it.
    last: Option<Bytes>,
    reading: Option<JoinHandle<std::io::Result<BytesMut>>>,
}

impl BlobBody {
    /// The `length` bytes of the file from `at`; it is closed when they are read, if nothing else of it is to be sent.
    pub fn new(opened: Opened, at: u64, length: u64, closes: bool) -> Self {
        let is_short = length <= AT_ONCE;
        Self { opened, at, left: length, closes, is_short, rests: false, last: None, reading: None }
    }

    fn advance(&mut self, piece: BytesMut) -> Poll<Option<Result<Bytes, std::io::Error>>> {
        if piece.is_empty() {
            return Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())));
        }
        self.at += piece.len() as u64;
        self.left -= piece.len() as u64;
        self.rests = true;
        let piece = piece.freeze();
        if self.left > 0 {
            self.last = Some(piece.clone());
        } else if self.closes {
            self.opened.close();
        }
        Poll::Ready(Some(Ok(piece)))
    }

    /// As long as the next piece. Memory that was written before need not be made again.
    fn buffer(&mut self) -> BytesMut {
        let most = if self.is_short { usize::MAX } else { self.opened.piece() };
        let length = usize::try_from(self.left).unwrap_or(most).min(most);
        match self.last.take().map(Bytes::try_into_mut) {
            Some(Ok(mut buffer)) => {
                buffer.resize(length, 0);
                buffer
            }
            _ => BytesMut::zeroed(length),
        }
    }

    fn start_reading(
        &self,
        file: Arc<dyn ReadFile>,
        mut buffer: BytesMut,
    ) -> JoinHandle<std::io::Result<BytesMut>> {
        let (at, opened) = (self.at, self.opened.clone());
        opened.begin_reading();
        tokio::task::spawn_blocking(move || {
            let read = file.read_at(&mut buffer, at);
            opened.end_reading();
            buffer.truncate(read?);
            Ok(buffer)
        })
    }
}

impl MessageBody for BlobBody {
    type Error = std::io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, std::io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if std::mem::take(&mut self.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.reading.is_none() {
            let Some(file) = self.opened.file() else {
                return Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionAborted.into())));
            };
            let mut buffer = self.buffer();
            match file.read_cached_at(&mut buffer, self.at) {
                Ok(Some(read)) => {
                    buffer.truncate(read);
                    return self.advance(buffer);
                }
                Ok(None) => self.reading = Some(self.start_reading(file, buffer)),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        let Some(reading) = &mut self.reading else { return Poll::Pending };
        let read = std::task::ready!(Pin::new(reading).poll(context));
        self.reading = None;
        match read {
            Ok(Ok(buffer)) => self.advance(buffer),
            Ok(Err(error)) => Poll::Ready(Some(Err(error))),
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `count` pieces; whoever gets a message holds it until as many as `held` came after it.
    fn send(count: usize, held: usize) -> usize {
        let mut batch = Batch::default();
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        let mut messages: VecDeque<Vec<Bytes>> = VecDeque::new();
        let mut joined = 0;
        for number in 0..count {
            let piece = Bytes::from(vec![u8::try_from(number % 251).unwrap(); 1 + number * 7919 % READ]);
            sent.extend_from_slice(&piece);
            batch.add(piece);
            if batch.is_due() {
                messages.push_back(batch.take());
            }
            if messages.len() > held {
                let message = messages.pop_front().unwrap();
                joined += usize::from(message.len() == 1);
                got.extend(message.into_iter().flatten());
            }
        }
        got.extend(messages.into_iter().flatten().flatten());
        got.extend(batch.take().into_iter().flatten());
        assert!(batch.is_empty());
        assert!(sent == got, "bytes came otherwise than they were sent");
        joined
    }

    #[test]
    fn messages_keep_their_bytes_however_long_they_are_held() {
        let joined = [0, 1, 2, 3, 5, 50].map(|held| send(200, held));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(joined[0] > 10 || processors < 2, "nothing was joined: {joined:?}");
    }

    #[test]
    fn memory_of_a_message_is_used_again_only_when_nobody_holds_it() {
        let Some(mut joiner) = Joiner::start() else { return };
        let mut places = Vec::new();
        let mut message = |joiner: &mut Joiner| {
            joiner.add(b"some bytes");
            let message = joiner.take();
            places.push(message.as_ptr());
            message
        };
        let kept = message(&mut joiner);
        for _ in 0..10 {
            drop(message(&mut joiner));
        }
        assert_eq!(&kept[..], b"some bytes");
        assert!(!places[1..].contains(&places[0]), "memory that is held was used again");
        assert_eq!(places[1], places[4], "memory that nobody holds was not used again");
    }
}

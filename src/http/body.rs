//! Bodies both ways, in pieces: nothing is ever held whole but a manifest.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody, SizedStream};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use mcr_actors::fs::ReadFile;
use mcr_actors::upload::{UploadError, Writer};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::error::{ApiError, Code};

/// How many bytes of a body travel to an upload in one message.
const BATCH: usize = 512 * 1024;
/// How many messages may be unanswered.
const IN_FLIGHT: usize = 2;
/// The longest that bytes wait for more of their batch, so that a slow client is seen to be alive.
const LINGER: Duration = Duration::from_secs(1);
/// How much of a blob is read at once.
const PIECE: usize = 512 * 1024;
/// How much of a refused body is read before the answer: containerd 1.6 hangs when the answer comes first.
const DRAIN: usize = 128 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// Why a body did not come whole; `code` says what it should have been.
fn broken(error: &PayloadError, code: Code) -> ApiError {
    let message = format!("the request's body did not come whole: {error}");
    ApiError::new(StatusCode::BAD_REQUEST, code, message)
}

fn stalled(after: Duration, code: Code) -> ApiError {
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
    loop {
        let wait = batch.since.map_or(read_timeout, |since| LINGER.saturating_sub(since.elapsed()));
        let ended = match timeout(wait, payload.next()).await {
            Ok(Some(Ok(piece))) => {
                received += piece.len() as u64;
                batch.add(piece);
                false
            }
            Ok(Some(Err(error))) => return Err(broken(&error, Code::BlobUploadInvalid)),
            Ok(None) => true,
            Err(_elapsed) if batch.since.is_some() => false,
            Err(_elapsed) => return Err(stalled(read_timeout, Code::BlobUploadInvalid)),
        };
        if batch.is_due() || ended && !batch.pieces.is_empty() {
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

/// Pieces on their way to one message.
#[derive(Default)]
struct Batch {
    pieces: Vec<Bytes>,
    length: usize,
    since: Option<Instant>,
}

impl Batch {
    fn add(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.length += piece.len();
        self.pieces.push(piece);
        self.since.get_or_insert_with(Instant::now);
    }

    fn is_due(&self) -> bool {
        self.length >= BATCH || self.since.is_some_and(|since| since.elapsed() >= LINGER)
    }

    fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(self).pieces
    }
}

/// Reads a small body whole: a manifest or a form.
///
/// # Errors
/// 413 when it has more than `limit` bytes; with `code`, 408 when it stalls, 400 when it does not come whole.
pub async fn collect(
    payload: &mut Payload,
    limit: u64,
    read_timeout: Duration,
    code: Code,
) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    loop {
        let next = timeout(read_timeout, payload.next()).await;
        let Some(piece) = next.map_err(|_elapsed| stalled(read_timeout, code))? else {
            return Ok(whole.freeze());
        };
        let piece = piece.map_err(|error| broken(&error, code))?;
        if (whole.len() + piece.len()) as u64 > limit {
            let message = format!("this body may have at most {limit} bytes");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message)
                .detail(serde_json::json!({"max_bytes": limit})));
        }
        whole.extend_from_slice(&piece);
    }
}

/// Reads on and throws away, within bounds, so that a client that does not listen while it sends hears the refusal.
pub async fn drain(payload: &mut Payload) {
    let all = async {
        let mut read = 0;
        while let Some(Ok(piece)) = payload.next().await {
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
/// stall the worker. It yields after each piece, so that small requests keep their latency.
pub struct BlobBody {
    file: Arc<dyn ReadFile>,
    at: u64,
    left: u64,
    rests: bool,
    /// The last piece, whose memory the next one takes when the connection has let go of it.
    last: Option<Bytes>,
    reading: Option<JoinHandle<std::io::Result<BytesMut>>>,
}

impl BlobBody {
    /// The `length` bytes of `file` from `at`.
    pub fn new(file: Arc<dyn ReadFile>, at: u64, length: u64) -> Self {
        Self { file, at, left: length, rests: false, last: None, reading: None }
    }

    fn advance(&mut self, piece: BytesMut) -> Poll<Option<Result<Bytes, std::io::Error>>> {
        if piece.is_empty() {
            return Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())));
        }
        self.at += piece.len() as u64;
        self.left -= piece.len() as u64;
        self.rests = true;
        let piece = piece.freeze();
        self.last = Some(piece.clone());
        Poll::Ready(Some(Ok(piece)))
    }

    /// As long as the next piece. Memory that was written before need not be made again.
    fn buffer(&mut self) -> BytesMut {
        let length = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        match self.last.take().map(Bytes::try_into_mut) {
            Some(Ok(mut buffer)) => {
                buffer.resize(length, 0);
                buffer
            }
            _ => BytesMut::zeroed(length),
        }
    }

    fn start_reading(&self, mut buffer: BytesMut) -> JoinHandle<std::io::Result<BytesMut>> {
        let (file, at) = (Arc::clone(&self.file), self.at);
        tokio::task::spawn_blocking(move || {
            let read = file.read_at(&mut buffer, at)?;
            buffer.truncate(read);
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
            let mut buffer = self.buffer();
            match self.file.read_cached_at(&mut buffer, self.at) {
                Ok(Some(read)) => {
                    buffer.truncate(read);
                    return self.advance(buffer);
                }
                Ok(None) => self.reading = Some(self.start_reading(buffer)),
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

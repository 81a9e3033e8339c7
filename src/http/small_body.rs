//! Bodies that are read whole: manifests, JSON and forms. Each has a bound, a deadline for the whole, and its part of a budget.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::body::{broken, stalled};
use super::budget::{Holder, Permit};
use super::error::{ApiError, Code};

/// The slowest that a small body may come as a whole, in bytes a second, beside the time that a client may pause.
const SLOWEST: u64 = 32 * 1024;

/// How often somebody who waits for memory looks for it.
const AGAIN: Duration = Duration::from_millis(20);

/// What a small body must be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The bytes that it has, where its request says so.
    pub announced: Option<u64>,
    /// The most bytes.
    pub limit: u64,
    /// The longest pause.
    pub read_timeout: Duration,
    /// What a refusal of it is called.
    pub code: Code,
}

/// The bytes that a request's body has, as its head says.
pub fn announced(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Bounds {
    /// How long the whole of it may take.
    fn deadline(&self) -> Duration {
        self.read_timeout + Duration::from_secs(self.limit.div_ceil(SLOWEST))
    }
}

/// A small body, which has its part of the budget for as long as it is held.
#[derive(Debug)]
pub struct SmallBody {
    /// Its bytes.
    pub bytes: Bytes,
    _permit: Permit,
}

/// Reads a small body whole. Its memory is waited for, all of it where its length is known, so that those who wait hold nothing
/// that others wait for.
///
/// # Errors
/// 413 when it has more bytes than its limit; 503 when others' bodies take all the memory that there is for them; with the
/// bounds' code, 408 when it pauses for too long or does not come in time, 400 when it does not come whole.
pub async fn collect(payload: &mut Payload, bounds: Bounds, holder: Holder) -> Result<SmallBody, ApiError> {
    let ends = Instant::now() + bounds.deadline();
    let mut pause = Instant::now() + bounds.read_timeout;
    let (mut whole, mut permit) = (Vec::new(), Permit::new(holder));
    if let Some(announced) = bounds.announced {
        if announced > bounds.limit {
            return Err(too_large(bounds.limit));
        }
        make_room(&mut whole, announced, bounds.limit, (&mut permit, pause)).await?;
    }
    loop {
        let next = timeout_at(pause.min(ends), payload.next()).await;
        let Some(piece) = next.map_err(|_elapsed| stalled(bounds.read_timeout, bounds.code))? else {
            return Ok(SmallBody { bytes: whole.into(), _permit: permit });
        };
        let piece = piece.map_err(|error| broken(&error, bounds.code))?;
        if piece.is_empty() {
            // It is no sign of life.
            continue;
        }
        if (whole.len() + piece.len()) as u64 > bounds.limit {
            return Err(too_large(bounds.limit));
        }
        make_room(&mut whole, piece.len() as u64, bounds.limit, (&mut permit, pause.min(ends))).await?;
        whole.extend_from_slice(&piece);
        pause = Instant::now() + bounds.read_timeout;
    }
}

/// Makes room for some bytes more, twice as much as there was while that is no more than the limit.
///
/// # Errors
/// 503 when the budget has no memory by then.
async fn make_room(
    whole: &mut Vec<u8>,
    more: u64,
    limit: u64,
    (permit, by): (&mut Permit, Instant),
) -> Result<(), ApiError> {
    let of = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let needed = whole.len().saturating_add(of(more));
    if needed <= whole.capacity() {
        return Ok(());
    }
    let room = needed.max((2 * whole.capacity()).min(of(limit)));
    while !permit.grow(room - whole.capacity()) {
        if Instant::now() >= by {
            return Err(busy());
        }
        tokio::time::sleep(AGAIN).await;
    }
    whole.reserve_exact(room - whole.len());
    Ok(())
}

fn too_large(limit: u64) -> ApiError {
    let message = format!("this body may have at most {limit} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message)
        .detail(serde_json::json!({"max_bytes": limit}))
}

fn busy() -> ApiError {
    let message = "too many requests with a body are being read; try again";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
        .header(header::RETRY_AFTER, "1")
}

#[cfg(test)]
mod tests {
    use actix_web::error::PayloadError;
    use futures_util::stream;

    use super::*;

    fn payload(pieces: impl stream::Stream<Item = Result<Bytes, PayloadError>> + 'static) -> Payload {
        Payload::Stream { payload: Box::pin(pieces) }
    }

    fn bounds(limit: u64) -> Bounds {
        Bounds { announced: None, limit, read_timeout: Duration::from_secs(10), code: Code::Unsupported }
    }

    async fn status(mut payload: Payload, limit: u64) -> (Result<usize, u16>, Duration) {
        let began = Instant::now();
        let read = collect(&mut payload, bounds(limit), Holder::stranger(None)).await;
        (read.map(|body| body.bytes.len()).map_err(|error| error.status().as_u16()), began.elapsed())
    }

    /// A piece every few seconds, for ever.
    fn dripping(piece: &'static [u8], every: u64) -> Payload {
        payload(stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_secs(every)).await;
            Some((Ok(Bytes::from_static(piece)), ()))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn what_drips_or_pauses_has_an_end() {
        // A byte every nine seconds never pauses for ten, and does not come in time.
        let (dripped, took) = status(dripping(b"x", 9), 4096).await;
        assert_eq!(dripped, Err(408));
        assert!(took <= Duration::from_secs(11), "{took:?}");
        let (paused, took) = status(dripping(b"x", 11), 1 << 22).await;
        assert_eq!(paused, Err(408));
        assert!(took <= Duration::from_secs(10), "{took:?}");
        // Empty pieces are no progress.
        let (empty, took) = status(dripping(b"", 1), 1 << 22).await;
        assert_eq!(empty, Err(408));
        assert!(took <= Duration::from_secs(10), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_memory_waits_for_it_and_is_told_when_there_is_none() {
        let known = || Holder::Known("who finds no memory".to_owned());
        let body = |bytes: usize| payload(stream::iter([Ok(Bytes::from(vec![7; bytes]))]));
        let (large, share) = (20 << 20, 32 << 20);
        let of = |bytes: usize| Bounds { announced: Some(bytes as u64), limit: share, ..bounds(0) };
        let held = collect(&mut body(large), of(large), known()).await.unwrap();
        let began = Instant::now();
        let refused = collect(&mut body(large), of(large), known()).await.unwrap_err();
        assert_eq!((refused.status().as_u16(), began.elapsed().as_secs()), (503, 10));
        let mut later = body(large);
        let waits = collect(&mut later, of(large), known());
        let frees = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(held);
        };
        let (read, ()) = futures_util::future::join(waits, frees).await;
        assert_eq!(read.unwrap().bytes.len(), large);
        let refused = collect(&mut body(1), of(share as usize + 1), known()).await.unwrap_err();
        assert_eq!(refused.status().as_u16(), 413);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_time_is_read_up_to_its_limit() {
        let pieces =
            |count: usize| payload(stream::iter((0..count).map(|_| Ok(Bytes::from_static(&[7; 1000])))));
        assert_eq!(status(pieces(4), 4096).await.0, Ok(4000));
        assert_eq!(status(pieces(5), 4096).await.0, Err(413));
    }
}

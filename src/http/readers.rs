//! Answers that wait for their readers: how much they hold is bounded for each address, each principal and all together, and
//! those of which nobody takes a byte give way to others.
//!
//! Only answers that hold something count: a file, or more bytes than `SMALL`; over HTTP/2 any. The rule is in [`table`]; what an answer costs is
//! a look at a table when it begins and when it ends, and nothing for each piece.

pub mod table;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use bytes::Bytes;
use mcr_actors::domain::{ANONYMOUS, network};
use mcr_actors::fs::ReadFile;
use rustix::process::{Resource, getrlimit};

use super::error::{ApiError, Code};
use super::listen::{self, GaveWay, Pulse, now};
use super::note::Named;
use super::origin::client;
use super::state::HttpOptions;
use table::{Amount, Reader, Refused, STALLED, Table};

/// Answers of no more bytes are not counted over HTTP/1.1: about as much as the connection that they wait for holds anyway.
const SMALL: u64 = 64 * 1024;
/// What an answer of a file holds in memory at first: a piece, and in the buffer of its connection as much again and what is not sent
/// of the piece before.
const OF_FILE: usize = 96 * 1024;
/// What may be held in memory by all of them.
const MEMORY: usize = 256 * 1024 * 1024;
/// The most files that may be open for them.
const FILES: usize = 4096;
/// The part of all files that the process may have open, as a divisor.
const OF_ALL_FILES: u64 = 4;
/// How much of a file is read at once while nobody knows whether it is read at all.
const FIRST_PIECE: usize = 32 * 1024;
/// After how many bytes how much of it is read at once, where there is memory for it. Sockets take the first of it by themselves.
const PIECES: [(u64, usize); 2] = [(32 * 1024, 256 * 1024), (4 * 1024 * 1024, 512 * 1024)];
/// As much of what is in memory is handed to the connection at once.
const SLICE: usize = 32 * 1024;
/// How often the log tells that answers gave way, in milliseconds.
const TOLD_AGAIN: u64 = 60_000;

static READERS: LazyLock<Mutex<Table<Arc<Reading>>>> = LazyLock::new(|| {
    let files = getrlimit(Resource::Nofile).current.map_or(FILES as u64, |limit| limit / OF_ALL_FILES);
    let files = usize::try_from(files).unwrap_or(FILES).min(FILES);
    Mutex::new(Table::new(Amount { files, bytes: MEMORY }))
});

fn readers() -> std::sync::MutexGuard<'static, Table<Arc<Reading>>> {
    // A panic elsewhere leaves numbers that are right.
    READERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file of an answer, which others may close.
#[derive(Clone)]
pub struct Opened(Arc<Pieces>);

/// A file, and how much of it is read at once.
struct Pieces {
    file: Mutex<Option<Arc<dyn ReadFile>>>,
    piece: AtomicUsize,
    /// When a piece came from the disk, in milliseconds; the end of time while one is waited for.
    read: AtomicU64,
}

impl Opened {
    /// Holds the file open.
    pub fn new(file: Arc<dyn ReadFile>) -> Self {
        let (file, piece) = (Mutex::new(Some(file)), AtomicUsize::new(FIRST_PIECE));
        Self(Arc::new(Pieces { file, piece, read: AtomicU64::new(0) }))
    }

    /// A piece is waited for: until it is there the client cannot take it.
    pub fn begin_reading(&self) {
        self.0.read.store(u64::MAX, Ordering::Relaxed);
    }

    /// The piece is there.
    pub fn end_reading(&self) {
        self.0.read.store(now(), Ordering::Relaxed);
    }

    /// How much of it is read at once, in bytes.
    pub fn piece(&self) -> usize {
        self.0.piece.load(Ordering::Relaxed)
    }

    /// The file, while it is open.
    pub fn file(&self) -> Option<Arc<dyn ReadFile>> {
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes it, as soon as nobody reads in it.
    pub fn close(&self) {
        let file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(file);
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Opened").field(&self.file().is_some()).finish()
    }
}

/// An answer under way, as others see it.
#[derive(Debug)]
struct Reading {
    /// When a piece of it was taken, in milliseconds.
    taken: AtomicU64,
    pulse: Option<Arc<Pulse>>,
    opened: Option<Opened>,
    is_gone: AtomicBool,
}

impl Reading {
    /// For how long nothing of it was taken.
    fn idle(&self, now: u64) -> Duration {
        let of_connection = self.pulse.as_ref().map_or(0, |pulse| pulse.taken_of_single_answer());
        let read = self.opened.as_ref().map_or(0, |opened| opened.0.read.load(Ordering::Relaxed));
        let taken = self.taken.load(Ordering::Relaxed).max(of_connection).max(read);
        Duration::from_millis(now.saturating_sub(taken))
    }

    /// Ends it: its file is closed, and its connection ends, unless others of its answers are read.
    fn give_way(&self) {
        self.is_gone.store(true, Ordering::Relaxed);
        if let Some(opened) = &self.opened {
            opened.close();
        }
        if let Some(pulse) = &self.pulse {
            pulse.cut_if_idle(STALLED);
        }
    }
}

/// The place of an answer among all that wait for readers, until it is dropped.
#[derive(Debug)]
pub struct Place {
    id: u64,
    reading: Arc<Reading>,
}

impl Drop for Place {
    fn drop(&mut self) {
        readers().leave(self.id);
    }
}

/// An answer of no known length, which holds about so many bytes while it waits for its reader.
#[derive(Debug, Clone, Copy)]
pub struct Streamed(pub usize);

/// Finds a place for an answer. One that holds nothing needs none.
///
/// # Errors
/// 429 when there is none for its address or principal.
pub fn admit(
    request: &HttpRequest,
    options: &HttpOptions,
    response: HttpResponse,
) -> Result<HttpResponse, ApiError> {
    let opened = response.extensions().get::<Opened>().cloned();
    let pulse = listen::pulse(request);
    let streamed = response.extensions().get().copied();
    if let Some(Streamed(bytes)) = streamed {
        let place = enter(request, options, Amount { files: 0, bytes }, (None, pulse))?;
        return Ok(response.map_body(|_, body| Waiting::new(body, place).boxed()));
    }
    let BodySize::Sized(length) = response.body().size() else { return Ok(response) };
    // Over HTTP/2 each of many answers can wait for as long as its client likes.
    let may_wait = pulse.as_ref().is_some_and(|pulse| pulse.has_many()) && length > 0;
    if *request.method() != Method::GET || (length <= SMALL && !may_wait) {
        return Ok(response);
    }
    let in_memory = Amount { files: 0, bytes: usize::try_from(length).unwrap_or(usize::MAX) };
    let amount = opened.as_ref().map_or(in_memory, |_| Amount { files: 1, bytes: OF_FILE });
    let place = enter(request, options, amount, (opened, pulse))?;
    Ok(response.map_body(|_, body| Waiting::new(body, place).boxed()))
}

fn enter(
    request: &HttpRequest,
    options: &HttpOptions,
    amount: Amount,
    (opened, pulse): (Option<Opened>, Option<Arc<Pulse>>),
) -> Result<Place, ApiError> {
    let reader = Reader {
        address: client(request, options).map(network),
        principal: request
            .extensions()
            .get::<Named>()
            .filter(|named| named.0 != ANONYMOUS)
            .map(|named| named.0.as_str().into()),
    };
    let (address, now) = (reader.address, now());
    let reading =
        Arc::new(Reading { taken: AtomicU64::new(now), pulse, opened, is_gone: AtomicBool::new(false) });
    let entered = readers().enter(reader, amount, Arc::clone(&reading), |reading| reading.idle(now));
    let (id, gone) = entered.map_err(|Refused| too_many())?;
    if !gone.is_empty() {
        gone.iter().for_each(|reading| reading.give_way());
        tell(gone.len(), address, now);
    }
    Ok(Place { id, reading })
}

fn too_many() -> ApiError {
    let message = "too many answers to you are under way; read them, or try again when some are done";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message)
        .header(header::RETRY_AFTER, "5")
}

/// Says that answers gave way, once a minute.
fn tell(count: usize, address: Option<IpAddr>, now: u64) {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let told = TOLD.load(Ordering::Relaxed);
    let is_due = told == 0 || now.saturating_sub(told) >= TOLD_AGAIN;
    if is_due && TOLD.compare_exchange(told, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        let address = address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        log::warn!(address = address.as_str(); "{count} answers that nobody reads were ended, for one to this address");
    }
}

/// The body of an answer that has a place.
#[derive(Debug)]
struct Waiting {
    body: BoxBody,
    place: Place,
    /// What is still to be handed over of a piece.
    rest: Bytes,
    /// How much was handed over.
    sent: u64,
    /// Longer pieces to ask for.
    steps: std::slice::Iter<'static, (u64, usize)>,
}

impl Waiting {
    fn new(body: BoxBody, place: Place) -> Self {
        Self { body, place, rest: Bytes::new(), sent: 0, steps: PIECES.iter() }
    }

    /// Reads longer pieces for a client that has read much, where there is memory for it. One connection with many answers has
    /// short ones.
    fn ask_for_more(&mut self) {
        let Some((after, piece)) = self.steps.as_slice().first() else { return };
        let Reading { opened, pulse, .. } = &*self.place.reading;
        let (Some(opened), Some(pulse)) = (opened, pulse) else { return };
        if self.sent < *after || pulse.has_many() {
            return;
        }
        let _asked = self.steps.next();
        // The piece, and as much again in the buffer of the connection.
        if readers().grow(self.place.id, 2 * (piece - opened.piece())) {
            opened.0.piece.store(*piece, Ordering::Relaxed);
        }
    }

    fn slice(&mut self, mut piece: Bytes) -> Bytes {
        // Pieces of files are as long as they should be.
        if self.place.reading.opened.is_none() && piece.len() > SLICE {
            self.rest = piece.split_off(SLICE);
        }
        piece
    }
}

impl MessageBody for Waiting {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let reading = &self.place.reading;
        if reading.is_gone.load(Ordering::Relaxed) {
            return Poll::Ready(Some(Err(GaveWay.into())));
        }
        if !self.rest.is_empty() {
            reading.taken.store(now(), Ordering::Relaxed);
            let piece = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.slice(piece))));
        }
        self.ask_for_more();
        let piece = std::task::ready!(Pin::new(&mut self.body).poll_next(context));
        self.place.reading.taken.store(now(), Ordering::Relaxed);
        if let Some(Ok(piece)) = &piece {
            self.sent += piece.len() as u64;
        }
        Poll::Ready(piece.map(|piece| piece.map(|piece| self.slice(piece))))
    }
}

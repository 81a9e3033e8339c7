//! The running hash of an upload. Where much comes it runs on a thread of its own, beside the writing of the same bytes.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use crate::domain::{Algorithm, Hasher};
use crate::place::Place;

/// Bytes after which a thread is worth its start.
const MUCH: u64 = 4 * 1024 * 1024;
/// Batches that may wait for the thread.
const WAITING: usize = 2;
/// Threads that hash now. With more of them than processors each would wait for the others.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// A hash of bytes as they come. [`RunningHash::settle`] answers what it has come to.
#[derive(Debug)]
pub(super) struct RunningHash {
    /// Up to date unless there is a thread.
    hasher: Hasher,
    /// Bytes that came since it was last settled.
    unsettled: u64,
    aside: Option<Aside>,
}

impl RunningHash {
    /// Goes on from where `hasher` stands.
    pub(super) fn new(hasher: Hasher) -> Self {
        Self { hasher, unsettled: 0, aside: None }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.hasher.algorithm()
    }

    /// Adds bytes. They may be hashed later; with two batches waiting for that it waits itself.
    pub(super) fn update(&mut self, pieces: &[Bytes]) {
        self.unsettled += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        if self.aside.is_none() && self.unsettled >= MUCH {
            self.aside = Aside::start(&self.hasher);
        }
        match &self.aside {
            Some(aside) => aside.update(pieces),
            None => pieces.iter().for_each(|piece| self.hasher.update(piece)),
        }
    }

    /// The hash of all that came.
    pub(super) fn settle(&mut self) -> &Hasher {
        if let Some(aside) = self.aside.take() {
            self.hasher = aside.end();
        }
        self.unsettled = 0;
        &self.hasher
    }
}

/// A thread that hashes.
#[derive(Debug)]
struct Aside {
    batches: SyncSender<Vec<Bytes>>,
    thread: JoinHandle<Hasher>,
}

impl Aside {
    /// None when enough threads hash already, or there is none to be had.
    fn start(hasher: &Hasher) -> Option<Self> {
        let place = Place::take(&THREADS)?;
        let (batches, waiting) = sync_channel(WAITING);
        let hasher = hasher.clone();
        let thread = thread::Builder::new().name("hash".to_owned());
        let thread = thread.spawn(move || hash(hasher, &waiting, place)).ok()?;
        Some(Self { batches, thread })
    }

    fn update(&self, pieces: &[Bytes]) {
        // A thread that is gone has panicked, which is seen at its end.
        let _gone = self.batches.send(pieces.to_vec());
    }

    fn end(self) -> Hasher {
        drop(self.batches);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn hash(mut hasher: Hasher, batches: &Receiver<Vec<Bytes>>, _place: Place) -> Hasher {
    for batch in batches {
        batch.iter().for_each(|piece| hasher.update(piece));
    }
    hasher
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    #[test]
    fn a_thread_hashes_what_would_be_hashed_in_place() {
        let mut content = Vec::new();
        let mut running = RunningHash::new(Hasher::new(Algorithm::Sha256));
        let mut had_thread = false;
        for number in 0..40_u8 {
            let piece = Bytes::from(vec![number; 300_000]);
            content.extend_from_slice(&piece);
            running.update(&[piece.slice(..1000), piece.slice(1000..)]);
            had_thread |= running.aside.is_some();
            if number % 19 == 18 {
                assert_eq!(running.settle().clone().finish(), Digest::of(Algorithm::Sha256, &content));
                assert!(running.aside.is_none(), "a thread outlived its work");
            }
        }
        assert_eq!(running.settle().clone().finish(), Digest::of(Algorithm::Sha256, &content));
        // No other test in this process hashes so much; a machine with one processor has no place.
        assert!(had_thread || thread::available_parallelism().map_or(1, usize::from) < 2);
    }
}

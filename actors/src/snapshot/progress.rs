//! How far a work on all blobs has come, for whoever watches it, and the wish that it stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a long work says of itself while it goes on. It is shared with those who watch.
#[derive(Debug, Default)]
pub struct Progress {
    blobs: AtomicU64,
    bytes: AtomicU64,
    all_blobs: AtomicU64,
    all_bytes: AtomicU64,
    stopped: AtomicBool,
}

/// One look at a [`Progress`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reached {
    /// Blobs done.
    pub blobs: u64,
    /// Their bytes, and those of the one in work.
    pub bytes: u64,
    /// Blobs to do; 0 while that is not known.
    pub all_blobs: u64,
    /// Bytes to do; 0 while that is not known.
    pub all_bytes: u64,
}

/// Somebody wished that the work stop.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("it was stopped")]
pub struct Stopped;

impl Progress {
    /// How far it has come.
    pub fn look(&self) -> Reached {
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        Reached {
            blobs: load(&self.blobs),
            bytes: load(&self.bytes),
            all_blobs: load(&self.all_blobs),
            all_bytes: load(&self.all_bytes),
        }
    }

    /// Wishes that the work stop; it does so before its next piece.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn go_on(&self) -> Result<(), Stopped> {
        if self.stopped.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(()) }
    }

    pub(super) fn set_goal(&self, blobs: u64, bytes: u64) {
        self.all_blobs.store(blobs, Ordering::Relaxed);
        self.all_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_blob(&self) {
        self.blobs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

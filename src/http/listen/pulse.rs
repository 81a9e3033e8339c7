//! The signs of life of a connection, and its end, for those who are on other threads.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// Milliseconds since something asked for the first time.
pub(crate) fn now() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The answer gave way to others, since nobody took a byte of it.
#[derive(Debug, thiserror::Error)]
#[error("nobody read the answer, and others wait")]
pub(crate) struct GaveWay;

/// When the client took something last, and whether the connection shall end.
#[derive(Debug)]
pub(crate) struct Pulse {
    taken: AtomicU64,
    /// Whether it has many answers at once, so that none can be told by what is written.
    has_many: bool,
    is_cut: AtomicBool,
    waker: AtomicWaker,
}

impl Pulse {
    pub(super) fn new(has_many: bool) -> Self {
        let (taken, is_cut, waker) = (AtomicU64::new(now()), AtomicBool::new(false), AtomicWaker::new());
        Self { taken, has_many, is_cut, waker }
    }

    /// The client has taken something.
    pub(super) fn beat(&self) {
        self.taken.store(now(), Ordering::Relaxed);
    }

    /// For how long the client has taken nothing.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(now().saturating_sub(self.taken.load(Ordering::Relaxed)))
    }

    /// Whether the connection has many answers at once.
    pub(crate) fn has_many(&self) -> bool {
        self.has_many
    }

    /// When the client took something of the one answer that there is, in milliseconds like [`now`]; 0 where there are many.
    pub(crate) fn taken_of_single_answer(&self) -> u64 {
        if self.has_many { 0 } else { self.taken.load(Ordering::Relaxed) }
    }

    /// Ends the connection, unless something was taken within this time.
    pub(crate) fn cut_if_idle(&self, idle: Duration) {
        if self.idle() >= idle {
            self.is_cut.store(true, Ordering::Release);
            self.waker.wake();
        }
    }

    /// Whether it shall end; when not, the task is woken when it shall.
    pub(super) fn poll_cut(&self, context: &Context<'_>) -> bool {
        self.waker.register(context.waker());
        self.is_cut.load(Ordering::Acquire)
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }
}

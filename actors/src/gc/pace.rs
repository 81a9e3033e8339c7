//! How fast a sweep goes on: politely beside people who push, or, in a test, message by message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// The longest rest between two messages.
const REST: Duration = Duration::from_millis(20);

/// When the next message of a sweep may go.
#[derive(Debug, Clone, Default)]
pub enum Pace {
    /// After as long a rest as the last message took, 20 ms at most: half of the time belongs to others.
    #[default]
    Polite,
    /// When a test says so.
    Gated(Gate),
}

/// Where a sweep waits before each of its messages.
#[derive(Debug, Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    /// Whether the sweep stands at the gate.
    pub fn has_arrived(&self) -> bool {
        self.arrived.available_permits() > 0
    }

    /// Forgets who arrived and who was let through, since the sweep is gone.
    pub fn close(&self) {
        self.arrived.forget_permits(usize::MAX >> 3);
        self.open.forget_permits(usize::MAX >> 3);
    }

    /// Lets the one that stands there send one message.
    pub fn open(&self) {
        self.arrived.forget_permits(1);
        self.open.add_permits(1);
    }
}

/// Keeps the pace of one sweep.
#[derive(Debug)]
pub(super) struct Walk {
    pace: Pace,
    since: Option<Instant>,
}

impl Pace {
    pub(super) fn walk(&self) -> Walk {
        Walk { pace: self.clone(), since: None }
    }
}

impl Walk {
    /// Waits for its turn.
    pub(super) async fn turn(&mut self) {
        match &self.pace {
            Pace::Polite => {
                if let Some(since) = self.since {
                    tokio::time::sleep(since.elapsed().min(REST)).await;
                }
            }
            Pace::Gated(gate) => {
                gate.arrived.add_permits(1);
                if let Ok(open) = gate.open.acquire().await {
                    open.forget();
                }
            }
        }
        self.since = Some(Instant::now());
    }
}

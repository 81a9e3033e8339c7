//! Time-outs of a connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// A time-out that is set, or not.
#[derive(Debug)]
pub(super) struct Deadline {
    after: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    set: bool,
}

impl Deadline {
    pub(super) fn new(after: Duration) -> Self {
        Self { after, timer: None, set: false }
    }

    pub(super) fn clear(&mut self) {
        self.set = false;
    }

    /// Sets it when it is not set, and tells whether its time has come; the task is woken when it does.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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

    /// Whether what has been idle for so long has been so for too long; the task is woken when it may have been.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>, idle: Duration) -> Poll<()> {
        if self.after.is_zero() {
            return Poll::Pending;
        }
        let Some(left) = self.after.checked_sub(idle).filter(|left| !left.is_zero()) else {
            return Poll::Ready(());
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(left)));
        loop {
            if !self.set {
                timer.as_mut().reset(Instant::now() + left);
                self.set = true;
            }
            std::task::ready!(timer.as_mut().poll(cx));
            // Something was taken since it was set.
            self.set = false;
        }
    }
}

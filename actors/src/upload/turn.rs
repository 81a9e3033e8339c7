//! A request's place at an upload, which ends when it is dropped.

use tokio::sync::mpsc::UnboundedSender;

/// Tells the session when the turn is over.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) number: u64,
    /// Where its bytes begin.
    pub(super) at: u64,
    pub(super) over: UnboundedSender<u64>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A session that is gone needs not be told.
        let _gone = self.over.send(self.number);
    }
}

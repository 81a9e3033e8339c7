//! The right to decide about a digest.

use tokio::sync::mpsc;

use crate::domain::Digest;

/// The right to decide about one digest, until it is dropped.
#[derive(Debug)]
pub struct Reservation {
    pub(super) digest: Digest,
    /// None when nobody waits for it to end.
    pub(super) released: Option<mpsc::UnboundedSender<Digest>>,
}

impl Reservation {
    /// Whose fate it is.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(released) = &self.released {
            // A store that is gone has nothing to hand on.
            let _gone = released.send(self.digest);
        }
    }
}

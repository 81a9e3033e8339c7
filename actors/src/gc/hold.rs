//! What holds sweeps off.

use tokio::sync::mpsc;

/// Holds sweeps off until it is dropped.
#[derive(Debug)]
pub struct Hold(pub(super) Option<mpsc::UnboundedSender<Released>>);

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(released) = self.0.take() {
            // A collector that is gone sweeps nothing.
            let _gone = released.send(Released);
        }
    }
}

/// Sweeps are held off no more.
#[derive(Debug)]
pub(super) struct Released;

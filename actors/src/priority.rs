//! Threads that give way to those that answer small requests: uploads, sweeps, snapshots.

use actix::ArbiterHandle;

/// Makes the calling thread give way.
pub(crate) fn be_polite() {
    // On Linux this is the niceness of the calling thread only.
    if let Err(error) = rustix::process::nice(10) {
        log::warn!("a thread in the background runs at ordinary priority: {error}");
    }
}

/// Makes the thread of this arbiter give way.
pub(crate) fn make_polite(thread: &ArbiterHandle) {
    thread.spawn_fn(be_polite);
}

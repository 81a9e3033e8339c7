//! The blob store: who owns the files of blobs, and what may be asked of it.
//!
//! [`BlobStore`] decides what happens to files, in order, one owner for each digest's fate. [`BlobReader`] only opens
//! them and lives on the thread of whoever reads.

mod actor;
pub mod durable;
mod layout;
mod reader;
mod reservation;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use actix::Message;

pub use actor::{BlobStore, DEADLINE};
pub use layout::Layout;
pub use reader::BlobReader;
pub use reservation::Reservation;

use crate::domain::Digest;
use crate::fs::ReadFile;

/// Why the blob store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no file.
    #[error("the file of {0} is missing")]
    Missing(Digest),
    /// The file has another length than the row says; it is not served.
    #[error("the file of {digest} has {found} bytes instead of {expected}")]
    Length {
        /// Whose file.
        digest: Digest,
        /// What the row says.
        expected: u64,
        /// What the file has.
        found: u64,
    },
    /// The file system failed.
    #[error("the blob store failed: {0}")]
    Io(#[from] io::Error),
}

/// Waits until nobody else decides about `digest`, then holds its fate until the reservation is dropped.
///
/// A publisher holds it from before the rename until its row is committed; the collector from before the condemning
/// write until the file is gone. So neither comes between the other's two steps.
#[derive(Debug, Message)]
#[rtype(result = "Result<Reservation, BlobError>")]
pub struct Reserve {
    /// Whose fate.
    pub digest: Digest,
}

/// Brings the synced, closed file `from` to the reserved digest's place and makes that last. Whatever was there is
/// replaced, so that a short or bad file is healed by the next push. Gives the reservation back: the row comes next.
/// Without an answer in time it may still be done, until `from` is gone.
#[derive(Debug, Message)]
#[rtype(result = "Result<Reservation, BlobError>")]
pub struct Publish {
    /// Held by the asker.
    pub reservation: Reservation,
    /// The file that was written, hashed and synced, under a name that it loses.
    pub from: PathBuf,
}

/// Removes the reserved digest's file; fine when there is none. Only while no row names it: after the row was condemned
/// and committed, or when it surely was not written after a [`Publish`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Reservation, BlobError>")]
pub struct Remove {
    /// Held by the asker.
    pub reservation: Reservation,
}

/// Holds the fate of those digests that nobody else decides about now; never waits. The others are in use.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<Reservation>, BlobError>")]
pub struct ReserveIdle {
    /// Whose fate.
    pub digests: Vec<Digest>,
}

/// Removes the files of reserved digests, which no row names as present, and lets the reservations go. One that cannot be
/// removed stops none of the others. Answers for each how many bytes its file had; `None` when there was none.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<(Digest, io::Result<Option<u64>>)>, BlobError>")]
pub struct RemoveAll {
    /// Held by the asker.
    pub reservations: Vec<Reservation>,
}

/// Opens a blob's file and compares its length with the row's; a removed blob goes on for who has it open.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<dyn ReadFile>, BlobError>")]
pub struct Open {
    /// Which blob.
    pub digest: Digest,
    /// The size in bytes that its row says.
    pub size: u64,
}

/// Checks a blob's file as [`Open`] does without opening it.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), BlobError>")]
pub struct Check {
    /// Which blob.
    pub digest: Digest,
    /// The size in bytes that its row says.
    pub size: u64,
}

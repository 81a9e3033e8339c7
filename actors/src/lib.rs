//! The actors that own all state of MCR.
//!
//! ```text
//!              HTTP handlers (crate `mcr`)          keep nothing, only translate
//!      ┌─────────┬──────────┬─────────┬────── Snapshots, who ask Gc to hold sweeps off
//!  AuthCache  Policy     Upload      Gc            time, sessions, decisions
//!      │         │       │    │     │  │
//!      └─────────┴───┬───┘    └──┬──┘  │
//!                    Db       BlobStore ┘          ask nobody
//! ```
//!
//! Asks go down, never up or sideways, so there is no cycle and no deadlock. What must go up is an
//! event to a `Recipient` given at start.
//!
//! **Absent here:** HTTP. No status, no header, no URL; this crate does not depend on an HTTP library.
//!
//! Invariants, each held by one place:
//!
//! 1. A row that names a digest is committed only after its file is fsynced, renamed into place and its
//!    directories are fsynced ([`blob_store::durable`]). A file without a row may happen and is swept; a row
//!    without a file is corruption and is reported.
//! 2. A reply is sent only after everything it promises is durable ([`db::writer`] answers after the commit).
//! 3. A blob's row and what protects it from the collector are written in one transaction
//!    ([`db::queries::blobs::LinkBlob`]).
//! 4. One owner decides a digest's fate: a reservation is held from before the rename until the row is
//!    committed ([`blob_store::Reservation`]).
//! 5. An existing file is not believed: its length is compared when it is opened ([`blob_store::Open`]).
//! 6. Nothing in memory is needed to be correct.

pub mod ask;
pub mod auth_cache;
pub mod blob_store;
pub mod clock;
pub mod db;
pub mod domain;
pub mod fs;
pub mod gc;
pub mod policy;
mod priority;
pub mod registry;
pub mod snapshot;
#[cfg(feature = "testing")]
pub mod testing;
pub mod upload;

//! The actors that own all state of MCR.
//!
//! `docs/architecture.md` draws who asks whom, and says which place holds which invariant. Asks form no cycle, so there is no
//! deadlock; what must go up is an event to a `Recipient` given at start. Nothing in memory is needed to be correct.
//!
//! **Absent here:** HTTP. No status, no header, no URL; this crate does not depend on an HTTP library.

pub mod ask;
pub mod auth_cache;
mod beginning;
pub mod blob_store;
pub mod clock;
pub mod db;
pub mod domain;
pub mod fs;
pub mod gc;
pub mod ground;
pub mod identity;
pub mod mend;
pub mod place;
pub mod policy;
mod priority;
pub mod readiness;
pub mod registry;
pub mod snapshot;
#[cfg(feature = "testing")]
pub mod testing;
pub mod upload;

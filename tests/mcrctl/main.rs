//! `mcrctl` against a stand-in for a registry that answers whatever a test wants: what is printed, where secrets go, what is
//! remembered. `tests/process` runs it against the real one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod door;
mod file;
mod paging;
mod secrets;
mod stand_in;

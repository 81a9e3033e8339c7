//! Measures MCR, its peers, and what this machine could do at most. Not part of what is released.
//!
//! `populate` makes a large registry on disk, `load` speaks the OCI API to any registry, `constant` is the fastest that
//! this HTTP library can be, and the script `run` beside this crate starts all of them and writes the table.

pub mod content;

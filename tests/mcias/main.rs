//! MCIAS as the identity provider, against a stand-in that speaks real TLS and can misbehave: the provider under the
//! cache and a clock of its own, and the real program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod program;
mod provider;
mod stand_in;
#[path = "../process/support/mod.rs"]
#[allow(dead_code, reason = "the tests of processes use the rest")]
mod support;
mod week;

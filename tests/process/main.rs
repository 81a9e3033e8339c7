//! The real program, seen from outside: what it keeps when it is killed, what it does under load, what it answers to
//! nonsense. `MCRSRV` names the program to test; without it the one that cargo built is taken.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod admin;
mod belonging;
mod collect;
mod concurrency;
mod full_disk;
mod hidden;
mod kill;
mod kill_sweep;
mod malformed;
mod matrix;
mod memory;
mod operation;
mod protocol;
mod race;
mod restore;
mod snapshot;
mod support;
mod uploads;
mod verify;
mod week;

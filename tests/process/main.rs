//! The real program, seen from outside: what it keeps when it is killed, what it does under load, what it answers to
//! nonsense. `MCRSRV` names the program to test; without it the one that cargo built is taken.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod accounts;
mod admin;
mod belonging;
mod clocks;
mod collect;
mod concurrency;
mod crowd;
mod deletions;
mod endings;
mod exports;
mod floor;
mod full_disk;
mod ground;
mod held;
mod hidden;
mod kill;
mod kill_sweep;
mod malformed;
mod matrix;
mod memory;
mod oneself;
mod operation;
mod peers;
mod protocol;
mod race;
mod references;
mod restore;
mod robots;
mod rules;
mod snapshot;
mod support;
mod system;
mod unread;
mod unsettled;
mod uploads;
mod verify;
mod web;
mod week;

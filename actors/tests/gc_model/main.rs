//! Sweeps against an obvious model: pushes, mounts, looks, deletes of every kind, restarts, power cuts and clocks that are
//! wrong, between any two messages of a sweep.
//!
//! After every step: what a live manifest needs, and what was promised to a pusher, is visible and its file is whole. After a
//! quiet sweep: nothing else is left, in rows or files. `PROPTEST_CASES` searches longer; a failure prints its smallest history.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod content;
mod known;
mod world;

use std::time::Duration;

use actix::System;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::content::{MANIFESTS, Repository};
use crate::world::World;

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Push(Repository, u8),
    Mount(Repository, Repository, u8),
    Head(Repository, u8),
    /// A look at a manifest by somebody who may push.
    Look(Repository, u8),
    Publish(Repository, u8, Option<&'static str>),
    /// A whole image: its blobs and children, then itself.
    Image(Repository, u8, Option<&'static str>),
    DeleteBlob(Repository, u8),
    DeleteManifest(Repository, u8),
    DeleteTag(Repository, &'static str),
    Delete(Repository),
    /// An upload that its client forgets.
    Abandon(Repository),
    /// So many half seconds.
    Wait(u8),
    /// With the word that takes files without a row however many they are, or without it.
    StartSweep(bool),
    StopSweep,
    /// So many messages of the sweep.
    Step(u8),
    /// All that are left of it.
    EndSweep,
    /// A file without a row, as a crash leaves it.
    Stray(u8),
    Crash(u64),
    /// The wall clock is set by so many seconds, while the registry runs.
    SetClock(i64),
    /// The registry is stopped, the wall clock set by so many seconds, and the registry started.
    Restart(i64),
}

/// By how many seconds clocks are wrong: by summer time, a zone, a day, a year, and without a battery.
fn wrong() -> impl Strategy<Value = i64> {
    const HOUR: i64 = 3600;
    const YEAR: i64 = 365 * 24 * HOUR;
    select(&[0, 1, 2 * HOUR, -2 * HOUR, 25 * HOUR, -25 * HOUR, YEAR, -YEAR, -30 * YEAR, 30 * YEAR][..])
}

fn op() -> impl Strategy<Value = Op> {
    let at = || select(&["a", "b"][..]);
    let tag = || select(&["v1", "v2"][..]);
    prop_oneof![
        6 => (at(), 0..4u8).prop_map(|(at, blob)| Op::Push(at, blob)),
        2 => (at(), at(), 0..4u8).prop_map(|(from, to, blob)| Op::Mount(from, to, blob)),
        2 => (at(), 0..4u8).prop_map(|(at, blob)| Op::Head(at, blob)),
        2 => (at(), 0..MANIFESTS).prop_map(|(at, number)| Op::Look(at, number)),
        2 => (at(), 0..MANIFESTS, prop::option::of(tag())).prop_map(|(at, number, tag)| Op::Publish(at, number, tag)),
        8 => (at(), 0..MANIFESTS, prop::option::of(tag())).prop_map(|(at, number, tag)| Op::Image(at, number, tag)),
        1 => (at(), 0..4u8).prop_map(|(at, blob)| Op::DeleteBlob(at, blob)),
        3 => (at(), 0..MANIFESTS).prop_map(|(at, number)| Op::DeleteManifest(at, number)),
        1 => (at(), tag()).prop_map(|(at, tag)| Op::DeleteTag(at, tag)),
        1 => at().prop_map(Op::Delete),
        1 => at().prop_map(Op::Abandon),
        3 => (0..6u8).prop_map(Op::Wait),
        6 => any::<bool>().prop_map(Op::StartSweep),
        1 => Just(Op::StopSweep),
        12 => (1..5u8).prop_map(Op::Step),
        4 => Just(Op::EndSweep),
        2 => (0..4u8).prop_map(Op::Stray),
        1 => any::<u64>().prop_map(Op::Crash),
        1 => wrong().prop_map(Op::SetClock),
        1 => wrong().prop_map(Op::Restart),
    ]
}

fn check(grace: u64, untagged_after: Option<u64>, history: Vec<Op>) {
    System::new().block_on(async move {
        let untagged_after = untagged_after.map(Duration::from_secs);
        let mut world = World::new(Duration::from_secs(grace), untagged_after).await;
        for op in history {
            world.run(op).await;
        }
        world.finish().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn nothing_needed_goes_and_nothing_else_stays(
        grace in 0..3u64,
        untagged_after in prop::option::of(0..3u64),
        history in vec(op(), 1..50),
    ) {
        check(grace, untagged_after, history);
    }
}

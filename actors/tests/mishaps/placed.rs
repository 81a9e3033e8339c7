//! Files between their place and their row, while a sweep looks: they are nobody's leftovers, however many of all files they are.

use std::time::Duration;

use bytes::Bytes;
use mcr_actors::blob_store::durable;
use mcr_actors::domain::Origin;
use mcr_actors::fs::Fs;
use mcr_actors::fs::fake::FakeFs;
use mcr_actors::gc::{GetGcStatus, Report, StartSweep, Trigger};
use mcr_actors::testing::Harness;

use crate::{digest, push_once, start};

/// Puts a file where the blob of these bytes has its own, and writes no row.
pub(crate) fn place(harness: &Harness, fs: &FakeFs, content: &'static [u8]) {
    let path = harness.layout().path(&digest(content));
    durable::create_dirs(fs, path.parent().unwrap()).unwrap();
    fs.create(&path).unwrap().append(&[Bytes::from_static(content)]).unwrap();
}

/// The report of a sweep, or of one that only looks.
async fn sweep(harness: &Harness, dry_run: bool) -> Report {
    let start = StartSweep {
        trigger: Trigger::Request,
        dry_run,
        take_strays: false,
        origin: Origin::default(),
        caller: None,
    };
    harness.worker.gc.ask(start).await.unwrap();
    while harness.worker.gc.ask(GetGcStatus).await.unwrap().running.is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let reports = harness.rows::<i64>("SELECT report, id FROM sweeps ORDER BY id");
    serde_json::from_str(&reports.last().unwrap().0).unwrap()
}

#[actix::test]
async fn a_file_whose_row_is_about_to_be_written_is_no_stray() {
    let fs = FakeFs::default();
    let harness = start(&fs).await;
    push_once(&harness, b"a row of its own").await;
    // More than a tenth of all files.
    let (placed, left): (&[&'static [u8]], &'static [u8]) = (&[b"one", b"two", b"three"], b"left behind");
    let mut held = Vec::new();
    for content in placed {
        held.push(harness.reserve(digest(content)).await);
        place(&harness, &fs, content);
    }
    for dry_run in [true, false] {
        let report = sweep(&harness, dry_run).await;
        assert_eq!((report.counts.strays_waiting, report.errors), (0, Vec::new()), "dry run: {dry_run}");
    }
    // What nobody holds is one, and too large a part of so few.
    place(&harness, &fs, left);
    harness.clock.advance(Duration::from_secs(25 * 3600));
    let report = sweep(&harness, false).await;
    assert_eq!((report.counts.strays_waiting, report.errors.len()), (1, 1), "{:?}", report.errors);
    drop(held);
    harness.clock.advance(Duration::from_secs(25 * 3600));
    let report = sweep(&harness, false).await;
    assert_eq!(report.counts.strays_waiting, 4, "{:?}", report.errors);
    for content in placed.iter().chain([&left]) {
        assert!(fs.tree().contains_key(&harness.layout().path(&digest(content))));
        fs.remove(&harness.layout().path(&digest(content))).unwrap();
    }
    harness.finish().await;
}

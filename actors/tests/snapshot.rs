//! Snapshots by the actors: who holds off whom, what a bad blob does, file systems without hard links, and an early end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcr_actors::ask::AskError;
use mcr_actors::blob_store::Layout;
use mcr_actors::db::queries::blobs::FindBlob;
use mcr_actors::db::queries::snapshots::{InsertSnapshot, ListSnapshots, SnapshotRow};
use mcr_actors::domain::{Algorithm, Digest, Origin, RepositoryName};
use mcr_actors::fs::real::RealFs;
use mcr_actors::fs::{Fs, ReadFile, WriteFile};
use mcr_actors::gc::{Gate, GcError, GetGcStatus, Pace, StartSweep, Trigger};
use mcr_actors::snapshot::verify::{verify, verify_snapshot};
use mcr_actors::snapshot::{
    Data, GetSnapshotStatus, Progress, SnapshotError, SnapshotReport, SnapshotState, StartSnapshot, restore,
};
use mcr_actors::testing::Harness;
use mcr_actors::upload::{BeginOnce, BeginRequest};

/// The machine's file system, slow at hard links or without them.
#[derive(Debug, Clone, Copy, Default)]
struct OddFs {
    without_links: bool,
    slow: Duration,
}

impl Fs for OddFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        RealFs.create(path)
    }
    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        RealFs.open_to_write(path)
    }
    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        RealFs.open_to_read(path)
    }
    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        RealFs.len(path)
    }
    fn links(&self, path: &Path) -> io::Result<u64> {
        RealFs.links(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::thread::sleep(self.slow);
        if self.without_links { Err(io::ErrorKind::CrossesDevices.into()) } else { RealFs.link(from, to) }
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }
    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        RealFs.is_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.remove_dir(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<bool> {
        RealFs.create_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        RealFs.list(path)
    }
    fn free_space(&self, path: &Path) -> io::Result<u64> {
        RealFs.free_space(path)
    }
    fn device(&self, path: &Path) -> io::Result<u64> {
        RealFs.device(path)
    }
}

fn repository() -> RepositoryName {
    "snapshot/test".parse().unwrap()
}

/// Actors whose files are in `root`.
async fn harness(root: &tempfile::TempDir, fs: OddFs, pace: Pace) -> Harness {
    let root = root.path().to_owned();
    Harness::start_with(Arc::new(fs), move |settings| {
        settings.layers = root.join("layers");
        settings.uploads = root.join("uploads");
        settings.snapshots = root.join("snapshots");
        settings.gc_pace = pace;
    })
    .await
}

async fn push(harness: &Harness, content: &[u8]) -> Digest {
    let request = BeginRequest { at: None, length: None };
    let begin =
        BeginOnce { repository: repository(), algorithm: Algorithm::Sha256, owner: String::new(), request };
    let mut writer = harness.worker.uploads.ask(begin).await.unwrap();
    writer.append(vec![Bytes::copy_from_slice(content)]).await.unwrap();
    let digest = Digest::of(Algorithm::Sha256, content);
    writer.finish(digest, Origin::default()).await.unwrap();
    digest
}

async fn is_visible(harness: &Harness, digest: Digest) -> bool {
    harness.worker.db.read(FindBlob { repository: repository(), digest }).await.unwrap().is_some()
}

async fn start(harness: &Harness) -> Result<i64, AskError<SnapshotError>> {
    harness.worker.snapshots.ask(StartSnapshot { name: None, origin: Origin::default(), caller: None }).await
}

async fn rows(harness: &Harness) -> Vec<SnapshotRow> {
    harness.worker.db.read(ListSnapshots { offset: 0, limit: 10 }).await.unwrap().0
}

/// Waits until no snapshot runs, and answers the newest one's report.
async fn ended(harness: &Harness) -> SnapshotReport {
    let deadline = Instant::now() + Duration::from_secs(60);
    while harness.worker.snapshots.ask(GetSnapshotStatus).await.unwrap().running.is_some() {
        assert!(Instant::now() < deadline, "a snapshot does not end");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    serde_json::from_str(&rows(harness).await[0].report).unwrap()
}

/// Each snapshot begins at another millisecond, and so has another name.
async fn taken(harness: &Harness) -> SnapshotReport {
    harness.clock.advance(Duration::from_millis(1));
    start(harness).await.unwrap();
    let report = ended(harness).await;
    assert_eq!(report.state, SnapshotState::Done, "{report:?}");
    report
}

fn problems(directory: &str) -> Vec<String> {
    let (mut said, fs): (_, Arc<dyn Fs>) = (Vec::new(), Arc::new(RealFs));
    let mut tell = |line: &str| said.push(line.to_owned());
    verify_snapshot(Path::new(directory), &fs, &Progress::default(), &mut tell).unwrap();
    said
}

async fn start_sweep(harness: &Harness) -> Result<i64, AskError<GcError>> {
    let sweep = StartSweep {
        trigger: Trigger::Request,
        dry_run: false,
        take_strays: false,
        origin: Origin::default(),
        caller: None,
    };
    harness.worker.gc.ask(sweep).await
}

#[actix_rt::test]
async fn a_snapshot_and_a_sweep_exclude_one_another() {
    let root = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let slow = OddFs { slow: Duration::from_millis(50), ..OddFs::default() };
    let harness = harness(&root, slow, Pace::Gated(gate.clone())).await;
    push(&harness, b"one").await;
    push(&harness, b"two").await;
    let first = start(&harness).await.unwrap();
    assert!(matches!(start_sweep(&harness).await, Err(AskError::Refused(GcError::Held))));
    let again = start(&harness).await;
    assert!(matches!(again, Err(AskError::Refused(SnapshotError::Running(id))) if id == first), "{again:?}");
    assert_eq!(ended(&harness).await.state, SnapshotState::Done);
    let sweep = start_sweep(&harness).await.unwrap();
    let refused = start(&harness).await;
    let running = |id| SnapshotError::Gc(GcError::Running(id)).to_string();
    assert_eq!(refused.unwrap_err().to_string(), running(sweep));
    while harness.worker.gc.ask(GetGcStatus).await.unwrap().running.is_some() {
        gate.open();
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    taken(&harness).await;
    harness.finish().await;
}

#[actix_rt::test]
async fn without_second_names_files_are_copied_both_ways() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let odd = OddFs { without_links: true, ..OddFs::default() };
    let harness = harness(&root, odd, Pace::default()).await;
    let digest = push(&harness, b"content").await;
    let report = taken(&harness).await;
    assert_eq!((report.blobs, report.bytes, report.error_count), (1, 7, 0));
    assert_eq!(problems(&report.path), Vec::<String>::new());
    let (database, layout) = (elsewhere.path().join("mcr.db"), Layout::new(elsewhere.path().join("layers")));
    let data = Data { database, layout: layout.clone(), fs: Arc::new(odd) };
    restore(Path::new(&report.path), &data, &[], &Progress::default()).unwrap();
    assert_eq!(std::fs::read(layout.path(&digest)).unwrap(), b"content");
    let mut said = Vec::new();
    verify(&data, false, &Progress::default(), &mut |line| said.push(line.to_owned())).unwrap();
    assert_eq!(said, Vec::<String>::new());
    harness.finish().await;
}

#[actix_rt::test]
async fn a_bad_blob_is_reported_and_absent_until_it_is_pushed_again() {
    let root = tempfile::tempdir().unwrap();
    let harness = harness(&root, OddFs::default(), Pace::default()).await;
    let (good, bad) = (push(&harness, b"good").await, push(&harness, b"will be bad").await);
    let (short, missing) = (push(&harness, b"will be short").await, push(&harness, b"will be missing").await);
    let path = |digest: &Digest| harness.layout().path(digest);
    std::fs::write(path(&bad), b"WILL be bad").unwrap();
    std::fs::write(path(&short), b"will").unwrap();
    std::fs::remove_file(path(&missing)).unwrap();
    let report = taken(&harness).await;
    assert_eq!((report.blobs, report.error_count, report.errors.len()), (1, 3, 3), "{report:?}");
    for digest in [&bad, &short, &missing] {
        assert!(report.errors.iter().any(|error| error.starts_with(&digest.to_string())), "{report:?}");
    }
    // Bytes that were read and are wrong are marked; a file that is missing may be a disk that is.
    assert!(is_visible(&harness, good).await && is_visible(&harness, missing).await);
    assert!(!is_visible(&harness, bad).await && !is_visible(&harness, short).await);
    let said = problems(&report.path);
    assert!(said.len() == 3 && said.iter().all(|line| line.contains("it is marked bad")), "{said:?}");
    for content in [&b"will be bad"[..], b"will be short", b"will be missing"] {
        assert!({
            let digest = push(&harness, content).await;
            is_visible(&harness, digest).await
        });
    }
    assert_eq!(taken(&harness).await.error_count, 0);
    harness.finish().await;
}

#[actix_rt::test]
async fn one_that_is_stopped_ends_soon_leaves_nothing_and_reads_as_interrupted() {
    let root = tempfile::tempdir().unwrap();
    let slow = OddFs { slow: Duration::from_millis(100), ..OddFs::default() };
    let harness = harness(&root, slow, Pace::default()).await;
    for number in 0..40_u8 {
        push(&harness, &[number; 100]).await;
    }
    start(&harness).await.unwrap();
    let began = Instant::now();
    let harness = harness.restart(Arc::new(OddFs::default())).await;
    assert!(began.elapsed() < Duration::from_secs(3), "it took {:?} to stop", began.elapsed());
    assert_eq!(rows(&harness).await[0].finished_at, None);
    let left = RealFs.list(&root.path().join("snapshots")).unwrap();
    assert_eq!(left, [PathBuf::from(".mcr-registry")], "only the marker is left");
    assert_eq!(taken(&harness).await.blobs, 40);
    harness.finish().await;
}

#[actix_rt::test]
async fn what_was_not_finished_goes_at_the_next_start_and_what_is_not_ours_stays() {
    let root = tempfile::tempdir().unwrap();
    let harness = harness(&root, OddFs::default(), Pace::default()).await;
    let own =
        ["2001-09-09T01-46-40.007Z", "2001-09-09T01-46-40.007Z-mixed", "2001-09-09T01-46-40.007Z-linked"];
    for name in own {
        let begun = InsertSnapshot {
            name: name.to_owned(),
            started_at: harness.clock.now(),
            report: "{}".to_owned(),
        };
        harness.worker.db.write(begun).await.unwrap();
    }
    let [whole, mixed, linked] =
        own.map(|name| root.path().join("snapshots").join(format!("{name}.partial")));
    let blob = Digest::of(Algorithm::Sha256, b"blob");
    for partial in [&whole, &mixed] {
        let path = Layout::new(partial.join("blobs")).path(&blob);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "blob").unwrap();
        std::fs::write(partial.join("digests.txt"), "").unwrap();
    }
    // Of ours, with what is not ours in it; by way of a link; of another registry; and called otherwise.
    let foreign = root.path().join("foreign");
    std::fs::create_dir_all(foreign.join("blobs")).unwrap();
    std::os::unix::fs::symlink(&foreign, &linked).unwrap();
    let kept = ["2002-09-09T01-46-40.007Z.partial/mcr.db", "backup.partial/digests.txt", "c/mcr.db"]
        .map(|name| root.path().join("snapshots").join(name))
        .into_iter()
        .chain([mixed.join("blobs/sha256").join("letters.txt"), foreign.join("manifest.json")]);
    let kept: Vec<PathBuf> = kept.collect();
    for path in &kept {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "kept").unwrap();
    }
    let harness = harness.restart(Arc::new(OddFs::default())).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while whole.try_exists().unwrap() {
        assert!(Instant::now() < deadline, "a leftover stays");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The next one waits until the leftovers were looked at.
    taken(&harness).await;
    for path in &kept {
        assert_eq!(std::fs::read(path).unwrap(), b"kept", "{}", path.display());
    }
    assert!(std::fs::symlink_metadata(&linked).unwrap().is_symlink());
    harness.finish().await;
}

//! Taking and restoring, cut after each call to the file system, and with each call failing once: nothing that is not whole has
//! the name of what is, and the next try succeeds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mcr_actors::blob_store::Layout;
use mcr_actors::db;
use mcr_actors::domain::{Algorithm, Digest, Timestamp};
use mcr_actors::fs::real::RealFs;
use mcr_actors::fs::{Fs, ReadFile, WriteFile};
use mcr_actors::snapshot::take::Take;
use mcr_actors::snapshot::verify::{verify, verify_snapshot};
use mcr_actors::snapshot::{Data, Progress, WorkError, restore};

/// The machine's file system, whose calls fail from a number on, or at one alone.
#[derive(Debug, Clone)]
struct CutFs {
    calls: Arc<AtomicU64>,
    from: u64,
    once: bool,
    links: bool,
}

impl CutFs {
    fn new(from: u64, once: bool, links: bool) -> Self {
        Self { calls: Arc::default(), from, once, links }
    }

    fn call(&self) -> io::Result<()> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let fails = if self.once { number == self.from } else { number >= self.from };
        if fails { Err(io::Error::other("cut")) } else { Ok(()) }
    }

    /// Whether a call failed.
    fn is_cut(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > self.from
    }
}

struct CutFile(CutFs, Box<dyn WriteFile>);

impl WriteFile for CutFile {
    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        self.0.call().and_then(|()| self.1.append(pieces))
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.call().and_then(|()| self.1.truncate(len))
    }
    fn sync(&mut self) -> io::Result<()> {
        self.0.call().and_then(|()| self.1.sync())
    }
}

impl Fs for CutFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.call()?;
        Ok(Box::new(CutFile(self.clone(), RealFs.create(path)?)))
    }
    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.call().and_then(|()| RealFs.open_to_write(path))
    }
    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        self.call().and_then(|()| RealFs.open_to_read(path))
    }
    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        self.call().and_then(|()| RealFs.len(path))
    }
    fn links(&self, path: &Path) -> io::Result<u64> {
        self.call().and_then(|()| RealFs.links(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealFs.rename(from, to))
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        if self.links { RealFs.link(from, to) } else { Err(io::ErrorKind::TooManyLinks.into()) }
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealFs.remove(path))
    }
    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.call().and_then(|()| RealFs.is_dir(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealFs.remove_dir(path))
    }
    fn create_dir(&self, path: &Path) -> io::Result<bool> {
        self.call().and_then(|()| RealFs.create_dir(path))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealFs.sync_dir(path))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.call().and_then(|()| RealFs.list(path))
    }
    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.call().and_then(|()| RealFs.free_space(path))
    }
    fn device(&self, path: &Path) -> io::Result<u64> {
        self.call().and_then(|()| RealFs.device(path))
    }
}

fn data(root: &Path, fs: Arc<dyn Fs>) -> Data {
    Data { database: root.join("mcr.db"), layout: Layout::new(root.join("layers")), fs }
}

/// A registry's data with three blobs.
fn registry(root: &Path) -> Data {
    let data = data(root, Arc::new(RealFs));
    let mut database = db::open(&data.database).unwrap();
    db::migrate::migrate(&mut database).unwrap();
    for content in [&b"one"[..], b"two", b"three"] {
        let digest = Digest::of(Algorithm::Sha256, content);
        let path = data.layout.path(&digest);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        let row = (digest.to_string(), content.len());
        database.execute("INSERT INTO blobs (digest, size, created_at) VALUES (?1, ?2, 0)", row).unwrap();
    }
    data
}

/// What is wrong with a snapshot; an error when it says itself that it is none.
fn problems(directory: &Path) -> Result<Vec<String>, WorkError> {
    let (mut said, fs): (_, Arc<dyn Fs>) = (Vec::new(), Arc::new(RealFs));
    let mut tell = |line: &str| said.push(line.to_owned());
    verify_snapshot(directory, &fs, &Progress::default(), &mut tell).map(|_| said)
}

fn take(data: &Data, directory: &Path) -> Result<u64, WorkError> {
    let (directory, now) = (directory.to_owned(), Timestamp::from_millis(0));
    let take = Take { data: data.clone(), directory, now, row: None };
    take.run(&Progress::default(), &mut |_, _, _| {}).map(|manifest| manifest.blobs + manifest.error_count)
}

/// Every way to fail: from the n-th call on or at it alone, with hard links and without.
fn every_way(mut run: impl FnMut(CutFs) -> bool) {
    for (once, links) in [(false, true), (false, false), (true, true), (true, false)] {
        let cuts = (0..).take_while(|from| run(CutFs::new(*from, once, links))).count();
        assert!(cuts > 30, "only {cuts} calls were cut");
    }
}

#[test]
fn taking_one_can_be_cut_anywhere() {
    let root = tempfile::tempdir().unwrap();
    let live = registry(root.path());
    every_way(|fs| {
        let directory = root.path().join("snapshot");
        let cut = Data { fs: Arc::new(fs.clone()), ..live.clone() };
        let taken = take(&cut, &directory);
        if directory.try_exists().unwrap() {
            // The last sync may have failed, or a call whose failure was a blob's, which is then reported.
            let said = problems(&directory).unwrap();
            assert!(said.iter().all(|line| line.contains("marked bad")), "{said:?}");
            std::fs::remove_dir_all(&directory).unwrap();
        } else {
            assert!(taken.is_err());
        }
        assert_eq!(take(&live, &directory).unwrap(), 3);
        assert_eq!(problems(&directory).unwrap(), Vec::<String>::new());
        std::fs::remove_dir_all(&directory).unwrap();
        fs.is_cut()
    });
}

#[test]
fn restoring_can_be_cut_anywhere_and_is_repeated() {
    let root = tempfile::tempdir().unwrap();
    let snapshot = root.path().join("snapshot");
    take(&registry(root.path()), &snapshot).unwrap();
    every_way(|fs| {
        let place = tempfile::tempdir().unwrap();
        let whole = data(&place.path().join("data"), Arc::new(RealFs));
        let cut = Data { fs: Arc::new(fs.clone()), ..whole.clone() };
        let restored = restore(&snapshot, &cut, &[], &Progress::default());
        if !whole.database.try_exists().unwrap() {
            assert!(restored.is_err());
            // The second try is cut too, anywhere in its beginning.
            let again = Data { fs: Arc::new(CutFs::new(fs.from % 25, false, true)), ..whole.clone() };
            restore(&snapshot, &again, &[], &Progress::default()).unwrap_err();
            restore(&snapshot, &whole, &[], &Progress::default()).unwrap();
        }
        let mut said = Vec::new();
        let summary = verify(&whole, false, &Progress::default(), &mut |line| said.push(line.to_owned()));
        assert_eq!((summary.unwrap().blobs, said), (3, Vec::<String>::new()));
        assert_eq!(problems(&snapshot).unwrap(), Vec::<String>::new());
        fs.is_cut()
    });
}

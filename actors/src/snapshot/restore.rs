//! Restores a snapshot into a place that has neither database nor blobs.
//!
//! The database is copied first, to a name that says that it is not whole: `mcr.db.restoring`. Then every blob gets a second
//! name, or is copied, and is read and hashed where it is to be served from. The database gets its name last. So a restore
//! that was cut is seen, refused by a server, and can be repeated.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::files::{Examiner, bring, copy};
use super::place::{self, Manifest, Place};
use super::progress::Progress;
use super::{Data, WorkError, io_at};
use crate::blob_store::durable;
use crate::db::migrate;
use crate::fs::Fs;
use crate::identity;

/// Damaged blobs that are named.
const NAMED: usize = 20;

/// Where a database is until its restore is complete.
pub fn restoring(database: &Path) -> PathBuf {
    place::beside(database, ".restoring")
}

/// Makes `to` what the snapshot in `from` was taken of, and returns when that lasts. Uploads that were in progress are not
/// in a snapshot. The directories of the registry, of blobs and the `others`, must be its own or nobody's. Answers what the
/// snapshot says of itself.
///
/// # Errors
/// When `from` is no whole snapshot or is damaged, `to` is in use already, or a system call fails. There is no database
/// then, and the restore can be repeated.
pub fn restore(from: &Path, to: &Data, others: &[&Path], progress: &Progress) -> Result<Manifest, WorkError> {
    let (place, fs) = (Place(from.to_owned()), to.fs.as_ref());
    let manifest = place.read_manifest(fs).map_err(WorkError::Refused)?;
    progress.set_goal(manifest.blobs, manifest.bytes);
    let temporary = restoring(&to.database);
    if !must_be_empty(to, &temporary)? {
        log::info!("a restore was cut here; it is repeated");
    }
    let directories: Vec<&Path> = std::iter::once(to.layout.root()).chain(others.iter().copied()).collect();
    let least = identity::may_restore(&place.database(), &directories, fs).map_err(refused)?;
    let above = place::parent(&to.database).to_owned();
    durable::create_dirs(fs, &above).map_err(io_at(&above))?;
    let restoring = Restoring { place, to, manifest: &manifest, progress, temporary };
    restoring.copy_database(&above)?;
    restoring.blobs()?;
    restoring.make_ready(&directories, least)?;
    fs.rename(&restoring.temporary, &to.database).map_err(io_at(&to.database))?;
    fs.sync_dir(&above).map_err(io_at(&above))?;
    Ok(manifest)
}

fn refused(error: impl std::fmt::Display) -> WorkError {
    WorkError::Refused(error.to_string())
}

/// Says whether the place is empty; what a restore that was cut has left is no hindrance.
fn must_be_empty(to: &Data, temporary: &Path) -> Result<bool, WorkError> {
    let fs = to.fs.as_ref();
    let is_there = |path: &Path| fs.len(path).map(|length| length.is_some()).map_err(io_at(path));
    for name in ["", "-wal", "-journal"] {
        let path = place::beside(&to.database, name);
        if is_there(&path)? {
            return Err(WorkError::Refused(format!(
                "{} is there: a snapshot is restored where there is no database; move it away, or restore elsewhere",
                path.display()
            )));
        }
    }
    if is_there(temporary)? {
        return Ok(false);
    }
    let root = to.layout.root();
    for algorithm in ["sha256", "sha512"].map(|algorithm| root.join(algorithm)) {
        for directory in names(fs, &algorithm)? {
            if !names(fs, &algorithm.join(directory))?.is_empty() {
                return Err(WorkError::Refused(format!(
                    "{} has blobs: a snapshot is restored where there are none; move them away, or restore elsewhere",
                    root.display()
                )));
            }
        }
    }
    Ok(true)
}

/// The names in a directory; none where there is no directory.
fn names(fs: &dyn Fs, directory: &Path) -> Result<Vec<PathBuf>, WorkError> {
    match fs.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(io_at(directory)),
    }
}

struct Restoring<'a> {
    place: Place,
    to: &'a Data,
    manifest: &'a Manifest,
    progress: &'a Progress,
    temporary: PathBuf,
}

impl Restoring<'_> {
    fn damaged(&self, what: impl std::fmt::Display) -> WorkError {
        let directory = self.place.0.display();
        WorkError::Refused(format!("the snapshot {directory} is damaged: {what}; restore another one"))
    }

    /// A copy, never a hard link: the server writes to it. The copy of a restore that was cut stays until it is replaced,
    /// since it is what tells that these blobs are of one.
    fn copy_database(&self, above: &Path) -> Result<(), WorkError> {
        let (fs, from) = (self.to.fs.as_ref(), self.place.database());
        let new = place::beside(&self.temporary, ".new");
        // A journal that stayed would be played back into the new copy.
        for path in [&new, &place::beside(&self.temporary, "-journal")] {
            fs.remove(path).map_err(io_at(path))?;
        }
        copy(fs, &from, &new).map_err(io_at(&from))?;
        let digest = Examiner::new(fs, &Progress::default()).digest(&new)?;
        let digest = digest.map_err(io_at(&new))?.to_string();
        if digest != self.manifest.database {
            let what = format_args!("mcr.db is {digest} instead of {}", self.manifest.database);
            return Err(self.damaged(what));
        }
        fs.rename(&new, &self.temporary).map_err(io_at(&self.temporary))?;
        fs.sync_dir(above).map_err(io_at(above))
    }

    /// Brings every blob, and reads each one where it will be served from.
    fn blobs(&self) -> Result<(), WorkError> {
        let fs: Arc<dyn Fs> = Arc::clone(&self.to.fs);
        let (from, list) = (self.place.layout(), self.place.digests());
        let mut examiner = Examiner::new(fs.as_ref(), self.progress);
        let digest = Examiner::new(fs.as_ref(), &Progress::default()).digest(&list)?;
        let digest = digest.map_err(io_at(&list))?.to_string();
        if digest != self.manifest.digests {
            return Err(
                self.damaged(format_args!("digests.txt is {digest} instead of {}", self.manifest.digests))
            );
        }
        let (mut count, mut bytes, mut bad) = (0, 0, Vec::new());
        let mut present: Option<PathBuf> = None;
        for line in self.place.read_digests(fs.as_ref()).map_err(io_at(&list))? {
            let (digest, size) = line.map_err(io_at(&list))?;
            let (source, path) = (from.path(&digest), self.to.layout.path(&digest));
            let directory = place::parent(&path);
            if present.as_deref() != Some(directory) {
                self.sync(present.replace(directory.to_owned()))?;
                durable::create_dirs(fs.as_ref(), directory).map_err(io_at(directory))?;
            }
            let flaw = match bring(fs.as_ref(), &source, &path) {
                Ok(()) => examiner.examine(&path, &digest, size)?,
                Err(error) => match examiner.examine(&source, &digest, size)? {
                    None => return Err(io_at(&path)(error)),
                    flaw => flaw,
                },
            };
            if let Some(flaw) = flaw {
                fs.remove(&path).map_err(io_at(&path))?;
                bad.push(format!("{digest}: {flaw}"));
            }
            (count, bytes) = (count + 1, bytes + size);
            self.progress.add_blob();
        }
        self.sync(present)?;
        self.sync_above()?;
        self.judge(count, bytes, &bad)
    }

    /// Directories that a restore has made which was cut may not have been synced by it.
    fn sync_above(&self) -> Result<(), WorkError> {
        let root = self.to.layout.root();
        let directories = [root.join("sha256"), root.join("sha512"), root.to_owned()];
        for directory in directories.iter().map(PathBuf::as_path).chain([place::parent(root)]) {
            match self.to.fs.sync_dir(directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                synced => synced.map_err(io_at(directory))?,
            }
        }
        Ok(())
    }

    fn sync(&self, directory: Option<PathBuf>) -> Result<(), WorkError> {
        let Some(directory) = directory else { return Ok(()) };
        self.to.fs.sync_dir(&directory).map_err(io_at(&directory))
    }

    fn judge(&self, count: u64, bytes: u64, bad: &[String]) -> Result<(), WorkError> {
        if !bad.is_empty() {
            let named = bad[..bad.len().min(NAMED)].join("\n  ");
            return Err(self.damaged(format_args!("{} of its blobs are bad:\n  {named}\n", bad.len())));
        }
        let Manifest { blobs, bytes: expected, .. } = self.manifest;
        if (count, bytes) != (*blobs, *expected) {
            let found =
                format!("it lists {count} blobs with {bytes} bytes instead of {blobs} with {expected}");
            return Err(self.damaged(found));
        }
        Ok(())
    }

    /// Brings the database to its newest form, and marks it and its directories as one registry. The files of uploads are in no
    /// snapshot; and a login that was given back since must not be good again. Robot tokens
    /// stay.
    fn make_ready(&self, directories: &[&Path], least: u64) -> Result<(), WorkError> {
        let mut database = Connection::open(&self.temporary)?;
        migrate::migrate(&mut database).map_err(refused)?;
        database.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; DELETE FROM uploads; DELETE FROM tokens WHERE id IS NULL;",
        )?;
        identity::mark_restored(&database, directories, self.to.fs.as_ref(), least).map_err(refused)?;
        database.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

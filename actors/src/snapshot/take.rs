//! Takes a snapshot: the database first, then every blob that this copy of it names.
//!
//! What the copy names cannot be removed meanwhile, since whoever asks for a snapshot holds sweeps off until its end. A file
//! that is missing or bad stops nothing: it is reported, and its row in the copy is marked as bad, so that what is
//! restored from the snapshot is consistent.
//!
//! The order of calls: all files are synced, then the directories that hold them, then `manifest.json`, which says that all is
//! there, then the directory is given its name.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::files::{Examiner, Flaw, bring};
use super::place::{self, FORMAT, ListWriter, Manifest, Place};
use super::progress::Progress;
use super::reading::open_to_read;
use super::{Data, WorkError, io_at};
use crate::blob_store::{Layout, durable};
use crate::domain::{Digest, Timestamp};

/// Pages of the database that are copied at once.
const PAGES: i32 = 1000;
/// The wait for somebody who has the database locked for a moment.
const BUSY: Duration = Duration::from_millis(20);
/// Errors whose text is kept; all are counted.
const ERRORS: usize = 1000;

/// What to take a snapshot of.
#[derive(Debug, Clone)]
pub struct Take {
    /// The registry's data.
    pub data: Data,
    /// The directory to make, which must not be there, or be empty.
    pub directory: PathBuf,
    /// The time.
    pub now: Timestamp,
    /// The row of this very snapshot, which is of no use in its copy.
    pub row: Option<i64>,
}

impl Take {
    /// Takes it, and returns when it is whole and lasts; otherwise nothing has the directory's name. Tells of each blob that
    /// could not be taken.
    ///
    /// # Errors
    /// When it was stopped, something is there already, the database is damaged, or a system call fails.
    pub fn run(
        self,
        progress: &Progress,
        flawed: &mut dyn FnMut(&Digest, u64, &Flaw),
    ) -> Result<Manifest, WorkError> {
        let fs = self.data.fs.as_ref();
        if fs.list(&self.directory).is_ok_and(|names| !names.is_empty()) {
            let text = format!("{} is not empty: name a new directory", self.directory.display());
            return Err(WorkError::Refused(text));
        }
        let partial = place::partial_of(&self.directory);
        place::remove_partial(fs, &partial).map_err(io_at(&partial))?;
        durable::create_dirs(fs, &partial).map_err(io_at(&partial))?;
        let taken = self.take(Place(partial.clone()), progress, flawed);
        if taken.is_err() {
            // What cannot be removed now is removed by the next one.
            let _stays = place::remove_partial(fs, &partial);
        }
        taken
    }

    fn take(
        &self,
        place: Place,
        progress: &Progress,
        flawed: &mut dyn FnMut(&Digest, u64, &Flaw),
    ) -> Result<Manifest, WorkError> {
        let fs = self.data.fs.as_ref();
        let database = copy_database(&self.data.database, &place.database(), progress)?;
        database.execute("DELETE FROM uploads", [])?;
        if let Some(row) = self.row {
            database.execute("DELETE FROM snapshots WHERE id = ?1", [row])?;
        }
        let mut blobs = Blobs::begin(self, &place, progress)?;
        blobs.take_all(&database, flawed)?;
        let Blobs { listed, list, bad, errors, error_count, .. } = blobs;
        let digests = list.finish().map_err(io_at(&place.digests()))?;
        let mut mark = database.prepare("UPDATE blobs SET state = 2 WHERE id = ?1")?;
        for id in bad {
            mark.execute([id])?;
        }
        drop(mark);
        check_database(&database)?;
        database.close().map_err(|(_, error)| error)?;
        let digest = Examiner::new(fs, progress).digest(&place.database())?;
        let manifest = Manifest {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            taken_at: self.now.to_string(),
            blobs: listed.0,
            bytes: listed.1,
            digests: digests.to_string(),
            database: digest.map_err(io_at(&place.database()))?.to_string(),
            error_count,
            errors,
        };
        self.complete(&place, &manifest)?;
        Ok(manifest)
    }

    /// Makes all names last, says that all is there, and gives the directory its name.
    fn complete(&self, place: &Place, manifest: &Manifest) -> Result<(), WorkError> {
        let fs = self.data.fs.as_ref();
        fs.sync_dir(&place.0).map_err(io_at(&place.0))?;
        let text = serde_json::to_vec_pretty(manifest).unwrap_or_default();
        let path = place.manifest();
        let write = || {
            let mut file = fs.create(&path)?;
            file.append(&[Bytes::from(text)])?;
            file.sync()?;
            fs.sync_dir(&place.0)
        };
        write().map_err(io_at(&path))?;
        fs.rename(&place.0, &self.directory).map_err(io_at(&self.directory))?;
        let above = place::parent(&self.directory);
        fs.sync_dir(above).map_err(io_at(above))
    }
}

/// A copy of the whole database as it is at one moment, in one file that is synced; whoever writes is not held up.
fn copy_database(from: &Path, to: &Path, progress: &Progress) -> Result<Connection, WorkError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(io_at(to))?;
    let source = open_to_read(from)?;
    // One state from the first page to the last, or each commit meanwhile would begin the copy anew.
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, u64>(0))?;
    let mut copy = Connection::open(to)?;
    copy.execute_batch("PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;")?;
    let backup = Backup::new(&source, &mut copy)?;
    loop {
        progress.go_on()?;
        match backup.step(PAGES)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ => std::thread::sleep(BUSY),
        }
    }
    drop(backup);
    source.execute_batch("COMMIT")?;
    // A journal of its own would be a second file, and could not be opened where nothing can be written.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    Ok(copy)
}

fn check_database(database: &Connection) -> Result<(), WorkError> {
    let said: String = database.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    match said.as_str() {
        "ok" => Ok(()),
        said => Err(WorkError::Refused(format!(
            "the database is damaged: {}; restore an older snapshot",
            said.escape_debug()
        ))),
    }
}

/// The blobs on their way into a snapshot.
struct Blobs<'a> {
    data: &'a Data,
    to: Layout,
    examiner: Examiner<'a>,
    progress: &'a Progress,
    list: ListWriter,
    /// How many, and how many bytes.
    listed: (u64, u64),
    /// The directory that the last one went to.
    directory: Option<PathBuf>,
    /// Rows of blobs that could not be taken.
    bad: Vec<i64>,
    error_count: u64,
    errors: Vec<String>,
}

impl<'a> Blobs<'a> {
    fn begin(take: &'a Take, place: &Place, progress: &'a Progress) -> Result<Self, WorkError> {
        let (data, fs, to) = (&take.data, take.data.fs.as_ref(), place.layout());
        fs.create_dir(to.root()).map_err(io_at(to.root()))?;
        Ok(Self {
            data,
            to,
            examiner: Examiner::new(fs, progress),
            progress,
            list: ListWriter::create(fs, place).map_err(io_at(&place.digests()))?,
            listed: (0, 0),
            directory: None,
            bad: Vec::new(),
            error_count: 0,
            errors: Vec::new(),
        })
    }

    /// In the order of digests, so that those of one directory come together.
    fn take_all(
        &mut self,
        database: &Connection,
        flawed: &mut dyn FnMut(&Digest, u64, &Flaw),
    ) -> Result<(), WorkError> {
        let goal = "SELECT count(*), coalesce(sum(size), 0) FROM blobs WHERE state = 0";
        let (blobs, bytes) = database.query_row(goal, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.progress.set_goal(blobs, bytes);
        let mut statement =
            database.prepare("SELECT id, digest, size FROM blobs WHERE state = 0 ORDER BY digest")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, text, size) =
                (row.get(0)?, row.get_ref(1)?.as_bytes().map_err(rusqlite::Error::from)?, row.get(2)?);
            match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
                Some(digest) => self.take_one(id, digest, size, flawed)?,
                None => {
                    let text = String::from_utf8_lossy(text);
                    self.report(id, format!("the blob in row {id} has no digest: {text:?}"));
                }
            }
            self.progress.add_blob();
        }
        self.leave_directory()
    }

    fn take_one(
        &mut self,
        id: i64,
        digest: Digest,
        size: u64,
        flawed: &mut dyn FnMut(&Digest, u64, &Flaw),
    ) -> Result<(), WorkError> {
        let (from, to) = (self.data.layout.path(&digest), self.to.path(&digest));
        self.enter_directory(place::parent(&to))?;
        let fs = self.data.fs.as_ref();
        let flaw = match bring(fs, &from, &to) {
            Ok(()) => self.examiner.examine(&to, &digest, size)?,
            Err(error) => Some(self.why_not(&from, &digest, size, error)?),
        };
        let Some(flaw) = flaw else {
            self.listed = (self.listed.0 + 1, self.listed.1 + size);
            return self.list.add(&digest, size).map_err(io_at(self.to.root()));
        };
        fs.remove(&to).map_err(io_at(&to))?;
        flawed(&digest, size, &flaw);
        self.report(id, format!("{digest}: {flaw}"));
        Ok(())
    }

    /// What is wrong with a file that could not be brought; when nothing is, the snapshot's place is at fault.
    fn why_not(
        &mut self,
        from: &Path,
        digest: &Digest,
        size: u64,
        error: std::io::Error,
    ) -> Result<Flaw, WorkError> {
        match self.examiner.examine(from, digest, size)? {
            Some(flaw) => Ok(flaw),
            None => Err(io_at(&self.to.path(digest))(error)),
        }
    }

    fn report(&mut self, id: i64, text: String) {
        self.bad.push(id);
        self.error_count += 1;
        if self.errors.len() < ERRORS {
            self.errors.push(text);
        }
    }

    fn enter_directory(&mut self, directory: &Path) -> Result<(), WorkError> {
        if self.directory.as_deref() == Some(directory) {
            return Ok(());
        }
        self.leave_directory()?;
        durable::create_dirs(self.data.fs.as_ref(), directory).map_err(io_at(directory))?;
        self.directory = Some(directory.to_owned());
        Ok(())
    }

    /// Makes the names in it last.
    fn leave_directory(&mut self) -> Result<(), WorkError> {
        let Some(directory) = self.directory.take() else { return Ok(()) };
        self.data.fs.sync_dir(&directory).map_err(io_at(&directory))
    }
}

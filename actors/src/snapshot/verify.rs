//! Reads everything that is kept and says what is wrong with it: the database itself, every blob against its row, every file
//! against the rows, every manifest against its digest.
//!
//! It may run beside a server, on the same data: it reads page by page, and what seems wrong is looked at again, since it may
//! have been pushed or removed meanwhile.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use super::files::{Examiner, Flaw};
use super::place::Place;
use super::progress::Progress;
use super::reading::open_to_read;
use super::repair::{Quarantine, Repair};
use super::{Data, WorkError, io_at};
use crate::blob_store::Layout;
use crate::domain::Digest;
use crate::fs::Fs;

/// Rows of blobs read at once.
const BLOBS: usize = 256;
/// Manifests read at once.
const MANIFESTS: usize = 16;
/// A file without a row may be a push that is about to write it: how often it is looked at again, and after what time.
const LOOKS: usize = 10;
const SETTLING: Duration = Duration::from_millis(200);

/// What was read, and what was wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Blobs that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests that were read.
    pub manifests: u64,
    /// What was wrong.
    pub problems: u64,
    /// How much of it was mended: it waits for a push, or needs none.
    pub mended: u64,
    /// How much of it could not be read, so that nobody knows.
    pub unread: u64,
}

/// Tells of each problem, in a line.
pub type Tell<'a> = &'a mut dyn FnMut(&str);

/// Verifies a registry's data. With `repair`, for which the caller holds the lock of the data, blobs that were read and are bad are
/// marked as such and their files moved aside, and what was moved aside and is good is brought back. What cannot be read stays.
///
/// # Errors
/// When it was stopped, or the database cannot be read or changed.
pub fn verify(data: &Data, repair: bool, progress: &Progress, tell: Tell<'_>) -> Result<Summary, WorkError> {
    let repair = if repair { Some(Repair::begin(data)?) } else { None };
    let database = open_to_read(&data.database)?;
    let examiner = Examiner::new(data.fs.as_ref(), progress);
    let summary = Summary::default();
    let quarantine = Quarantine::of(data)?;
    let mut verifier = Verifier { data, database, repair, quarantine, examiner, progress, tell, summary };
    verifier.run()?;
    Ok(verifier.summary)
}

/// Verifies a snapshot: what it says of itself, and all that is in it.
///
/// # Errors
/// When it was stopped, or the directory holds no whole snapshot.
pub fn verify_snapshot(
    directory: &Path,
    fs: &Arc<dyn Fs>,
    progress: &Progress,
    tell: Tell<'_>,
) -> Result<Summary, WorkError> {
    let place = Place(directory.to_owned());
    let manifest = place.read_manifest(fs.as_ref()).map_err(WorkError::Refused)?;
    let mut lines = 0;
    let mut report = |line: String| {
        lines += 1;
        tell(&line);
    };
    for (path, expected) in [(place.database(), &manifest.database), (place.digests(), &manifest.digests)] {
        let found = Examiner::new(fs.as_ref(), &Progress::default()).digest(&path)?;
        match found.map(|digest| digest.to_string()) {
            Ok(found) if found == *expected => {}
            Ok(found) => report(format!("{}: it is {found} instead of {expected}", path.display())),
            Err(error) => report(format!("{}: {error}", path.display())),
        }
    }
    let data = Data { database: place.database(), layout: place.layout(), fs: Arc::clone(fs) };
    let mut summary = verify(&data, false, progress, tell)?;
    if (summary.blobs, summary.bytes) != (manifest.blobs, manifest.bytes) {
        lines += 1;
        tell(&format!(
            "{} blobs with {} bytes are good; the snapshot was taken with {} and {}",
            summary.blobs, summary.bytes, manifest.blobs, manifest.bytes
        ));
    }
    summary.problems += lines;
    Ok(summary)
}

/// A blob's row.
struct BlobRow {
    id: i64,
    digest: String,
    size: u64,
    state: i64,
    linked: bool,
}

const BLOB: &str = "SELECT id, digest, size, state,
       EXISTS (SELECT 1 FROM repository_blobs WHERE blob_id = blobs.id) FROM blobs";

fn blob_row(row: &Row<'_>) -> rusqlite::Result<BlobRow> {
    let digest = String::from_utf8_lossy(row.get_ref(1)?.as_bytes()?).into_owned();
    Ok(BlobRow { id: row.get(0)?, digest, size: row.get(2)?, state: row.get(3)?, linked: row.get(4)? })
}

struct Verifier<'a> {
    data: &'a Data,
    database: Connection,
    repair: Option<Repair>,
    quarantine: Quarantine,
    examiner: Examiner<'a>,
    progress: &'a Progress,
    tell: Tell<'a>,
    summary: Summary,
}

impl Verifier<'_> {
    fn run(&mut self) -> Result<(), WorkError> {
        self.database_itself()?;
        self.blobs()?;
        self.manifests()?;
        self.files()
    }

    fn problem(&mut self, text: impl std::fmt::Display) {
        self.summary.problems += 1;
        (self.tell)(&text.to_string());
    }

    fn database_itself(&mut self) -> Result<(), WorkError> {
        let mut found = Vec::new();
        let mut integrity = self.database.prepare("PRAGMA integrity_check")?;
        for said in integrity.query_map([], |row| row.get::<_, String>(0))? {
            found.push(said?);
        }
        drop(integrity);
        let mut keys = self.database.prepare("PRAGMA foreign_key_check")?;
        let broken = keys.query_map([], |row| {
            let (table, id, of) = (row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?);
            Ok(format!("row {} of {table} refers to nothing in {}", id.unwrap_or(0), of_text(of)))
        })?;
        found.extend(broken.collect::<Result<Vec<_>, _>>()?);
        drop(keys);
        for text in found.into_iter().filter(|text| text != "ok") {
            self.problem(format_args!("the database: {}; only a snapshot mends that", text.escape_debug()));
        }
        Ok(())
    }

    fn blobs(&mut self) -> Result<(), WorkError> {
        let goal = "SELECT count(*), coalesce(sum(size), 0) FROM blobs WHERE state = 0";
        let (blobs, bytes) = self.database.query_row(goal, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.progress.set_goal(blobs, bytes);
        let mut after = i64::MIN;
        loop {
            let sql = format!("{BLOB} WHERE id > ?1 ORDER BY id LIMIT ?2");
            let mut statement = self.database.prepare_cached(&sql)?;
            let rows = statement.query_map((after, BLOBS), blob_row)?.collect::<Result<Vec<_>, _>>()?;
            drop(statement);
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            for row in rows {
                self.progress.go_on()?;
                self.blob(&row)?;
            }
        }
    }

    fn blob(&mut self, row: &BlobRow) -> Result<(), WorkError> {
        let digest: Option<Digest> = row.digest.parse().ok();
        match (row.state, digest) {
            (0, Some(digest)) => self.present(row, &digest),
            (0, None) => {
                self.problem(format_args!("the blob in row {} has no digest: {:?}", row.id, row.digest));
                self.mend(|repair| repair.mark_bad(row.id))
            }
            (2, digest) => self.marked(row, digest),
            // Condemned: the next sweep finishes it.
            _ => Ok(()),
        }
    }

    fn present(&mut self, row: &BlobRow, digest: &Digest) -> Result<(), WorkError> {
        let path = self.data.layout.path(digest);
        let mut flaw = self.examiner.examine(&path, digest, row.size)?;
        if flaw.is_some() {
            match self.again(row.id)? {
                Some(row) if row.state == 0 => flaw = self.examiner.examine(&path, digest, row.size)?,
                _ => return Ok(()),
            }
        }
        let Some(flaw) = flaw else {
            self.progress.add_blob();
            self.summary.blobs += 1;
            self.summary.bytes += row.size;
            return Ok(());
        };
        if let Flaw::Unreadable(_) = flaw {
            self.summary.unread += 1;
            self.problem(format_args!("{digest}: {flaw}; it stays where it is"));
            return Ok(());
        }
        if self.bring_back(row, digest, &flaw)? {
            return Ok(());
        }
        self.problem(format_args!("{digest}: {flaw}"));
        self.mend(|repair| {
            repair.mark_bad(row.id)?;
            repair.set_aside(&path).map(|_| ())
        })
    }

    /// Brings a good copy back that an earlier repair has put aside, where there is one. Says whether there was.
    fn bring_back(
        &mut self,
        row: &BlobRow,
        digest: &Digest,
        flaw: &impl std::fmt::Display,
    ) -> Result<bool, WorkError> {
        for aside in self.quarantine.files_of(digest) {
            if self.examiner.examine(&aside, digest, row.size)?.is_some() {
                continue;
            }
            self.problem(format_args!("{digest}: {flaw}; a good copy of it is {}", aside.display()));
            let path = self.data.layout.path(digest);
            self.mend(|repair| {
                repair.set_aside(&path)?;
                repair.bring_back(&aside, &path)?;
                repair.mark_good(row.id)
            })?;
            return Ok(true);
        }
        Ok(false)
    }

    fn again(&self, row: i64) -> rusqlite::Result<Option<BlobRow>> {
        self.database.prepare_cached(&format!("{BLOB} WHERE id = ?1"))?.query_row([row], blob_row).optional()
    }

    fn marked(&mut self, row: &BlobRow, digest: Option<Digest>) -> Result<(), WorkError> {
        let flaw = match &digest {
            Some(digest) => self.examiner.examine(&self.data.layout.path(digest), digest, row.size)?,
            None => Some(Flaw::Missing),
        };
        let good = flaw.is_none();
        let still = self.again(row.id)?.is_some_and(|row| row.state == 2);
        if good && still {
            self.problem(format_args!("{}: it is marked bad, and its file is good", row.digest));
            self.mend(|repair| repair.mark_good(row.id))
        } else if let Some(digest) = &digest
            && still
            && self.bring_back(row, digest, &"it is marked bad")?
        {
            Ok(())
        } else if row.linked && still {
            self.problem(format_args!("{:?}: it is marked bad; push it again", row.digest));
            Ok(())
        } else {
            Ok(())
        }
    }

    /// Mends, where that is wished.
    fn mend(&mut self, mend: impl FnOnce(&Repair) -> Result<(), WorkError>) -> Result<(), WorkError> {
        let Some(repair) = &self.repair else { return Ok(()) };
        mend(repair)?;
        self.summary.mended += 1;
        Ok(())
    }

    fn manifests(&mut self) -> Result<(), WorkError> {
        let mut after = i64::MIN;
        loop {
            self.progress.go_on()?;
            let mut statement = self.database.prepare_cached(
                "SELECT manifests.id, repositories.name, digest, body FROM manifests
                   JOIN repositories ON repositories.id = repository_id
                  WHERE manifests.id > ?1 ORDER BY manifests.id LIMIT ?2",
            )?;
            let rows = statement.query_map((after, MANIFESTS), |row| {
                let found: (i64, String, String, Vec<u8>) =
                    (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                Ok(found)
            })?;
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            drop(statement);
            let Some((last, ..)) = rows.last() else { return Ok(()) };
            after = *last;
            for (_, repository, digest, body) in rows {
                self.summary.manifests += 1;
                let parsed: Option<Digest> = digest.parse().ok();
                let good = parsed.is_some_and(|digest| Digest::of(digest.algorithm(), &body) == digest);
                if !good {
                    self.problem(format_args!(
                        "the manifest {digest:?} of {repository:?} has other bytes: delete it, and push it again"
                    ));
                }
            }
        }
    }

    /// Every file in the directories of blobs must have a row.
    fn files(&mut self) -> Result<(), WorkError> {
        let mut strays = Vec::new();
        for directory in (0..Layout::DIRECTORIES).map(|index| self.data.layout.directory(index)) {
            self.progress.go_on()?;
            let names = match self.data.fs.list(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                names => names.map_err(io_at(&directory))?,
            };
            for path in names.into_iter().map(|name| directory.join(name)) {
                match self.data.layout.digest(&path) {
                    Some(digest) if self.has_row(&digest)? => {}
                    Some(digest) => strays.push(digest),
                    None => self.stranger(&path)?,
                }
            }
        }
        for _ in 0..LOOKS {
            if strays.is_empty() {
                return Ok(());
            }
            std::thread::sleep(SETTLING);
            strays = self.still_stray(strays)?;
        }
        for digest in strays {
            self.problem(format_args!("{digest}: its file has no row; the next sweep removes it"));
        }
        Ok(())
    }

    fn stranger(&mut self, path: &Path) -> Result<(), WorkError> {
        self.problem(format_args!("{}: its name is no digest", path.display()));
        self.mend(|repair| repair.set_aside(path).map(|_| ()))
    }

    fn has_row(&self, digest: &Digest) -> rusqlite::Result<bool> {
        self.database.prepare_cached("SELECT 1 FROM blobs WHERE digest = ?1")?.exists([digest.to_string()])
    }

    fn still_stray(&self, strays: Vec<Digest>) -> Result<Vec<Digest>, WorkError> {
        let mut still = Vec::with_capacity(strays.len());
        for digest in strays {
            let is_there = !matches!(self.data.fs.len(&self.data.layout.path(&digest)), Ok(None));
            if is_there && !self.has_row(&digest)? {
                still.push(digest);
            }
        }
        Ok(still)
    }
}

fn of_text(table: Option<String>) -> String {
    table.unwrap_or_else(|| "another table".to_owned())
}

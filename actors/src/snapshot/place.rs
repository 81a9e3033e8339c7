//! What a snapshot's directory holds, and how it is seen to be whole.
//!
//! ```text
//! <snapshot>/
//!   mcr.db          the database, one file without a journal
//!   blobs/          as in a store: sha256/xx/…, sha512/xx/…
//!   digests.txt     a line for each blob: its digest, a space, its size in bytes; in the order of digests
//!   manifest.json   format, counts, and the digests of mcr.db and digests.txt
//! ```
//!
//! Until all of it is synced the directory is called `<snapshot>.partial`. Directories are for their owner alone (0700), and so
//! are files (0600): the database holds hashes of passwords and tokens.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::name::{PARTIAL, is_directory_name};
use crate::blob_store::Layout;
use crate::domain::{Algorithm, Digest, Hasher};
use crate::fs::{Fs, ReadFile, WriteFile};

/// The only form there is.
pub(super) const FORMAT: u32 = 1;
/// Everything that a snapshot's directory may hold, while it is made too.
const NAMES: [&str; 7] =
    ["mcr.db", "mcr.db-journal", "mcr.db-wal", "mcr.db-shm", BLOBS, "digests.txt", "manifest.json"];
/// The directory of its blobs.
const BLOBS: &str = "blobs";
/// How much of the list of digests is written at once, in bytes.
const PIECE: usize = 64 * 1024;
/// The longest `manifest.json`, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the directory.
    pub format: u32,
    /// The version of the program that took it.
    pub program: String,
    /// When it was begun, RFC 3339.
    pub taken_at: String,
    /// How many blobs it has.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The digest of `digests.txt`.
    pub digests: String,
    /// The digest of `mcr.db`.
    pub database: String,
    /// How many blobs could not be taken, since their files were missing or bad. They are marked as bad in `mcr.db`.
    pub error_count: u64,
    /// What was wrong, the first thousand.
    pub errors: Vec<String>,
}

/// The places in a snapshot's directory.
#[derive(Debug, Clone)]
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    pub(super) fn database(&self) -> PathBuf {
        self.0.join("mcr.db")
    }

    pub(super) fn layout(&self) -> Layout {
        Layout::new(self.0.join(BLOBS))
    }

    pub(super) fn digests(&self) -> PathBuf {
        self.0.join("digests.txt")
    }

    pub(super) fn manifest(&self) -> PathBuf {
        self.0.join("manifest.json")
    }

    /// Reads what the snapshot says of itself.
    pub(super) fn read_manifest(&self, fs: &dyn Fs) -> Result<Manifest, String> {
        let file = fs.open_to_read(&self.manifest()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                format!("{} is no whole snapshot: it has no manifest.json", self.0.display())
            }
            _ => format!("{} cannot be read: {error}", self.manifest().display()),
        })?;
        let mut text = Vec::new();
        let read = Reading::new(file).take(LONGEST).read_to_end(&mut text);
        read.map_err(|error| format!("{} cannot be read: {error}", self.manifest().display()))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| format!("{} is damaged: {error}", self.manifest().display()))?;
        if manifest.format != FORMAT {
            return Err(format!(
                "{} has format {}, and this program knows {FORMAT} only: use the program that took it, version {}",
                self.0.display(),
                manifest.format,
                manifest.program.escape_debug()
            ));
        }
        Ok(manifest)
    }

    /// The blobs of the snapshot with their sizes, in order.
    pub(super) fn read_digests(
        &self,
        fs: &dyn Fs,
    ) -> io::Result<impl Iterator<Item = io::Result<(Digest, u64)>> + use<>> {
        let lines = BufReader::with_capacity(PIECE, Reading::new(fs.open_to_read(&self.digests())?)).lines();
        Ok(lines.map(|line| {
            let line = line?;
            let parsed = line
                .split_once(' ')
                .and_then(|(digest, size)| Some((digest.parse().ok()?, size.parse().ok()?)));
            parsed.ok_or_else(|| io::Error::other(format!("digests.txt has a bad line: {line:?}")))
        }))
    }
}

/// What a snapshot is called while it is made.
pub(super) fn partial_of(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(PARTIAL);
    directory.with_file_name(name)
}

/// Removes a snapshot that was not finished, name by name: what can be of no snapshot stays, and so do the directories
/// above it. A power cut leaves any part.
pub(super) fn remove_partial(fs: &dyn Fs, directory: &Path) -> io::Result<()> {
    if !fs.is_dir(directory)? {
        return match fs.len(directory)? {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
        };
    }
    let is_known = |name: &Path| NAMES.iter().any(|known| Path::new(known) == name);
    if let Some(stranger) = names(fs, directory)?.iter().find(|name| !is_known(name)) {
        let text = format!("{} holds {}, which is of no snapshot", directory.display(), stranger.display());
        return Err(io::Error::other(text));
    }
    remove_blobs(fs, &Place(directory.to_owned()).layout())?;
    for file in NAMES.iter().filter(|name| **name != BLOBS) {
        fs.remove(&directory.join(file))?;
    }
    fs.remove_dir(directory)
}

/// Removes the files of blobs and the directories that this leaves empty.
fn remove_blobs(fs: &dyn Fs, layout: &Layout) -> io::Result<()> {
    for algorithm in names(fs, layout.root())?.iter().map(|name| layout.root().join(name)) {
        for files in names(fs, &algorithm)?.iter().map(|name| algorithm.join(name)) {
            for path in names(fs, &files)?.iter().map(|name| files.join(name)) {
                if layout.digest(&path).is_some() {
                    fs.remove(&path)?;
                }
            }
            fs.remove_dir(&files)?;
        }
        fs.remove_dir(&algorithm)?;
    }
    fs.remove_dir(layout.root())
}

/// The names in a directory; none where there is no directory, or only a link to one.
fn names(fs: &dyn Fs, directory: &Path) -> io::Result<Vec<PathBuf>> {
    if fs.is_dir(directory)? { fs.list(directory) } else { Ok(Vec::new()) }
}

/// What the snapshots in a directory are called that were not finished, as far as their names are of our own form.
pub(super) fn partials(fs: &dyn Fs, directory: &Path) -> io::Result<Vec<String>> {
    let snapshot = |name: PathBuf| {
        let name = name.to_str()?.strip_suffix(PARTIAL)?.to_owned();
        is_directory_name(&name).then_some(name)
    };
    match fs.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => Ok(names?.into_iter().filter_map(snapshot).collect()),
    }
}

/// The directory that holds `path`.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// The path with more at the end of its name.
pub(super) fn beside(path: &Path, more: impl AsRef<OsStr>) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(more);
    path.with_file_name(name)
}

/// Writes the list of blobs, and hashes it as it goes.
pub(super) struct ListWriter {
    file: Box<dyn WriteFile>,
    text: String,
    hasher: Hasher,
}

impl ListWriter {
    pub(super) fn create(fs: &dyn Fs, place: &Place) -> io::Result<Self> {
        let (file, hasher) = (fs.create(&place.digests())?, Hasher::new(Algorithm::Sha256));
        Ok(Self { file, text: String::new(), hasher })
    }

    pub(super) fn add(&mut self, digest: &Digest, size: u64) -> io::Result<()> {
        self.text.push_str(&format!("{digest} {size}\n"));
        if self.text.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        self.hasher.update(text.as_bytes());
        self.file.append(&[Bytes::from(text)])
    }

    /// Syncs the list and answers its digest.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        self.flush()?;
        self.file.sync()?;
        Ok(self.hasher.finish())
    }
}

/// A file as a stream.
struct Reading {
    file: Box<dyn ReadFile>,
    at: u64,
}

impl Reading {
    fn new(file: Box<dyn ReadFile>) -> Self {
        Self { file, at: 0 }
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

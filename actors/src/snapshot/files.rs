//! Single files: reads them whole and holds them against their digests, and gives them hard links or copies them.
//!
//! A blob's file is never written to once it has its name: it is only removed, replaced or renamed. So a hard link on the
//! same file system is as good as a copy, whichever of the two goes first.

use std::io;
use std::path::Path;

use super::progress::{Progress, Stopped};
use crate::blob_store::durable::cannot_link;
pub(super) use crate::blob_store::durable::copy;
use crate::domain::{Algorithm, Digest, Hasher};
use crate::fs::{Fs, NotAFile, ReadFile};

/// How much is read at once, in bytes.
const PIECE: usize = 1024 * 1024;

/// What is wrong with a blob's file.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// There is none.
    #[error("its file is missing")]
    Missing,
    /// It is shorter or longer than it should be.
    #[error("its file has {found} bytes instead of {expected}")]
    Length {
        /// What its row says.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// Its bytes are others.
    #[error("its file has other bytes: they are {0}")]
    Bytes(Digest),
    /// Something else is in its place.
    #[error("{0}")]
    NotAFile(io::Error),
    /// It cannot be read, now: nobody knows what it holds.
    #[error("its file cannot be read: {0}")]
    Unreadable(io::Error),
}

impl Flaw {
    /// Whether the bytes were read and are wrong for sure.
    pub fn is_proof(&self) -> bool {
        matches!(self, Self::Length { .. } | Self::Bytes(_))
    }

    fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ if NotAFile::is(&error) => Self::NotAFile(error),
            _ => Self::Unreadable(error),
        }
    }
}

/// Reads files, with one buffer for all of them.
pub(super) struct Examiner<'a> {
    fs: &'a dyn Fs,
    progress: &'a Progress,
    buffer: Vec<u8>,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(fs: &'a dyn Fs, progress: &'a Progress) -> Self {
        Self { fs, progress, buffer: vec![0; PIECE] }
    }

    /// Reads the file of a blob and says what is wrong with it.
    pub(super) fn examine(
        &mut self,
        path: &Path,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<Flaw>, Stopped> {
        self.progress.go_on()?;
        let file = match self.fs.open_to_read(path) {
            Ok(file) if file.len() == size => file,
            Ok(file) => return Ok(Some(Flaw::Length { expected: size, found: file.len() })),
            Err(error) => return Ok(Some(Flaw::of(error))),
        };
        match self.hash(file.as_ref(), digest.algorithm())? {
            Ok(found) if found == *digest => Ok(None),
            Ok(found) => Ok(Some(Flaw::Bytes(found))),
            Err(error) => Ok(Some(Flaw::Unreadable(error))),
        }
    }

    /// The digest of any file.
    pub(super) fn digest(&mut self, path: &Path) -> Result<io::Result<Digest>, Stopped> {
        match self.fs.open_to_read(path) {
            Ok(file) => self.hash(file.as_ref(), Algorithm::Sha256),
            Err(error) => Ok(Err(error)),
        }
    }

    fn hash(&mut self, file: &dyn ReadFile, algorithm: Algorithm) -> Result<io::Result<Digest>, Stopped> {
        let (mut hasher, mut at) = (Hasher::new(algorithm), 0);
        loop {
            self.progress.go_on()?;
            match file.read_at(&mut self.buffer, at) {
                Ok(0) if at < file.len() => return Ok(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(0) => return Ok(Ok(hasher.finish())),
                Ok(read) => {
                    hasher.update(&self.buffer[..read]);
                    at += read as u64;
                    self.progress.add_bytes(read as u64);
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

/// Puts the file of `from` at `to` as well, in place of a file that may be there: by a hard link, or as a synced copy
/// where that cannot be. The name lasts after a sync of its directory.
pub(super) fn bring(fs: &dyn Fs, from: &Path, to: &Path) -> io::Result<()> {
    match fs.link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs.remove(to)?;
            fs.link(from, to).or_else(|error| copy_instead(fs, from, to, error))
        }
        linked => linked.or_else(|error| copy_instead(fs, from, to, error)),
    }
}

fn copy_instead(fs: &dyn Fs, from: &Path, to: &Path, error: io::Error) -> io::Result<()> {
    if cannot_link(&error) { copy(fs, from, to) } else { Err(error) }
}

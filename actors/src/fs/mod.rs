//! What is asked of a file system, as a trait with written contracts: the [`real`] one, and for tests a fake
//! one that loses what was not synced and fails when it is told to.
//!
//! Every call blocks. They are made on threads that exist for that, never on a worker, but for the reads that say
//! otherwise.

#[cfg(feature = "testing")]
pub mod fake;
pub mod real;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// A file system.
pub trait Fs: Send + Sync + std::fmt::Debug + 'static {
    /// Makes a new empty file, mode 0600. `AlreadyExists` when there is one. Neither the file nor its name lasts
    /// before [`WriteFile::sync`] and [`Fs::sync_dir`] of its directory.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// Opens an existing file to go on writing at its end.
    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// Opens an existing regular file to read; [`NotAFile`] when it is something else. It can be read to its end even when its name goes away meanwhile.
    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;

    /// The length in bytes of the regular file at `path`; `None` when there is nothing. A directory or anything
    /// else there is an error.
    fn len(&self, path: &Path) -> io::Result<Option<u64>>;

    /// How many names the regular file at `path` has.
    fn links(&self, path: &Path) -> io::Result<u64>;

    /// Gives the file another name on the same file system, replacing what has that name, at once. It lasts after
    /// [`Fs::sync_dir`] of the new name's directory. A directory can be renamed to a name that nothing but an empty
    /// directory has.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file a hard link on the same file system. `AlreadyExists` when something has that name;
    /// `CrossesDevices`, `TooManyLinks`, `Unsupported` or `PermissionDenied` where there can be no hard link. It
    /// lasts after [`Fs::sync_dir`] of the new name's directory.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes the name of a regular file away; `Ok` when there is none. Anything else there is an error, and stays: a
    /// link, a socket or a directory is nobody's blob or upload.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Takes an empty directory away; `Ok` when there is none. `DirectoryNotEmpty` when it holds something, and
    /// `NotADirectory` when it is a link or anything else.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Whether there is a directory of this name; a link to one is none.
    fn is_dir(&self, path: &Path) -> io::Result<bool>;

    /// Makes one directory, mode 0700, and says whether it is new. Its parent must be there.
    fn create_dir(&self, path: &Path) -> io::Result<bool>;

    /// Makes the names in a directory last.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// How many bytes an ordinary user may still write on the file system that holds `path`.
    fn free_space(&self, path: &Path) -> io::Result<u64>;

    /// The number of the device that a directory is on.
    fn device(&self, path: &Path) -> io::Result<u64>;
}

/// Something else than a regular file is in the place of one: proof that no file of the registry's is there.
#[derive(Debug, thiserror::Error)]
#[error("{} is not a regular file", .0.display())]
pub struct NotAFile(pub PathBuf);

impl NotAFile {
    /// As what a call fails with.
    pub fn error(path: &Path) -> io::Error {
        io::Error::other(Self(path.to_owned()))
    }

    /// Whether a call failed for this.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
            || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
    }
}

/// A file being written, always at its end.
pub trait WriteFile: Send {
    /// Writes `pieces` at the end, all of them, in order. After an error nobody knows how much was written. The disk may get
    /// some of it at once; only [`WriteFile::sync`] says that it lasts.
    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()>;

    /// Cuts the file to `len` bytes, which must not be more than it has; the next append goes there.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Makes the content and length last (`fdatasync`).
    fn sync(&mut self) -> io::Result<()>;
}

/// A file being read.
pub trait ReadFile: Send + Sync {
    /// Its length in bytes when it was opened.
    fn len(&self) -> u64;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads up to `buffer.len()` bytes at `offset`; 0 at the end. May wait for the disk.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The same as far as the bytes are in memory; `None` when it would have to wait for the disk.
    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>>;
}

//! What makes a blob last: the exact order of file-system calls.
//!
//! 1. The upload writes a temporary file that it made with `O_EXCL`, on the file system of the store.
//! 2. It syncs the file (`fdatasync`): content and length last. Its last handle is closed.
//! 3. Publishing makes the directories that are missing, syncing each one's parent, or the new directory could be gone
//!    after a power cut together with what is in it.
//! 4. It brings the file into place by a rename. Where acknowledged bytes of an upload rest on the file's name, what is
//!    renamed is a second one, a hard link; the first goes after the row is committed. At every moment there is a whole
//!    file or none, and one that is replaced is there until then.
//! 5. The directory is synced: the name lasts.
//! 6. Only now may a row name the digest.
//!
//! Removal goes the other way: the row is condemned and committed, then the name is taken away. That needs no
//! sync: a name that comes back after a power cut is a file without a row, which the next sweep finds.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::fs::Fs;

/// Makes a directory and its missing parents last.
///
/// # Errors
/// When one of them cannot be made or synced.
pub fn create_dirs(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return fs.create_dir(path).map(|_| ());
    };
    let made = match fs.create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_dirs(fs, parent)?;
            fs.create_dir(path)?
        }
        made => made?,
    };
    if made { fs.sync_dir(parent) } else { Ok(()) }
}

/// Directories that are known to be there and to last.
#[derive(Debug, Default)]
pub(super) struct KnownDirs(HashSet<PathBuf>);

impl KnownDirs {
    fn ensure(&mut self, fs: &dyn Fs, directory: &Path) -> io::Result<()> {
        if self.0.contains(directory) {
            return Ok(());
        }
        create_dirs(fs, directory)?;
        // One that was there already may have been made just before a crash, by whoever did not live to sync it.
        if let Some(parent) = directory.parent() {
            fs.sync_dir(parent)?;
            if let Some(grandparent) = parent.parent() {
                fs.sync_dir(grandparent)?;
            }
        }
        self.0.insert(directory.to_owned());
        Ok(())
    }
}

/// A name beside `path` that nothing has: `path` with an extension. A file that a crash leaves under it is a stray.
pub(crate) fn spare_name(path: &Path) -> PathBuf {
    path.with_extension(Uuid::new_v4().to_string())
}

/// Gives the file at `path` a second name, for step 4 to move, so that its own stays.
pub(crate) fn second_name(fs: &dyn Fs, path: &Path) -> io::Result<PathBuf> {
    let second = spare_name(path);
    fs.link(path, &second)?;
    Ok(second)
}

/// Steps 3 and 4. The name lasts after [`sync_names`].
pub(super) fn bring_into_place(fs: &dyn Fs, known: &mut KnownDirs, from: &Path, to: &Path) -> io::Result<()> {
    if let Some(directory) = to.parent() {
        known.ensure(fs, directory)?;
    }
    fs.rename(from, to)
}

/// Step 5, once for all files that were moved into one directory.
pub(super) fn sync_names(fs: &dyn Fs, directory: &Path) -> io::Result<()> {
    fs.sync_dir(directory)
}

/// Takes away the name of a blob that no row names.
pub(super) fn remove(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    fs.remove(path)
}

/// The same, and says how many bytes there were; `None` when there was no such name.
pub(super) fn remove_measured(fs: &dyn Fs, path: &Path) -> io::Result<Option<u64>> {
    let bytes = fs.len(path)?;
    remove(fs, path)?;
    Ok(bytes)
}

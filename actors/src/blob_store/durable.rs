//! What makes a blob last: the exact order of file-system calls.
//!
//! 1. The upload writes a temporary file that it made with `O_EXCL`, on the file system of the store.
//! 2. It syncs the file (`fdatasync`): content and length last. Its last handle is closed.
//! 3. [`publish`] makes the directories that are missing, syncing each one's parent, or the new directory could be gone
//!    after a power cut together with what is in it.
//! 4. It renames the file into place: at every moment there is the whole old file, the whole new one, or none.
//! 5. The directory is synced: the name lasts.
//! 6. Only now may a row name the digest.
//!
//! Removal goes the other way: the row is condemned and committed, then [`remove`] takes the name away. That needs no
//! sync: a name that comes back after a power cut is a file without a row, which the next sweep finds.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

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

/// Steps 3 and 4. The name lasts after [`sync_names`].
pub(super) fn move_into_place(fs: &dyn Fs, known: &mut KnownDirs, from: &Path, to: &Path) -> io::Result<()> {
    if let Some(directory) = to.parent() {
        known.ensure(fs, directory)?;
    }
    fs.rename(from, to)
}

/// Step 5, once for all files that were moved into one directory.
pub(super) fn sync_names(fs: &dyn Fs, directory: &Path) -> io::Result<()> {
    fs.sync_dir(directory)
}

/// Takes back what was published and has no row: the file returns to `to` and that lasts, in both directories.
pub(super) fn retract(fs: &dyn Fs, from: &Path, to: &Path) -> io::Result<()> {
    fs.rename(from, to)?;
    [to, from].into_iter().filter_map(Path::parent).try_for_each(|directory| fs.sync_dir(directory))
}

/// Takes a condemned blob's name away.
pub(super) fn remove(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    fs.remove(path)
}

//! What makes a blob last: the exact order of file-system calls.
//!
//! 1. The upload writes a temporary file that it made with `O_EXCL`, on the file system of the store.
//! 2. It syncs the file (`fdatasync`): content and length last. Its last handle is closed.
//! 3. Publishing makes the directories that are missing, syncing each one's parent, or the new directory could be gone
//!    after a power cut together with what is in it.
//! 4. It brings the file into place by a rename. Where acknowledged bytes of an upload rest on the file's name, what is
//!    renamed is a second one, a hard link; the first goes after the row is committed. What is renamed has a name that nothing
//!    else ever has: a call that hangs, and comes back when nobody waits for it, moves nobody else's file. At every moment there is a whole
//!    file or none, and one that is replaced is there until then.
//! 5. The directory is synced: the name lasts.
//! 6. Only now may a row name the digest.
//!
//! Removal goes the other way: the row is condemned and committed, then the name is taken away. That needs no
//! sync: a name that comes back after a power cut is a file without a row, which the next sweep finds.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use crate::fs::Fs;
use crate::identity::marker::{self, Marker};

/// How much is copied at once, in bytes.
const PIECE: usize = 1024 * 1024;

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

/// One of the registry's directories, which is made again, with its marker, when somebody removes it under the running server.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    path: PathBuf,
    marker: Marker,
    /// What its parent was on when the server started. Another one is there when a disk is gone, and what is below it with it.
    device: Option<u64>,
}

impl Root {
    /// The directory as it is now. Where nobody can tell what it is on it is never made again.
    pub(crate) fn of(fs: &dyn Fs, path: &Path, marker: Marker) -> Self {
        let device = fs.device(above(path)).ok();
        Self { path: path.to_owned(), marker, device }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it again if it is gone, and says whether it did. A second one who does it at the same time is in nobody's way.
    ///
    /// # Errors
    /// When it cannot be made, or is gone since its disk is; then there is no more of it than before.
    pub(crate) fn make_again(&self, fs: &dyn Fs) -> io::Result<bool> {
        if fs.is_dir(&self.path)? {
            return Ok(false);
        }
        if Some(fs.device(above(&self.path))?) != self.device {
            let path = self.path.display();
            return Err(io::Error::other(format!(
                "{path} is gone, and so is the disk that it was on: mount it"
            )));
        }
        let is_new = fs.create_dir(&self.path)?;
        let made = fs.sync_dir(above(&self.path)).and_then(|()| match is_new {
            true => marker::write(fs, &self.path, self.marker),
            false => Ok(()),
        });
        if made.is_err() && is_new {
            // Else it would stay without a marker, and no server would start with it.
            marker::take_away(fs, &self.path).and_then(|()| fs.remove_dir(&self.path)).unwrap_or_else(
                |error| log::error!("{} is there without its marker: {error}", self.path.display()),
            );
        }
        made.map(|()| is_new)
    }
}

/// The directory that a path is in.
fn above(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Directories that are known to be there and to last.
#[derive(Debug)]
pub(super) struct KnownDirs {
    root: Root,
    known: HashSet<PathBuf>,
}

impl KnownDirs {
    /// Below the root of a store.
    pub(super) fn of(root: Root) -> Self {
        Self { root, known: HashSet::new() }
    }

    /// Makes the root again that somebody has removed.
    fn ensure_root(&self, fs: &dyn Fs) -> io::Result<()> {
        if self.root.make_again(fs)? {
            log::error!(
                "{} was gone, and is made again: push again what was in it",
                self.root.path().display()
            );
        }
        Ok(())
    }

    fn ensure(&mut self, fs: &dyn Fs, directory: &Path) -> io::Result<()> {
        if self.known.contains(directory) {
            return Ok(());
        }
        self.ensure_root(fs)?;
        create_dirs(fs, directory)?;
        // One that was there already may have been made just before a crash, by whoever did not live to sync it.
        if let Some(parent) = directory.parent() {
            fs.sync_dir(parent)?;
            if let Some(grandparent) = parent.parent() {
                fs.sync_dir(grandparent)?;
            }
        }
        self.known.insert(directory.to_owned());
        Ok(())
    }
}

/// A name beside `path` that nothing has: `path` with an extension. A file that a crash leaves under it is a stray.
pub(crate) fn spare_name(path: &Path) -> PathBuf {
    path.with_extension(Uuid::new_v4().to_string())
}

/// Gives the file at `path` a second name, for step 4 to move, so that its own stays. Where files have one name only it is a synced
/// copy.
pub(crate) fn second_name(fs: &dyn Fs, path: &Path) -> io::Result<PathBuf> {
    let second = spare_name(path);
    match fs.link(path, &second) {
        Err(error) if cannot_link(&error) => {
            copy(fs, path, &second).inspect_err(|_| {
                // What stays behind is a stray.
                let _stray = fs.remove(&second);
            })?;
        }
        linked => linked?,
    }
    Ok(second)
}

/// Whether a file can have no second name there, so that a copy must do.
pub(crate) fn cannot_link(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), CrossesDevices | TooManyLinks | Unsupported | PermissionDenied)
}

/// Copies a file to a name that nothing has, mode 0600, and syncs it.
pub(crate) fn copy(fs: &dyn Fs, from: &Path, to: &Path) -> io::Result<()> {
    let source = fs.open_to_read(from)?;
    let mut file = fs.create(to)?;
    let (mut buffer, mut at) = (vec![0; PIECE], 0);
    loop {
        match source.read_at(&mut buffer, at)? {
            0 => return file.sync(),
            read => {
                file.append(&[Bytes::copy_from_slice(&buffer[..read])])?;
                at += read as u64;
            }
        }
    }
}

/// Gives the file at `path` another name that nothing has, for step 4 to move.
pub(crate) fn other_name(fs: &dyn Fs, path: &Path) -> io::Result<PathBuf> {
    let other = spare_name(path);
    fs.rename(path, &other)?;
    Ok(other)
}

/// Steps 3 and 4. The name lasts after [`sync_names`].
pub(super) fn bring_into_place(fs: &dyn Fs, known: &mut KnownDirs, from: &Path, to: &Path) -> io::Result<()> {
    let Some(directory) = to.parent() else { return fs.rename(from, to) };
    known.ensure(fs, directory)?;
    match fs.rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !fs.is_dir(directory)? => {
            known.known.clear();
            known.ensure(fs, directory)?;
            fs.rename(from, to)
        }
        renamed => renamed,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::fake::FakeFs;

    const AT: &str = "/disk/layers";

    fn removed() -> (FakeFs, Root, Marker) {
        let (fs, marker) = (FakeFs::default(), Marker { id: Uuid::from_u128(7), starts: 3 });
        create_dirs(&fs, Path::new(AT)).unwrap();
        let root = Root::of(&fs, Path::new(AT), marker);
        fs.remove_dir(Path::new(AT)).unwrap();
        (fs, root, marker)
    }

    #[test]
    fn a_directory_is_made_again_but_not_in_place_of_its_disk() {
        let (fs, root, marker) = removed();
        fs.set_device(1);
        assert!(root.make_again(&fs).unwrap_err().to_string().contains("mount it"));
        assert!(!fs.is_dir(Path::new(AT)).unwrap());
        fs.set_device(0);
        assert!(root.make_again(&fs).unwrap() && !root.make_again(&fs).unwrap());
        assert_eq!(marker::read(&fs, Path::new(AT)).unwrap(), Some(Ok(marker)));
    }

    /// Whichever call fails, there is no directory without a marker, and the next one makes it.
    #[test]
    fn a_directory_is_made_again_whole_or_not_at_all() {
        let mut failed = 0;
        for call in 0.. {
            let (fs, root, marker) = removed();
            fs.fail_after(call, io::ErrorKind::StorageFull);
            let made = root.make_again(&fs);
            fs.heal();
            let is_there = fs.is_dir(Path::new(AT)).unwrap();
            assert_eq!(made.is_ok(), is_there, "{call}: {made:?}");
            failed += usize::from(made.is_err());
            assert_eq!(root.make_again(&fs).unwrap(), made.is_err(), "{call}");
            assert_eq!(marker::read(&fs, Path::new(AT)).unwrap(), Some(Ok(marker)), "{call}");
            if made.is_ok() {
                break;
            }
        }
        assert!(failed > 5, "{failed}");
    }
}

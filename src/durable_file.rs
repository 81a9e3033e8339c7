//! Small files that must be whole or absent: certificates, keys, passwords.
//!
//! What is written here is on disk under its final name, or not there at all, whenever the machine stops. It does not
//! know what the files are for; blobs have their own, longer way to the disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone: mode 0600.
    Owner,
    /// Everybody: mode 0644.
    Everybody,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everybody => 0o644,
        }
    }
}

/// Puts `content` at `path`, in place of what may be there, and returns when it is durable.
///
/// # Errors
///
/// When a system call fails; what was at `path` is then still there.
pub fn write(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    // Left by a start that was cut short; the directory is ours alone, by its lock.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(&temporary)?;
    // The mode of a new file is cut by the umask; a certificate that clients cannot read is of no use.
    file.set_permissions(fs::Permissions::from_mode(readers.mode()))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory(&parent(path))
}

/// Removes the file, durably; one that is not there is fine.
///
/// # Errors
///
/// When a system call fails.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        removed => removed?,
    }
    sync_directory(&parent(path))
}

/// Makes the directory and those above it that are missing, for their owner alone (mode 0700), durably. One that is
/// there stays as it is.
///
/// # Errors
///
/// When a system call fails, or something that is no directory is in the way.
pub fn make_directory(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let parent = parent(path);
    make_directory(&parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(&parent)
}

/// The directory that holds `path`.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(directory.path().join("secret.new"), "from a start that was cut short").unwrap();
        write(&path, b"one", Readers::Owner).unwrap();
        write(&path, b"two", Readers::Owner).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn directories_are_made_for_their_owner_and_left_alone_later() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        make_directory(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&root.path().join("a")), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        make_directory(&path).unwrap();
        assert_eq!(mode(&path), 0o750);
    }

    #[test]
    fn a_file_in_the_way_of_a_directory_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        assert!(make_directory(&root.path().join("a")).is_err());
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let root = tempfile::tempdir().unwrap();
        remove(&root.path().join("a")).unwrap();
    }
}

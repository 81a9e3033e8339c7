//! The lock on a data directory: one program at a time.
//!
//! It is the operating system's, so a program that dies lets go of it. It does not know what the data is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind::QuotaExceeded, ErrorKind::StorageFull};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mcr_actors::mend::{self, Use};
use rustix::fs::OFlags;

use crate::durable_file;
use crate::real_path::real_path;

/// Why the data could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another program has it.
    #[error(
        "{} is in use by {holder}: only one program may use it at a time; stop that one first, or have the server that \
         runs do what is to be done", path.display()
    )]
    Held {
        /// What is locked.
        path: PathBuf,
        /// Who says to have it.
        holder: String,
    },
    /// A lock keeps nobody out.
    #[error(
        "{}: a lock is given there twice, so it keeps nobody out, and two programs could write the same data: use a file \
         system that keeps locks; a network file system needs its lock service", path.display()
    )]
    NotKept {
        /// What was locked twice.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("{}: cannot be locked: {source}{}", path.display(), mend(path, source))]
    Failed {
        /// What was to be locked.
        path: PathBuf,
        /// Why it could not be.
        source: io::Error,
    },
}

/// What is locked in each directory.
const IN_DIRECTORY: &str = ".mcr-lock";

/// All that one program at a time may write.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The database.
    pub database: &'a Path,
    /// The directories of blobs, uploads and snapshots.
    pub directories: [&'a Path; 3],
}

impl Data<'_> {
    /// The files that stand for it: one beside the real database, one in each directory.
    fn files(&self) -> Result<Vec<PathBuf>, LockError> {
        let database = real_path(self.database).map_err(failed(self.database))?;
        let mut name = database.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let in_directory = self.directories.map(|directory| directory.join(IN_DIRECTORY));
        Ok(std::iter::once(database.with_file_name(name)).chain(in_directory).collect())
    }

    /// The files with what each is said to lock.
    fn named(&self) -> Result<impl Iterator<Item = (PathBuf, PathBuf)>, LockError> {
        let said = std::iter::once(self.database).chain(self.directories).map(Path::to_owned);
        Ok(self.files()?.into_iter().zip(said.collect::<Vec<_>>()))
    }
}

/// The data is ours while this lives.
#[derive(Debug)]
pub struct DataLock {
    _held: Vec<File>,
}

impl DataLock {
    /// Locks the database and every directory, each by a regular file that is open for writing, since a network file system
    /// locks no other. Directories that are missing are made. `holder` is told to whoever comes second.
    ///
    /// # Errors
    ///
    /// When another program has any, when the file system gives a lock twice, or a system call fails.
    pub fn take(data: Data<'_>, holder: &str) -> Result<Self, LockError> {
        let text = format!("{holder}, process {}\n", std::process::id());
        let mut held = Vec::new();
        for (path, said) in data.named()? {
            let directory = path.parent().unwrap_or(Path::new("/"));
            durable_file::make_directory(directory).map_err(failed(directory))?;
            let file = open(&path, true).map_err(failed(&path))?;
            lock(&file, &path, &said)?;
            must_be_kept(&path)?;
            held.push((file, path));
        }
        // Only now: who is refused leaves all as it was.
        for (file, path) in &mut held {
            match file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64)) {
                // Who frees room must be able to begin, named or not.
                Err(error) if [StorageFull, QuotaExceeded].contains(&error.kind()) => {}
                written => written.map_err(failed(path))?,
            }
        }
        Ok(Self { _held: held.into_iter().map(|(file, _)| file).collect() })
    }

    /// Looks whether another program has any of it, and makes nothing.
    ///
    /// # Errors
    ///
    /// When one has, or a system call fails.
    pub fn look(data: Data<'_>) -> Result<(), LockError> {
        for (path, said) in data.named()? {
            match open(&path, false) {
                Ok(file) => lock(&file, &path, &said)?,
                Err(error)
                    if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {}
                Err(error) => return Err(failed(&path)(error)),
            }
        }
        Ok(())
    }
}

/// Opens a regular file, whatever somebody may have put in its place.
fn open(path: &Path, create: bool) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.write(true).create(create).truncate(false).mode(0o600).custom_flags(flags.bits().cast_signed());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file: move it away"));
    }
    Ok(file)
}

fn lock(file: &File, path: &Path, said: &Path) -> Result<(), LockError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => {
            let holder = fs::read_to_string(path).unwrap_or_default().trim().escape_debug().to_string();
            LockError::Held { path: said.to_owned(), holder }
        }
        TryLockError::Error(source) => LockError::Failed { path: said.to_owned(), source },
    })
}

/// Tries the lock once more by a handle of its own. Where it is given again, the file system only says that it locks.
fn must_be_kept(path: &Path) -> Result<(), LockError> {
    let second = open(path, false).map_err(failed(path))?;
    match second.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(source)) => Err(failed(path)(source)),
        Ok(()) => Err(LockError::NotKept { path: path.to_owned() }),
    }
}

/// What to do about it: a lock belongs to its directory, or to its database.
fn mend(path: &Path, error: &io::Error) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let wanted = match (name, name.strip_suffix(".lock")) {
        (IN_DIRECTORY, _) => Use::Directory(path.parent().unwrap_or(path)),
        (_, Some(database)) => Use::Database(&path.with_file_name(database)),
        _ => Use::Directory(path),
    };
    mend::of_file(path, wanted, error)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LockError + use<> {
    let path = path.to_owned();
    move |source| LockError::Failed { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn take(&self, database: &str, directories: [&str; 3]) -> Result<DataLock, String> {
            let directories = directories.map(|name| self.path(name));
            let [blobs, uploads, snapshots] = &directories;
            let database = self.path(database);
            let data = Data { database: &database, directories: [blobs, uploads, snapshots] };
            let looked = DataLock::look(data).map_err(|error| error.to_string());
            let taken = DataLock::take(data, "mcrsrv server").map_err(|error| error.to_string());
            assert_eq!(looked.clone().err(), taken.as_ref().err().cloned(), "looking says the same");
            taken
        }
    }

    const OWN: [&str; 3] = ["layers", "uploads", "snapshots"];

    #[test]
    fn the_second_is_refused_and_told_who_is_first_until_that_one_is_gone() {
        let place = Place(tempfile::tempdir().unwrap());
        let first = place.take("new/mcr.db", OWN).unwrap();
        let error = place.take("new/mcr.db", OWN).unwrap_err();
        let holder = format!("new/mcr.db is in use by mcrsrv server, process {}:", std::process::id());
        assert!(error.contains(&holder), "{error}");
        drop(first);
        place.take("new/mcr.db", OWN).unwrap();
    }

    #[test]
    fn nothing_that_is_written_can_be_shared_whatever_the_rest_is() {
        let place = Place(tempfile::tempdir().unwrap());
        let _first = place.take("one.db", OWN).unwrap();
        std::os::unix::fs::symlink("one.db", place.path("link.db")).unwrap();
        std::os::unix::fs::symlink(place.path(""), place.path("dir")).unwrap();
        for (shared, database, directories) in [
            ("link.db", "link.db", ["a", "b", "c"]),
            ("dir/one.db", "dir/one.db", ["a", "b", "c"]),
            ("layers", "two.db", ["layers", "b", "c"]),
            ("uploads", "two.db", ["a", "uploads", "c"]),
            ("snapshots", "two.db", ["a", "b", "snapshots"]),
            ("dir/layers", "two.db", ["dir/layers", "b", "c"]),
            ("layers", "two.db", ["a", "b", "layers"]),
        ] {
            let error = place.take(database, directories).unwrap_err();
            assert!(error.contains(&format!("{shared} is in use by mcrsrv server")), "{error}");
        }
        place.take("two.db", ["a", "b", "c"]).unwrap();
    }

    #[test]
    fn a_lock_that_is_given_twice_is_none() {
        let place = Place(tempfile::tempdir().unwrap());
        let path = place.path("lock");
        let first = open(&path, true).unwrap();
        assert!(matches!(must_be_kept(&path), Err(LockError::NotKept { .. })), "nobody has it yet");
        lock(&first, &path, &path).unwrap();
        must_be_kept(&path).unwrap();
        must_be_kept(&path).unwrap();
    }

    #[test]
    fn nothing_in_the_place_of_a_lock_is_followed_or_waited_for() {
        let place = Place(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("layers")).unwrap();
        fs::write(place.path("precious"), "kept").unwrap();
        std::os::unix::fs::symlink(place.path("precious"), place.path("layers/.mcr-lock")).unwrap();
        assert!(place.take("mcr.db", OWN).unwrap_err().contains("cannot be locked"));
        assert_eq!(fs::read(place.path("precious")).unwrap(), b"kept");
    }
}

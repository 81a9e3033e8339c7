//! The lock on a data directory: one program at a time.
//!
//! It is the operating system's, so a program that dies lets go of it. It does not know what the data is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::durable_file;

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
    /// A system call failed.
    #[error("{}: cannot be locked: {source}", path.display())]
    Failed {
        /// What was to be locked.
        path: PathBuf,
        /// Why it could not be.
        source: io::Error,
    },
}

/// The data is ours while this lives.
#[derive(Debug)]
pub struct DataLock {
    _held: [File; 2],
}

impl DataLock {
    /// Locks the database, by a file beside it, and the directory of the blobs. Directories that are missing are made.
    /// `holder` is told to whoever comes second.
    ///
    /// # Errors
    ///
    /// When another program has either, or a system call fails.
    pub fn take(database: &Path, layers: &Path, holder: &str) -> Result<Self, LockError> {
        let of_database = lock_database(database, holder)?;
        // Two databases with one directory of blobs would each remove what only the other knows.
        durable_file::make_directory(layers).map_err(failed(layers))?;
        let of_layers = File::open(layers).map_err(failed(layers))?;
        lock(&of_layers, layers, || "another database's program".to_owned())?;
        Ok(Self { _held: [of_database, of_layers] })
    }
}

fn lock_database(database: &Path, holder: &str) -> Result<File, LockError> {
    if let Some(directory) = database.parent() {
        durable_file::make_directory(directory).map_err(failed(directory))?;
    }
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let path = database.with_file_name(name);
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = open.map_err(failed(&path))?;
    lock(&file, database, || {
        fs::read_to_string(&path).unwrap_or_default().trim().escape_debug().to_string()
    })?;
    let holder = format!("{holder}, process {}\n", std::process::id());
    file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(failed(&path))?;
    Ok(file)
}

fn lock(file: &File, path: &Path, holder: impl FnOnce() -> String) -> Result<(), LockError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => LockError::Held { path: path.to_owned(), holder: holder() },
        TryLockError::Error(source) => LockError::Failed { path: path.to_owned(), source },
    })
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LockError + use<> {
    let path = path.to_owned();
    move |source| LockError::Failed { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_who_is_first_until_that_one_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let (database, layers) = (place.path().join("new/mcr.db"), place.path().join("layers"));
        let first = DataLock::take(&database, &layers, "mcrsrv server").unwrap();
        let error = DataLock::take(&database, &layers, "mcrsrv init").unwrap_err().to_string();
        let holder = format!("is in use by mcrsrv server, process {}:", std::process::id());
        assert!(error.contains(&holder), "{error}");
        drop(first);
        DataLock::take(&database, &layers, "mcrsrv init").unwrap();
    }

    #[test]
    fn two_databases_cannot_share_their_blobs() {
        let place = tempfile::tempdir().unwrap();
        let layers = place.path().join("layers");
        let _first = DataLock::take(&place.path().join("one.db"), &layers, "mcrsrv server").unwrap();
        let error =
            DataLock::take(&place.path().join("two.db"), &layers, "mcrsrv server").unwrap_err().to_string();
        assert!(error.contains("layers is in use by another"), "{error}");
    }
}

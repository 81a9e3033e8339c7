//! Where everything of a registry is, and why it cannot be looked at.

use std::io;
use std::path::{Path, PathBuf};

use crate::db::{OpenError, failure};
use crate::mend::{self, Use};

/// Where everything of a registry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The database's file.
    pub database: PathBuf,
    /// The directory of blobs.
    pub layers: PathBuf,
    /// The directory of uploads.
    pub uploads: PathBuf,
    /// Where uploads were when an earlier version of the program chose, if that is another directory.
    pub uploads_before: Option<PathBuf>,
    /// The directory of snapshots.
    pub snapshots: PathBuf,
}

/// Why a registry may not begin, or could not.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// What is there does not belong together; nothing was changed. The text says what to do.
    #[error("{0}")]
    Refused(String),
    /// A directory cannot be looked at or written to.
    #[error("{}: {source}{}", path.display(), mend::of_file(path, Use::Write, source))]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room for what is needed to read or change the database.
    #[error("the disk of the database {} is full: free some room and start again", .0.display())]
    Full(PathBuf),
    /// The database cannot be read or changed.
    #[error("the database {}: {}{}", path.display(), mend::words(said), mend::of_database(path, said))]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        said: rusqlite::Error,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> IdentityError + use<> {
    let path = path.to_owned();
    move |source| IdentityError::Directory { path, source }
}

pub(super) fn database_failed(path: PathBuf, said: rusqlite::Error) -> IdentityError {
    match failure::is_full(&said) {
        true => IdentityError::Full(path),
        false => IdentityError::Database { path, said },
    }
}

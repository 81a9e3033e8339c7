//! What the work on snapshots is done with, and why it is not done.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::progress::Stopped;
use crate::blob_store::Layout;
use crate::fs::Fs;

/// Where a registry's data is.
#[derive(Debug, Clone)]
pub struct Data {
    /// The database's file.
    pub database: PathBuf,
    /// The blobs.
    pub layout: Layout,
    /// The file system of both.
    pub fs: Arc<dyn Fs>,
}

/// Why a snapshot was not taken, restored or read.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// Somebody wished so.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// It must not be, and the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// A system call failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
}

pub(super) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> WorkError + use<> {
    let path = path.to_owned();
    move |source| WorkError::Io { path, source }
}

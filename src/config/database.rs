//! `[database]`: where the database is.

use std::fs;
use std::path::PathBuf;

use super::reader::Section;

/// `[database]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The database's file; its journal and its lock are beside it.
    pub path: PathBuf,
}

impl Database {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let path: PathBuf = section.required("path")?;
        if fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            section.problem("path", "accepts the path of a file, and this is a directory");
        }
        Some(Self { path })
    }
}

//! Mends what verifying has found, so that the next push of a digest heals it: the row is marked as bad, then what is in
//! its file's place is moved aside. What lies aside and is good is brought back. Nothing is thrown away.
//!
//! Only under the lock of the data: no server may decide about the same files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::{Data, WorkError, io_at, place};
use crate::blob_store::durable;
use crate::db;
use crate::domain::Digest;
use crate::fs::Fs;

/// Where bad files go, beside the directories of blobs. It is no place of any blob, so nothing in it is served or swept.
const QUARANTINE: &str = "quarantine";

/// What earlier repairs have moved aside.
pub(super) struct Quarantine {
    directory: PathBuf,
    names: Vec<PathBuf>,
}

impl Quarantine {
    /// Looks what is there.
    pub(super) fn of(data: &Data) -> Result<Self, WorkError> {
        let directory = data.layout.root().join(QUARANTINE);
        match data.fs.list(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { directory, names: Vec::new() })
            }
            names => Ok(Self { names: names.map_err(io_at(&directory))?, directory }),
        }
    }

    /// The files that may be of this digest: called like it, or with a number behind it.
    pub(super) fn files_of(&self, digest: &Digest) -> Vec<PathBuf> {
        let hex = digest.hex();
        let is_of = |name: &&PathBuf| {
            let rest = name.to_str().and_then(|name| name.strip_prefix(&hex));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.names.iter().filter(is_of).map(|name| self.directory.join(name)).collect()
    }
}

/// Changes rows, and moves files aside.
pub(super) struct Repair {
    database: Connection,
    fs: Arc<dyn Fs>,
    directory: PathBuf,
}

impl Repair {
    /// Refuses where there are rows but no store, which is rather a disk that is not there than a loss.
    pub(super) fn begin(data: &Data) -> Result<Self, WorkError> {
        let database = db::open(&data.database).map_err(|error| WorkError::Refused(error.to_string()))?;
        let (root, fs) = (data.layout.root(), Arc::clone(&data.fs));
        let names = fs.list(root).map_err(io_at(root))?;
        let is_store = names.iter().any(|name| name == Path::new("sha256") || name == Path::new("sha512"));
        let has_rows: bool =
            database.query_row("SELECT EXISTS (SELECT 1 FROM blobs)", [], |row| row.get(0))?;
        if has_rows && !is_store {
            return Err(WorkError::Refused(format!(
                "{} has no blobs at all: is storage.layers_path right, and its disk there? Nothing was changed",
                root.display()
            )));
        }
        Ok(Self { database, directory: root.join(QUARANTINE), fs })
    }

    /// The blob is absent to every look-up until it is pushed again.
    pub(super) fn mark_bad(&self, row: i64) -> Result<(), WorkError> {
        self.database.execute("UPDATE blobs SET state = 2 WHERE id = ?1 AND state = 0", [row])?;
        Ok(())
    }

    /// The blob was marked as bad, and its file is good.
    pub(super) fn mark_good(&self, row: i64) -> Result<(), WorkError> {
        self.database.execute("UPDATE blobs SET state = 0 WHERE id = ?1 AND state = 2", [row])?;
        Ok(())
    }

    /// Moves what is at `path` aside, whatever it is, and says where to; fine when there is nothing.
    pub(super) fn set_aside(&self, path: &Path) -> Result<PathBuf, WorkError> {
        let fs = self.fs.as_ref();
        durable::create_dirs(fs, &self.directory).map_err(io_at(&self.directory))?;
        let taken = fs.list(&self.directory).map_err(io_at(&self.directory))?;
        let name = path.file_name().unwrap_or_default();
        let names = std::iter::once(PathBuf::from(name))
            .chain((1..).map(|number| place::beside(Path::new(name), format!(".{number}"))));
        let free = names.into_iter().find(|name| !taken.contains(name)).unwrap_or_default();
        let aside = self.directory.join(free);
        match fs.rename(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(aside),
            renamed => renamed.map_err(io_at(path))?,
        }
        for directory in [self.directory.as_path(), place::parent(path)] {
            fs.sync_dir(directory).map_err(io_at(directory))?;
        }
        Ok(aside)
    }

    /// Moves a good file from aside into a blob's place, which is free, and makes that last.
    pub(super) fn bring_back(&self, aside: &Path, path: &Path) -> Result<(), WorkError> {
        let (fs, directory) = (self.fs.as_ref(), place::parent(path));
        durable::create_dirs(fs, directory).map_err(io_at(directory))?;
        fs.rename(aside, path).map_err(io_at(path))?;
        for directory in [directory, self.directory.as_path()] {
            fs.sync_dir(directory).map_err(io_at(directory))?;
        }
        Ok(())
    }
}

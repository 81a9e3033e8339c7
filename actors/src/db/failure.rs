//! What a failure of SQLite means to who asked: the disk is full, somebody else is at it, or it is broken.

use std::io;

use rusqlite::{ErrorCode, ffi};

use super::error::{DbError, OpenError};
use super::migrate::MigrateError;
use crate::ask::AskError;

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        match kind(&error, || io::Error::last_os_error().kind()) {
            Kind::Full => Self::Full,
            Kind::Busy => Self::Busy(error.to_string()),
            Kind::Other => Self::Failed(error.to_string()),
        }
    }
}

/// Whether SQLite failed since a disk is full, or somebody's share of it. Asked on the thread where it failed, at once.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    kind(error, || io::Error::last_os_error().kind()) == Kind::Full
}

/// Whether a database could not be opened since a disk is full.
pub(crate) fn is_open_full(error: &OpenError) -> bool {
    match error {
        OpenError::File { source, .. } => is_no_room(source.kind()),
        OpenError::Sqlite { said, .. } | OpenError::Migrate(MigrateError::Failed { said, .. }) => {
            is_full(said)
        }
        OpenError::Full(_) => true,
        OpenError::Migrate(MigrateError::Newer { .. } | MigrateError::Older { .. }) | OpenError::Pool(_) => {
            false
        }
    }
}

/// Whether a call of the system says so.
pub(crate) fn is_no_room(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Busy,
    Other,
}

/// SQLite says that a disk is full only of a write to a file (<https://www.sqlite.org/rescode.html>). Of a share that is used
/// up, and of files that grow otherwise, it says that input or output failed; what the system said last tells which.
fn kind(error: &rusqlite::Error, said: impl Fn() -> io::ErrorKind) -> Kind {
    let rusqlite::Error::SqliteFailure(ffi::Error { code, extended_code }, _) = error else {
        return Kind::Other;
    };
    match (code, *extended_code) {
        // The index of the log grows in no other way than by a write.
        (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => Kind::Full,
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Kind::Busy,
        (ErrorCode::SystemIoFailure | ErrorCode::CannotOpen, _) if is_no_room(said()) => Kind::Full,
        _ => Kind::Other,
    }
}

/// Why the registry's own database did not answer, as it is passed on by whoever asked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No space is left.
    Full,
    /// It is busy, or stopping: try again.
    Busy,
    /// It failed; the log says how.
    Failed,
}

impl From<&AskError<DbError>> for Trouble {
    fn from(error: &AskError<DbError>) -> Self {
        match error {
            AskError::Refused(DbError::Full) => Self::Full,
            AskError::Refused(DbError::Failed(_) | DbError::Corrupt { .. }) => Self::Failed,
            AskError::Refused(DbError::Busy(_) | DbError::Unknown(_))
            | AskError::Overloaded(_)
            | AskError::Deadline(_)
            | AskError::Down(_) => Self::Busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_say_full_is_full_and_busy_is_busy() {
        use io::ErrorKind::{Other, PermissionDenied, QuotaExceeded, StorageFull};
        for (code, said, expected) in [
            (ffi::SQLITE_FULL, Other, Kind::Full),
            (ffi::SQLITE_IOERR_SHMSIZE, Other, Kind::Full),
            (ffi::SQLITE_IOERR_WRITE, QuotaExceeded, Kind::Full),
            (ffi::SQLITE_IOERR_WRITE, StorageFull, Kind::Full),
            (ffi::SQLITE_IOERR_WRITE, Other, Kind::Other),
            (ffi::SQLITE_IOERR_TRUNCATE, QuotaExceeded, Kind::Full),
            (ffi::SQLITE_CANTOPEN, StorageFull, Kind::Full),
            (ffi::SQLITE_CANTOPEN, PermissionDenied, Kind::Other),
            (ffi::SQLITE_BUSY, StorageFull, Kind::Busy),
            (ffi::SQLITE_BUSY_SNAPSHOT, Other, Kind::Busy),
            (ffi::SQLITE_LOCKED, Other, Kind::Busy),
            (ffi::SQLITE_CORRUPT, StorageFull, Kind::Other),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(kind(&error, || said), expected, "{error} after {said}");
        }
    }
}

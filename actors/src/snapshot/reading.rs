//! A database is read by who does not own it: beside a server, or where nothing can be written.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::Access;

use super::WorkError;

/// Opens a database that a server may be using, and changes nothing in it. Where its directory can only be
/// read, it is read as it lies there, when its log holds nothing more; SQLite would make a file beside it.
///
/// # Errors
/// When it cannot be opened, or its log would have to be read and cannot be.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, WorkError> {
    let error = match open_with(path.as_os_str(), OpenFlags::SQLITE_OPEN_READ_WRITE) {
        Ok(connection) => return Ok(connection),
        Err(error) => error,
    };
    if can_write_beside(path) {
        return Err(error.into());
    }
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0) {
        // Whoever writes it keeps its index beside it; both can be read then.
        return open_with(path.as_os_str(), OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|_| {
            WorkError::Refused(format!(
                "{} can only be read here, and its log is not empty: start the registry once and stop it, \
                 or let its directory be written to",
                path.display()
            ))
        });
    }
    let uri = format!("file:{}?immutable=1", uri_path(path));
    Ok(open_with(uri.as_ref(), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)?)
}

fn open_with(path: &OsStr, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;")?;
    // Nothing is opened before something is asked.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Whether a file can be made beside this one; not so on a mount that is read only, nor by who only reads here.
fn can_write_beside(path: &Path) -> bool {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    rustix::fs::access(directory, Access::WRITE_OK).is_ok()
}

/// The path as a part of a URI (<https://www.sqlite.org/uri.html>).
fn uri_path(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => text.push(char::from(*byte)),
            plain if plain.is_ascii_alphanumeric() => text.push(char::from(*plain)),
            other => text.push_str(&format!("%{other:02x}")),
        }
    }
    text
}

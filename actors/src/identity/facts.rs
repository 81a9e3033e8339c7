//! Looks at what is there, and changes nothing: the database read only, the directories by their names.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::marker;
use super::places::{IdentityError, Places, database_failed};
use super::verdict::{Database, Directory, Facts, Identity, Known};
use crate::blob_store::Layout;
use crate::domain::Digest;
use crate::fs::Fs;
use crate::upload;

/// How many blobs are looked for in a directory without a marker.
const SAMPLE: u64 = 500;

/// Looks at everything. The directories come first: a server that starts meanwhile raises the database's number before theirs.
pub(super) fn look(places: &Places, fs: &dyn Fs) -> Result<Facts, IdentityError> {
    let blobs = directory(fs, &places.layers, |_| holds_blobs(fs, &places.layers))?;
    let is_upload = |names: &[PathBuf]| Ok(names.iter().any(|name| upload::is_own(name)));
    let uploads = directory(fs, &places.uploads, is_upload)?;
    let snapshots = directory(fs, &places.snapshots, |_| Ok(false))?;
    let is_marked = matches!(blobs, Directory::Marked(_));
    let database = database(places, fs, is_marked)?;
    Ok(Facts { database, blobs, uploads, snapshots })
}

/// What is in a directory; `own` says whether there is something of ours in it, from its names.
fn directory(
    fs: &dyn Fs,
    path: &Path,
    own: impl FnOnce(&[PathBuf]) -> io::Result<bool>,
) -> Result<Directory, IdentityError> {
    let failed = |source| IdentityError::Directory { path: path.to_owned(), source };
    match marker::read(fs, path).map_err(failed)? {
        Some(Ok(marker)) => return Ok(Directory::Marked(marker)),
        Some(Err(_)) => return Ok(Directory::Damaged),
        None => {}
    }
    let names = match fs.list(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Directory::Missing),
        names => names.map_err(failed)?,
    };
    // The root of a file system has the one.
    let is_foreign =
        |name: &&PathBuf| !marker::is_mark(name) && !upload::is_own(name) && *name != Path::new("lost+found");
    let foreign = names.iter().find(is_foreign).map(|name| name.display().to_string());
    let own = own(&names).map_err(failed)?;
    Ok(Directory::Unmarked { own, foreign })
}

/// Whether any file is in a blob's place.
fn holds_blobs(fs: &dyn Fs, root: &Path) -> io::Result<bool> {
    let layout = Layout::new(root);
    for directory in (0..Layout::DIRECTORIES).map(|index| layout.directory(index)) {
        match fs.list(&directory) {
            Ok(names) if names.iter().any(|name| layout.digest(&directory.join(name)).is_some()) => {
                return Ok(true);
            }
            Ok(_) => {}
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            }
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn database(places: &Places, fs: &dyn Fs, is_marked: bool) -> Result<Database, IdentityError> {
    let path = &places.database;
    let failed = |source| database_failed(path.clone(), source);
    match std::fs::metadata(path) {
        Ok(found) if found.len() > 0 || has_log(path) => {}
        Ok(_) => return Ok(Database::Missing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Database::Missing),
        Err(source) => return Err(IdentityError::Directory { path: path.clone(), source }),
    }
    let connection = open(path).map_err(failed)?;
    let known = known(&connection, &Layout::new(&places.layers), fs, is_marked).map_err(failed)?;
    Ok(known)
}

/// Whether there is a log with changes that the database's file does not have yet.
fn has_log(database: &Path) -> bool {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push("-wal");
    std::fs::metadata(database.with_file_name(name)).is_ok_and(|log| log.len() > 0)
}

/// Opens a database so that neither it nor its log changes. Without a log not even an index of one is made.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if !has_log(path) {
        let mut uri = "file:".to_owned();
        for byte in path.as_os_str().as_encoded_bytes() {
            match byte {
                b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
                byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
                byte => uri.push_str(&format!("%{byte:02X}")),
            }
        }
        uri.push_str("?immutable=1");
        return Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI);
    }
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?.exists([name])
}

/// What a database says of itself.
pub(super) fn identity(connection: &Connection) -> rusqlite::Result<Option<Identity>> {
    if !has_table(connection, "registry")? {
        return Ok(None);
    }
    let row = connection.query_row("SELECT id, starts, marked FROM registry", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
    });
    Ok(row
        .optional()?
        .and_then(|(id, starts, marked)| Some(Identity { id: id.parse().ok()?, starts, marked })))
}

fn known(
    connection: &Connection,
    layout: &Layout,
    fs: &dyn Fs,
    is_marked: bool,
) -> rusqlite::Result<Database> {
    let tables: u64 =
        connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Database::Missing);
    }
    if !has_table(connection, "schema_migrations")? {
        return Ok(Database::Foreign);
    }
    let mut known = Known { identity: identity(connection)?, ..Known::default() };
    if has_table(connection, "blobs")? && has_table(connection, "uploads")? {
        known.blobs = connection.prepare("SELECT 1 FROM blobs WHERE state = 0 LIMIT 1")?.exists([])?;
        known.uploads = connection.prepare("SELECT 1 FROM uploads WHERE bytes > 0 LIMIT 1")?.exists([])?;
        if known.blobs && !is_marked {
            (known.asked, known.there) = sample(connection, layout, fs)?;
        }
    }
    Ok(Database::Known(known))
}

/// Looks for some blobs of the database, spread over all of them: how many were looked for, and how many are there with the
/// right length.
fn sample(connection: &Connection, layout: &Layout, fs: &dyn Fs) -> rusqlite::Result<(u64, u64)> {
    let all: u64 =
        connection.query_row("SELECT count(*) FROM blobs WHERE state = 0", [], |row| row.get(0))?;
    let step = (all / SAMPLE).max(1);
    let mut statement = connection.prepare("SELECT digest, size FROM blobs WHERE state = 0 ORDER BY id")?;
    let mut rows = statement.query([])?;
    let (mut number, mut asked, mut there) = (0, 0, 0);
    while let Some(row) = rows.next()? {
        number += 1;
        if number % step != 0 {
            continue;
        }
        asked += 1;
        let (digest, size): (String, u64) = (row.get(0)?, row.get(1)?);
        let digest: Option<Digest> = digest.parse().ok();
        there +=
            u64::from(digest.is_some_and(|digest| fs.len(&layout.path(&digest)).ok() == Some(Some(size))));
    }
    Ok((asked, there))
}

//! Who a registry is: an identity in its database, and a marker in each directory that it writes to.
//!
//! [`enter`] looks at everything and refuses what does not belong together, before anything is made or removed; [`verdict`]
//! decides that, from facts alone. [`begin`] counts the start, in the database and then in the markers, so that a copy of
//! either that is older than the other is seen. [`adopt`] settles a disagreement, when somebody wishes so.

mod facts;
pub mod marker;
mod places;
mod sentence;
pub mod verdict;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use uuid::Uuid;

use self::marker::Marker;
pub use self::places::{IdentityError, Places};
use self::places::{at, database_failed};
use self::verdict::{Directory, Facts, Identity, Refusal};
use crate::blob_store::durable;
use crate::db::{self, Reserve, failure};
use crate::fs::Fs;

impl Places {
    /// The room that is kept beside the database, as it is now.
    fn reserve(&self) -> Reserve {
        Reserve::beside(&self.database, 0)
    }

    fn directories(&self) -> [&Path; 3] {
        [&self.layers, &self.uploads, &self.snapshots]
    }
}

impl Places {
    fn of_database(&self) -> impl FnOnce(rusqlite::Error) -> IdentityError + use<> {
        let path = self.database.clone();
        move |said| database_failed(path, said)
    }

    fn refused(&self, refusal: &Refusal) -> IdentityError {
        IdentityError::Refused(sentence::of(self, refusal))
    }
}

/// Looks whether database and directories belong together. Makes nothing and changes nothing, but that on a full disk the room
/// is given up that is kept for this.
///
/// # Errors
/// When they do not, with what to do about it, or when they cannot be looked at.
pub fn enter(places: &Places, fs: &dyn Fs) -> Result<(), IdentityError> {
    // To read a log that was left, SQLite needs a little room beside it.
    let facts = places.reserve().lend(is_full, || facts::look(places, fs))?;
    facts.decide().map_err(|refusal| places.refused(&refusal))
}

/// Counts this start in the database, which may have to be made for that, and then in the markers, and makes those that are
/// missing. After [`enter`]; the caller holds the lock of the data. Where the disk is full, nothing is left of what was kept
/// for this, and all markers are there, the start goes uncounted: who frees room must be able to begin.
///
/// # Errors
/// When the database cannot be opened or changed, or a marker cannot be written.
pub fn begin(places: &Places, fs: &dyn Fs) -> Result<Marker, IdentityError> {
    let mut reserve = places.reserve();
    let connection = reserve.lend(failure::is_open_full, || db::prepare(&places.database))?;
    reserve.lend(is_full, || begin_with(&connection, places, fs)).or_else(|error| match error {
        error if is_full(&error) => uncounted(&connection, places, error),
        error => Err(error),
    })
}

fn begin_with(connection: &Connection, places: &Places, fs: &dyn Fs) -> Result<Marker, IdentityError> {
    let before = facts::identity(connection).map_err(places.of_database())?;
    count(connection, places, fs, before, 0)
}

/// A start that no room is left to count.
fn uncounted(
    connection: &Connection,
    places: &Places,
    error: IdentityError,
) -> Result<Marker, IdentityError> {
    let before = facts::identity(connection).map_err(places.of_database())?;
    match before.filter(|identity| identity.marked > 0) {
        Some(identity) => {
            log::warn!("this start is not counted, since the disk is full: {error}");
            Ok(Marker { id: identity.id, starts: identity.marked })
        }
        None => Err(error),
    }
}

fn is_full(error: &IdentityError) -> bool {
    match error {
        IdentityError::Directory { source, .. } => failure::is_no_room(source.kind()),
        IdentityError::Full(_) => true,
        IdentityError::Database { .. } => false,
        IdentityError::Open(error) => failure::is_open_full(error),
        IdentityError::Refused(_) => false,
    }
}

/// Raises the number above both `least` and what the database had, then writes the markers.
fn count(
    connection: &Connection,
    places: &Places,
    fs: &dyn Fs,
    before: Option<Identity>,
    least: u64,
) -> Result<Marker, IdentityError> {
    let failed = || places.of_database();
    let (id, starts) = before.map_or((Uuid::new_v4(), 0), |identity| (identity.id, identity.starts));
    let marker = Marker { id, starts: starts.max(least) + 1 };
    connection
        .execute(
            "INSERT INTO registry (one, id, starts, marked) VALUES (1, ?1, ?2, 0)
                 ON CONFLICT (one) DO UPDATE SET starts = excluded.starts",
            (id.to_string(), marker.starts),
        )
        .map_err(failed())?;
    for directory in places.directories() {
        durable::create_dirs(fs, directory).map_err(at(directory))?;
        // One that was there already may have been made just before a crash.
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs.sync_dir(parent).map_err(at(parent))?;
        }
    }
    if before.is_none_or(|identity| identity.marked == 0) {
        bring_uploads(connection, places, fs)?;
    }
    for directory in places.directories() {
        marker::write(fs, directory, marker).map_err(at(directory))?;
    }
    connection.execute("UPDATE registry SET marked = starts", []).map_err(failed())?;
    Ok(marker)
}

/// Moves the files of this registry's uploads from where an earlier version kept them, which it may have shared with others:
/// what no row names stays there.
fn bring_uploads(connection: &Connection, places: &Places, fs: &dyn Fs) -> Result<(), IdentityError> {
    let Some(before) = &places.uploads_before else { return Ok(()) };
    if !fs.is_dir(before).map_err(at(before))? {
        return Ok(());
    }
    let ids = || -> rusqlite::Result<Vec<String>> {
        connection.prepare("SELECT id FROM uploads")?.query_map([], |row| row.get(0))?.collect()
    };
    let mut moved = 0;
    for id in ids().map_err(places.of_database())? {
        let (from, to) = (before.join(&id), places.uploads.join(&id));
        if !crate::upload::is_own(Path::new(&id)) || fs.len(&from).map_err(at(&from))?.is_none() {
            continue;
        }
        fs.rename(&from, &to).map_err(at(&to))?;
        moved += 1;
    }
    for directory in [&places.uploads, before] {
        fs.sync_dir(directory).map_err(at(directory))?;
    }
    log::info!(
        "{moved} uploads were moved from {} to {}; what else is there stays, and is used no more",
        before.display(),
        places.uploads.display()
    );
    Ok(())
}

/// Takes the directories for those of the database, whatever their markers say, and says what disagreed; nothing where nothing
/// did. The caller holds the lock of the data.
///
/// # Errors
/// When the database is no registry's, the directory of uploads is used by others, or a call fails.
pub fn adopt(places: &Places, fs: &dyn Fs) -> Result<Option<String>, IdentityError> {
    let facts = facts::look(places, fs)?;
    let refusal = match facts.decide() {
        Ok(()) => return Ok(None),
        Err(refusal @ (Refusal::NoRegistry | Refusal::Foreign(_))) => return Err(places.refused(&refusal)),
        Err(refusal) => refusal,
    };
    let connection = db::prepare(&places.database)?;
    let before = facts::identity(&connection).map_err(places.of_database())?;
    let marker = count(&connection, places, fs, before, highest(&facts))?;
    Ok(Some(format!("{}; now they carry the identity {}", sentence::what(places, &refusal), marker.id)))
}

/// The highest number that any marker tells.
fn highest(facts: &Facts) -> u64 {
    let starts = facts.directories().map(|(_, directory)| match directory {
        Directory::Marked(marker) => marker.starts,
        _ => 0,
    });
    starts.into_iter().max().unwrap_or(0)
}

/// Looks whether the directories are free for, or of, the registry whose database is at `from`, so that it may be restored
/// there. Changes nothing. Answers the highest number that their markers tell.
///
/// # Errors
/// When one is another registry's, or they cannot be looked at.
pub fn may_restore(from: &Path, directories: &[&Path], fs: &dyn Fs) -> Result<u64, IdentityError> {
    let failed = |said| IdentityError::Database { path: from.to_owned(), said };
    let connection = facts::open(from).map_err(failed)?;
    let identity = facts::identity(&connection).map_err(failed)?;
    let mut highest = 0;
    for directory in directories {
        match marker::read(fs, directory).map_err(at(directory))? {
            None => {}
            Some(Ok(marker)) if identity.is_none_or(|identity| identity.id == marker.id) => {
                highest = highest.max(marker.starts);
            }
            Some(_) => {
                return Err(IdentityError::Refused(format!(
                    "{} is marked as another registry's ({}): restore elsewhere, or remove that file when nothing of \
                     the other is left",
                    directory.display(),
                    marker::path(directory).display()
                )));
            }
        }
    }
    Ok(highest)
}

/// Gives a restored database, which has its newest form, its number and the directories that are there their markers.
///
/// # Errors
/// When a call fails.
pub fn mark_restored(
    database: &Connection,
    directories: &[&Path],
    fs: &dyn Fs,
    least: u64,
) -> Result<(), IdentityError> {
    let path = database.path().map(PathBuf::from).unwrap_or_default();
    let failed = |said| IdentityError::Database { path: path.clone(), said };
    let identity = facts::identity(database).map_err(failed)?;
    let found = directories.iter().find_map(|directory| marker::read(fs, directory).ok().flatten()?.ok());
    let id =
        identity.map(|identity| identity.id).or(found.map(|marker| marker.id)).unwrap_or_else(Uuid::new_v4);
    let starts = identity.map_or(0, |identity| identity.starts).max(least) + 1;
    for directory in directories {
        durable::create_dirs(fs, directory).map_err(at(directory))?;
        marker::write(fs, directory, Marker { id, starts }).map_err(at(directory))?;
    }
    database
        .execute(
            "INSERT INTO registry (one, id, starts, marked) VALUES (1, ?1, ?2, ?2)
                 ON CONFLICT (one) DO UPDATE SET starts = excluded.starts, marked = excluded.marked",
            (id.to_string(), starts),
        )
        .map_err(failed)?;
    Ok(())
}

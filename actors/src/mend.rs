//! What somebody can do about a failure of the system or of SQLite at a path or an address: the one place that knows.
//!
//! What decides is looked at first (`Sight`), and the sentence is made from that alone. Each begins with a colon and a space, so
//! that it stands after what failed, and is empty where nothing can be advised.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};
use rustix::fs::Access;
use rustix::io::Errno;

/// What was to be done with a path, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use<'a> {
    /// It is only read.
    Read,
    /// It is written or made.
    Write,
    /// It is in this directory, which the registry fills.
    Directory(&'a Path),
    /// It is this database's, or beside it.
    Database(&'a Path),
}

/// What there is to see of a path that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sight {
    /// The user that this program runs as, by number.
    user: u32,
    /// What can be seen that is nearest to it.
    nearest: Option<Nearest>,
}

/// The path itself, or the first above it that can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Nearest {
    path: PathBuf,
    /// Its user, by number.
    owner: u32,
    /// Its rights, as `chmod` takes them.
    mode: u32,
    /// Whether it is a directory.
    is_directory: bool,
    /// What is below it on the way, and whether that is missing rather than out of sight.
    below: Option<(PathBuf, bool)>,
}

/// What to do about a failure of the system at a path.
pub fn of_file(path: &Path, wanted: Use<'_>, error: &io::Error) -> String {
    advice(path, wanted, error, &look(path))
}

/// What to do when an address cannot be listened on.
pub fn of_address(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            ": another program listens there, and `ss -ltnp 'sport = :{port}'` names it: end it, or choose another port"
        ),
        ErrorKind::AddrNotAvailable => {
            ": this machine has no such address: choose one of its own, or 0.0.0.0 or [::] for all of them"
                .to_owned()
        }
        ErrorKind::PermissionDenied if port < 1024 => {
            ": a port below 1024 needs the capability CAP_NET_BIND_SERVICE: give it to the program (AmbientCapabilities= of \
             systemd), or choose a higher port"
                .to_owned()
        }
        _ => String::new(),
    }
}

/// What SQLite says, in its own words and without the path, which whoever tells of it names.
pub fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(error, _) => ffi::code_to_str(error.extended_code).to_owned(),
        error => error.to_string(),
    }
}

/// What to do about a failure of SQLite with this database.
pub fn of_database(path: &Path, error: &rusqlite::Error) -> String {
    let rusqlite::Error::SqliteFailure(error, _) = error else { return String::new() };
    match error.code {
        ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            match refused_beside(path) {
                Some((place, error)) => advice(&place, Use::Database(path), &error, &look(&place)),
                None => ": SQLite must be able to write it, and to make files beside it".to_owned(),
            }
        }
        code => of_code(path, code).unwrap_or_default(),
    }
}

fn of_code(path: &Path, code: ErrorCode) -> Option<String> {
    let path = path.display();
    Some(match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => format!(
            ": another program keeps it locked, such as sqlite3 or a backup, and `fuser {path}` names it: end it and start again"
        ),
        ErrorCode::NotADatabase => {
            ": is database.path right? If it is, the file is damaged: move it away, and restore a snapshot with `mcrsrv restore`"
                .to_owned()
        }
        ErrorCode::DatabaseCorrupt => {
            ": it is damaged: move it away with what is beside it, and restore a snapshot with `mcrsrv restore`"
                .to_owned()
        }
        ErrorCode::DiskFull => ": free some room and start again".to_owned(),
        ErrorCode::SystemIoFailure => BAD_DISK.to_owned(),
        ErrorCode::FileLockingProtocolFailed => NO_LOCKS.to_owned(),
        _ => return None,
    })
}

const BAD_DISK: &str = ": its disk does not do what it should: the kernel's log says more (`dmesg`)";
const NO_LOCKS: &str = ": its file system has no locks: use another, or mount it with locks";

/// The first of a database's directory and files that is there and may not be written, and why not.
fn refused_beside(path: &Path) -> Option<(PathBuf, io::Error)> {
    let beside = |end: &str| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(end);
        path.with_file_name(name)
    };
    let directory = path.parent().map(|parent| (parent.to_owned(), Access::WRITE_OK | Access::EXEC_OK));
    let files = ["", "-wal", "-shm"].map(|end| (beside(end), Access::READ_OK | Access::WRITE_OK));
    directory.into_iter().chain(files).find_map(|(place, access)| match rustix::fs::access(&place, access) {
        Err(errno) if errno != Errno::NOENT => Some((place, errno.into())),
        _ => None,
    })
}

/// Looks at the path, or at the first above it that can be seen.
fn look(path: &Path) -> Sight {
    let mut below = None;
    let mut nearest = None;
    for place in path.ancestors().filter(|place| !place.as_os_str().is_empty()) {
        match fs::metadata(place) {
            Ok(found) => {
                nearest = Some(Nearest {
                    path: place.to_owned(),
                    owner: found.uid(),
                    mode: found.mode() & 0o7777,
                    is_directory: found.is_dir(),
                    below: below.take(),
                });
                break;
            }
            Err(error) => below = Some((place.to_owned(), error.kind() == ErrorKind::NotFound)),
        }
    }
    Sight { user: rustix::process::geteuid().as_raw(), nearest }
}

/// The sentence, from what was seen.
fn advice(path: &Path, wanted: Use<'_>, error: &io::Error, sight: &Sight) -> String {
    let raw = error.raw_os_error();
    let is = |errno: Errno| raw == Some(errno.raw_os_error());
    if is(Errno::LOOP) {
        return ": a symbolic link is in its place: move it away".to_owned();
    }
    if is(Errno::NOLCK) || (is(Errno::NOTSUP) && !matches!(wanted, Use::Read)) {
        return NO_LOCKS.to_owned();
    }
    if is(Errno::IO) {
        return BAD_DISK.to_owned();
    }
    if is(Errno::MFILE) || is(Errno::NFILE) {
        return ": too many files are open: raise the limit (LimitNOFILE= of systemd, `ulimit -n`)"
            .to_owned();
    }
    match error.kind() {
        ErrorKind::PermissionDenied => format!(": {}", rights(wanted, sight)),
        ErrorKind::ReadOnlyFilesystem => {
            ": it is on a file system that is mounted for reading only: mount it for writing (a container's volume without \
             `:ro`), or name a place elsewhere"
                .to_owned()
        }
        ErrorKind::NotFound => ": is the path right, and is what it is on mounted?".to_owned(),
        ErrorKind::NotADirectory => match &sight.nearest {
            Some(nearest) if !nearest.is_directory && nearest.path != path => {
                format!(": {} is no directory: move it away, or name a place elsewhere", nearest.path.display())
            }
            _ => ": a directory must be there: move away what is, or name a place elsewhere".to_owned(),
        },
        ErrorKind::IsADirectory => ": it is a directory: name a file".to_owned(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ": free some room and start again".to_owned(),
        _ => String::new(),
    }
}

/// Who may not do what where, and which path is to be given to whom.
fn rights(wanted: Use<'_>, sight: &Sight) -> String {
    let user = sight.user;
    let Some(nearest) = &sight.nearest else {
        return format!("let user {user}, as whom this program runs, use it");
    };
    let Nearest { path, owner, mode, is_directory, below } = nearest;
    let place = path.display();
    let enters = below.as_ref().is_some_and(|(_, is_missing)| !is_missing);
    let needed = match (enters, wanted) {
        (true, _) => 0o100,
        (false, Use::Read) if *is_directory => 0o500,
        (false, Use::Read) => 0o400,
        (false, _) if *is_directory => 0o300,
        (false, _) => 0o600,
    };
    let mut text =
        format!("this program runs as user {user}, and {place} is that of user {owner} (mode {mode:04o}): ");
    // Writing to a string does not fail.
    let _ = match below {
        _ if *owner == user && mode & needed == needed => write!(
            text,
            "its rights allow it, so something else refuses, such as its attributes (`lsattr`), SELinux or AppArmor"
        ),
        _ if *owner == user && enters => write!(text, "`chmod u+x {place}`"),
        _ if *owner == user => write!(text, "`chmod u+rwX {place}`"),
        Some((_, false)) if !is_given(path, wanted) => write!(text, "let user {user} enter it"),
        // Somebody else's directory, in which one of the registry's is to be made, is not given away.
        Some((below, true)) if !is_given(path, wanted) => {
            write!(text, "make {} and give it to user {user} (`chown {user}`)", below.display())
        }
        _ => match wanted {
            Use::Read => write!(text, "let user {user} read it"),
            Use::Write => write!(text, "let user {user} write it"),
            Use::Directory(directory) => {
                write!(
                    text,
                    "give it to user {user} with all in it (`chown -R {user} {}`)",
                    directory.display()
                )
            }
            Use::Database(database) if *is_directory => write!(
                text,
                "let user {user} write there, and give it the database (`chown {user} {}*`)",
                database.display()
            ),
            Use::Database(database) => {
                write!(
                    text,
                    "give it to user {user} with what is beside it (`chown {user} {}*`)",
                    database.display()
                )
            }
        },
    };
    if *owner != user && *owner != 0 {
        let _ = write!(text, ", or run the program as user {owner}");
    }
    text
}

/// Whether a directory is one that the registry fills, or that of its database.
fn is_given(path: &Path, wanted: Use<'_>) -> bool {
    match wanted {
        Use::Read | Use::Write => false,
        Use::Directory(directory) => path == directory,
        Use::Database(database) => Some(path) == database.parent(),
    }
}

#[cfg(test)]
mod tests;

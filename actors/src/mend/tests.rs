//! Each failure with what was seen, and the sentence.

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use super::*;

const USER: u32 = 998;

fn seen(path: &str, owner: u32, mode: u32, below: Option<(&str, bool)>) -> Sight {
    let below = below.map(|(path, is_missing)| (PathBuf::from(path), is_missing));
    let nearest = Nearest { path: path.into(), owner, mode, is_directory: !path.contains('.'), below };
    Sight { user: USER, nearest: Some(nearest) }
}

type Case = (Use<'static>, Sight, &'static str);

fn layers() -> Use<'static> {
    Use::Directory(Path::new("/data/layers"))
}

fn missing(path: &str) -> Option<(&str, bool)> {
    Some((path, true))
}

fn hidden(path: &str) -> Option<(&str, bool)> {
    Some((path, false))
}

fn of_what_is_written() -> Vec<Case> {
    let (layers, database) = (layers(), Use::Database(Path::new("/data/mcr.db")));
    vec![
        (
            layers,
            seen("/data/layers", 0, 0o755, missing("/data/layers/.mcr-lock")),
            "/data/layers is that of user 0 (mode 0755): give it to user 998 with all in it (`chown -R 998 /data/layers`)",
        ),
        (
            layers,
            seen("/data/layers", 0, 0o700, hidden("/data/layers/.mcr-lock")),
            "/data/layers is that of user 0 (mode 0700): give it to user 998 with all in it (`chown -R 998 /data/layers`)",
        ),
        (
            layers,
            seen("/data/layers/.mcr-lock", 0, 0o600, None),
            "/data/layers/.mcr-lock is that of user 0 (mode 0600): give it to user 998 with all in it (`chown -R 998 \
             /data/layers`)",
        ),
        (
            layers,
            seen("/data", 5, 0o755, missing("/data/layers")),
            "/data is that of user 5 (mode 0755): make /data/layers and give it to user 998 (`chown 998`), or run the \
             program as user 5",
        ),
        (
            database,
            seen("/data", 0, 0o755, missing("/data/mcr.db.lock")),
            "/data is that of user 0 (mode 0755): let user 998 write there, and give it the database (`chown 998 \
             /data/mcr.db*`)",
        ),
        (
            database,
            seen("/data/mcr.db-wal", 0, 0o600, None),
            "/data/mcr.db-wal is that of user 0 (mode 0600): give it to user 998 with what is beside it (`chown 998 \
             /data/mcr.db*`)",
        ),
        (
            database,
            seen("/", 0, 0o755, missing("/data")),
            "/ is that of user 0 (mode 0755): make /data and give it to user 998 (`chown 998`)",
        ),
    ]
}

fn of_what_is_read_or_ones_own() -> Vec<Case> {
    let layers = layers();
    vec![
        (
            Use::Read,
            seen("/root", 0, 0o700, hidden("/root/mcr.toml")),
            "/root is that of user 0 (mode 0700): let user 998 enter it",
        ),
        (
            Use::Read,
            seen("/mcr.toml", 0, 0o600, None),
            "/mcr.toml is that of user 0 (mode 0600): let user 998 read it",
        ),
        (
            Use::Read,
            seen("/mcr.toml", USER, 0o000, None),
            "/mcr.toml is that of user 998 (mode 0000): `chmod u+rwX /mcr.toml`",
        ),
        (
            layers,
            seen("/data", USER, 0o600, hidden("/data/layers")),
            "/data is that of user 998 (mode 0600): `chmod u+x /data`",
        ),
        (
            layers,
            seen("/data/layers", USER, 0o700, missing("/data/layers/.mcr-lock")),
            "/data/layers is that of user 998 (mode 0700): its rights allow it, so something else refuses, such as its \
             attributes (`lsattr`), SELinux or AppArmor",
        ),
    ]
}

#[test]
fn whoever_may_not_is_told_which_path_to_give_to_whom() {
    for (wanted, sight, expected) in of_what_is_written().into_iter().chain(of_what_is_read_or_ones_own()) {
        let error = io::Error::from(Errno::ACCESS);
        let said = advice(Path::new("/x"), wanted, &error, &sight);
        assert_eq!(said, format!(": this program runs as user 998, and {expected}"));
    }
}

#[test]
fn every_failure_of_the_system_that_a_start_meets_says_what_to_do() {
    let sight = seen("/data/a.file", 0, 0o644, Some(("/data/a.file/x", true)));
    for (errno, mend) in [
        (Errno::ROFS, "mount it for writing"),
        (Errno::NOENT, "is the path right, and is what it is on mounted?"),
        (Errno::NOTDIR, "/data/a.file is no directory: move it away"),
        (Errno::ISDIR, "name a file"),
        (Errno::NOSPC, "free some room and start again"),
        (Errno::DQUOT, "free some room and start again"),
        (Errno::LOOP, "a symbolic link is in its place: move it away"),
        (Errno::NOLCK, "its file system has no locks"),
        (Errno::IO, "the kernel's log says more"),
        (Errno::MFILE, "raise the limit"),
        (Errno::NFILE, "raise the limit"),
    ] {
        let said = advice(Path::new("/data/a.file/x"), Use::Write, &errno.into(), &sight);
        assert!(said.starts_with(": ") && said.contains(mend), "{errno}: {said}");
    }
    assert_eq!(advice(Path::new("/x"), Use::Write, &Errno::INTR.into(), &sight), "");
}

#[test]
fn an_address_that_is_taken_says_how_to_find_by_whom() {
    let address: SocketAddr = "127.0.0.1:443".parse().unwrap();
    for (errno, mend) in [
        (Errno::ADDRINUSE, "`ss -ltnp 'sport = :443'` names it: end it, or choose another port"),
        (Errno::ADDRNOTAVAIL, "0.0.0.0 or [::] for all of them"),
        (Errno::ACCESS, "needs the capability CAP_NET_BIND_SERVICE"),
    ] {
        let said = of_address(address, &errno.into());
        assert!(said.starts_with(": ") && said.contains(mend), "{errno}: {said}");
    }
}

#[test]
fn every_failure_of_sqlite_that_a_start_meets_says_what_to_do() {
    let path = Path::new("/data/mcr.db");
    for (code, said, mend) in [
        (ffi::SQLITE_CANTOPEN, "unable to open database file", "SQLite must be able to write it"),
        (ffi::SQLITE_READONLY, "attempt to write a readonly database", "SQLite must be able to write it"),
        (ffi::SQLITE_BUSY, "database is locked", "`fuser /data/mcr.db` names it: end it"),
        (ffi::SQLITE_LOCKED, "database table is locked", "`fuser /data/mcr.db` names it: end it"),
        (ffi::SQLITE_NOTADB, "file is not a database", "is database.path right?"),
        (ffi::SQLITE_CORRUPT, "database disk image is malformed", "`mcrsrv restore`"),
        (ffi::SQLITE_FULL, "database or disk is full", "free some room"),
        (ffi::SQLITE_IOERR_READ, "disk I/O error", "the kernel's log says more"),
        (ffi::SQLITE_PROTOCOL, "locking protocol", "has no locks"),
    ] {
        let text = Some(format!("{said}: {}", path.display()));
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), text);
        assert_eq!(words(&error), said);
        let advised = of_database(path, &error);
        assert!(advised.starts_with(": ") && advised.contains(mend), "{said}: {advised}");
    }
}

#[test]
fn what_is_really_there_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let file = directory.path().join("a.db");
    let sight = look(&file);
    let nearest = sight.nearest.unwrap();
    assert_eq!((&*nearest.path, nearest.below), (directory.path(), Some((file.clone(), true))));
    assert_eq!((nearest.mode, nearest.owner), (0o700, sight.user));
    fs::write(&file, "x").unwrap();
    let nearest = look(&file).nearest.unwrap();
    assert_eq!((&nearest.path, nearest.below, nearest.is_directory), (&file, None, false));
    // A file where a directory should be.
    let below = file.join("layers");
    let error = fs::create_dir(&below).unwrap_err();
    let said = of_file(&below, Use::Directory(&below), &error);
    assert!(said.contains("a.db is no directory"), "{said}");
    let error = Connection::open(directory.path()).unwrap_err();
    assert_eq!(words(&error), "unable to open database file");
}

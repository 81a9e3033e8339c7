//! A start that cannot be: each reason is said once, with what to do about it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use tempfile::TempDir;

/// The user that a server runs as where others own what it needs: nobody's.
const USER: u32 = 65534;

/// A registry that was prepared by whoever runs the tests, and its configuration.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let (database, layers) = (place.path("data/mcr.db"), place.path("data/layers"));
        let text = format!(
            "database.path = {database:?}\nstorage.layers_path = {layers:?}\nauth.provider = \"local\"\n\
             [server]\nlisten_addr = \"127.0.0.1:0\"\ninsecure_http = true\n"
        );
        fs::write(place.path("mcr.toml"), text).unwrap();
        // Where the tests' own is, nobody else may enter.
        let program = place.path("mcrsrv");
        let own = env!("CARGO_BIN_EXE_mcrsrv");
        fs::hard_link(own, &program).or_else(|_| fs::copy(own, &program).map(drop)).unwrap();
        place.set_mode("", 0o755);
        let output = place.program("init").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, verb: &str) -> Command {
        let mut command = Command::new(self.path("mcrsrv"));
        command.env_clear().args([verb, "--config"]).arg(self.path("mcr.toml")).stdin(Stdio::null());
        command
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Gives everything to the user, but what has one of these names, which stays its owner's and is closed to others.
    fn give_all_but(&self, kept: &[&str]) {
        let mut waiting = vec![self.path("data")];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            if kept.iter().any(|name| self.path(name) == path) {
                let mode = if path.is_dir() { 0o755 } else { 0o600 };
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            } else {
                chown(&path, Some(USER), Some(USER)).unwrap();
            }
        }
    }
}

/// What a start that failed says of it, each thing once.
fn told(output: &Output, status: i32) -> String {
    let all = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{all}");
    let told = all[all.rfind("mcrsrv: ").unwrap_or_else(|| panic!("nothing is said: {all}"))..].to_owned();
    // Where several keys are wrong, each has a line.
    for line in told.lines() {
        let parts: Vec<&str> = line.split(": ").map(str::trim).collect();
        for (index, part) in parts.iter().enumerate() {
            assert!(!parts[..index].contains(part), "{part:?} is said twice: {told}");
        }
        for words in ["os error", "unable to open", "Error code"] {
            assert!(line.matches(words).count() <= 1, "{words:?} is said twice: {told}");
        }
    }
    told
}

fn is_root(place: &Place) -> bool {
    let is_root = chown(place.path("mcr.toml"), Some(USER), None).is_ok();
    if is_root {
        chown(place.path("mcr.toml"), Some(0), None).unwrap();
    } else {
        println!("not tried: only root has files that are another's");
    }
    is_root
}

/// What stays its owner's below `data`, and what is said of it.
fn kept(data: &str) -> Vec<(&'static str, [String; 2])> {
    let directory = |name: &str| {
        [
            format!("{data}/{name}/.mcr-lock: cannot be locked: Permission denied"),
            format!("`chown -R {USER} {data}/{name}`"),
        ]
    };
    let database = format!("`chown {USER} {data}/mcr.db*`");
    let locked = format!("{data}/mcr.db.lock: cannot be locked: Permission denied");
    let runs = format!("this program runs as user {USER}");
    let opened = format!("the database {data}/mcr.db: unable to open database file: {runs}");
    vec![
        ("data/mcr.db.lock", [locked, database.clone()]),
        ("data/layers/.mcr-lock", directory("layers")),
        ("data/layers-uploads/.mcr-lock", directory("layers-uploads")),
        ("data/mcr.db", [opened, database]),
        (
            "data",
            [
                format!("cannot open the database {data}/mcr.db: "),
                format!("{data} is that of user 0 (mode 0755): let user {USER} write there"),
            ],
        ),
    ]
}

#[test]
fn whoever_may_not_is_told_which_path_to_give_to_whom() {
    let place = Place::new();
    if !is_root(&place) {
        return;
    }
    for (name, expected) in kept(&place.path("data").display().to_string()) {
        place.give_all_but(&[name]);
        chown(place.path(name), Some(0), Some(0)).unwrap();
        let told = told(&place.program("init").uid(USER).gid(USER).output().unwrap(), 1);
        for expected in expected {
            assert!(told.contains(&expected), "{name}: {expected:?} is not in {told}");
        }
        assert!(told.contains("that of user 0"), "{told}");
    }
    place.give_all_but(&[]);
    let output = place.program("init").uid(USER).gid(USER).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    place.set_mode("mcr.toml", 0o600);
    let told = told(&place.program("server").uid(USER).gid(USER).output().unwrap(), 64);
    let expected = format!("is that of user 0 (mode 0600): let user {USER} read it");
    let is_said = told.contains("the configuration cannot be read: Permission denied");
    assert!(is_said && told.contains(&expected), "{told}");
}

#[test]
fn a_place_out_of_sight_says_which_directory_to_open() {
    let place = Place::new();
    if !is_root(&place) {
        return;
    }
    place.set_mode("data", 0o700);
    let output = place.program("server").uid(USER).gid(USER).output().unwrap();
    let told = told(&output, 64);
    let expected =
        format!("{} is that of user 0 (mode 0700): let user {USER} enter it", place.path("data").display());
    assert!(
        told.contains("cannot be a directory here: Permission denied") && told.contains(&expected),
        "{told}"
    );
}

#[test]
fn what_is_wrong_with_the_database_or_the_port_is_said_with_the_mend() {
    let place = Place::new();
    let database = place.path("data/mcr.db");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = place.program("server").env("MCR_SERVER_LISTEN_ADDR", address.to_string()).output().unwrap();
    let port = told(&output, 1);
    let expected = format!("`ss -ltnp 'sport = :{}'` names it", address.port());
    assert!(port.contains("Address already in use") && port.contains(&expected), "{port}");

    let other = Connection::open(&database).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE x (y);").unwrap();
    let locked = told(&place.program("server").output().unwrap(), 1);
    let expected = format!(
        "database is locked: another program keeps it locked, such as sqlite3 or a backup, and `fuser {}`",
        database.display()
    );
    assert!(locked.contains(&expected), "{locked}");
    drop(other);

    fs::write(&database, "no database at all, but a text that is long enough to be looked at as one")
        .unwrap();
    let foreign = told(&place.program("server").output().unwrap(), 1);
    assert!(foreign.contains("file is not a database: is database.path right?"), "{foreign}");
}

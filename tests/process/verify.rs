//! What `mcrsrv verify` finds, and what `--repair` makes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::Data;
use crate::support::content::{Noise, digest, push_blob};
use crate::support::faults::{EIO, Faults};
use crate::support::mcrctl::Mcrctl;
use crate::support::snapshots::{Promised, mcrsrv, said, text};

fn file_of(data: &Path, digest: &str) -> PathBuf {
    let (algorithm, hex) = digest.split_once(':').unwrap();
    data.join("layers").join(algorithm).join(&hex[..2]).join(hex)
}

/// Changes, cuts, removes and replaces the files of the first four blobs, adds two files that no row names and a row that names
/// none; answers the path of the file that could be a blob's.
fn damage(directory: &Path, blobs: &[Vec<u8>]) -> PathBuf {
    let place = |blob: &[u8]| file_of(directory, &digest(blob));
    let mut flipped = blobs[0].clone();
    flipped[1000] ^= 1;
    std::fs::write(place(&blobs[0]), flipped).unwrap();
    std::fs::write(place(&blobs[1]), &blobs[1][..100]).unwrap();
    std::fs::remove_file(place(&blobs[2])).unwrap();
    std::fs::remove_file(place(&blobs[3])).unwrap();
    std::fs::create_dir(place(&blobs[3])).unwrap();
    let stray = file_of(directory, &digest(b"stray"));
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, b"stray").unwrap();
    std::fs::write(stray.with_file_name("stranger"), b"stranger").unwrap();
    let database = rusqlite::Connection::open(directory.join("mcr.db")).unwrap();
    database.execute_batch("INSERT INTO blobs (digest, size, created_at) VALUES ('nonsense', 1, 0)").unwrap();
    drop(database);
    stray
}

#[test]
fn verifying_finds_all_kinds_of_damage_and_a_push_heals_what_was_mended() {
    let data = Data::new();
    let directory = data.path().join("data");
    let blobs: Vec<Vec<u8>> = (0..6).map(|seed| Noise::new(seed).bytes(3000)).collect();
    let mut promised = Promised::default();
    {
        let server = data.start(&[]);
        promised.push_image(&mut server.client(), "team/app", "v1", &blobs);
    }
    said(0, &["verify", "--data", text(&directory)]);
    let stray = damage(&directory, &blobs);
    let found = said(1, &["verify", "--data", text(&directory)]);
    let bad = [
        (digest(&blobs[0]), "other bytes"),
        (digest(&blobs[1]), "has 100 bytes instead of 3000"),
        (digest(&blobs[2]), "is missing"),
        (digest(&blobs[3]), "not a regular file"),
        (digest(b"stray"), "its file has no row"),
        ("stranger".to_owned(), "its name is no digest"),
        ("the blob in row".to_owned(), "\"nonsense\""),
    ];
    for (about, what) in &bad {
        let is_told = |line: &str| line.contains(about.as_str()) && line.contains(what);
        assert!(found.lines().any(is_told), "{about} {what}: {found}");
    }
    assert!(found.contains("7 problems found") && found.contains("--repair"), "{found}");
    let mended = said(1, &["verify", "--data", text(&directory), "--repair"]);
    assert!(mended.contains("7 problems were found, 6 mended"), "{mended}");
    assert_eq!(std::fs::read_dir(directory.join("layers/quarantine")).unwrap().count(), 4);
    let again = said(1, &["verify", "--data", text(&directory)]);
    assert_eq!(again.matches("it is marked bad; push it again").count(), 4, "{again}");

    let server = data.start(&[]);
    let mut client = server.client();
    for (index, blob) in blobs.iter().enumerate() {
        let status = client.get(&format!("/v2/team/app/blobs/{}", digest(blob))).status;
        assert_eq!(status, if index < 4 { 404 } else { 200 }, "{index}");
    }
    for blob in &blobs[..4] {
        assert_eq!(push_blob(&mut client, "team/app", blob).unwrap().status, 201);
    }
    promised.check(&server);
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    let swept = mcrctl.json(&["gc", "run", "--wait"]);
    let left = server.files("layers/quarantine").len();
    assert_eq!((&swept["strays_waiting"], left), (&json!(1), 3), "{swept}");
    promised.check(&server);
    // It goes when it was found a second time, an hour later.
    std::fs::remove_file(stray).unwrap();
    said(0, &["verify", "--data", text(&directory)]);
}

#[test]
fn what_was_marked_and_is_good_is_shown_again_and_a_bad_manifest_is_found() {
    let data = Data::new();
    let directory = data.path().join("data");
    let blobs = [b"one".to_vec(), b"two".to_vec()];
    let mut promised = Promised::default();
    promised.push_image(&mut data.start(&[]).client(), "a", "v1", &blobs);
    let change = |sql: &str| {
        rusqlite::Connection::open(directory.join("mcr.db")).unwrap().execute_batch(sql).unwrap();
    };
    change("UPDATE blobs SET state = 2");
    assert!(said(1, &["verify", "--data", text(&directory)]).contains("its file is good"));
    assert!(said(1, &["verify", "--data", text(&directory), "--repair"]).contains("2 mended"));
    said(0, &["verify", "--data", text(&directory)]);
    promised.check(&data.start(&[]));
    change("UPDATE manifests SET body = CAST(replace(CAST(body AS TEXT), '2', '3') AS BLOB)");
    let found = said(1, &["verify", "--data", text(&directory)]);
    assert!(found.contains("of \"a\" has other bytes"), "{found}");
    // A store that is not there is no reason to mark every blob as bad.
    std::fs::rename(directory.join("layers"), directory.join("elsewhere")).unwrap();
    let refused = said(1, &["verify", "--data", text(&directory), "--repair"]);
    assert!(refused.contains("has no marker") && refused.contains("nothing was changed"), "{refused}");
}

/// A second view of a directory, in which nothing can be written; it goes when it goes out of scope.
struct ReadOnly(std::path::PathBuf);

impl ReadOnly {
    /// `None` where this user may not mount.
    fn of(directory: &std::path::Path, at: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mount = |options: &[&str]| {
            let mounted = std::process::Command::new("mount").args(options).arg(&at).output();
            mounted.is_ok_and(|mounted| mounted.status.success())
        };
        if !mount(&["--bind", directory.to_str().unwrap()]) {
            return None;
        }
        let view = Self(at.clone());
        mount(&["-o", "remount,bind,ro"]).then_some(view)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} is still mounted", self.0.display());
    }
}

#[test]
fn what_can_only_be_read_is_verified_with_and_without_a_server() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let blob = Noise::new(1).bytes(1000);
    assert_eq!(push_blob(&mut client, "a", &blob).unwrap().status, 201);
    let Some(view) = ReadOnly::of(&server.data, data.path().join("view")) else {
        println!("SKIPPED: a read-only mount needs root");
        return;
    };
    let verify = |directory: &std::path::Path| {
        let mut command = std::process::Command::new(crate::support::program());
        let output = command.args(["verify", "--data"]).arg(directory).output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), text.concat())
    };
    let expected = "1 blobs with 1000 bytes and 0 manifests are read, 0 problems found\n";
    let (code, said) = verify(&view.0);
    assert_eq!((code, said.as_str()), (Some(0), expected), "beside a server");
    drop(client);
    server.kill();
    // The log of a server that was killed is not empty; with its index it can be read.
    let (code, said) = verify(&view.0);
    assert_eq!((code, said.as_str()), (Some(0), expected), "after a server was killed");
    std::fs::remove_file(data.path().join("data/mcr.db-shm")).unwrap();
    let (code, said) = verify(&view.0);
    assert_eq!(code, Some(1));
    let log = std::fs::metadata(data.path().join("data/mcr.db-wal")).unwrap().len();
    assert!(log > 0 && said.contains("can only be read here, and its log is not empty"), "{said}");
    // A verify that may write reads the log into the database.
    assert_eq!(verify(&data.path().join("data")).0, Some(0));
}

/// What is below a directory, with its content, but for the registry's own marks.
fn tree(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else if !path.file_name().unwrap().as_encoded_bytes().starts_with(b".mcr-") {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn what_cannot_be_read_stays_and_what_lies_aside_and_is_good_is_brought_back() {
    let Some(faults) = Faults::new() else {
        println!("SKIPPED: making calls fail needs a C compiler");
        return;
    };
    let data = Data::new();
    let directory = data.path().join("data");
    let blobs: Vec<Vec<u8>> = (0..10).map(|seed| Noise::new(seed).bytes(3000)).collect();
    let mut promised = Promised::default();
    promised.push_image(&mut data.start(&[]).client(), "a", "v1", &blobs);
    said(0, &["verify", "--data", text(&directory)]);
    let layers = tree(&directory.join("layers"));
    faults.arm("read", EIO, "/layers/sha256/");
    let mut command = mcrsrv(&["verify", "--repair", "--data", text(&directory)]);
    let output = command.envs(faults.variables()).output().unwrap();
    let unread = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{unread}");
    assert_eq!(unread.matches("cannot be read").count(), 10, "{unread}");
    assert!(unread.contains("10 files could not be read and stay as they are"), "{unread}");
    assert!(tree(&directory.join("layers")) == layers, "files were moved that nobody had read");
    faults.disarm("read");
    said(0, &["verify", "--data", text(&directory)]);
    promised.check(&data.start(&[]));

    // As an earlier version did with what it could not read. One of them is bad, and one has a bad file in its place by now.
    std::fs::create_dir(directory.join("layers/quarantine")).unwrap();
    for (number, blob) in blobs.iter().enumerate() {
        let place = file_of(&directory, &digest(blob));
        let name = place.file_name().unwrap().to_str().unwrap();
        let name = if number == 3 { format!("{name}.1") } else { name.to_owned() };
        std::fs::rename(&place, directory.join("layers/quarantine").join(name)).unwrap();
    }
    let hex = |number: usize| digest(&blobs[number]).split_once(':').unwrap().1.to_owned();
    std::fs::write(directory.join("layers/quarantine").join(hex(0)), "other").unwrap();
    std::fs::write(file_of(&directory, &digest(&blobs[1])), "short").unwrap();
    let database = rusqlite::Connection::open(directory.join("mcr.db")).unwrap();
    database.execute_batch("UPDATE blobs SET state = 2").unwrap();
    drop(database);
    let found = said(1, &["verify", "--data", text(&directory)]);
    assert_eq!(found.matches("a good copy of it is").count(), 9, "{found}");
    let mended = said(1, &["verify", "--repair", "--data", text(&directory)]);
    assert!(mended.contains("10 problems were found, 9 mended"), "{mended}");
    let after = tree(&directory.join("layers"));
    let again = said(1, &["verify", "--repair", "--data", text(&directory)]);
    assert!(again.contains("1 problems were found, 0 mended"), "{again}");
    assert!(tree(&directory.join("layers")) == after, "a second run changed something");
    let server = data.start(&[]);
    assert_eq!(push_blob(&mut server.client(), "a", &blobs[0]).unwrap().status, 201);
    promised.check(&server);
}

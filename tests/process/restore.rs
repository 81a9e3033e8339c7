//! Restoring: only where there is nothing, only what is whole, and again after it was cut.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::content::{Noise, digest};
use crate::support::snapshots::{Promised, mcrsrv, said, taken, text};
use crate::support::{Data, Server};

/// A registry with an image of so many blobs, and a snapshot of it.
fn with_snapshot(count: u64, size: usize) -> (Data, Promised, PathBuf) {
    let data = Data::new();
    let blobs: Vec<Vec<u8>> = (0..count).map(|seed| Noise::new(seed).bytes(size)).collect();
    let mut promised = Promised::default();
    let server = data.start(&[]);
    let mut client = server.client();
    promised.push_image(&mut client, "team/app", "v1", &blobs);
    // An upload in progress is in no snapshot.
    let begun = client.request("POST", "/v2/team/app/blobs/uploads/", &[], b"");
    assert_eq!(client.request("PATCH", &begun.location(), &[], b"part").status, 202);
    let snapshot = taken(&mut client, "a");
    (data, promised, snapshot)
}

/// Starts a server where something was restored; the administrator is the one of `data`.
fn started(data: &Data, place: &Data) -> Server {
    let password = data.path().join("data/admin-password");
    std::fs::copy(password, place.path().join("data/admin-password")).unwrap();
    place.start(&[])
}

#[test]
fn only_where_there_is_neither_database_nor_blob() {
    let (data, promised, snapshot) = with_snapshot(2, 1000);
    let directory = data.path().join("data");
    let restore = |to: &Path| ["restore", "--data", text(to), "--from", text(&snapshot)].map(str::to_owned);
    let refused = |to: &Path| {
        let arguments = restore(to);
        said(1, &arguments.each_ref().map(String::as_str))
    };
    assert!(
        refused(&directory).contains("mcr.db is there: a snapshot is restored where there is no database")
    );
    std::fs::rename(directory.join("mcr.db"), data.path().join("aside.db")).unwrap();
    let refusal = refused(&directory);
    assert!(refusal.contains("-wal is there") || refusal.contains("has blobs"), "{refusal}");
    for name in ["mcr.db-wal", "mcr.db-shm"] {
        let _gone = std::fs::remove_file(directory.join(name));
    }
    assert!(refused(&directory).contains("layers has blobs: a snapshot is restored where there are none"));
    let place = Data::new();
    said(0, &restore(&place.path().join("data")).each_ref().map(String::as_str));
    let server = started(&data, &place);
    promised.check(&server);
    let uploads = server.client().get("/v1/uploads").text();
    assert!(uploads.contains("\"total\":0"), "{uploads}");
}

#[test]
fn a_damaged_snapshot_is_refused_and_the_blob_named() {
    let (data, promised, snapshot) = with_snapshot(3, 1000);
    let bad = digest(&Noise::new(1).bytes(1000));
    let hex = &bad["sha256:".len()..];
    let file = snapshot.join("blobs/sha256").join(&hex[..2]).join(hex);
    // As a disk would damage it: the file that the live registry has stays good.
    let content = std::fs::read(&file).unwrap();
    let damage = |path: &Path, content: &[u8]| {
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, content).unwrap();
    };
    damage(&file, &vec![b'x'; 1000]);
    let place = Data::new();
    let to = place.path().join("data");
    let restore = ["restore", "--data", text(&to), "--from", text(&snapshot)];
    let refused = said(1, &restore);
    assert!(refused.contains("is damaged: 1 of its blobs are bad") && refused.contains(&bad), "{refused}");
    assert!(said(1, &["verify", "--snapshot", text(&snapshot)]).contains(&bad));
    assert!(!to.join("mcr.db").try_exists().unwrap());
    let refused = said(1, &["dev", "--http", "--listen", "127.0.0.1:0", "--data", text(&to)]);
    assert!(refused.contains("was cut: repeat `mcrsrv restore`, or remove"), "{refused}");
    damage(&file, &content);
    let list = std::fs::read(snapshot.join("digests.txt")).unwrap();
    damage(&snapshot.join("digests.txt"), &list[..100]);
    assert!(said(1, &restore).contains("digests.txt is sha256:"));
    damage(&snapshot.join("digests.txt"), &list);
    let database = std::fs::read(snapshot.join("mcr.db")).unwrap();
    damage(&snapshot.join("mcr.db"), &[&database[..], b"x"].concat());
    assert!(said(1, &restore).contains("mcr.db is sha256:"));
    assert!(said(1, &["verify", "--snapshot", text(&snapshot)]).contains("mcr.db: it is sha256:"));
    damage(&snapshot.join("mcr.db"), &database);
    said(0, &restore);
    said(0, &["verify", "--data", text(&to)]);
    promised.check(&started(&data, &place));
    for (name, expected) in [("manifest.json", "no whole snapshot"), ("mcr.db", "")] {
        std::fs::remove_file(snapshot.join(name)).unwrap();
        let place = Data::new();
        let to = place.path().join("data");
        let refused = said(1, &["restore", "--data", text(&to), "--from", text(&snapshot)]);
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn one_that_was_cut_is_repeated() {
    let (data, promised, snapshot) = with_snapshot(60, 300_000);
    let (place, mut noise, mut cut) = (Data::new(), Noise::new(11), 0);
    let to = place.path().join("data");
    let restore = ["restore", "--data", text(&to), "--from", text(&snapshot)];
    for _ in 0..10 {
        let mut child = mcrsrv(&restore).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(noise.below(400)));
        child.kill().unwrap();
        if child.wait().unwrap().success() || to.join("mcr.db").try_exists().unwrap() {
            said(0, &["verify", "--data", text(&to)]);
            std::fs::remove_dir_all(&to).unwrap();
        } else {
            cut += 1;
        }
    }
    println!("{cut} of 10 were cut");
    said(0, &restore);
    said(0, &["verify", "--data", text(&to)]);
    promised.check(&started(&data, &place));
}

#[test]
fn without_a_server_a_snapshot_is_taken_under_the_lock() {
    let (data, promised, _) = with_snapshot(2, 1000);
    let (directory, to) = (data.path().join("data"), data.path().join("copy"));
    let snapshot = ["snapshot", "--data", text(&directory), "--to", text(&to)];
    {
        let server = data.start(&[]);
        let refused = said(1, &snapshot);
        assert!(refused.contains("`mcrctl snapshot create` takes snapshots"), "{refused}");
        assert!(refused.contains("is in use by mcrsrv dev"), "{refused}");
        let refused = said(1, &["verify", "--data", text(&directory), "--repair"]);
        assert!(refused.contains("works without --repair and --adopt only"), "{refused}");
        said(0, &["verify", "--data", text(&directory)]);
        server.kill();
    }
    assert!(said(0, &snapshot).contains("2 blobs, 2000 bytes; 0 were missing or bad"));
    assert!(said(1, &snapshot).contains("is not empty: name a new directory"));
    said(0, &["verify", "--snapshot", text(&to)]);
    let place = Data::new();
    let target = place.path().join("data");
    said(0, &["restore", "--data", text(&target), "--from", text(&to)]);
    promised.check(&started(&data, &place));
    let nowhere = data.path().join("nowhere");
    for arguments in [
        ["snapshot", "--data", text(&nowhere), "--to", "x"].as_slice(),
        &["verify", "--data", text(&nowhere)],
    ] {
        assert!(said(1, arguments).contains("there is no database"));
    }
    assert!(!nowhere.try_exists().unwrap(), "something was made");
    for arguments in [
        ["snapshot", "--to", "x"].as_slice(),
        &["verify"],
        &["verify", "--snapshot", "x", "--repair"],
        &["verify", "--config", "x", "--data", "y"],
        &["restore", "--data", "x"],
    ] {
        said(2, arguments);
    }
}

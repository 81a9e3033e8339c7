//! What a registry rests on: tried at its start, done without where there is another way, and made again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Data;
use crate::support::content::{Noise, digest, push_blob, push_blob_by_patch};
use crate::support::disk::SmallDisk;
use crate::support::faults::{EINVAL, EPERM, Faults};
use crate::support::snapshots::{Promised, said, taken, text};

fn faults() -> Option<Faults> {
    let faults = Faults::new();
    if faults.is_none() {
        println!("SKIPPED: making calls fail needs a C compiler");
    }
    faults
}

#[test]
fn without_hard_links_every_way_to_push_works_and_the_start_says_so() {
    let Some(faults) = faults() else { return };
    let data = Data::new();
    faults.arm("link", EPERM, "/");
    let server = data.start(&faults.variables());
    server.logged("files cannot have second names there (hard links)");
    let mut client = server.client();
    let mut promised = Promised::default();
    promised.push_image(&mut client, "a", "v1", &[Noise::new(1).bytes(3000)]);
    let parts = Noise::new(2).bytes(3 << 20);
    let pushed = push_blob_by_patch(&mut client, "a", &parts).unwrap();
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    assert_eq!(client.get(&format!("/v2/a/blobs/{}", digest(&parts))).body, parts);
    let snapshot = taken(&mut client, "copied");
    assert!(server.files("uploads").is_empty(), "a copy stayed behind");
    server.kill();
    said(0, &["verify", "--data", text(&data.path().join("data"))]);
    said(0, &["verify", "--snapshot", text(&snapshot)]);
    promised.check(&data.start(&[]));
}

#[test]
fn a_directory_whose_names_cannot_be_made_to_last_is_refused_with_a_sentence() {
    let Some(faults) = faults() else { return };
    let data = Data::new();
    drop(data.start(&[]));
    for part in ["/uploads", "/layers"] {
        faults.arm("sync", EINVAL, part);
        let mut command = Command::new(crate::support::program());
        command.args(["dev", "--http", "--listen", "127.0.0.1:0", "--data"]).arg(data.path().join("data"));
        let output = command.envs(faults.variables()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let is_told = said.contains(part) && (said.contains("made to last") || said.contains("synced there"));
        assert!(!output.status.success() && is_told, "{said}");
        faults.disarm("sync");
    }
    drop(data.start(&[]));
}

#[test]
fn where_locks_keep_nobody_out_nothing_starts() {
    let Some(faults) = faults() else { return };
    let data = Data::new();
    drop(data.start(&[]));
    for part in ["/mcr.db.lock", "/layers/", "/uploads/", "/snapshots/"] {
        faults.arm("flock", EINVAL, part);
        let mut command = Command::new(crate::support::program());
        command.args(["dev", "--http", "--listen", "127.0.0.1:0", "--data"]).arg(data.path().join("data"));
        let output = command.envs(faults.variables()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("keeps nobody out"), "{part}: {said}");
        faults.disarm("flock");
    }
    drop(data.start(&[]));
}

/// Waits until it is so: what `ready` says may be a second old.
fn until(mut it_is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !it_is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not come to that");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the marker in a directory says.
fn marker(directory: &Path) -> String {
    std::fs::read_to_string(directory.join(".mcr-registry")).unwrap()
}

#[test]
fn a_directory_of_uploads_that_was_removed_under_the_server_is_made_again() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let uploads = server.data.join("uploads");
    let before = marker(&uploads);
    let (blob, other) = (Noise::new(1).bytes(2000), Noise::new(2).bytes(2000));
    let under_way = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    assert_eq!(client.request("PATCH", &under_way, &[], b"abc").status, 202);
    // Whoever comes first makes it: a push in parts, one in a request, or a question.
    for first in 0..3 {
        std::fs::remove_dir_all(&uploads).unwrap();
        match first {
            0 => assert_eq!(push_blob_by_patch(&mut client, "a", &blob).unwrap().status, 201),
            1 => assert_eq!(push_blob(&mut client, "a", &other).unwrap().status, 201),
            _ => until(|| client.get("/v1/ready").status == 200 && uploads.try_exists().unwrap()),
        }
        assert_eq!(marker(&uploads), before, "{first}");
    }
    server.logged("was gone, and is made again: what was pushed in parts there is lost");
    // That is said, and nothing more is promised for it.
    for _ in 0..2 {
        assert_eq!(client.request("PATCH", &under_way, &[], b"def").status, 404);
    }
    // A push that ends with the removed file is told the same.
    let ending = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    assert_eq!(client.request("PATCH", &ending, &[], b"abc").status, 202);
    std::fs::remove_dir_all(&uploads).unwrap();
    let end = format!("{ending}{}digest={}", if ending.contains('?') { '&' } else { '?' }, digest(b"abc"));
    for _ in 0..2 {
        assert_eq!(client.request("PUT", &end, &[], b"").status, 404);
    }
    assert_eq!(push_blob(&mut client, "a", &other).unwrap().status, 201);
    drop(server);
    let server = data.start(&[]);
    for blob in [&blob, &other] {
        assert_eq!(server.client().get(&format!("/v2/a/blobs/{}", digest(blob))).body, *blob);
    }
}

#[test]
fn a_disk_of_uploads_that_is_not_there_is_no_empty_directory() {
    let data = Data::new();
    let disk = data.path().join("disk");
    let uploads = disk.join("uploads");
    let server = data.start(&[("MCR_STORAGE_UPLOADS_PATH", text(&uploads))]);
    let mut client = server.client();
    assert_eq!(push_blob_by_patch(&mut client, "a", b"one").unwrap().status, 201);
    let away = data.path().join("away");
    std::fs::rename(&disk, &away).unwrap();
    let refused = client.request("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert!(refused.status >= 500 && !disk.try_exists().unwrap(), "{}", refused.status);
    until(|| client.get("/v1/ready").status == 503);
    std::fs::rename(&away, &disk).unwrap();
    assert_eq!(push_blob_by_patch(&mut client, "a", b"two").unwrap().status, 201);
    until(|| client.get("/v1/ready").status == 200);
}

/// The place that a disk is mounted on is still there when the disk is not.
#[test]
fn a_disk_that_is_unmounted_under_the_server_takes_nothing() {
    let data = Data::new();
    let at = data.path().join("disk");
    let Some(disk) = SmallDisk::mount(&at, "64m") else {
        println!("SKIPPED: mounting a small file system needs root");
        return;
    };
    let (layers, uploads) = (at.join("layers"), at.join("uploads"));
    let settings = [
        ("MCR_STORAGE_LAYERS_PATH", text(&layers)),
        ("MCR_STORAGE_UPLOADS_PATH", text(&uploads)),
        ("MCR_STORAGE_MIN_FREE", "0"),
    ];
    let server = data.start(&settings);
    let mut client = server.client();
    let blob = Noise::new(1).bytes(2000);
    assert_eq!(push_blob_by_patch(&mut client, "a", &blob).unwrap().status, 201);
    drop(disk);
    for _ in 0..2 {
        let begun = client.request("POST", "/v2/a/blobs/uploads/", &[], b"");
        assert!(begun.status >= 500, "{}", begun.status);
        let whole = format!("/v2/a/blobs/uploads/?digest={}", digest(b"new"));
        let pushed = client.request("POST", &whole, &[], b"new");
        assert!(pushed.status >= 500, "{}", pushed.status);
    }
    assert_eq!(std::fs::read_dir(&at).unwrap().count(), 0, "something was made in place of the disk");
    until(|| client.get("/v1/ready").status == 503);
}

#[test]
fn a_directory_of_blobs_that_was_removed_under_the_server_is_made_again() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let (lost, new) = (Noise::new(1).bytes(2000), Noise::new(2).bytes(2000));
    assert_eq!(push_blob(&mut client, "a", &lost).unwrap().status, 201);
    std::fs::remove_dir_all(server.data.join("layers")).unwrap();
    for blob in [&new, &lost] {
        let pushed = push_blob_by_patch(&mut client, "a", blob).unwrap();
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        assert_eq!(client.get(&format!("/v2/a/blobs/{}", digest(blob))).body, *blob);
    }
    server.logged("was gone, and is made again");
    server.kill();
    said(0, &["verify", "--data", text(&data.path().join("data"))]);
    let server = data.start(&[]);
    let mut client = server.client();
    for blob in [&new, &lost] {
        assert_eq!(client.get(&format!("/v2/a/blobs/{}", digest(blob))).body, *blob);
    }
}

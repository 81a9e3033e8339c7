//! Snapshots from outside: taken while people push and delete, and cut at random instants.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::content::{Noise, digest, manifest};
use crate::support::http::Client;
use crate::support::mcrctl::Mcrctl;
use crate::support::snapshots::{Promised, ended, json_of, listed, restored, said, taken, text};
use crate::support::{Data, StopLater};

/// Pushes images, and deletes every second one, until it is told to stop.
fn push_and_delete(mut client: Client, number: u64, promised: &Mutex<Promised>, stop: &AtomicBool) {
    let (repository, mut noise) = (format!("load/client-{number}"), Noise::new(number));
    for image in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let length = usize::try_from(noise.below(100_000)).unwrap();
        let blobs = [noise.bytes(length), noise.bytes(100)];
        let mut pushed = Promised::default();
        pushed.push_image(&mut client, &repository, &format!("t{image}"), &blobs);
        if image % 2 == 0 {
            promised.lock().unwrap().0.append(&mut pushed.0);
        } else {
            let gone = format!("/v2/{repository}/manifests/{}", digest(&manifest(&blobs)));
            assert_eq!(client.request("DELETE", &gone, &[], b"").status, 202);
            let gone = format!("/v2/{repository}/blobs/{}", digest(&blobs[0]));
            assert_eq!(client.request("DELETE", &gone, &[], b"").status, 202);
        }
    }
}

#[test]
fn one_that_is_taken_under_load_brings_back_all_that_was_acknowledged_before() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "0s")]);
    let (promised, stop) = (Mutex::new(Promised::default()), AtomicBool::new(false));
    let (snapshot, before) = std::thread::scope(|scope| {
        for number in 0..4 {
            let (client, promised, stop) = (server.client(), &promised, &stop);
            scope.spawn(move || push_and_delete(client, number, promised, stop));
        }
        let _stop = StopLater(&stop);
        while promised.lock().unwrap().0.len() < 60 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let before = promised.lock().unwrap().clone();
        let first = taken(&mut server.client(), "under-load");
        let second = taken(&mut server.client(), "once-more");
        // Beside a server at work, nothing that is in order seems wrong.
        said(0, &["verify", "--data", text(&server.data)]);
        said(0, &["verify", "--snapshot", text(&second)]);
        (first, before)
    });
    // What the live registry loses later is in the snapshot all the same.
    let mut client = server.client();
    for (path, _) in before.0.iter().filter(|(path, _)| path.contains("/manifests/")) {
        let found = client.request("HEAD", path, &[], b"");
        let path = format!(
            "{}/{}",
            path.rsplit_once('/').unwrap().0,
            found.header("docker-content-digest").unwrap()
        );
        assert_eq!(client.request("DELETE", &path, &[], b"").status, 202);
    }
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    assert!(mcrctl.json(&["gc", "run", "--wait"])["removed"].as_u64().unwrap() > 0);
    server.kill();
    said(0, &["verify", "--snapshot", text(&snapshot)]);
    let copy = restored(&data, &snapshot);
    let server = copy.start(&[]);
    before.check(&server);
    let mut client = server.client();
    assert_eq!(listed(&mut client).len(), 0, "a snapshot is not in itself");
    Promised::default().push_image(&mut client, "after/all", "v1", &[b"new".to_vec()]);
    server.kill();
    // What the copy writes does not reach the snapshot.
    said(0, &["verify", "--snapshot", text(&snapshot)]);
}

#[test]
fn a_snapshot_and_a_sweep_refuse_one_another_and_mcrctl_tells_how_it_goes() {
    let data = Data::new();
    let server = data.start(&[]);
    let (mut client, mut noise) = (server.client(), Noise::new(7));
    let blobs: Vec<Vec<u8>> = (0..16).map(|_| noise.bytes(4_000_000)).collect();
    Promised::default().push_image(&mut client, "large/app", "v1", &blobs);
    let begun = json_of(&mut client, 202, "POST", "/v1/snapshots", &json!({}));
    let refused = json_of(&mut client, 409, "POST", "/v1/gc", &json!({}));
    assert!(refused["error"].as_str().unwrap().contains("a snapshot is being taken"), "{refused}");
    let refused = json_of(&mut client, 409, "POST", "/v1/snapshots", &Value::Null);
    assert!(refused["error"].as_str().unwrap().contains("snapshot 1 is being taken"), "{refused}");
    assert_eq!(listed(&mut client)[0]["state"], "running");
    let done = ended(&mut client, &begun["id"]);
    assert_eq!(
        (&done["blobs"], &done["bytes"], &done["all_bytes"]),
        (&json!(16), &json!(64_000_000), &json!(64_000_000))
    );
    let sweep = json_of(&mut client, 202, "POST", "/v1/gc", &json!({"dry_run": true}));
    let refused = json_of(&mut client, 409, "POST", "/v1/snapshots", &json!({"name": "x"}));
    assert!(refused["error"].as_str().unwrap().contains("sweep"), "{refused} {sweep}");
    for bad in
        [json!({"name": "../x"}), json!({"name": 7}), json!({"title": "x"}), json!({"name": "a.partial"})]
    {
        json_of(&mut client, 400, "POST", "/v1/snapshots", &bad);
    }
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    while mcrctl.json(&["gc", "status"])["state"] == "running" {
        std::thread::sleep(Duration::from_millis(5));
    }
    let made = mcrctl.json(&["snapshot", "create", "--name", "nightly", "--wait"]);
    assert!(made["state"] == "done" && made["name"].as_str().unwrap().ends_with("Z-nightly"), "{made}");
    assert_eq!(mcrctl.json(&["snapshot", "list"])["items"][0]["id"], made["id"]);
    assert!(mcrctl.fails(1, &["snapshot", "create", "--name", "A"]).contains("lower-case"));
    let events = |event: &str| mcrctl.json(&["audit", "list", "--event", event])["total"].clone();
    assert_eq!((events("snapshot_started"), events("snapshot_finished")), (json!(2), json!(2)));
    let modes = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    let path = PathBuf::from(made["path"].as_str().unwrap());
    assert_eq!((modes(&path), modes(&path.join("blobs/sha256"))), (0o700, 0o700));
    let mut names: Vec<_> =
        std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["blobs", "digests.txt", "manifest.json", "mcr.db"]);
    for file in ["mcr.db", "digests.txt", "manifest.json"] {
        assert_eq!(modes(&path.join(file)), 0o600, "{file}");
    }
}

/// The snapshots that have their names.
fn whole(data: &Data) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(data.path().join("data/snapshots")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    paths.filter(|path| path.extension().is_none_or(|extension| extension != "partial")).collect()
}

#[test]
fn none_that_kill_9_has_cut_passes_for_whole() {
    let (data, mut noise) = (Data::new(), Noise::new(3));
    let mut promised = Promised::default();
    let rounds = std::env::var("MCR_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20);
    for round in 0..rounds {
        let server = data.start(&[]);
        let mut client = server.client();
        if round == 0 {
            let blobs: Vec<Vec<u8>> = (0..40).map(|_| noise.bytes(200_000)).collect();
            promised.push_image(&mut client, "kill/app", "v1", &blobs);
        }
        let states = listed(&mut client);
        assert!(
            states
                .iter()
                .all(|snapshot| ["done", "interrupted"].contains(&snapshot["state"].as_str().unwrap()))
        );
        json_of(&mut client, 202, "POST", "/v1/snapshots", &Value::Null);
        std::thread::sleep(Duration::from_millis(noise.below(500)));
        server.kill();
        for path in whole(&data) {
            said(0, &["verify", "--snapshot", text(&path)]);
        }
    }
    println!("{} of {rounds} were cut", rounds - whole(&data).len());
    said(0, &["verify", "--data", text(&data.path().join("data"))]);
    let server = data.start(&[]);
    promised.check(&server);
    taken(&mut server.client(), "the-last");
    let names = std::fs::read_dir(data.path().join("data/snapshots")).unwrap();
    let partial = |name: &std::ffi::OsString| name.as_encoded_bytes().ends_with(b".partial");
    let left: Vec<_> = names.map(|entry| entry.unwrap().file_name()).filter(partial).collect();
    assert!(left.is_empty(), "a leftover stays: {left:?}");
}

//! Collection as an administrator sees it: what a dry run lists, what a sweep takes, and what damaged rows and files do to it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::content::{Noise, digest, manifest, push_blob, push_manifest};
use crate::support::http::Client;
use crate::support::mcrctl::Mcrctl;
use crate::support::snapshots::json_of;
use crate::support::{Data, Server};

fn push(client: &mut Client, repository: &str, tag: &str, blobs: &[Vec<u8>]) -> String {
    for blob in blobs {
        assert_eq!(push_blob(client, repository, blob).unwrap().status, 201);
    }
    let image = manifest(blobs);
    assert_eq!(push_manifest(client, repository, tag, &image).unwrap().status, 201);
    digest(&image)
}

fn delete(client: &mut Client, path: &str) {
    assert_eq!(client.request("DELETE", path, &[], b"").status, 202, "{path}");
}

fn blobs(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|seed| Noise::new(seed).bytes(1000)).collect()
}

fn mcrctl(data: &Data, server: &Server) -> Mcrctl {
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(server);
    mcrctl
}

const HOUR: u64 = 3600;

/// Puts it into the database that a sweep found this file without a row, so many seconds ago.
fn note_stray(server: &Server, digest: &str, seconds: u64) {
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let first_seen = "CAST(strftime('%s', 'now') AS INTEGER) * 1000 - ?2 * 1000";
    let note = format!(
        "INSERT INTO strays (digest, first_seen, last_sweep) VALUES (?1, {first_seen}, 0)
         ON CONFLICT (digest) DO UPDATE SET first_seen = excluded.first_seen"
    );
    database.execute(&note, (digest, seconds)).unwrap();
}

/// Puts a file among the blobs that no row names; answers its digest.
fn make_stray(server: &Server, content: &[u8]) -> String {
    let stray = digest(content);
    let (_, hex) = stray.split_once(':').unwrap();
    let place = server.data.join("layers/sha256").join(&hex[..2]);
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join(hex), content).unwrap();
    stray
}

#[test]
fn a_file_without_a_row_goes_when_two_sweeps_have_found_it_an_hour_apart() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "0s")]);
    let mcrctl = mcrctl(&data, &server);
    let blobs: Vec<Vec<u8>> = (0..40).map(|seed| Noise::new(seed).bytes(100)).collect();
    push(&mut server.client(), "team/app", "v1", &blobs);
    let stray = make_stray(&server, b"stray");
    let sweep = || {
        let report = mcrctl.json(&["gc", "run", "--wait"]);
        (report["strays"].as_u64().unwrap(), report["strays_waiting"].as_u64().unwrap())
    };
    assert_eq!(sweep(), (0, 1), "it was found for the first time");
    note_stray(&server, &stray, HOUR - 60);
    drop(server);
    let server = data.start(&[("MCR_GC_GRACE", "0s")]);
    assert_eq!(sweep_again(&mcrctl, &server), (0, 1), "less than an hour apart");
    note_stray(&server, &stray, HOUR + 60);
    assert_eq!(sweep_again(&mcrctl, &server), (1, 0));
    assert_eq!(server.files("layers").len(), blobs.len());
}

#[test]
fn when_a_tenth_of_all_files_has_no_row_none_goes_without_a_word() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "0s")]);
    let mcrctl = mcrctl(&data, &server);
    let blobs: Vec<Vec<u8>> = (0..40).map(|seed| Noise::new(seed).bytes(100)).collect();
    push(&mut server.client(), "team/app", "v1", &blobs);
    let strays: Vec<String> = (0..5).map(|number: u8| make_stray(&server, &[number])).collect();
    strays.iter().for_each(|stray| note_stray(&server, stray, 2 * HOUR));
    let report = mcrctl.json(&["gc", "run", "--wait"]);
    assert_eq!((&report["strays"], &report["strays_waiting"]), (&0.into(), &5.into()), "{report}");
    let error = report["errors"][0].as_str().unwrap();
    assert!(error.contains("5 of 45 files have no row") && error.contains("--take-strays"), "{error}");
    assert_eq!(server.files("layers").len(), 45);
    let dry = mcrctl.json(&["gc", "run", "--dry-run", "--wait"]);
    assert_eq!((&dry["strays"], &dry["strays_waiting"]), (&0.into(), &5.into()), "{dry}");
    let items = mcrctl.json(&["gc", "items", &dry["id"].to_string()]);
    let mut listed: Vec<String> = items["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect();
    let mut expected = strays.clone();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    assert!(items["items"].as_array().unwrap().iter().all(|item| item["kind"] == "waiting_stray"), "{items}");
    let report = mcrctl.json(&["gc", "run", "--take-strays", "--wait"]);
    assert_eq!((&report["strays"], &report["strays_waiting"]), (&5.into(), &0.into()), "{report}");
    assert_eq!(server.files("layers").len(), 40);
}

/// A sweep that looks at all files again: what went, and what stays.
fn sweep_again(mcrctl: &Mcrctl, server: &Server) -> (u64, u64) {
    mcrctl.login_as_admin(server);
    let report = mcrctl.json(&["gc", "run", "--take-strays", "--wait"]);
    (report["strays"].as_u64().unwrap(), report["strays_waiting"].as_u64().unwrap())
}

#[test]
fn a_dry_run_lists_exactly_what_a_sweep_takes() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "0s")]);
    let (mut client, mcrctl, blobs) = (server.client(), mcrctl(&data, &server), blobs(4));
    let kept = push(&mut client, "team/app", "v1", &blobs[..2]);
    let gone = push(&mut client, "team/app", "v2", &blobs[1..]);
    // What nothing refers to goes with it; what another repository shows stays.
    push(&mut client, "team/other", "v1", &blobs[2..3]);
    delete(&mut client, &format!("/v2/team/app/manifests/{gone}"));
    std::fs::write(server.files("layers")[0].with_file_name("stranger"), b"not ours").unwrap();
    let stray = make_stray(&server, b"stray");
    // Found twice, an hour apart, it may go.
    note_stray(&server, &stray, 2 * HOUR);

    let word = "--take-strays";
    let report = mcrctl.json(&["gc", "run", "--dry-run", word, "--wait"]);
    assert_eq!((&report["removed"], &report["strays"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(report["repositories"]["team/app"]["bytes"], 1000);
    let items = mcrctl.json(&["gc", "items", &report["id"].to_string()]);
    let found: Vec<(&str, &str)> = items["items"].as_array().unwrap().iter().map(pair).collect();
    assert_eq!(found, [("blob", digest(&blobs[3]).as_str()), ("stray", stray.as_str())]);
    assert_eq!(server.files("layers").len(), 6, "a dry run took something");

    let report = mcrctl.json(&["gc", "run", word, "--wait"]);
    assert_eq!(
        (&report["outcome"], &report["removed"], &report["strays"]),
        (&"done".into(), &1.into(), &1.into())
    );
    assert_eq!((&report["freed_bytes"], &report["left"]), (&1005.into(), &0.into()));
    // A file that is no blob is reported, and stays.
    assert_eq!(report["error_count"], 1, "{report}");
    assert_eq!(server.files("layers").len(), 4);
    assert_eq!(client.get(&format!("/v2/team/app/manifests/{kept}")).status, 200);
    assert_eq!(client.get(&format!("/v2/team/other/blobs/{}", digest(&blobs[2]))).body, blobs[2]);
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{}", digest(&blobs[2]))).status, 404);
    let again = mcrctl.json(&["gc", "run", "--wait"]);
    assert_eq!((&again["links"], &again["removed"]), (&0.into(), &0.into()));
    let events = mcrctl.json(&["audit", "list", "--event", "gc_finished"]);
    assert_eq!((&events["total"], &events["items"][0]["details"]["outcome"]), (&3.into(), &"done".into()));
    assert_eq!(mcrctl.json(&["gc", "list"])["total"], 3);
    assert_eq!(mcrctl.json(&["gc", "status"])["last"]["id"], again["id"]);
    assert!(mcrctl.fails(1, &["gc", "stop"]).contains("no sweep runs"));
}

/// Whoever is told that a sweep has ended finds the collector idle, and may begin the next at once.
#[test]
fn a_sweep_that_is_told_to_have_ended_is_in_nobodys_way() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    for round in 0..100 {
        json_of(&mut client, 202, "POST", "/v1/gc", &json!({"dry_run": round % 2 == 0}));
        let deadline = Instant::now() + Duration::from_secs(30);
        let told = loop {
            let told = json_of(&mut client, 200, "GET", "/v1/gc/sweeps?n=1", &Value::Null);
            if told["items"][0]["outcome"] != "running" {
                break told;
            }
            assert!(Instant::now() < deadline, "round {round}: it does not end");
        };
        if round % 3 == 0 {
            let status = json_of(&mut client, 200, "GET", "/v1/gc/status", &Value::Null);
            assert_eq!(status["state"], "idle", "round {round}: {told} {status}");
        }
    }
}

/// As if a minute had gone by since manifests lost their tags: a sweep leaves what happened while commits were late.
pub(crate) fn age_untagged(server: &Server) {
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database.execute("UPDATE manifest_ties SET untagged_since = untagged_since - 60000", []).unwrap();
}

fn pair(item: &Value) -> (&str, &str) {
    (item["kind"].as_str().unwrap(), item["name"].as_str().unwrap())
}

#[test]
fn grace_keeps_what_was_promised_and_untagged_manifests_go_when_their_time_is_over() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "1h"), ("MCR_GC_UNTAGGED_AFTER", "0s")]);
    let (mut client, mcrctl, blobs) = (server.client(), mcrctl(&data, &server), blobs(3));
    let old = push(&mut client, "a", "v1", &blobs[..1]);
    let new = push(&mut client, "a", "v1", &blobs[1..]);
    age_untagged(&server);
    let report = mcrctl.json(&["gc", "run", "--wait"]);
    assert_eq!((&report["manifests"], &report["removed"]), (&1.into(), &0.into()), "{report}");
    assert_eq!(client.get(&format!("/v2/a/manifests/{old}")).status, 404);
    assert_eq!(client.get(&format!("/v2/a/manifests/{new}")).status, 200);
    let kept = format!("/v2/a/blobs/{}", digest(&blobs[0]));
    assert_eq!(client.request("HEAD", &kept, &[], b"").status, 200);
    let deleted = mcrctl.json(&["audit", "list", "--event", "manifest_deleted"]);
    assert_eq!((&deleted["items"][0]["actor"], &deleted["items"][0]["digest"]), (&"gc".into(), &old.into()));
}

/// A row that names no digest, a directory in a file's place, a file that is missing: each is reported, none stops a sweep
/// or a listing.
#[test]
fn damage_is_reported_and_passed_over() {
    let data = Data::new();
    let blobs = blobs(4);
    {
        let server = data.start(&[]);
        let mut client = server.client();
        let gone = push(&mut client, "a", "v1", &blobs);
        delete(&mut client, &format!("/v2/a/manifests/{gone}"));
    }
    let place = |blob: &[u8]| {
        let digest = digest(blob);
        let (_, hex) = digest.split_once(':').unwrap();
        data.path().join("data/layers/sha256").join(&hex[..2]).join(hex)
    };
    std::fs::remove_file(place(&blobs[0])).unwrap();
    std::fs::create_dir(place(&blobs[0])).unwrap();
    std::fs::remove_file(place(&blobs[1])).unwrap();
    let database = rusqlite::Connection::open(data.path().join("data/mcr.db")).unwrap();
    let damaged = format!(
        "UPDATE repository_blobs SET kept_until = 0; UPDATE blobs SET digest = 'nonsense' WHERE digest = '{}';
         INSERT INTO repositories (name, created_at) VALUES ('No/Name', 0);
         INSERT INTO uploads VALUES ('no-uuid', 'a', 'sha256', 0, '{{}}', NULL, 0, 9e15),
                                    ('1b4e28ba-2fa1-11d2-883f-0016d3cca427', 'a', 'sha256', 0, 'nobody', NULL, 0, 9000000000000);",
        digest(&blobs[2])
    );
    database.execute_batch(&damaged.replace("9e15", "9000000000000")).unwrap();
    drop(database);
    let server = data.start(&[]);
    let mcrctl = mcrctl(&data, &server);
    let report = mcrctl.json(&["gc", "run", "--wait"]);
    assert_eq!((&report["outcome"], &report["removed"]), (&"done".into(), &2.into()), "{report}");
    let errors = report["errors"].to_string();
    assert!(errors.contains("nonsense") && errors.contains(&digest(&blobs[0])), "{errors}");
    let catalog: Value = serde_json::from_slice(&server.client().get("/v2/_catalog").body).unwrap();
    assert_eq!(catalog["repositories"], serde_json::json!(["a"]));
    assert_eq!(mcrctl.json(&["repo", "list"])["items"][0]["name"], "a");
    mcrctl.json(&["upload", "list"]);
    server.logged("No/Name");
    // The one that cannot be removed is absent all the same, and a push of it is told why.
    assert_eq!(server.client().get(&format!("/v2/a/blobs/{}", digest(&blobs[0]))).status, 404);
}

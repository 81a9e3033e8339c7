//! A full disk refuses what needs space, keeps what was there, and is over when there is space again.

use std::path::Path;
use std::process::Command;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::admin::{expect, send, value};
use crate::support::content::{Noise, digest, manifest, push_blob, push_blob_by_patch, push_manifest};
use crate::support::disk::SmallDisk;
use crate::support::faults::{EDQUOT, Faults};
use crate::support::http::Client;
use crate::support::{Data, Server};

#[test]
fn a_full_disk_refuses_and_recovers() {
    let data = Data::new();
    let at = data.path().join("data");
    let Some(_disk) = SmallDisk::mount(&at, "24m") else {
        println!("SKIPPED: mounting a small file system needs root");
        return;
    };
    let server = data.start(&[("MCR_STORAGE_MIN_FREE", "0")]);
    let mut client = server.client();
    let kept = Noise::new(1).bytes(1 << 20);
    assert_eq!(push_blob(&mut client, "a", &kept).unwrap().status, 201);
    assert_eq!(
        push_manifest(&mut client, "a", "v1", &manifest(std::slice::from_ref(&kept))).unwrap().status,
        201
    );
    let begun = client.request("POST", "/v2/a/blobs/uploads/", &[], b"");
    let part = Noise::new(2).bytes(1 << 20);
    assert_eq!(client.request("PATCH", &begun.location(), &[], &part).status, 202);

    let large = Noise::new(3).bytes(32 << 20);
    for refused in [push_blob(&mut client, "a", &large), push_blob_by_patch(&mut client, "a", &large)] {
        let refused = refused.unwrap();
        assert_eq!(refused.status, 507, "{}", refused.text());
        assert!(refused.text().contains("\"errors\""), "{}", refused.text());
    }
    fill(&at);
    let refused = push_blob(&mut client, "a", &part).unwrap();
    assert_eq!(refused.status, 507, "{}", refused.text());
    // The bytes are there, only the row finds no room: docker sends this request again.
    let put = format!("{}?digest={}", begun.location(), digest(&part));
    let refused = client.request("PUT", &put, &[], b"");
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!(client.get("/v2/a/manifests/v1").body, manifest(std::slice::from_ref(&kept)));
    assert_eq!(client.get(&format!("/v2/a/blobs/{}", digest(&kept))).body, kept);

    std::fs::remove_file(at.join("filler")).unwrap();
    let status = client.get(&begun.location());
    assert_eq!(status.header("range"), Some("0-1048575"));
    let finished = client.request("PUT", &put, &[], b"");
    assert_eq!(finished.status, 201, "{}", finished.text());
    assert_eq!(client.get(&format!("/v2/a/blobs/{}", digest(&part))).body, part);
}

/// Leaves no byte free.
fn fill(at: &Path) {
    use std::io::Write;
    let mut filler = std::fs::File::create(at.join("filler")).unwrap();
    for size in [1 << 20, 4096] {
        while filler.write_all(&vec![1; size]).is_ok() {}
    }
}

#[test]
fn a_body_that_does_not_say_its_length_leaves_what_must_stay_free() {
    let data = Data::new();
    let at = data.path().join("data");
    let Some(_disk) = SmallDisk::mount(&at, "24m") else {
        println!("SKIPPED: mounting a small file system needs root");
        return;
    };
    let server = data.start(&[("MCR_STORAGE_MIN_FREE", "12MiB")]);
    let mut client = server.client();
    let location = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    // It would fit onto the disk.
    let mut body = b"1000000\r\n".to_vec();
    body.extend(Noise::new(1).bytes(16 << 20));
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    let refused = client.request("PATCH", &location, &[("Transfer-Encoding", "chunked")], &body);
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!(client.get(&location).header("range"), Some("0-0"));
    assert_eq!(client.request("PATCH", &location, &[], b"abc").status, 202);
    let done = client.request("PUT", &format!("{location}?digest={}", digest(b"abc")), &[], b"");
    assert_eq!(done.status, 201, "{}", done.text());
}

#[test]
fn below_min_free_uploads_are_refused_before_a_byte_is_read_and_deletes_go_on() {
    let data = Data::new();
    let server = data.start(&[]);
    let blob = Noise::new(1).bytes(1000);
    assert_eq!(push_blob(&mut server.client(), "a", &blob).unwrap().status, 201);
    drop(server);
    let server = data.start(&[("MCR_STORAGE_MIN_FREE", "1000TiB")]);
    let mut client = server.client();
    let refused = client.request("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(refused.status, 507, "{}", refused.text());
    let path = format!("/v2/a/blobs/{}", digest(&blob));
    assert_eq!(client.get(&path).status, 200);
    assert_eq!(client.request("DELETE", &path, &[], b"").status, 202);
}

const RESERVE: &str = "mcr.db.reserve";

fn reserve(server: &Server) -> u64 {
    std::fs::metadata(server.data.join(RESERVE)).unwrap().len()
}

/// What must work on a disk without a free byte: whoever is to free room must get in.
fn frees(server: &Server, blobs: &[Vec<u8>]) {
    let mut client = server.client();
    let token = client.get("/v2/token");
    assert_eq!(token.status, 200, "{}", token.text());
    let login = json!({"username": "admin", "password": crate::support::admin::password(server)});
    expect(&mut server.stranger(), 200, "POST", "/v1/auth/login", login);
    let refused = push_manifest(&mut client, "a", "new", &manifest(&blobs[..1])).unwrap();
    assert_eq!(refused.status, 507, "{}", refused.text());
    for blob in blobs {
        let path = format!("/v2/a/blobs/{}", digest(blob));
        assert_eq!(client.get(&path).body, *blob);
        let deleted = client.request("DELETE", &path, &[], b"");
        assert_eq!(deleted.status, 202, "{}", deleted.text());
    }
    expect(&mut client, 202, "POST", "/v1/gc", json!({}));
    let began = Instant::now();
    let swept = loop {
        let last = expect(&mut client, 200, "GET", "/v1/gc/sweeps", Value::Null)["items"][0].clone();
        if last["outcome"] != "running" {
            break last;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{last}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((&swept["outcome"], &swept["removed"]), (&json!("done"), &json!(blobs.len())), "{swept}");
}

/// Writes something until the registry has taken its room again.
fn is_whole_again(server: &Server, client: &mut Client) {
    let began = Instant::now();
    while reserve(server) < 8 << 20 {
        assert!(began.elapsed() < Duration::from_secs(60), "the reserve has {} bytes", reserve(server));
        // That there was too little room is believed for a second.
        let pushed = push_blob(client, "b", b"something").unwrap();
        assert!([201, 507].contains(&pushed.status), "{}", pushed.text());
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(push_blob(client, "b", b"something").unwrap().status, 201);
}

/// What the registry does when others fill its disk.
#[derive(Debug, Clone, Copy)]
enum State {
    Runs,
    IsStopped,
    IsKilled,
}

/// A registry with blobs, whose disk is filled by others.
fn frees_when_filled(data: &Data, at: &Path, state: State) {
    let settings = [("MCR_STORAGE_MIN_FREE", "1MiB"), ("MCR_GC_GRACE", "0s")];
    let blobs: Vec<_> = (0..4).map(|seed| Noise::new(seed).bytes(2 << 20)).collect();
    let server = data.start(&settings);
    for blob in &blobs {
        assert_eq!(push_blob(&mut server.client(), "a", blob).unwrap().status, 201);
    }
    assert_eq!(reserve(&server), 8 << 20);
    let running = match state {
        State::Runs => Some(server),
        State::IsStopped => {
            server.stop();
            None
        }
        State::IsKilled => {
            server.kill();
            None
        }
    };
    fill(at);
    // That there was enough room is believed for a second.
    std::thread::sleep(Duration::from_millis(1100));
    let server = running.unwrap_or_else(|| data.start(&settings));
    let mut client = server.client();
    let ready = client.get("/v1/ready");
    assert_eq!(ready.status, 503, "{}", ready.text());
    frees(&server, &blobs);
    // A log that is as long as it gets needs no more room.
    let may_be_whole = matches!(state, State::Runs);
    assert!(may_be_whole || reserve(&server) < 8 << 20, "the room was there all the time");
    std::fs::remove_file(at.join("filler")).unwrap();
    is_whole_again(&server, &mut client);
    assert_eq!(client.get("/v1/ready").status, 200, "{}", client.get("/v1/ready").text());
}

#[test]
fn a_registry_starts_and_frees_on_a_disk_that_others_have_filled() {
    for state in [State::IsStopped, State::IsKilled, State::Runs] {
        let data = Data::new();
        let at = data.path().join("data");
        let Some(_disk) = SmallDisk::mount(&at, "48m") else {
            println!("SKIPPED: mounting a small file system needs root");
            return;
        };
        frees_when_filled(&data, &at, state);
    }
}

#[test]
fn a_registry_starts_and_frees_on_a_real_disk_that_others_have_filled() {
    for state in [State::IsStopped, State::IsKilled, State::Runs] {
        let data = Data::new();
        let at = data.path().join("data");
        let Some(_disk) = SmallDisk::mount_ext4(&at, 64 << 20) else {
            println!("SKIPPED: mounting an image needs root, mkfs.ext4 and a loop device");
            return;
        };
        frees_when_filled(&data, &at, state);
    }
}

#[test]
fn a_share_of_the_disk_that_is_used_up_is_told_as_full_at_every_door_and_is_over_when_it_is_over() {
    let Some(faults) = Faults::new() else {
        println!("SKIPPED: making calls fail needs a C compiler");
        return;
    };
    let data = Data::new();
    let server = data.start(&faults.variables());
    let mut client = server.client();
    let blob = Noise::new(1).bytes(1000);
    assert_eq!(push_blob(&mut client, "a", &blob).unwrap().status, 201);
    for part in ["mcr.db", "/uploads/"] {
        faults.arm("write", EDQUOT, part);
        let refused = push_blob(&mut client, "a", &Noise::new(2).bytes(1000)).unwrap();
        assert_eq!(
            (refused.status, refused.text().contains("full")),
            (507, true),
            "{part}: {}",
            refused.text()
        );
        faults.disarm("write");
    }
    faults.arm("write", EDQUOT, "mcr.db");
    let image = manifest(std::slice::from_ref(&blob));
    let login = json!({"username": "admin", "password": crate::support::admin::password(&server)});
    let refused = [
        push_manifest(&mut client, "a", "v1", &image).unwrap(),
        client.request("DELETE", &format!("/v2/a/blobs/{}", digest(&blob)), &[], b""),
        client.request("POST", "/v2/a/blobs/uploads/", &[], b""),
        server.client().get("/v2/token"),
        send(&mut server.stranger(), "POST", "/v1/auth/login", &login),
        send(
            &mut client,
            "POST",
            "/v1/users",
            &json!({"name": "x", "password": "long enough", "account_type": "human"}),
        ),
        send(
            &mut client,
            "POST",
            "/v1/policy/rules",
            &json!({"effect": "allow", "priority": 9, "roles": ["x"]}),
        ),
        send(&mut client, "POST", "/v1/gc", &Value::Null),
    ];
    for answer in refused {
        assert_eq!((answer.status, answer.text().contains("full")), (507, true), "{}", answer.text());
    }
    assert_eq!(client.get(&format!("/v2/a/blobs/{}", digest(&blob))).body, blob, "reads go on");
    let ready = client.get("/v1/ready");
    let checks = value(&ready)["checks"].as_array().unwrap().clone();
    let commits = checks.iter().find(|check| check["name"] == "commits").unwrap().clone();
    assert_eq!((ready.status, &commits["ok"]), (503, &json!(false)), "{}", ready.text());
    faults.disarm("write");
    assert_eq!(push_manifest(&mut client, "a", "v1", &image).unwrap().status, 201);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(client.get("/v1/ready").status, 200, "{}", client.get("/v1/ready").text());
    is_whole_again(&server, &mut client);
}

#[test]
fn without_its_room_a_start_on_a_full_disk_says_what_is_wrong() {
    let data = Data::new();
    let at = data.path().join("data");
    let Some(_disk) = SmallDisk::mount(&at, "48m") else {
        println!("SKIPPED: mounting a small file system needs root");
        return;
    };
    let server = data.start(&[]);
    std::fs::remove_file(at.join(RESERVE)).unwrap();
    server.kill();
    // What reads the log needs an index of it.
    std::fs::remove_file(at.join("mcr.db-shm")).unwrap();
    fill(&at);
    let mut command = Command::new(crate::support::program());
    command.args(["dev", "--no-web", "--http", "--listen", "127.0.0.1:0", "--data"]).arg(&at);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("is full: free some room"), "{said}");
    std::fs::remove_file(at.join("filler")).unwrap();
    drop(data.start(&[]));
}

#[test]
fn a_database_that_another_program_has_is_told_as_busy_and_is_free_again() {
    let data = Data::new();
    let server = data.start(&[]);
    let blob = Noise::new(1).bytes(1000);
    assert_eq!(push_blob(&mut server.client(), "a", &blob).unwrap().status, 201);
    let other = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ask = |method: &'static str, path: String, body: Vec<u8>| {
        let mut client = server.client();
        std::thread::spawn(move || {
            client.request(method, &path, &[("Content-Type", "application/json")], &body)
        })
    };
    let login =
        json!({"username": "admin", "password": crate::support::admin::password(&server)}).to_string();
    let asked = [
        ask("GET", "/v2/token".to_owned(), Vec::new()),
        ask("POST", "/v1/auth/login".to_owned(), login.into_bytes()),
        ask("POST", "/v2/a/blobs/uploads/".to_owned(), Vec::new()),
        ask("DELETE", format!("/v2/a/blobs/{}", digest(&blob)), Vec::new()),
    ];
    for answer in asked.map(|asked| asked.join().unwrap()) {
        let is_told = answer.text().contains("busy") && !answer.text().contains("identity service");
        assert_eq!((answer.status, is_told), (503, true), "{}", answer.text());
    }
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(server.client().get("/v2/token").status, 200);
}

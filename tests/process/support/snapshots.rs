//! Snapshots as an administrator takes and restores them, and what must come back.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::content::{digest, manifest, push_blob, push_manifest};
use super::http::Client;
use super::{Data, Server, program};

/// Long enough for a slow machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was acknowledged: a repository, a reference of a manifest or the digest of a blob, and the content's digest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promised(pub(crate) Vec<(String, String)>);

impl Promised {
    pub(crate) fn push_image(&mut self, client: &mut Client, repository: &str, tag: &str, blobs: &[Vec<u8>]) {
        for blob in blobs {
            assert_eq!(push_blob(client, repository, blob).unwrap().status, 201);
            self.0.push((format!("/v2/{repository}/blobs/{}", digest(blob)), digest(blob)));
        }
        let image = manifest(blobs);
        assert_eq!(push_manifest(client, repository, tag, &image).unwrap().status, 201);
        self.0.push((format!("/v2/{repository}/manifests/{tag}"), digest(&image)));
    }

    pub(crate) fn check(&self, server: &Server) {
        let mut client = server.client();
        for (path, expected) in &self.0 {
            let got = client.get(path);
            assert_eq!((got.status, &digest(&got.body)), (200, expected), "{path}");
        }
    }
}

pub(crate) fn mcrsrv(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs the program, expects this exit status, and answers all that it said.
pub(crate) fn said(status: i32, arguments: &[&str]) -> String {
    let Output { status: ended, stdout, stderr } = mcrsrv(arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(ended.code(), Some(status), "mcrsrv {arguments:?}: {said}");
    said
}

pub(crate) fn json_of(client: &mut Client, status: u16, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let response = client.request(method, path, &[("Content-Type", "application/json")], body.as_bytes());
    assert_eq!(response.status, status, "{method} {path}: {}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

pub(crate) fn listed(client: &mut Client) -> Vec<Value> {
    json_of(client, 200, "GET", "/v1/snapshots", &Value::Null)["items"].as_array().unwrap().clone()
}

/// Waits until the snapshot has ended.
pub(crate) fn ended(client: &mut Client, id: &Value) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = listed(client).into_iter().find(|snapshot| snapshot["id"] == *id).unwrap();
        if found["state"] != "running" {
            return found;
        }
        assert!(Instant::now() < deadline, "{found}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn taken(client: &mut Client, name: &str) -> PathBuf {
    let begun = json_of(client, 202, "POST", "/v1/snapshots", &json!({"name": name}));
    let snapshot = ended(client, &begun["id"]);
    assert_eq!((&snapshot["state"], &snapshot["error_count"]), (&json!("done"), &json!(0)), "{snapshot}");
    PathBuf::from(snapshot["path"].as_str().unwrap())
}

/// Restores into a new directory, where the administrator of the old one can log in.
pub(crate) fn restored(data: &Data, from: &Path) -> Data {
    let place = Data::new();
    let to = place.path().join("data");
    said(0, &["restore", "--data", text(&to), "--from", text(from)]);
    std::fs::copy(data.path().join("data/admin-password"), to.join("admin-password")).unwrap();
    said(0, &["verify", "--data", text(&to)]);
    place
}

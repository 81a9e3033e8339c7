//! An administrator's week with `mcrctl --json`, against the real server; and what the program does by itself.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::support::Data;
use crate::support::content::{Noise, manifest, push_blob, push_blob_by_patch, push_manifest};
use crate::support::mcrctl::Mcrctl;

#[test]
fn an_administrators_week() {
    let data = Data::new();
    let server = data.start(&[]);
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    // Monday: people and a robot.
    mcrctl.json(&["user", "create", "ci", "--system", "--role", "builder"]);
    let person = mcrctl.run(&["user", "create", "ada", "--role", "dev", "--password-stdin"], "long enough\n");
    assert!(person.status.success());
    assert_eq!(mcrctl.json(&["user", "list"])["total"], 3);
    let token = mcrctl.json(&[
        "token",
        "create",
        "deploy",
        "--user",
        "ci",
        "--role",
        "builder",
        "--expires-in",
        "24h",
    ]);
    // Tuesday: the robot may push to ci/** and read nothing else.
    let rule = mcrctl.json(&[
        "policy",
        "create",
        "--effect",
        "allow",
        "--priority",
        "10",
        "--role",
        "builder",
        "--action",
        "registry:push",
        "--repository",
        "ci/**",
        "--description",
        "builds",
    ]);
    let test = |repository: &str, action: &str| {
        let principal = ["--account-type", "system", "--role", "builder"];
        let question = ["policy", "test", "--action", action, "--repository", repository];
        mcrctl.json(&[&question[..], &principal[..]].concat())["allowed"].clone()
    };
    assert_eq!(test("ci/app", "registry:push"), true);
    assert_eq!(
        (test("prod/app", "registry:push"), test("prod/app", "registry:pull")),
        (false.into(), false.into())
    );
    // Wednesday: it pushes, and is denied elsewhere.
    let mut robot = server.stranger().authorized(&format!("Bearer {}", token["token"].as_str().unwrap()));
    let blob = Noise::new(1).bytes(500);
    assert_eq!(push_blob(&mut robot, "ci/app", &blob).unwrap().status, 201);
    let image = manifest(std::slice::from_ref(&blob));
    assert_eq!(push_manifest(&mut robot, "ci/app", "v1", &image).unwrap().status, 201);
    assert_eq!(push_blob(&mut robot, "prod/app", &blob).unwrap().status, 403);
    let rule_id = rule["id"].to_string();
    let denied = mcrctl.json(&["audit", "list", "--event", "access_denied"]);
    assert_eq!((&denied["total"], &denied["items"][0]["details"]["rule"]), (&1.into(), &Value::Null));
    mcrctl.json(&[
        "policy",
        "create",
        "--effect",
        "deny",
        "--priority",
        "1",
        "--repository",
        "prod/**",
        "--action",
        "registry:push",
    ]);
    assert_eq!(push_blob(&mut robot, "prod/app", &blob).unwrap().status, 403);
    let denied = mcrctl.json(&["audit", "list", "--event", "access_denied"]);
    let deny = mcrctl.json(&["policy", "list"])["items"][0]["id"].clone();
    assert_eq!((&denied["total"], &denied["items"][0]["details"]["rule"]), (&2.into(), &deny));
    // Thursday: the robot is revoked while it pushes.
    let begun = robot.request("POST", "/v2/ci/app/blobs/uploads/", &[], b"");
    assert_eq!(robot.request("PATCH", &begun.location(), &[], b"part").status, 202);
    mcrctl.json(&["token", "revoke", token["id"].as_str().unwrap()]);
    assert_eq!(robot.request("PATCH", &begun.location(), &[], b"more").status, 401);
    assert_eq!(push_blob_by_patch(&mut robot, "ci/app", &blob).unwrap().status, 401);
    let uploads = mcrctl.json(&["upload", "list"]);
    assert_eq!((&uploads["total"], &uploads["items"][0]["owner"]), (&1.into(), &"ci".into()));
    mcrctl.json(&["upload", "cancel", uploads["items"][0]["id"].as_str().unwrap()]);
    assert_eq!(mcrctl.json(&["upload", "list"])["total"], 0);
    // Friday: tidying up.
    mcrctl.json(&["policy", "disable", &rule_id]);
    assert_eq!(mcrctl.json(&["policy", "show", &rule_id])["enabled"], false);
    mcrctl.json(&["policy", "delete", &rule_id]);
    assert_eq!(mcrctl.json(&["tag", "list", "ci/app"])["items"][0]["name"], "v1");
    mcrctl.json(&["tag", "delete", "ci/app", "v1"]);
    assert_eq!(mcrctl.json(&["tag", "list", "ci/app"])["total"], 0);
    assert_eq!(mcrctl.json(&["repo", "show", "ci/app"])["manifests"], 1);
    mcrctl.json(&["repo", "delete", "ci/app"]);
    assert_eq!(mcrctl.json(&["repo", "list"])["total"], 0);
    let status = mcrctl.json(&["status"]);
    assert_eq!((&status["ready"], &status["system"]["totals"]["tags"]), (&true.into(), &0.into()));
    let events = mcrctl.json(&["audit", "list", "--all"]);
    let events: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    for event in [
        "user_created",
        "token_created",
        "token_revoked",
        "policy_deleted",
        "tag_deleted",
        "repository_deleted",
        "upload_cancelled",
    ] {
        assert!(events.contains(&event), "{event} is not in {events:?}");
    }
}

#[test]
fn its_file_is_its_owners_and_its_failures_say_what_to_do() {
    let data = Data::new();
    let server = data.start(&[]);
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    assert!(mcrctl.fails(1, &["repo", "list"]).contains("mcrctl login"));
    assert!(
        mcrctl
            .fails(1, &["--server", "http://127.0.0.1:9", "repo", "list"])
            .contains("cannot reach http://127.0.0.1:9")
    );
    let url = format!("http://{}", server.address);
    assert!(mcrctl.fails(1, &["--server", &url, "repo", "list"]).contains("mcrctl login"));
    mcrctl.fails(2, &["repo", "nothing"]);
    mcrctl.login_as_admin(&server);
    assert_eq!(std::fs::metadata(mcrctl.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let table = mcrctl.run(&["policy", "list"], "");
    assert!(String::from_utf8_lossy(&table.stdout).starts_with("ID  PRIORITY  EFFECT"), "{table:?}");
    assert!(mcrctl.fails(1, &["repo", "delete", "a"]).contains("--yes"));
    assert!(mcrctl.fails(1, &["-y", "repo", "delete", "a"]).contains("there is no repository a"));
    // A token is for the registry that gave it.
    assert!(mcrctl.fails(1, &["--server", "http://localhost:9", "status"]).contains("cannot reach"));
    std::fs::set_permissions(mcrctl.file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(mcrctl.fails(1, &["status"]).contains("chmod 600"));
    std::fs::set_permissions(mcrctl.file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(mcrctl.run(&["logout"], "").status.success());
    assert!(mcrctl.fails(1, &["status"]).contains("mcrctl login"));
    let completions = mcrctl.run(&["completions", "bash"], "");
    assert!(String::from_utf8_lossy(&completions.stdout).contains("_mcrctl"));
}

#[test]
fn it_trusts_the_authority_that_it_is_given_and_no_other() {
    let data = Data::new();
    let server = data.start_tls(&[]);
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    let (url, authority) = (format!("https://{}", server.address), server.data.join("tls/ca.crt"));
    let password = std::fs::read_to_string(server.data.join("admin-password")).unwrap();
    let login = ["login", "--server", &url, "-u", "admin", "--password-stdin"];
    let stranger = mcrctl.run(&login, &password);
    assert_eq!(stranger.status.code(), Some(1));
    let said = String::from_utf8_lossy(&stranger.stderr).into_owned();
    assert!(said.contains("--ca-cert"), "{said}");
    let ours = ["--ca-cert", authority.to_str().unwrap()];
    let done = mcrctl.run(&[&ours[..], &login].concat(), &password);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // It is remembered with the login, and can be named for one command.
    assert_eq!(mcrctl.json(&["status"])["ready"], true);
    assert_eq!(mcrctl.json(&[&ours[..], &["status"]].concat())["ready"], true);
    // The system's authorities are believed too, and these variables say which they are.
    let directory = data.path().join("authorities");
    std::fs::create_dir(&directory).unwrap();
    std::fs::copy(&authority, directory.join("0a1b2c3d.0")).unwrap();
    let other = Mcrctl::new(&data.path().join("other"));
    for (variable, value) in [("SSL_CERT_FILE", &authority), ("SSL_CERT_DIR", &directory)] {
        let done = other.run_with(&[(variable, value.to_str().unwrap())], &login, &password);
        assert!(done.status.success(), "{variable}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn the_other_verbs_do_what_they_say() {
    let data = Data::new();
    let server = data.start(&[]);
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    mcrctl.json(&["user", "create", "ci", "--system"]);
    assert_eq!(mcrctl.json(&["user", "disable", "ci"])["disabled"], true);
    assert_eq!(mcrctl.json(&["user", "enable", "ci"])["disabled"], false);
    mcrctl.json(&["token", "create", "deploy", "--user", "ci"]);
    assert_eq!(mcrctl.json(&["token", "list"])["items"][0]["name"], "deploy");
    mcrctl.json(&["user", "delete", "ci"]);
    assert_eq!(mcrctl.json(&["token", "list"])["total"], 0);
    let rule =
        mcrctl.json(&["policy", "create", "--effect", "deny", "--priority", "7", "--repository", "a/**"]);
    let id = rule["id"].to_string();
    let updated = mcrctl.json(&["policy", "update", &id, "--priority", "9", "--description", "closed"]);
    assert_eq!((&updated["priority"], &updated["description"]), (&9.into(), &"closed".into()));
    assert_eq!(updated["repositories"], serde_json::json!(["a/**"]));
    mcrctl.json(&["policy", "disable", &id]);
    assert_eq!(mcrctl.json(&["policy", "enable", &id])["enabled"], true);
    assert_eq!(mcrctl.json(&["gc", "run", "--dry-run", "--wait"])["outcome"], "done");
    assert_eq!(mcrctl.json(&["gc", "status"])["state"], "idle");
    mcrctl.fails(1, &["policy", "create", "--effect", "deny", "--priority", "0"]);
    mcrctl.fails(2, &["policy", "create", "--priority", "1", "--nonsense"]);
}

#[test]
fn a_stranger_cannot_write_to_an_administrators_terminal() {
    let data = Data::new();
    let server = data.start(&[]);
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    let name = "x\u{1b}[2J\u{1b}]0;title\u{7}\r\nforged\u{202e}";
    let login = serde_json::json!({"username": name, "password": "wrong"}).to_string();
    assert_eq!(server.stranger().request("POST", "/v1/auth/login", &[], login.as_bytes()).status, 401);
    let listed = mcrctl.run(&["audit", "list", "--event", "login_failed"], "");
    let said = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(said.contains("forged") && said.lines().count() == 2, "{said:?}");
    assert!(!said.contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']), "{said:?}");
}

#[test]
fn the_tail_of_the_audit_log_prints_what_comes_and_only_that() {
    let data = Data::new();
    let server = data.start(&[]);
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    mcrctl.json(&["user", "create", "before", "--system"]);
    let mut tail = mcrctl.spawn(&["--json", "audit", "tail", "--event", "user_created"]);
    let (lines, line) = mpsc::channel();
    let printed = BufReader::new(tail.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        // Whoever listened may have heard enough.
        printed.lines().map_while(Result::ok).for_each(|text| drop(lines.send(text)));
    });
    // It may not have begun yet when one is made.
    let first = (0..60).find_map(|number| {
        mcrctl.json(&["user", "create", &format!("after-{number}"), "--system"]);
        line.recv_timeout(Duration::from_millis(500)).ok()
    });
    tail.kill().unwrap();
    tail.wait().unwrap();
    reader.join().unwrap();
    let first: Value = serde_json::from_str(&first.expect("a line")).unwrap();
    assert_eq!(first["event"], "user_created");
    assert!(first["details"]["user"].as_str().unwrap().starts_with("after-"), "{first}");
}

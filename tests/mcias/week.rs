//! An administrator's week with `mcrctl --json` where MCIAS knows the accounts, and is away on Wednesday.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{stand_in, start};
use crate::support::Data;
use crate::support::content::{Noise, manifest, push_blob, push_manifest};
use crate::support::mcrctl::Mcrctl;

const PATIENCE: Duration = Duration::from_secs(30);

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "never {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_administrators_week_with_mcias() {
    let (data, mut stand_in) = (Data::new(), stand_in());
    let server = start(&data, &stand_in);
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login(&server, "chief", "right");
    // Monday: accounts are made where they are known.
    for arguments in [
        &["user", "list"][..],
        &["user", "create", "ci", "--system"],
        &["user", "disable", "ada"],
        &["-y", "user", "delete", "ada"],
        &["token", "list"],
        &["token", "create", "deploy", "--user", "ci"],
        &["-y", "token", "revoke", "some-id"],
    ] {
        let said = mcrctl.fails(1, arguments);
        assert!(said.contains("managed in MCIAS"), "mcrctl {arguments:?}: {said}");
    }
    // Tuesday: the robot may push to ci/** and read nothing else.
    let who = ["--role", "builder", "--action", "registry:push", "--repository", "ci/**"];
    let rule =
        mcrctl.json(&[&["policy", "create", "--effect", "allow", "--priority", "10"][..], &who].concat());
    let test = |repository: &str| {
        let question = ["policy", "test", "--action", "registry:push", "--repository", repository];
        mcrctl.json(&[&question[..], &["--account-type", "system", "--role", "builder"]].concat())["allowed"]
            .clone()
    };
    assert_eq!((test("ci/app"), test("prod/app")), (true.into(), false.into()));
    let token = stand_in.token("robot");
    let mut robot = server.stranger().authorized(&format!("Bearer {token}"));
    let blob = Noise::new(1).bytes(500);
    assert_eq!(push_blob(&mut robot, "ci/app", &blob).unwrap().status, 201);
    let image = manifest(std::slice::from_ref(&blob));
    assert_eq!(push_manifest(&mut robot, "ci/app", "v1", &image).unwrap().status, 201);
    assert_eq!(push_blob(&mut robot, "prod/app", &blob).unwrap().status, 403);
    let denied = mcrctl.json(&["audit", "list", "--event", "access_denied"]);
    assert_eq!((&denied["total"], &denied["items"][0]["actor"]), (&1.into(), &"robot".into()));
    assert_eq!(denied["items"][0]["details"]["rule"], Value::Null);
    // Wednesday: MCIAS is away. Nobody is judged, and the one who asks hears why.
    stand_in.die();
    let began = Instant::now();
    let said = loop {
        let output = mcrctl.run(&["repo", "list"], "");
        if !output.status.success() {
            break String::from_utf8_lossy(&output.stderr).into_owned();
        }
        assert!(began.elapsed() < PATIENCE, "the cache never forgot");
    };
    assert!(said.contains("identity service cannot be reached"), "{said}");
    until("unavailable", || push_blob(&mut robot, "ci/app", b"not now").unwrap().status == 503);
    stand_in.come_back();
    until("back", || mcrctl.run(&["repo", "list"], "").status.success());
    assert_eq!(mcrctl.json(&["status"])["ready"], true);
    // Thursday: the robot is revoked while it pushes; the registry knows when its cache's time is over.
    let mut begun = robot.request("POST", "/v2/ci/app/blobs/uploads/", &[], b"");
    until("pushing", || {
        begun = robot.request("POST", "/v2/ci/app/blobs/uploads/", &[], b"");
        begun.status == 202
    });
    stand_in.revoke(&token);
    until("revoked", || robot.request("PATCH", &begun.location(), &[], b"").status == 401);
    for upload in mcrctl.json(&["upload", "list"])["items"].as_array().unwrap() {
        assert_eq!(upload["owner"], "robot");
        mcrctl.json(&["upload", "cancel", upload["id"].as_str().unwrap()]);
    }
    assert_eq!(mcrctl.json(&["upload", "list"])["total"], 0);
    // Friday: tidying up.
    mcrctl.json(&["policy", "delete", &rule["id"].to_string()]);
    mcrctl.json(&["tag", "delete", "ci/app", "v1"]);
    assert_eq!(mcrctl.json(&["repo", "show", "ci/app"])["manifests"], 1);
    mcrctl.json(&["repo", "delete", "ci/app"]);
    assert_eq!(mcrctl.json(&["repo", "list"])["total"], 0);
    let of_chief = mcrctl.json(&["audit", "list", "--all", "--actor-id", "id-of-chief"]);
    let events = of_chief["items"].as_array().unwrap();
    for event in ["login_ok", "policy_created", "policy_deleted", "tag_deleted", "repository_deleted"] {
        assert!(events.iter().any(|entry| entry["event"] == event), "{event} is not in {events:?}");
    }
}

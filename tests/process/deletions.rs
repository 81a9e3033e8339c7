//! Several things deleted at once: who may, what is told before, and that it is done as told or not at all.

use serde_json::{Value, json};

use crate::support::admin::{expect, sweep_to_the_end, token_of, value};
use crate::support::content::{Noise, digest, manifest, push_blob, push_manifest};
use crate::support::http::Client;
use crate::support::mcrctl::Mcrctl;
use crate::support::{Data, Server};

const PATH: &str = "/v1/repositories/team%2Fapp/deletions";

/// Two images over a shared layer; the layer's length is 1000 bytes, each config's 500.
fn images(server: &Server) -> [Vec<u8>; 2] {
    let mut admin = server.client();
    let layer = Noise::new(1).bytes(1000);
    push_blob(&mut admin, "team/app", &layer).unwrap();
    [("v1", 2), ("v2", 3)].map(|(tag, seed)| {
        let config = Noise::new(seed).bytes(500);
        push_blob(&mut admin, "team/app", &config).unwrap();
        let image = manifest(&[config, layer.clone()]);
        assert_eq!(push_manifest(&mut admin, "team/app", tag, &image).unwrap().status, 201);
        image
    })
}

fn robot(server: &Server, name: &str, actions: &[&str]) -> Client {
    let mut admin = server.client();
    let user = json!({"name": name, "password": "long enough", "account_type": "system", "roles": [name]});
    expect(&mut admin, 201, "POST", "/v1/users", user);
    let rule = json!({"effect": "allow", "priority": 1, "actions": actions, "repositories": ["team/**"],
        "roles": [name]});
    expect(&mut admin, 201, "POST", "/v1/policy/rules", rule);
    token_of(server, name, "long enough")
}

#[test]
fn whoever_may_delete_there_and_nobody_else_deletes_or_looks_what_that_would_do() {
    let data = Data::new();
    let server = data.start(&[("MCR_AUTH_CACHE_TTL", "0s")]);
    let [one, _] = images(&server);
    let (mut deletes, mut pulls) =
        (robot(&server, "deletes", &["registry:delete"]), robot(&server, "pulls", &["registry:pull"]));
    let both = |dry_run: bool| json!({"manifests": [digest(&one)], "dry_run": dry_run});
    for dry_run in [true, false] {
        let denied = expect(&mut pulls, 403, "POST", PATH, both(dry_run));
        assert_eq!(denied["code"], "DENIED");
        let elsewhere = "/v1/repositories/other%2Fapp/deletions";
        expect(&mut deletes, 403, "POST", elsewhere, both(dry_run));
    }
    expect(&mut deletes, 404, "POST", "/v1/repositories/team%2Fnone/deletions", both(false));
    let denials = expect(
        &mut server.client(),
        200,
        "GET",
        "/v1/audit?event_type=access_denied&repository=team%2Fapp",
        Value::Null,
    );
    assert_eq!(denials["items"][0]["details"]["action"], "registry:delete");
    // A tag alone is not deleted here, but by an administrator.
    let refused = expect(&mut deletes, 409, "POST", PATH, json!({"tags": ["v1"]}));
    let item = &refused["deletions"]["items"][0];
    assert_eq!((&refused["code"], &item["reason"]), (&json!("DELETION_REFUSED"), &json!("tags_are_kept")));
    let seen = expect(&mut deletes, 200, "POST", PATH, both(true));
    assert_eq!((&seen["is_done"], &seen["freed_bytes"]), (&json!(false), &json!(500)));
    assert_eq!(deletes.get("/v1/repositories").status, 200);
    let done = expect(&mut deletes, 200, "POST", PATH, both(false));
    assert_eq!((&done["is_done"], &done["items"]), (&json!(true), &seen["items"]));
    let untagged = expect(&mut server.client(), 200, "POST", PATH, json!({"tags": ["v2"]}));
    assert_eq!((&untagged["is_done"], &untagged["left_untagged"]["total"]), (&json!(true), &json!(1)));
    for (event, actor) in [("manifest_deleted", "deletes"), ("tag_deleted", "admin")] {
        let list =
            expect(&mut server.client(), 200, "GET", &format!("/v1/audit?event_type={event}"), Value::Null);
        assert_eq!((&list["total"], &list["items"][0]["actor"]), (&json!(1), &json!(actor)), "{event}");
    }
}

#[test]
fn all_is_deleted_or_nothing_and_a_sweep_frees_what_was_told() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "0s"), ("MCR_REGISTRY_ALLOW_TAG_DELETE", "true")]);
    let [one, two] = images(&server);
    let mut admin = server.client();
    let with_one_missing = json!({"tags": ["v1", "none"], "manifests": [digest(&two)]});
    let refused = expect(&mut admin, 409, "POST", PATH, with_one_missing);
    assert_eq!(refused["deletions"]["items"][1]["reason"], "not_found");
    assert!(refused["error"].as_str().unwrap().contains("there is no tag none"), "{refused}");
    for tag in ["v1", "v2"] {
        assert_eq!(admin.get(&format!("/v2/team/app/manifests/{tag}")).status, 200, "{tag} was deleted");
    }
    let many: Vec<String> = (0..1001).map(|number| format!("t{number}")).collect();
    for bad in [json!({}), json!({"tags": many}), json!({"manifests": ["v1"]}), json!({"tag": ["v1"]})] {
        expect(&mut admin, 400, "POST", PATH, bad);
    }
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    let told = mcrctl.json(&["tag", "delete", "team/app", "v1", "--with-untagged", "--dry-run"]);
    assert_eq!((&told["manifests_deleted"], &told["freed_bytes"]), (&json!(1), &json!(500)));
    assert_eq!(admin.get("/v2/team/app/manifests/v1").status, 200, "a look deleted something");
    let done = mcrctl.json(&["tag", "delete", "team/app", "v1", "--with-untagged"]);
    assert_eq!((&done["is_done"], &done["items"]), (&json!(true), &told["items"]));
    assert_eq!(admin.get(&format!("/v2/team/app/manifests/{}", digest(&one))).status, 404);
    assert_eq!(sweep_to_the_end(&server)["freed_bytes"], 500);
    let done = mcrctl.json(&["manifest", "delete", "team/app", &digest(&two)]);
    assert_eq!((&done["is_done"], &done["freed_bytes"]), (&json!(true), &json!(1500)));
    assert_eq!(sweep_to_the_end(&server)["freed_bytes"], 1500);
    assert!(value(&admin.get("/v2/team/app/tags/list"))["tags"].as_array().is_none_or(Vec::is_empty));
}

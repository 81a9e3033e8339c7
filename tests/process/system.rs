//! What the registry says it is, how it is set and what it has.

use serde_json::{Value, json};

use crate::support::admin::{expect, sweep_to_the_end, token_of};
use crate::support::content::{Noise, manifest, push_blob, push_manifest};
use crate::support::http::Client;
use crate::support::{Data, Server};

fn system(client: &mut Client) -> Value {
    expect(client, 200, "GET", "/v1/system", Value::Null)
}

#[test]
fn strangers_are_told_a_name_and_who_knows_accounts_and_administrators_how_it_is_set() {
    let data = Data::new();
    let server = data.start(&[
        ("MCR_SERVER_PUBLIC_URL", "https://registry.example.com:8443"),
        ("MCR_AUTH_ANONYMOUS", "true"),
        ("MCR_GC_INTERVAL", "1h"),
        ("MCR_GC_GRACE", "2h"),
        ("MCR_GC_UNTAGGED_AFTER", "30days"),
        ("MCR_STORAGE_MIN_FREE", "1MiB"),
        ("MCR_AUDIT_PULLS", "true"),
        ("MCR_REGISTRY_ALLOW_TAG_DELETE", "false"),
    ]);
    let mut admin = server.client();
    let ada = json!({"name": "ada", "account_type": "human", "password": "long enough"});
    expect(&mut admin, 201, "POST", "/v1/users", ada);
    let little = json!({"name": "registry.example.com:8443", "provider": "embedded"});
    let wrong = server.stranger().authorized("Bearer nothing");
    for mut who in [server.stranger(), wrong, token_of(&server, "ada", "long enough")] {
        assert_eq!(system(&mut who), little);
    }
    let told = system(&mut admin);
    assert_eq!((&told["name"], &told["provider"]), (&little["name"], &little["provider"]));
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&told["public_url"], &told["accounts_here"]),
        (&json!("https://registry.example.com:8443"), &json!(true))
    );
    let switches = json!({
        "tag_delete": false, "sparse_manifests": false, "anonymous": true, "builtin_human_access": true,
        "audit_pulls": true, "verify_on_push": false,
    });
    assert_eq!(told["switches"], switches);
    let gc = &told["gc"];
    let seconds = ["interval_seconds", "grace_seconds", "untagged_after_seconds"].map(|key| gc[key].as_u64());
    assert_eq!(seconds, [Some(3600), Some(7200), Some(30 * 24 * 3600)]);
    let (next, started) = (gc["next_at"].as_str().unwrap(), told["started_at"].as_str().unwrap());
    let between =
        humantime::parse_rfc3339(next).unwrap().duration_since(humantime::parse_rfc3339(started).unwrap());
    assert!((3590..=3610).contains(&between.unwrap().as_secs()), "{started} {next}");
    assert!(told["uptime_seconds"].as_u64().unwrap() < 60, "{told}");
    assert_eq!(told["disk"]["min_free_bytes"], 1 << 20);
    assert!(told["disk"]["free_bytes"].as_u64().unwrap() > 0, "{told}");
}

fn totals(server: &Server) -> [u64; 8] {
    let told = system(&mut server.client());
    [
        "repositories",
        "tags",
        "manifests",
        "blobs",
        "stored_bytes",
        "logical_bytes",
        "saved_bytes",
        "unlinked_bytes",
    ]
    .map(|key| told["totals"][key].as_u64().unwrap())
}

#[test]
fn totals_are_of_the_moment_whatever_is_pushed_shared_deleted_and_collected() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "0s")]);
    assert_eq!(totals(&server), [0; 8]);
    let mut admin = server.client();
    let blob = Noise::new(1).bytes(1000);
    let image = manifest(std::slice::from_ref(&blob));
    let size = image.len() as u64;
    for repository in ["a", "b"] {
        assert_eq!(push_blob(&mut admin, repository, &blob).unwrap().status, 201);
        assert_eq!(push_manifest(&mut admin, repository, "v1", &image).unwrap().status, 201);
    }
    let blobs = totals(&server)[3];
    assert_eq!(totals(&server), [2, 2, 2, blobs, 1000 + 2 * size, 2000 + 2 * size, 1000, 0]);
    expect(&mut admin, 200, "DELETE", "/v1/repositories/b", Value::Null);
    assert_eq!(totals(&server), [1, 1, 1, blobs, 1000 + size, 1000 + size, 0, 0]);
    expect(&mut admin, 200, "DELETE", "/v1/repositories/a", Value::Null);
    assert_eq!(totals(&server), [0, 0, 0, blobs, 1000, 0, 0, 1000]);
    sweep_to_the_end(&server);
    assert_eq!(totals(&server), [0; 8]);
}

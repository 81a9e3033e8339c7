//! Whatever stands in a manifest: caches of builders, whose children are blobs, odd documents, and what a look or a push of a
//! manifest promises.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::collect::age_untagged;
use crate::support::content::{Noise, digest, push_blob};
use crate::support::http::{Client, Response};
use crate::support::mcrctl::Mcrctl;
use crate::support::snapshots::{restored, said, taken, text};
use crate::support::{Data, Server};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const UNKNOWN: &str = "application/vnd.example+json";

fn put(client: &mut Client, reference: &str, kind: &str, body: &Value) -> Response {
    let path = format!("/v2/team/cache/manifests/{reference}");
    client.request("PUT", &path, &[("Content-Type", kind)], body.to_string().as_bytes())
}

/// Pushes by digest; answers the digest.
fn pushed(client: &mut Client, kind: &str, body: &Value) -> String {
    let digest = digest(body.to_string().as_bytes());
    let answer = put(client, &digest, kind, body);
    assert_eq!(answer.status, 201, "{kind}: {}", answer.text());
    digest
}

fn status(client: &mut Client, method: &str, path: &str) -> u16 {
    client.request(method, &format!("/v2/team/cache/{path}"), &[], b"").status
}

fn descriptor(content: &[u8], kind: &str) -> Value {
    json!({"mediaType": kind, "digest": digest(content), "size": content.len()})
}

/// What BuildKit writes with `--export-cache type=registry,image-manifest=false`: layers and a config as an index's children.
fn cache(kind: &str, blobs: &[Vec<u8>]) -> Value {
    let layer = match kind {
        LIST => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        _ => "application/vnd.oci.image.layer.v1.tar+gzip",
    };
    let mut children: Vec<Value> = blobs[1..].iter().map(|blob| descriptor(blob, layer)).collect();
    children[0]["annotations"] = json!({"buildkit/createdat": "2026-01-01T00:00:00Z",
        "containerd.io/uncompressed": digest(b"never here")});
    children.push(descriptor(&blobs[0], "application/vnd.buildkit.cacheconfig.v0"));
    json!({"schemaVersion": 2, "mediaType": kind, "manifests": children})
}

fn swept(mcrctl: &Mcrctl) -> Value {
    let report = mcrctl.json(&["gc", "run", "--wait"]);
    assert_eq!((&report["outcome"], &report["error_count"]), (&"done".into(), &0.into()), "{report}");
    report
}

fn mcrctl(data: &Data, server: &Server) -> Mcrctl {
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(server);
    mcrctl
}

#[test]
fn a_builders_cache_is_pushed_pulled_swept_around_snapshot_and_deleted() {
    for kind in [INDEX, LIST] {
        let data = Data::new();
        let server = data.start(&[("MCR_GC_GRACE", "0s"), ("MCR_GC_UNTAGGED_AFTER", "0s")]);
        let (mut client, mcrctl) = (server.client(), mcrctl(&data, &server));
        let blobs: Vec<Vec<u8>> = (0..3).map(|seed| Noise::new(seed).bytes(2000)).collect();
        let index = cache(kind, &blobs);
        for blob in &blobs[..2] {
            assert_eq!(push_blob(&mut client, "team/cache", blob).unwrap().status, 201);
        }
        let refused = put(&mut client, "latest", kind, &index);
        assert_eq!((refused.status, refused.code().as_str()), (400, "MANIFEST_BLOB_UNKNOWN"));
        assert!(refused.text().contains(&digest(&blobs[2])), "{}", refused.text());
        assert_eq!(push_blob(&mut client, "team/cache", &blobs[2]).unwrap().status, 201);
        assert_eq!(put(&mut client, "latest", kind, &index).status, 201);

        assert_eq!(swept(&mcrctl)["removed"], 0, "{kind}");
        let pulled = client.get("/v2/team/cache/manifests/latest");
        assert_eq!((pulled.header("content-type"), pulled.text()), (Some(kind), index.to_string()));
        for blob in &blobs {
            assert_eq!(client.get(&format!("/v2/team/cache/blobs/{}", digest(blob))).body, *blob);
        }
        let size = index.to_string().len() + 3 * 2000;
        assert_eq!(mcrctl.json(&["repo", "show", "team/cache"])["logical_bytes"], size);
        // Deleted by name it is gone; pushed again it is the index's again.
        let gone = format!("blobs/{}", digest(&blobs[1]));
        assert_eq!(status(&mut client, "DELETE", &gone), 202);
        assert_eq!(swept(&mcrctl)["removed"], 1, "{kind}");
        assert_eq!(status(&mut client, "HEAD", &gone), 404);
        assert_eq!(push_blob(&mut client, "team/cache", &blobs[1]).unwrap().status, 201);
        assert_eq!(swept(&mcrctl)["removed"], 0, "{kind}");

        let snapshot = taken(&mut client, "a");
        said(0, &["verify", "--data", text(&server.data)]);
        let path = format!("manifests/{}", digest(index.to_string().as_bytes()));
        assert_eq!(status(&mut client, "DELETE", &path), 202);
        assert_eq!(mcrctl.json(&["gc", "run", "--dry-run", "--wait"])["removed"], 3, "{kind}");
        assert_eq!(swept(&mcrctl)["removed"], 3, "{kind}");
        drop(server);

        let copy = restored(&data, &snapshot);
        let server = copy.start(&[("MCR_GC_GRACE", "0s")]);
        let again = self::mcrctl(&copy, &server);
        assert_eq!(swept(&again)["removed"], 0, "{kind}");
        let mut client = server.client();
        for blob in &blobs {
            assert_eq!(client.get(&format!("/v2/team/cache/blobs/{}", digest(blob))).body, *blob);
        }
    }
}

/// A referrer may be about a blob, a config may be a manifest: both are there, and both are kept.
#[test]
fn a_subject_may_be_a_blob_and_a_config_a_manifest() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "0s"), ("MCR_GC_UNTAGGED_AFTER", "0s")]);
    let (mut client, mcrctl) = (server.client(), mcrctl(&data, &server));
    let blob = Noise::new(1).bytes(100);
    assert_eq!(push_blob(&mut client, "team/cache", &blob).unwrap().status, 201);
    let config = json!({"about": "nothing"});
    pushed(&mut client, UNKNOWN, &config);
    let body = json!({
        "schemaVersion": 2,
        "config": descriptor(config.to_string().as_bytes(), UNKNOWN),
        "layers": [],
        "subject": descriptor(&blob, "application/octet-stream"),
    });
    assert_eq!(put(&mut client, "v1", IMAGE, &body).status, 201);
    let report = swept(&mcrctl);
    assert_eq!((&report["manifests"], &report["removed"]), (&0.into(), &0.into()), "{report}");
    let referrers = client.get(&format!("/v2/team/cache/referrers/{}", digest(&blob))).text();
    assert!(referrers.contains(&digest(body.to_string().as_bytes())), "{referrers}");
    assert_eq!(status(&mut client, "HEAD", &format!("blobs/{}", digest(&blob))), 200);
}

/// What is accepted stays: a digest that stands where nobody looks for one keeps its blob.
#[test]
fn no_digest_of_a_manifest_is_swept_whatever_is_wrong_around_it() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "0s")]);
    let (mut client, mcrctl) = (server.client(), mcrctl(&data, &server));
    let odd: [fn(String) -> Value; 9] = [
        |digest| json!({"layers": [{"digest": digest}]}),
        |digest| json!({"layers": [{"digest": digest, "size": "100"}]}),
        |digest| json!({"layers": [{"digest": digest, "size": 100.0}]}),
        |digest| json!({"blobs": [{"digest": digest, "size": -1}]}),
        |digest| json!({"config": {"digest": digest, "size": 1, "urls": "x"}}),
        |digest| json!({"layers": {"a": {"digest": digest, "size": 1}}}),
        |digest| json!({"fsLayers": [{"blobSum": digest}]}),
        |digest| json!({"files": {digest: {"name": "x"}}}),
        |digest| json!([[["deep"], digest]]),
    ];
    for (number, body) in odd.into_iter().enumerate() {
        let blob = Noise::new(100 + number as u64).bytes(50);
        assert_eq!(push_blob(&mut client, "team/cache", &blob).unwrap().status, 201);
        let document = json!({"number": number, "x": body(digest(&blob))});
        pushed(&mut client, UNKNOWN, &document);
        let blob = Noise::new(200 + number as u64).bytes(50);
        assert_eq!(push_blob(&mut client, "team/cache", &blob).unwrap().status, 201);
        let mut document = body(digest(&blob));
        if document.is_object() {
            document["number"] = number.into();
            pushed(&mut client, UNKNOWN, &document);
        } else {
            let path = format!("blobs/{}", digest(&blob));
            assert_eq!(status(&mut client, "DELETE", &path), 202);
        }
    }
    let report = swept(&mcrctl);
    // The one that no manifest took.
    assert_eq!((&report["links"], &report["removed"]), (&0.into(), &1.into()), "{report}");
}

/// As an earlier version stored them: nothing is known of what these manifests refer to until they are read again.
#[test]
fn what_was_stored_before_is_read_again_before_a_sweep_takes_anything() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "0s")]);
    let (mut client, mcrctl) = (server.client(), mcrctl(&data, &server));
    let digests: Vec<String> = (0..1200_u32).map(|number| digest(&number.to_le_bytes())).collect();
    for number in 0..30_u64 {
        let blob = Noise::new(number).bytes(50);
        assert_eq!(push_blob(&mut client, "team/cache", &blob).unwrap().status, 201);
        // One has more references than are stored in one write.
        let more = if number == 7 { &digests[..] } else { &[] };
        pushed(&mut client, UNKNOWN, &json!({"number": number, "more": more, "x": [digest(&blob)]}));
    }
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    let forget = "DELETE FROM manifest_references; INSERT INTO unread_manifests SELECT id FROM manifests";
    for arguments in [&["gc", "run", "--dry-run", "--wait"][..], &["gc", "run", "--wait"]] {
        database.execute_batch(forget).unwrap();
        let report = mcrctl.json(arguments);
        assert_eq!((&report["outcome"], &report["removed"]), (&"done".into(), &0.into()), "{report}");
        let left = "SELECT count(*), (SELECT count(*) FROM unread_manifests) FROM manifest_references";
        let left: (i64, i64) = database.query_row(left, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(left, (1230, 0), "{arguments:?}");
    }
}

#[test]
fn looking_at_a_manifest_and_pushing_a_referrer_protect_and_so_does_what_held_it() {
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", "1h"), ("MCR_GC_UNTAGGED_AFTER", "0s")]);
    let (mut client, mcrctl) = (server.client(), mcrctl(&data, &server));
    let blob = Noise::new(1).bytes(10);
    assert_eq!(push_blob(&mut client, "team/cache", &blob).unwrap().status, 201);
    let image = |number: u8, subject: Option<&Value>| {
        let mut body =
            json!({"schemaVersion": 2, "config": descriptor(&blob, "a/b"), "layers": [], "number": number});
        if let Some(subject) = subject {
            body["subject"] = descriptor(subject.to_string().as_bytes(), IMAGE);
        }
        body
    };
    let there = |client: &mut Client, digest: &str| -> bool {
        // Not by a look, which would protect it.
        let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
        database.busy_timeout(Duration::from_secs(10)).unwrap();
        let found = database
            .query_row("SELECT count(*) FROM manifests WHERE digest = ?1", [digest], |row| {
                row.get::<_, i64>(0)
            })
            .unwrap();
        assert!(found == 1 || status(client, "HEAD", &format!("manifests/{digest}")) == 404);
        found == 1
    };
    let [looked, pulled, forgotten] =
        [1, 2, 3].map(|number| pushed(&mut client, IMAGE, &image(number, None)));
    assert_eq!(status(&mut client, "HEAD", &format!("manifests/{looked}")), 200);
    assert_eq!(status(&mut client, "GET", &format!("manifests/{pulled}")), 200);
    let (subject, held) = (image(4, None), image(6, None));
    let about = pushed(&mut client, IMAGE, &subject);
    let referrer = pushed(&mut client, IMAGE, &image(5, Some(&subject)));
    let index = json!({"schemaVersion": 2, "manifests": [descriptor(held.to_string().as_bytes(), IMAGE)]});
    let held = pushed(&mut client, IMAGE, &held);
    let parent = pushed(&mut client, INDEX, &index);
    assert_eq!(status(&mut client, "DELETE", &format!("manifests/{about}")), 202);
    assert_eq!(status(&mut client, "DELETE", &format!("manifests/{parent}")), 202);
    pushed(&mut client, IMAGE, &image(5, Some(&subject)));

    age_untagged(&server);
    assert_eq!(mcrctl.json(&["gc", "run", "--dry-run", "--wait"])["manifests"], 1);
    assert_eq!(swept(&mcrctl)["manifests"], 1);
    for (digest, stays) in
        [(&looked, true), (&pulled, true), (&referrer, true), (&held, true), (&forgotten, false)]
    {
        assert_eq!(there(&mut client, digest), stays, "{digest}");
    }
    let named = json!({"schemaVersion": 2, "manifests": [
        descriptor(image(1, None).to_string().as_bytes(), IMAGE),
        descriptor(image(2, None).to_string().as_bytes(), IMAGE),
    ]});
    assert_eq!(put(&mut client, "v1", INDEX, &named).status, 201);

    // When that is over they go, and what the tag holds stays.
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database.execute("UPDATE manifest_ties SET kept_until = 0", []).unwrap();
    assert_eq!(swept(&mcrctl)["manifests"], 2);
    assert!(there(&mut client, &looked) && there(&mut client, &pulled));
    assert!(!there(&mut client, &referrer) && !there(&mut client, &held));
}

/// What is malformed where a descriptor must be is 400 and says where.
#[test]
fn a_refusal_names_the_place() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let good = descriptor(b"good", "a/b");
    let bad = json!({"mediaType": "a/b", "digest": digest(b"bad"), "size": "100"});
    for (kind, body, place) in [
        (IMAGE, json!({"config": bad, "layers": []}), "config.size"),
        (IMAGE, json!({"config": good, "layers": [good, good, bad]}), "layers[2].size"),
        (IMAGE, json!({"config": good, "layers": {}}), "layers is no list"),
        (INDEX, json!({"manifests": [bad]}), "manifests[0].size"),
        (LIST, json!({"manifests": [good, {}]}), "manifests[1].digest"),
        (UNKNOWN, json!({"subject": bad}), "subject.size"),
    ] {
        let refused = put(&mut client, "v1", kind, &body);
        assert_eq!((refused.status, refused.code().as_str()), (400, "MANIFEST_INVALID"), "{body}");
        assert!(refused.text().contains(place), "{place}: {}", refused.text());
    }
}

/// Large manifests of unknown types are read beside the workers.
#[test]
fn large_manifests_hold_no_small_request_up() {
    let data = Data::new();
    let server = data.start(&[]);
    let item = r#"{"a":[1,"x",null]},"#;
    let body = format!(r#"{{"x":[{}0]}}"#, item.repeat((4 << 20) / item.len() - 8));
    let mut longest = Duration::ZERO;
    std::thread::scope(|scope| {
        let pushes: Vec<_> = (0..12)
            .map(|number| {
                let (mut client, body) = (server.client(), &body);
                let path = format!("/v2/large/manifests/v{number}");
                scope.spawn(move || {
                    client.request("PUT", &path, &[("Content-Type", UNKNOWN)], body.as_bytes()).status
                })
            })
            .collect();
        let mut client = server.stranger();
        while pushes.iter().any(|push| !push.is_finished()) {
            let began = Instant::now();
            assert_eq!(client.get("/v1/health").status, 200);
            longest = longest.max(began.elapsed());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(pushes.into_iter().all(|push| push.join().unwrap() == 201));
    });
    println!("the slowest of the small requests took {longest:?}");
    assert!(longest < Duration::from_secs(3), "a small request took {longest:?}");
}

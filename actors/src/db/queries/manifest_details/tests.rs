use serde_json::json;

use super::*;
use crate::db::WriteQuery;
use crate::db::queries::blobs::LinkBlob;
use crate::db::queries::manifests::PublishManifest;
use crate::db::queries::testing::{NOW, database, name, push};
use crate::domain::{Algorithm, Manifest, MediaType};

fn digest(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

fn descriptor(media_type: &str, digest: Digest, size: usize) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": digest.to_string(), "size": size})
}

fn parse(media_type: &str, body: &serde_json::Value) -> Manifest {
    let media_type = MediaType::parse(media_type).unwrap();
    Manifest::parse(Algorithm::Sha256, media_type, body.to_string().into()).unwrap()
}

fn publish(db: &Connection, manifest: &Manifest, tags: &[&str]) {
    PublishManifest { allow_sparse: true, ..push("a", manifest.clone(), tags) }.run(db).unwrap();
}

fn link(db: &Connection, at: &str, content: &[u8]) {
    let (digest, size) = (digest(content), content.len() as u64);
    LinkBlob { repository: name(at), digest, size, upload: None, now: NOW, kept_until: NOW }.run(db).unwrap();
}

fn describe(db: &Connection, digest: Digest) -> Option<ManifestDetails> {
    DescribeManifest { repository: name("a"), digest }.run(db).unwrap()
}

/// Something of this type about an image.
fn about(image: &Manifest, kind: &str) -> Manifest {
    let body = json!({
        "artifactType": kind,
        "config": descriptor("a/b", digest(b"config"), 6),
        "layers": [],
        "subject": descriptor(MediaType::OCI_MANIFEST, image.digest, 10),
    });
    parse(MediaType::OCI_MANIFEST, &body)
}

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

#[test]
fn a_manifest_is_told_with_its_parts_in_order_and_with_what_is_around_it() {
    let db = database();
    assert_eq!(describe(&db, digest(b"x")), None);
    link(&db, "a", b"config");
    link(&db, "a", b"shared");
    link(&db, "b", b"shared");
    link(&db, "b", b"elsewhere");
    // Twice the same layer, and one that only another repository shows.
    let layers = [(&b"shared"[..], 6), (b"elsewhere", 9), (b"shared", 6), (b"nowhere", 7)];
    let layers: Vec<_> =
        layers.iter().map(|(content, size)| descriptor("a/layer", digest(content), *size)).collect();
    let image = parse(
        MediaType::OCI_MANIFEST,
        &json!({"config": descriptor(CONFIG, digest(b"config"), 6), "layers": layers}),
    );
    publish(&db, &image, &["v2", "v1"]);
    let mut child = descriptor(MediaType::OCI_MANIFEST, image.digest, 10);
    child["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let gone = descriptor(MediaType::OCI_MANIFEST, digest(b"gone"), 11);
    let index = parse(MediaType::OCI_INDEX, &json!({"manifests": [gone, child]}));
    publish(&db, &index, &[]);
    for kind in [
        "application/spdx+json",
        "application/vnd.cyclonedx+json",
        "application/vnd.dev.cosign.artifact.sig.v1+json",
    ] {
        publish(&db, &about(&image, kind), &[]);
    }
    let found = describe(&db, image.digest).unwrap();
    let summary = &found.summary;
    assert_eq!((summary.state, summary.tags.total), (ManifestState::Tagged, 2));
    assert_eq!(summary.tags.items.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>(), ["v1", "v2"]);
    let config = found.config.unwrap();
    assert_eq!(
        (config.part.media_type.as_deref(), config.is_here, config.repositories),
        (Some(CONFIG), true, 1)
    );
    let layers: Vec<_> =
        found.layers.items.iter().map(|layer| (layer.part.size, layer.is_here, layer.repositories)).collect();
    assert_eq!(layers, [(Some(6), true, 2), (Some(9), false, 1), (Some(6), true, 2), (Some(7), false, 0)]);
    assert_eq!((found.parents.total, &found.parents.items[0].digest), (1, &index.digest.to_string()));
    assert_eq!(found.parents.items[0].kind, Some(Kind::Index));
    assert_eq!(found.referrers.list.total, 3);
    assert_eq!(found.referrers.kinds, BTreeMap::from([(Kind::Signature, 1), (Kind::Sbom, 2)]));
    let found = describe(&db, index.digest).unwrap();
    assert_eq!((found.summary.state, found.layers.total, found.config), (ManifestState::Untagged, 0, None));
    let children: Vec<_> = found
        .children
        .items
        .iter()
        .map(|child| (child.part.platform.as_deref(), child.is_here, child.pull_bytes))
        .collect();
    assert_eq!(children, [(None, false, None), (Some("linux/arm64"), true, Some(6 + 6 + 9 + 7))]);
}

#[test]
fn lists_of_a_manifest_are_cut_and_say_how_long_they_are() {
    let db = database();
    let children: Vec<_> =
        (0..1500_u32).map(|child| descriptor("a/b", digest(&child.to_be_bytes()), 1)).collect();
    let index = parse(MediaType::OCI_INDEX, &json!({"manifests": children}));
    let tags: Vec<String> = (0..150).map(|number| format!("t{number}")).collect();
    publish(&db, &index, &tags.iter().map(String::as_str).collect::<Vec<_>>());
    for number in 0..150 {
        let subject = descriptor(MediaType::OCI_INDEX, index.digest, 1);
        publish(
            &db,
            &parse(MediaType::OCI_INDEX, &json!({"manifests": [], "subject": subject, "n": number})),
            &[],
        );
        publish(&db, &parse(MediaType::OCI_INDEX, &json!({"manifests": [subject], "n": number})), &[]);
    }
    let found = describe(&db, index.digest).unwrap();
    assert_eq!((found.children.total, found.children.items.len()), (1500, PARTS));
    assert_eq!((found.summary.tags.total, found.summary.tags.items.len()), (150, NAMED));
    assert_eq!((found.parents.total, found.parents.items.len()), (150, NAMED));
    assert_eq!((found.referrers.list.total, found.referrers.list.items.len()), (150, NAMED));
    assert_eq!(found.referrers.kinds, BTreeMap::from([(Kind::Index, 150)]));
}

#[test]
fn all_that_is_around_a_manifest_is_found_by_an_index() {
    let db = database();
    for (sql, parameters) in [(FIND, 2), (PARENTS, 3), (REFERRERS, 3), (CHILD, 2), (LAYER, 2)] {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = plan
            .query_map(rusqlite::params_from_iter(1..=parameters), |row| row.get::<_, String>(3))
            .unwrap();
        let lines = lines.map(Result::unwrap).collect::<Vec<_>>().join("; ");
        let scans = lines.replace("SCAN CONSTANT ROW", "").contains("SCAN");
        assert!(!scans && !lines.contains("B-TREE"), "{sql}: {lines}");
    }
}

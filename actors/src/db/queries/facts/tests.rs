use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::db::queries::blobs::LinkBlob;
use crate::db::queries::manifests::{DeleteManifest, PublishManifest};
use crate::db::queries::repositories;
use crate::db::queries::testing::{NOW, database, name, push};
use crate::domain::{Algorithm, Manifest};

const CONFIG: &[u8] = br#"{"os":"linux","architecture":"amd64","created":"2026-01-31T12:00:00Z",
    "config":{"Labels":{"org.opencontainers.image.version":"1","org.opencontainers.image.title":"label"}}}"#;

fn digest(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

fn image(annotations: &serde_json::Value) -> Manifest {
    let part = |kind: &str, digest: Digest, size: usize| json!({"mediaType": kind, "digest": digest.to_string(), "size": size});
    let body = json!({
        "config": part("application/vnd.oci.image.config.v1+json", digest(CONFIG), CONFIG.len()),
        "layers": [part("application/vnd.oci.image.layer.v1.tar+gzip", digest(b"layer"), 1000)],
        "annotations": annotations,
    });
    parse(MediaType::OCI_MANIFEST, &body)
}

fn index(children: &[(&Manifest, &str)]) -> Manifest {
    let child = |(manifest, architecture): &(&Manifest, &str)| {
        json!({"mediaType": MediaType::OCI_MANIFEST, "digest": manifest.digest.to_string(), "size": 5,
            "platform": {"os": "linux", "architecture": architecture}})
    };
    let children: Vec<_> = children.iter().map(child).collect();
    parse(MediaType::OCI_INDEX, &json!({"manifests": children}))
}

fn parse(media_type: &str, body: &serde_json::Value) -> Manifest {
    let media_type = MediaType::parse(media_type).unwrap();
    Manifest::parse(Algorithm::Sha256, media_type, Bytes::from(body.to_string())).unwrap()
}

fn publish(db: &Connection, manifest: &Manifest, pushed_by: &str) {
    let push = push("a", manifest.clone(), &[]);
    PublishManifest { allow_sparse: true, pushed_by: pushed_by.to_owned(), ..push }.run(db).unwrap();
}

fn find(db: &Connection, manifest: &Manifest) -> Option<Summary> {
    let (id, digest): (i64, String) = db
        .query_row(
            "SELECT id, digest FROM manifests WHERE digest = ?1",
            [manifest.digest.to_string()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    summary(db, repositories::find(db, &name("a")).unwrap().unwrap(), (id, &digest)).unwrap()
}

fn unread(db: &Connection) -> Vec<UnreadConfig> {
    ListUnreadConfigs { after: 0, limit: 9 }.run(db).unwrap()
}

#[test]
fn a_push_says_all_but_what_its_config_says() {
    let db = database();
    let image = image(&json!({"org.opencontainers.image.title": "annotation", "other": "x"}));
    publish(&db, &image, "alice");
    let found = find(&db, &image).unwrap();
    assert_eq!((found.kind, found.pull_bytes), (Kind::Image, Some(1000 + CONFIG.len() as u64)));
    assert_eq!(
        (found.pushed_by.as_deref(), found.platforms.len(), found.created_at),
        (Some("alice"), 0, None)
    );
    let [config] = unread(&db).try_into().unwrap();
    assert_eq!((&config.digest, config.size), (&digest(CONFIG).to_string(), None));
    let (repository, size) = (name("a"), CONFIG.len() as u64);
    LinkBlob { repository, digest: digest(CONFIG), size, upload: None, now: NOW, kept_until: NOW }
        .run(&db)
        .unwrap();
    assert_eq!(unread(&db)[0].size, Some(size));
    let other = UnreadConfig { digest: digest(b"other").to_string(), ..config.clone() };
    NoteConfigs(vec![(other, ConfigFacts::default())]).run(&db).unwrap();
    assert_eq!(unread(&db).len(), 1, "another manifest's config was noted");
    NoteConfigs(vec![(config, ConfigFacts::of(CONFIG))]).run(&db).unwrap();
    let found = find(&db, &image).unwrap();
    assert_eq!(
        (found.platforms[0].platform.as_str(), found.created_at),
        ("linux/amd64", Timestamp::parse("2026-01-31T12:00:00Z"))
    );
    let annotations =
        [("title", "annotation"), ("version", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(found.annotations, annotations);
    // Who pushes it again is who pushed it last, and its config is not read again.
    publish(&db, &image, "bob");
    assert_eq!((find(&db, &image).unwrap().pushed_by.as_deref(), unread(&db)), (Some("bob"), vec![]));
    let delete = DeleteManifest { repository: name("a"), digest: image.digest, kept_until: NOW };
    assert!(delete.run(&db).unwrap());
    let left: u64 = db.query_row("SELECT count(*) FROM manifest_facts", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn an_index_says_what_is_pulled_for_each_platform() {
    let db = database();
    let (here, elsewhere) = (image(&json!({})), image(&json!({"a": "b"})));
    let index = index(&[(&here, "amd64"), (&elsewhere, "arm64")]);
    publish(&db, &here, "alice");
    publish(&db, &index, "alice");
    let found = find(&db, &index).unwrap();
    let bytes: Vec<_> = found.platforms.iter().map(|of| (of.platform.as_str(), of.pull_bytes)).collect();
    assert_eq!(bytes, [("linux/amd64", Some(1000 + CONFIG.len() as u64)), ("linux/arm64", None)]);
    assert_eq!((found.kind, found.pull_bytes), (Kind::Index, None));
}

#[test]
fn what_was_stored_before_is_read_once() {
    let db = database();
    let images: Vec<_> = (0..300).map(|number| image(&json!({"number": number.to_string()}))).collect();
    images.iter().for_each(|image| publish(&db, image, "alice"));
    let before = find(&db, &images[0]);
    // As the migration leaves them.
    db.execute_batch(
        "DELETE FROM manifest_facts; INSERT INTO manifests_without_facts SELECT id FROM manifests",
    )
    .unwrap();
    assert_eq!(find(&db, &images[0]), None);
    let gone = DeleteManifest { repository: name("a"), digest: images[9].digest, kept_until: NOW };
    let first = ReadFactless.run(&db).unwrap();
    assert!(gone.run(&db).unwrap());
    // It was pushed again between the look and the note.
    publish(&db, &images[1], "bob");
    NoteFacts(first).run(&db).unwrap();
    let mut rounds = 0;
    loop {
        let facts = ReadFactless.run(&db).unwrap();
        if facts.is_empty() {
            break;
        }
        rounds += 1;
        NoteFacts(facts).run(&db).unwrap();
    }
    assert_eq!(rounds, 1);
    assert_eq!(find(&db, &images[0]), before.map(|summary| Summary { pushed_by: None, ..summary }));
    assert_eq!(find(&db, &images[1]).unwrap().pushed_by.as_deref(), Some("bob"));
    assert!(images.iter().enumerate().all(|(number, image)| number == 9 || find(&db, image).is_some()));
}

#[test]
fn what_cannot_be_read_any_more_keeps_nobody_waiting() {
    let db = database();
    let (damaged, good) = (image(&json!({})), image(&json!({"a": "b"})));
    [&damaged, &good].into_iter().for_each(|image| publish(&db, image, "alice"));
    db.execute_batch(
        "UPDATE manifest_facts SET config = 'x' WHERE manifest_id = 1; DELETE FROM manifest_facts WHERE manifest_id = 2;
         UPDATE manifests SET media_type = '?' WHERE id = 2; INSERT INTO manifests_without_facts VALUES (2)",
    )
    .unwrap();
    let facts = ReadFactless.run(&db).unwrap();
    assert_eq!(facts, [(2, Facts::default())]);
    NoteFacts(facts).run(&db).unwrap();
    assert_eq!(ReadFactless.run(&db).unwrap(), []);
    let [config] = unread(&db).try_into().unwrap();
    assert_eq!((config.manifest, config.digest.as_str(), config.size), (1, "x", None));
}

#[test]
fn a_page_of_tags_asks_no_table_from_end_to_end() {
    let db = database();
    let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {CHILDREN}")).unwrap();
    let lines = plan.query_map((1, "[]"), |row| row.get::<_, String>(3)).unwrap();
    for line in lines.map(Result::unwrap) {
        assert!(!line.contains("SCAN") || line.contains("VIRTUAL TABLE"), "{line}");
    }
}

#[test]
fn configs_to_read_are_found_without_a_scan() {
    let db = database();
    let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {UNREAD}")).unwrap();
    let lines = plan.query_map((0, 9), |row| row.get::<_, String>(3)).unwrap();
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(lines[0].contains("manifest_facts_to_read"), "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.contains("SCAN") && !line.contains("manifest_facts_to_read")),
        "{lines:?}"
    );
}

/// Nobody learns of a config by naming it that is another repository's.
#[test]
fn a_config_is_read_only_where_its_repository_shows_it() {
    let db = database();
    publish(&db, &image(&json!({})), "alice");
    let (digest, size) = (digest(CONFIG), CONFIG.len() as u64);
    let link =
        |at: &str| LinkBlob { repository: name(at), digest, size, upload: None, now: NOW, kept_until: NOW };
    link("b").run(&db).unwrap();
    assert_eq!(unread(&db)[0].size, None);
    link("a").run(&db).unwrap();
    assert_eq!(unread(&db)[0].size, Some(size));
}

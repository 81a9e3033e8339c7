use super::*;
use crate::db::queries::blobs::{LinkBlob, UnlinkBlob};
use crate::db::queries::referrers::ListReferrers;
use crate::db::queries::tags::{DeleteTag, ListTags};
use crate::db::queries::testing::{NOW, database, name, push};
use crate::domain::Algorithm;

fn push_blob(db: &Connection, repository: &str, content: &str) -> Digest {
    let digest = Digest::of(Algorithm::Sha256, content.as_bytes());
    let (repository, size) = (name(repository), content.len() as u64);
    LinkBlob { repository, digest, size, upload: None, now: NOW, kept_until: NOW }.run(db).unwrap();
    digest
}

fn descriptor(digest: &Digest) -> String {
    format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1}}"#)
}

fn image(config: &Digest, layers: &[Digest], subject: Option<&Digest>) -> Manifest {
    let layers = layers.iter().map(descriptor).collect::<Vec<_>>().join(",");
    let subject = subject.map_or(String::new(), |subject| format!(r#","subject":{}"#, descriptor(subject)));
    let body = format!(
        r#"{{"config":{},"layers":[{layers}],"artifactType":"test/type","annotations":{{"k":"v"}}{subject}}}"#,
        descriptor(config)
    );
    let media_type = MediaType::parse(MediaType::OCI_MANIFEST).unwrap();
    Manifest::parse(Algorithm::Sha256, media_type, body.into()).unwrap()
}

fn publish(db: &Connection, manifest: &Manifest, tags: &[&str]) -> Result<Published, PublishError> {
    push("a", manifest.clone(), tags).run(db)
}

fn find(db: &Connection, reference: &str) -> Option<ManifestHead> {
    let reference: Reference = reference.parse().unwrap();
    let head = FindManifestHead { repository: name("a"), reference: reference.clone() }.run(db).unwrap();
    let whole = FindManifest { repository: name("a"), reference }.run(db).unwrap();
    assert_eq!(head, whole.map(|(head, _)| head));
    head
}

#[test]
fn a_manifest_with_a_missing_blob_is_refused_and_the_blob_is_named() {
    let db = database();
    let (here, elsewhere) = (push_blob(&db, "a", "c"), push_blob(&db, "other", "l"));
    match publish(&db, &image(&here, &[elsewhere], None), &["v1"]) {
        Err(PublishError::Missing(missing)) => assert_eq!(missing, [elsewhere]),
        other => panic!("{other:?}"),
    }
    assert_eq!(find(&db, "v1"), None);
}

#[test]
fn a_published_manifest_is_found_by_tag_and_digest_and_gone_after_its_delete() {
    let db = database();
    let manifest = image(&push_blob(&db, "a", "c"), &[push_blob(&db, "a", "l")], None);
    publish(&db, &manifest, &["v1", "v2"]).unwrap();
    publish(&db, &manifest, &["v1"]).unwrap();
    let head = find(&db, "v1").unwrap();
    assert_eq!((head.digest, head.size), (manifest.digest, manifest.body.len() as u64));
    assert!(find(&db, "v2").is_some() && find(&db, &manifest.digest.to_string()).is_some());
    let delete = || {
        DeleteManifest { repository: name("a"), digest: manifest.digest, kept_until: NOW }.run(&db).unwrap()
    };
    assert_eq!((delete(), delete()), (true, false));
    assert!(find(&db, "v1").is_none() && find(&db, &manifest.digest.to_string()).is_none());
    let left: i64 = db.query_row("SELECT count(*) FROM manifest_references", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn deleting_a_tag_leaves_the_manifest_and_its_other_tags() {
    let db = database();
    let manifest = image(&push_blob(&db, "a", "c"), &[], None);
    publish(&db, &manifest, &["v1", "v2"]).unwrap();
    let delete = |tag: &str| {
        DeleteTag { repository: name("a"), tag: tag.parse().unwrap(), now: NOW }.run(&db).unwrap()
    };
    assert_eq!((delete("v1"), delete("v1")), (true, false));
    assert!(find(&db, "v1").is_none() && find(&db, "v2").is_some());
}

#[test]
fn a_deleted_manifest_protects_its_blobs_for_a_while() {
    let db = database();
    let manifest = image(&push_blob(&db, "a", "c"), &[], None);
    publish(&db, &manifest, &[]).unwrap();
    let kept_until = NOW.after(std::time::Duration::from_secs(9));
    DeleteManifest { repository: name("a"), digest: manifest.digest, kept_until }.run(&db).unwrap();
    let stored: i64 = db.query_row("SELECT kept_until FROM repository_blobs", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, kept_until.as_millis());
}

#[test]
fn a_reference_dropped_by_name_is_restored_by_the_next_push_of_the_blob() {
    let db = database();
    let config = push_blob(&db, "a", "c");
    publish(&db, &image(&config, &[], None), &[]).unwrap();
    let dropped = || -> i64 {
        db.query_row("SELECT sum(dropped) FROM manifest_references", [], |row| row.get(0)).unwrap()
    };
    assert!(UnlinkBlob { repository: name("a"), digest: config, kept_until: NOW }.run(&db).unwrap());
    assert_eq!(dropped(), 1);
    push_blob(&db, "a", "c");
    assert_eq!(dropped(), 0);
}

#[test]
fn referrers_are_listed_by_subject_and_type_and_vanish_with_their_manifest() {
    let db = database();
    let config = push_blob(&db, "a", "c");
    let subject = Digest::of(Algorithm::Sha512, b"never pushed");
    let manifest = image(&config, &[], Some(&subject));
    publish(&db, &manifest, &["sig"]).unwrap();
    let list = |artifact_type: Option<&str>| {
        let artifact_type = artifact_type.map(str::to_owned);
        ListReferrers { repository: name("a"), subject, artifact_type, after: String::new(), limit: 10 }
            .run(&db)
            .unwrap()
            .items
    };
    assert_eq!(list(None).len(), 1);
    assert_eq!(list(Some("test/type"))[0].annotations.as_deref(), Some(r#"{"k":"v"}"#));
    assert!(list(Some("other/type")).is_empty());
    DeleteManifest { repository: name("a"), digest: manifest.digest, kept_until: NOW }.run(&db).unwrap();
    assert!(list(None).is_empty());
}

#[test]
fn tags_are_listed_in_byte_order_page_by_page() {
    let db = database();
    let manifest = image(&push_blob(&db, "a", "c"), &[], None);
    publish(&db, &manifest, &["b", "B", "a-0", "a", "a0"]).unwrap();
    let list = |after: &str| {
        ListTags { repository: name("a"), after: after.to_owned(), limit: 2 }.run(&db).unwrap().unwrap()
    };
    assert_eq!((list("").items, list("").more), (vec!["B".to_owned(), "a".to_owned()], true));
    assert_eq!(list("a").items, ["a-0", "a0"]);
    assert_eq!((list("a1").items, list("a1").more), (vec!["b".to_owned()], false));
    assert!(
        ListTags { repository: name("none"), after: String::new(), limit: 2 }.run(&db).unwrap().is_none()
    );
}

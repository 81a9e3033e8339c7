use super::*;
use crate::db::migrate::{migrate, migrate_new};
use crate::db::queries::blobs::{LinkBlob, UnlinkBlob};
use crate::db::queries::manifests::{DeleteManifest, PublishError};
use crate::db::queries::testing::{NOW, database, name, push};
use crate::domain::{Algorithm, Manifest, MediaType, Timestamp};

const UNKNOWN: &str = "application/vnd.example+json";
const LATER: Timestamp = Timestamp::from_millis(NOW.as_millis() + 9_000);

/// A manifest that refers to this.
type Body = fn(&Digest) -> String;

fn digest(content: &str) -> Digest {
    Digest::of(Algorithm::Sha256, content.as_bytes())
}

fn link(db: &Connection, content: &str) {
    let (repository, digest) = (name("a"), digest(content));
    LinkBlob { repository, digest, size: 1, upload: None, now: NOW, kept_until: NOW }.run(db).unwrap();
}

fn descriptor(digest: &Digest) -> String {
    format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1}}"#)
}

fn publish(db: &Connection, kind: &str, body: String) -> Result<Digest, PublishError> {
    let manifest = Manifest::parse(Algorithm::Sha256, MediaType::parse(kind).unwrap(), body.into()).unwrap();
    let digest = manifest.digest;
    push("a", manifest, &[]).run(db).map(|_| digest)
}

/// How many references the link of a blob has, and until when it is kept.
fn counted(db: &Connection, content: &str) -> (i64, i64) {
    db.query_row(
        "SELECT reference_count, repository_blobs.kept_until FROM repository_blobs
           JOIN blobs ON blobs.id = blob_id WHERE digest = ?1",
        [digest(content).to_string()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
    .unwrap()
}

/// Existence is asked of the union: what an index, an image or any other type names is there as a blob or as a manifest.
#[test]
fn anything_may_stand_in_any_descriptor() {
    let bodies: [(&str, Body); 5] = [
        (MediaType::OCI_INDEX, |child| format!(r#"{{"manifests":[{}]}}"#, descriptor(child))),
        (MediaType::DOCKER_LIST, |child| format!(r#"{{"manifests":[{}]}}"#, descriptor(child))),
        (MediaType::OCI_MANIFEST, |child| {
            format!(r#"{{"config":{},"layers":[{}]}}"#, descriptor(child), descriptor(child))
        }),
        (MediaType::OCI_ARTIFACT, |child| format!(r#"{{"blobs":[{}]}}"#, descriptor(child))),
        (UNKNOWN, |child| format!(r#"{{"manifests":{}}}"#, descriptor(child))),
    ];
    for (kind, body) in bodies {
        let db = database();
        let manifest = digest("{}");
        for child in [digest("blob"), manifest] {
            match publish(&db, kind, body(&child)) {
                Err(PublishError::Missing(missing)) => assert_eq!(missing, [child], "{kind}"),
                other => panic!("{kind}: {other:?}"),
            }
        }
        link(&db, "blob");
        publish(&db, kind, body(&digest("blob"))).expect(kind);
        assert_eq!(counted(&db, "blob").0, 1, "{kind}");
        assert_eq!(publish(&db, UNKNOWN, "{}".to_owned()).unwrap(), manifest);
        publish(&db, kind, body(&manifest)).expect(kind);
        let parents: i64 =
            db.query_row("SELECT max(parent_count) FROM manifest_ties", [], |row| row.get(0)).unwrap();
        assert_eq!(parents, 1, "{kind}");
    }
}

#[test]
fn the_loss_of_the_last_reference_protects_whatever_was_referred_to() {
    let db = database();
    ["child", "odd", "subject"].into_iter().for_each(|content| link(&db, content));
    let body = format!(
        r#"{{"manifests":[{}],"subject":{},"x":["{}"]}}"#,
        descriptor(&digest("child")),
        descriptor(&digest("subject")),
        digest("odd")
    );
    let index = publish(&db, MediaType::OCI_INDEX, body).unwrap();
    DeleteManifest { repository: name("a"), digest: index, kept_until: LATER }.run(&db).unwrap();
    for content in ["child", "odd", "subject"] {
        assert_eq!(counted(&db, content), (0, LATER.as_millis()), "{content}");
    }
}

#[test]
fn a_blob_that_comes_later_or_comes_again_is_kept_by_what_mentions_it() {
    let db = database();
    publish(&db, UNKNOWN, format!(r#"{{"x":"{}"}}"#, digest("late"))).unwrap();
    link(&db, "late");
    assert_eq!(counted(&db, "late").0, 1);
    UnlinkBlob { repository: name("a"), digest: digest("late"), kept_until: NOW }.run(&db).unwrap();
    link(&db, "late");
    assert_eq!(counted(&db, "late").0, 1);
}

/// A database as the version before had it: what it held stays held, and what it had dropped in silence is found.
#[test]
fn a_database_with_rows_keeps_them_and_its_manifests_are_read_again() {
    let mut db = Connection::open_in_memory().unwrap();
    db.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    migrate_new(&mut db, 9).unwrap();
    let [config, gone, child, lost, base] = ["config", "gone", "child", "lost", "base"].map(digest);
    let (image, index, odd) = (digest("image"), digest("index"), digest("odd"));
    let rows = format!(
        "INSERT INTO repositories (id, name, created_at) VALUES (1, 'a', 0);
         INSERT INTO blobs (id, digest, size, created_at)
             VALUES (1, '{config}', 1, 0), (2, '{gone}', 1, 0), (3, '{child}', 1, 0), (4, '{lost}', 1, 0), (5, '{base}', 1, 0);
         INSERT INTO repository_blobs (repository_id, blob_id, kept_until)
             VALUES (1, 1, 0), (1, 3, 0), (1, 4, 0), (1, 5, 0);
         INSERT INTO manifests (id, repository_id, digest, media_type, subject, size, pushed_at, body) VALUES
             (1, 1, '{image}', 'a/b', '{index}', 1, 5, CAST('{{\"a\":[\"{config}\",\"{base}\",\"{index}\"]}}' AS BLOB)),
             (2, 1, '{index}', 'a/b', NULL, 1, 6, CAST('{{\"m\":[\"{image}\",\"{child}\"]}}' AS BLOB)),
             (3, 1, '{odd}', 'a/b', NULL, 1, 7, CAST('{{\"x\":{{\"{lost}\":0}}' AS BLOB));
         INSERT INTO manifest_blobs (manifest_id, digest, repository_id, dropped)
             VALUES (1, '{config}', 1, 0), (1, '{gone}', 1, 1), (2, '{child}', 1, 0);
         INSERT INTO manifest_children (manifest_id, digest, repository_id) VALUES (2, '{image}', 1), (2, '{child}', 1);"
    );
    db.execute_batch(&rows).unwrap();
    migrate(&mut db).unwrap();
    let count = |content: &str| counted(&db, content).0;
    assert_eq!((count("config"), count("child"), count("lost"), count("base")), (1, 1, 0, 0));
    let ties = || -> Vec<(i64, i64)> {
        let mut ties =
            db.prepare("SELECT parent_count, subject_state FROM manifest_ties ORDER BY 1, 2").unwrap();
        ties.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(ties(), [(0, 0), (0, 0), (1, 2)]);

    let Unread { manifests, references } = ReadUnread.run(&db).unwrap();
    assert_eq!(manifests, [1, 2, 3]);
    NoteReferences { references: references.clone(), read: vec![] }.run(&db).unwrap();
    // Cut before they were marked: they are read once more.
    assert_eq!(ReadUnread.run(&db).unwrap().manifests, [1, 2, 3]);
    NoteReferences { references, read: manifests }.run(&db).unwrap();
    assert!(ReadUnread.run(&db).unwrap().manifests.is_empty());
    assert_eq!((count("config"), count("child"), count("lost"), count("base")), (1, 1, 1, 1));
    // The subject is not held by what refers to it.
    assert_eq!(ties(), [(0, 0), (0, 0), (1, 2)]);
    let dropped: i64 = db
        .query_row("SELECT dropped FROM manifest_references WHERE digest = ?1", [gone.to_string()], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(dropped, 1);
    link(&db, "gone");
    assert_eq!(count("gone"), 1);
}

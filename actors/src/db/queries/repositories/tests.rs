use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::db::queries::blobs::{LinkBlob, MountBlob, UnlinkBlob};
use crate::db::queries::descriptions::DescribeRepository;
use crate::db::queries::manifests::DeleteManifest;
use crate::db::queries::repository_pages::{CountRepositories, PageRepositories, RepositoryOrder};
use crate::db::queries::tags::DeleteTag;
use crate::db::queries::testing::{NOW, database, name, push};
use crate::db::queries::totals::{ReadTotals, Totals};
use crate::domain::{Algorithm, Digest, Manifest, MediaType};

#[derive(Debug, Clone)]
enum Op {
    Push(&'static str, u8),
    Mount(&'static str, &'static str, u8),
    Unlink(&'static str, u8),
    Publish(&'static str, u8, &'static str),
    DeleteManifest(&'static str, u8),
    DeleteTag(&'static str, &'static str),
    Delete(&'static str),
    /// What no repository shows goes.
    Collect,
}

fn op() -> impl Strategy<Value = Op> {
    let repository = || select(&["a", "b", "c"][..]);
    let tag = || select(&["v1", "v2"][..]);
    prop_oneof![
        4 => (repository(), 0..4u8).prop_map(|(at, blob)| Op::Push(at, blob)),
        3 => (repository(), repository(), 0..4u8).prop_map(|(from, to, blob)| Op::Mount(from, to, blob)),
        2 => (repository(), 0..4u8).prop_map(|(at, blob)| Op::Unlink(at, blob)),
        3 => (repository(), 0..4u8, tag()).prop_map(|(at, number, tag)| Op::Publish(at, number, tag)),
        1 => (repository(), 0..4u8).prop_map(|(at, number)| Op::DeleteManifest(at, number)),
        1 => (repository(), tag()).prop_map(|(at, tag)| Op::DeleteTag(at, tag)),
        1 => repository().prop_map(Op::Delete),
        1 => Just(Op::Collect),
    ]
}

fn blob(number: u8) -> Digest {
    Digest::of(Algorithm::Sha256, &[number])
}

fn manifest(number: u8) -> Manifest {
    let body = format!("{{\"number\":{number}}}").into();
    let media_type = MediaType::parse("application/vnd.test+json").unwrap();
    Manifest::parse(Algorithm::Sha256, media_type, body).unwrap()
}

fn run(db: &Connection, op: Op) {
    match op {
        Op::Push(at, number) => {
            let (digest, size) = (blob(number), 100 + u64::from(number));
            let link =
                LinkBlob { repository: name(at), digest, size, upload: None, now: NOW, kept_until: NOW };
            link.run(db).unwrap();
        }
        Op::Mount(from, to, number) => {
            let (from, repository, digest) = (name(from), name(to), blob(number));
            MountBlob { from, repository, digest, now: NOW, kept_until: NOW }.run(db).unwrap();
        }
        Op::Unlink(at, number) => {
            UnlinkBlob { repository: name(at), digest: blob(number), kept_until: NOW }.run(db).unwrap();
        }
        Op::Publish(at, number, tag) => {
            push(at, manifest(number), &[tag]).run(db).unwrap();
        }
        Op::DeleteManifest(at, number) => {
            let digest = manifest(number).digest;
            DeleteManifest { repository: name(at), digest, kept_until: NOW }.run(db).unwrap();
        }
        Op::DeleteTag(at, tag) => {
            DeleteTag { repository: name(at), tag: tag.parse().unwrap(), now: NOW }.run(db).unwrap();
        }
        Op::Delete(at) => {
            DeleteRepository { name: name(at), kept_until: NOW }.run(db).unwrap();
        }
        Op::Collect => {
            db.execute("DELETE FROM blobs WHERE link_count = 0", []).unwrap();
        }
    }
}

/// Counts and sizes computed from the rows, as slowly as that takes.
fn counted(db: &Connection) -> Vec<(String, u64, u64, u64, u64, u64)> {
    let mut statement = db
        .prepare(
            "SELECT name,
                (SELECT count(*) FROM tags WHERE repository_id = repositories.id),
                (SELECT count(*) FROM manifests WHERE repository_id = repositories.id),
                (SELECT count(*) FROM repository_blobs WHERE repository_id = repositories.id),
                (SELECT coalesce(sum(size), 0) FROM manifests WHERE repository_id = repositories.id)
                  + (SELECT coalesce(sum(size), 0) FROM repository_blobs JOIN blobs ON blobs.id = blob_id
                      WHERE repository_id = repositories.id),
                (SELECT coalesce(sum(size), 0) FROM manifests WHERE repository_id = repositories.id)
                  + (SELECT coalesce(sum(size), 0) FROM repository_blobs AS mine JOIN blobs ON blobs.id = blob_id
                      WHERE repository_id = repositories.id
                        AND NOT EXISTS (SELECT 1 FROM repository_blobs AS other WHERE other.blob_id = mine.blob_id
                                           AND other.repository_id <> mine.repository_id))
             FROM repositories ORDER BY name",
        )
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The same of the whole registry.
fn totalled(db: &Connection) -> Totals {
    let count = |what: &str| db.query_row(&format!("SELECT {what}"), [], |row| row.get(0)).unwrap();
    let linked = "FROM repository_blobs JOIN blobs ON blobs.id = blob_id";
    let unlinked = "NOT EXISTS (SELECT 1 FROM repository_blobs WHERE blob_id = blobs.id)";
    Totals {
        repositories: count("count(*) FROM repositories"),
        tags: count("count(*) FROM tags"),
        manifests: count("count(*) FROM manifests"),
        blobs: count("count(*) FROM blobs"),
        manifest_bytes: count("coalesce(sum(size), 0) FROM manifests"),
        blob_bytes: count("coalesce(sum(size), 0) FROM blobs"),
        linked_bytes: count(&format!("coalesce(sum(size), 0) {linked}")),
        unlinked_bytes: count(&format!("coalesce(sum(size), 0) FROM blobs WHERE {unlinked}")),
    }
}

proptest! {
    #[test]
    fn kept_counts_and_sizes_are_those_of_the_rows(history in prop::collection::vec(op(), 0..40)) {
        let db = database();
        for op in history {
            run(&db, op);
            let total = CountRepositories.run(&db).unwrap();
            let page = PageRepositories { order: RepositoryOrder::Name, after: None, offset: 0, limit: 99 };
            let kept = page.run(&db).unwrap().items;
            let kept: Vec<_> = kept
                .into_iter()
                .map(|r| (r.name.to_string(), r.tags, r.manifests, r.blobs, r.logical_bytes, r.exclusive_bytes.unwrap()))
                .collect();
            prop_assert_eq!(kept.len() as u64, total);
            prop_assert_eq!(kept, counted(&db));
            prop_assert_eq!(ReadTotals.run(&db).unwrap(), totalled(&db));
        }
    }
}

#[test]
fn a_repository_is_described_with_its_tags_and_gone_after_its_delete() {
    let db = database();
    run(&db, Op::Publish("a", 1, "v1"));
    run(&db, Op::Publish("a", 2, "v2"));
    let describe = |after: &str| {
        DescribeRepository { name: name("a"), after: after.to_owned(), limit: 9 }.run(&db).unwrap()
    };
    let (summary, tags) = describe("").unwrap();
    assert_eq!((summary.tags, summary.manifests, tags.len()), (2, 2, 2));
    assert_eq!(tags[0].digest, manifest(1).digest.to_string());
    assert_eq!(describe("v1").unwrap().1.len(), 1);
    assert!(DeleteRepository { name: name("a"), kept_until: NOW }.run(&db).unwrap());
    assert!(
        describe("").is_none() && !DeleteRepository { name: name("a"), kept_until: NOW }.run(&db).unwrap()
    );
}

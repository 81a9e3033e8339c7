use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rusqlite::params_from_iter;

use super::plan::FREED;
use super::*;
use crate::db::queries::collection::tests::{MANIFESTS, Op, World, manifest, op};
use crate::db::queries::holds;
use crate::db::queries::testing::{NOW, database, name};

fn world(ops: &[Op]) -> World {
    let mut world = World { db: database(), now: NOW, keep: Duration::ZERO, untagged_after: None };
    ops.iter().for_each(|op| world.run(op.clone()));
    world
}

fn names(sql: &str, db: &Connection) -> BTreeSet<String> {
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

const TAGS: &str =
    "SELECT name FROM tags WHERE repository_id = (SELECT id FROM repositories WHERE name = 'a')";
const MANIFESTS_OF_A: &str =
    "SELECT digest FROM manifests WHERE repository_id = (SELECT id FROM repositories WHERE name = 'a')";

/// All that somebody can pull who begins with a tag: tags, manifests, blobs.
fn pullable(db: &Connection) -> BTreeSet<String> {
    let sql = "WITH RECURSIVE pulled (repository, id, tag) AS (
            SELECT repository_id, manifest_id, name FROM tags
            UNION
            SELECT repository, manifests.id, tag FROM pulled
              JOIN manifest_references ON manifest_id = pulled.id AND holds = 1
              JOIN manifests ON manifests.repository_id = repository AND manifests.digest = manifest_references.digest)
        SELECT repository || tag || ' ' || digest FROM pulled JOIN manifests ON manifests.id = pulled.id
        UNION
        SELECT repository || tag || ' ' || blobs.digest FROM pulled
          JOIN manifest_references ON manifest_id = pulled.id AND dropped = 0
          JOIN blobs ON blobs.digest = manifest_references.digest AND state = 0
          JOIN repository_blobs ON blob_id = blobs.id AND repository_blobs.repository_id = repository";
    names(sql, db)
}

/// The bytes of blobs that a sweep takes.
fn swept(world: &World) -> u64 {
    world.sweep().into_iter().map(|item| item.bytes).sum()
}

fn of(judged: Judged) -> Deletions {
    match judged {
        Judged::Deletions(deletions) => deletions,
        other => panic!("{other:?}"),
    }
}

fn deletion() -> impl Strategy<Value = Deletion> {
    let tags = subsequence(vec!["v1", "v2", "none"], 0..3);
    let manifests = subsequence((0..MANIFESTS).collect::<Vec<_>>(), 0..4);
    (tags, manifests, any::<bool>(), select(&[true, true, true, false][..])).prop_map(
        |(tags, manifests, with_untagged, may_untag)| Deletion {
            repository: name("a"),
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            manifests: manifests.into_iter().map(|number| manifest(number).digest).collect(),
            with_untagged,
            may_untag,
        },
    )
}

/// What is named that is there, since a deletion of anything else is refused as a whole.
fn only_there(mut deletion: Deletion, db: &Connection) -> Deletion {
    let (tags, manifests) = (names(TAGS, db), names(MANIFESTS_OF_A, db));
    deletion.tags.retain(|tag| tags.contains(tag.as_str()));
    deletion.manifests.retain(|digest| manifests.contains(&digest.to_string()));
    deletion
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_preview_says_what_is_then_done_and_what_a_sweep_then_frees(
        ops in prop::collection::vec(op(), 5..60),
        wanted in deletion(),
        clean in select(&[true, true, false][..]),
    ) {
        let (world, other) = (world(&ops), world(&ops));
        let deletion = if clean { only_there(wanted, &world.db) } else { wanted };
        let (tags, manifests) = (names(TAGS, &world.db), names(MANIFESTS_OF_A, &world.db));
        let before = pullable(&world.db);
        let state = || world.db.total_changes();
        let unchanged = state();
        let foreseen = Preview(deletion.clone()).run(&world.db).unwrap();
        prop_assert_eq!(state(), unchanged, "a preview changed something");
        let delete = Delete { deletion: deletion.clone(), now: NOW, kept_until: NOW };
        let done = delete.run(&world.db).unwrap();
        world.counts_hold();
        let Judged::Deletions(foreseen) = foreseen else {
            prop_assert_eq!(foreseen, Judged::NoRepository);
            prop_assert_eq!(done, Judged::NoRepository);
            return Ok(());
        };
        let done = of(done);
        prop_assert_eq!(&Deletions { is_done: done.is_done, ..foreseen }, &done);
        if done.is_refused() {
            prop_assert!(!done.is_done && state() == unchanged, "something was done of what is refused");
            return Ok(());
        }
        prop_assert!(done.is_done);
        // Gone is what the items say, and nothing else.
        let gone_manifests: BTreeSet<String> =
            done.items.iter().filter(|item| item.tag.is_none()).filter_map(|item| item.digest.clone()).collect();
        let mut gone_tags: BTreeSet<String> =
            done.items.iter().filter_map(|item| item.tag.as_ref().map(ToString::to_string)).collect();
        let with_manifests = done.items.iter().filter(|item| item.tag.is_none());
        gone_tags.extend(with_manifests.flat_map(|item| item.tags.items.clone()));
        prop_assert_eq!(&names(TAGS, &world.db), &(&tags - &gone_tags));
        prop_assert_eq!(&names(MANIFESTS_OF_A, &world.db), &(&manifests - &gone_manifests));
        // What is left without anything that holds it is in the list of that, and new in it.
        let untagged = "SELECT digest FROM manifest_ties JOIN manifests ON id = manifest_id
             WHERE state = 3 AND manifests.repository_id = (SELECT id FROM repositories WHERE name = 'a')";
        let left = &names(untagged, &world.db) - &names(untagged, &other.db);
        prop_assert_eq!(&left, &done.left.items.iter().cloned().collect());
        prop_assert!(left.is_empty() || !deletion.with_untagged);
        for tag in done.items.iter().filter(|item| item.leaves_untagged) {
            prop_assert!(names(MANIFESTS_OF_A, &world.db).contains(tag.digest.as_ref().unwrap()));
            prop_assert_eq!(tag.tags.total, 0);
        }
        let more = swept(&world) - swept(&other);
        prop_assert_eq!(done.freed_bytes, more, "a sweep frees other bytes than were told");
        // Whoever has a tag that is left pulls all that there was.
        let repository: i64 =
            world.db.query_row("SELECT id FROM repositories WHERE name = 'a'", [], |row| row.get(0)).unwrap();
        let of_gone = |line: &String| gone_tags.iter().any(|tag| line.starts_with(&format!("{repository}{tag} ")));
        let kept: BTreeSet<String> = before.into_iter().filter(|line| !of_gone(line)).collect();
        prop_assert_eq!(pullable(&world.db), kept);
    }
}

fn push(at: &'static str, number: u8, tag: Option<&'static str>) -> Op {
    Op::Publish(at, number, tag, true)
}

fn asked(tags: &[&str], manifests: &[u8], with_untagged: bool) -> Deletion {
    Deletion {
        repository: name("a"),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        manifests: manifests.iter().map(|number| manifest(*number).digest).collect(),
        with_untagged,
        may_untag: true,
    }
}

fn delete(world: &World, deletion: Deletion) -> Deletions {
    of(Delete { deletion, now: NOW, kept_until: NOW }.run(&world.db).unwrap())
}

/// 6 is an index of 0 and 1; 3 is about 0.
fn with_an_index() -> World {
    world(&[push("a", 0, None), push("a", 1, Some("v2")), push("a", 6, Some("v1")), push("a", 3, None)])
}

#[test]
fn an_index_goes_with_what_nothing_else_holds_when_that_is_asked() {
    let world = with_an_index();
    let seen = of(Preview(asked(&["v1"], &[], true)).run(&world.db).unwrap());
    let further: Vec<_> =
        seen.items[1..].iter().map(|item| (item.is_named, item.digest.clone().unwrap())).collect();
    // The index, the image that only it had, and what is about that; the other image has a tag.
    assert_eq!(further.len(), 3);
    for number in [6, 0, 3] {
        assert!(further.contains(&(false, manifest(number).digest.to_string())), "{number}: {further:?}");
    }
    let left = of(Preview(asked(&["v1"], &[], false)).run(&world.db).unwrap());
    assert_eq!((left.items.len(), left.items[0].leaves_untagged), (1, true));
    assert_eq!(left.left.items, [manifest(6).digest.to_string()]);
}

#[test]
fn a_child_of_an_index_that_stays_is_refused_and_with_it_all() {
    let world = with_an_index();
    let refused = delete(&world, asked(&["v2"], &[0], false));
    assert!(!refused.is_done && refused.is_refused());
    assert_eq!(refused.items[0].outcome, Outcome::TagRemoved);
    assert_eq!(refused.items[1].outcome, Outcome::Refused(Obstacle::Child));
    assert_eq!(refused.items[1].parents.items, [manifest(6).digest.to_string()]);
    assert_eq!(names(TAGS, &world.db).len(), 2);
    // With its index it goes.
    assert!(delete(&world, asked(&[], &[0, 6], false)).is_done);
    assert_eq!(names(TAGS, &world.db), BTreeSet::from(["v2".to_owned()]));
}

#[test]
fn a_tag_alone_stays_where_tags_are_kept_unless_its_manifest_goes() {
    let world = with_an_index();
    let kept = |deletion: Deletion| Deletion { may_untag: false, ..deletion };
    let refused = delete(&world, kept(asked(&["v1"], &[], false)));
    assert_eq!(refused.items[0].outcome, Outcome::Refused(Obstacle::TagsAreKept));
    assert!(delete(&world, kept(asked(&["v1"], &[6], false))).is_done);
}

#[test]
fn what_is_too_much_for_one_transaction_is_not_begun() {
    let world = with_an_index();
    world
        .db
        .execute_batch(
            "WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 19000)
             INSERT INTO tags SELECT repository_id, 't' || n, id, 1 FROM numbers, manifests
              WHERE digest = (SELECT digest FROM manifests ORDER BY id LIMIT 1)",
        )
        .unwrap();
    let begin = Instant::now();
    let done = Preview(asked(&[], &[0, 6], false)).run(&world.db).unwrap();
    println!("19 000 tags foreseen in {:?}", begin.elapsed());
    assert!(matches!(done, Judged::Deletions(ref deletions) if deletions.items[0].tags.total == 19_000));
    let begin = Instant::now();
    assert!(matches!(delete(&world, asked(&[], &[0, 6], false)), Deletions { is_done: true, .. }));
    println!("and deleted in {:?}", begin.elapsed());
    let world = with_an_index();
    world
        .db
        .execute_batch(
            "WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 21000)
             INSERT INTO tags SELECT repository_id, 't' || n, id, 1 FROM numbers, manifests
              WHERE digest = (SELECT digest FROM manifests ORDER BY id LIMIT 1)",
        )
        .unwrap();
    let before = world.db.total_changes();
    let delete = Delete { deletion: asked(&[], &[0, 6], false), now: NOW, kept_until: NOW };
    assert_eq!(delete.run(&world.db).unwrap(), Judged::TooMuch);
    assert_eq!(world.db.total_changes(), before);
}

#[test]
fn what_holds_something_is_found_by_an_index() {
    let db = database();
    let held = [
        (holds::TAGS, 1),
        (holds::PARENTS, 1),
        (holds::SUBJECT, 1),
        (holds::CHILDREN, 1),
        (holds::REFERRERS, 1),
        (holds::REFERENCES, 1),
        (holds::REFERRING, 2),
        (holds::LINKS, 1),
        (FREED, 3),
    ];
    for (sql, parameters) in held {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = plan.query_map(params_from_iter(1..=parameters), |row| row.get::<_, String>(3)).unwrap();
        let lines = lines.map(Result::unwrap).collect::<Vec<_>>().join("; ");
        assert!(!lines.contains("SCAN"), "{sql}: {lines}");
    }
}

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::db::queries::blobs::{KeepBlob, LinkBlob, MountBlob, UnlinkBlob};
use crate::db::queries::dry_run::Foresee;
use crate::db::queries::manifests::{DeleteManifest, KeepManifest, PublishError, PublishManifest};
use crate::db::queries::repositories::DeleteRepository;
use crate::db::queries::sweeps::Item;
use crate::db::queries::tags::DeleteTag;
use crate::db::queries::testing::{NOW, database, name};
use crate::domain::{Algorithm, Manifest, MediaType};

const SECOND: Duration = Duration::from_secs(1);
const ENDLESS: Budget = Budget(Duration::MAX);

#[derive(Debug, Clone)]
pub(in crate::db::queries) enum Op {
    Push(&'static str, u8),
    Mount(&'static str, &'static str, u8),
    Head(&'static str, u8),
    Unlink(&'static str, u8),
    Publish(&'static str, u8, Option<&'static str>, bool),
    Look(&'static str, u8),
    DeleteManifest(&'static str, u8),
    DeleteTag(&'static str, &'static str),
    Delete(&'static str),
    Wait(u8),
    Sweep,
}

pub(in crate::db::queries) fn op() -> impl Strategy<Value = Op> {
    let at = || select(&["a", "b"][..]);
    let tag = || select(&["v1", "v2"][..]);
    prop_oneof![
        6 => (at(), 0..4u8).prop_map(|(at, blob)| Op::Push(at, blob)),
        2 => (at(), at(), 0..4u8).prop_map(|(from, to, blob)| Op::Mount(from, to, blob)),
        1 => (at(), 0..4u8).prop_map(|(at, blob)| Op::Head(at, blob)),
        1 => (at(), 0..4u8).prop_map(|(at, blob)| Op::Unlink(at, blob)),
        6 => (at(), 0..MANIFESTS, prop::option::of(tag()), any::<bool>())
            .prop_map(|(at, number, tag, sparse)| Op::Publish(at, number, tag, sparse)),
        1 => (at(), 0..MANIFESTS).prop_map(|(at, number)| Op::Look(at, number)),
        2 => (at(), 0..MANIFESTS).prop_map(|(at, number)| Op::DeleteManifest(at, number)),
        2 => (at(), tag()).prop_map(|(at, tag)| Op::DeleteTag(at, tag)),
        1 => at().prop_map(Op::Delete),
        3 => (0..4u8).prop_map(Op::Wait),
        3 => Just(Op::Sweep),
    ]
}

fn blob(number: u8) -> Digest {
    Digest::of(Algorithm::Sha256, &[number])
}

fn descriptor(digest: &Digest) -> String {
    format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1}}"#)
}

pub(in crate::db::queries) const MANIFESTS: u8 = 13;

/// 0 to 2 are images, 3 to 5 images with one of those as subject, 6 to 8 indexes of two of them. 9 is an index of blobs and an
/// image, 10 of an unknown type, with digests in odd places, 11 refers to the index as its subject, 12 to a blob.
pub(in crate::db::queries) fn manifest(number: u8) -> Manifest {
    let kind = match number {
        0..6 | 11.. => "vnd.oci.image.manifest.v1+json",
        10 => "vnd.example+json",
        _ => "vnd.oci.image.index.v1+json",
    };
    let media_type = MediaType::parse(&format!("application/{kind}")).unwrap();
    let body = match number {
        9 => {
            let children = [blob(0), blob(1), manifest(2).digest].map(|digest| descriptor(&digest));
            format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, children.join(","))
        }
        10 => format!(
            r#"{{"layers":{{"digest":"{}","size":"100"}},"x":[[{{"{}":"{}"}}]]}}"#,
            blob(2),
            blob(3),
            manifest(1).digest
        ),
        11.. => {
            let subject = if number == 11 { manifest(9).digest } else { blob(3) };
            format!(
                r#"{{"config":{},"layers":[],"subject":{},"annotations":{{"x":"{}"}}}}"#,
                descriptor(&blob(0)),
                descriptor(&subject),
                manifest(0).digest
            )
        }
        0..6 => {
            let (config, layer) = (descriptor(&blob(number % 4)), descriptor(&blob((number + 1) % 4)));
            let subject = match number {
                0..3 => String::new(),
                _ => format!(r#","subject":{}"#, descriptor(&manifest(number - 3).digest)),
            };
            format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]{subject}}}"#)
        }
        _ => {
            let child = |number: u8| descriptor(&manifest(number % 6).digest);
            format!(r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#, child(number), child(number + 1))
        }
    };
    Manifest::parse(Algorithm::Sha256, media_type, body.into()).unwrap()
}

pub(in crate::db::queries) struct World {
    pub(in crate::db::queries) db: Connection,
    pub(in crate::db::queries) now: Timestamp,
    pub(in crate::db::queries) keep: Duration,
    pub(in crate::db::queries) untagged_after: Option<Duration>,
}

impl World {
    pub(in crate::db::queries) fn run(&mut self, op: Op) {
        let (db, now, kept_until) = (&self.db, self.now, self.now.after(self.keep));
        match op {
            Op::Push(at, number) => {
                let (repository, digest, size) = (name(at), blob(number), 100 + u64::from(number));
                LinkBlob { repository, digest, size, upload: None, now, kept_until }.run(db).unwrap();
            }
            Op::Mount(from, to, number) => {
                let (from, repository, digest) = (name(from), name(to), blob(number));
                MountBlob { from, repository, digest, now, kept_until }.run(db).unwrap();
            }
            Op::Head(at, number) => {
                KeepBlob { repository: name(at), digest: blob(number), kept_until }.run(db).unwrap();
            }
            Op::Unlink(at, number) => {
                UnlinkBlob { repository: name(at), digest: blob(number), kept_until }.run(db).unwrap();
            }
            Op::Publish(at, number, tag, allow_sparse) => {
                let tags = tag.map(|tag| tag.parse().unwrap()).into_iter().collect();
                let (repository, manifest) = (name(at), manifest(number));
                // As the writer does it: a change that is refused leaves nothing.
                db.execute_batch("SAVEPOINT change").unwrap();
                let publish = PublishManifest {
                    repository,
                    manifest,
                    tags,
                    allow_sparse,
                    now,
                    kept_until,
                    pushed_by: String::new(),
                };
                match publish.run(db) {
                    Ok(_) => {}
                    Err(PublishError::Missing(_)) => db.execute_batch("ROLLBACK TO change").unwrap(),
                    Err(other) => panic!("{other}"),
                }
                db.execute_batch("RELEASE change").unwrap();
            }
            Op::Look(at, number) => {
                let digest = manifest(number).digest;
                KeepManifest { repository: name(at), digest, kept_until }.run(db).unwrap();
            }
            Op::DeleteManifest(at, number) => {
                let digest = manifest(number).digest;
                DeleteManifest { repository: name(at), digest, kept_until }.run(db).unwrap();
            }
            Op::DeleteTag(at, tag) => {
                DeleteTag { repository: name(at), tag: tag.parse().unwrap(), now }.run(db).unwrap();
            }
            Op::Delete(at) => {
                DeleteRepository { name: name(at), kept_until }.run(db).unwrap();
            }
            Op::Wait(seconds) => self.now = self.now.after(SECOND * u32::from(seconds)),
            Op::Sweep => self.sweep_and_compare(),
        }
    }

    /// Everything that a sweep takes, in the order of its phases.
    pub(in crate::db::queries) fn sweep(&self) -> BTreeSet<Item> {
        let (db, now, kept_until) = (&self.db, self.now, self.now.after(self.keep));
        let mut taken = BTreeSet::new();
        let untagged =
            |before| CollectUntagged { sweep: 1, before, due: now.into(), kept_until, budget: ENDLESS };
        while let Some(after) = self.untagged_after {
            let collected = untagged(now.before(after)).run(db).unwrap();
            assert_eq!(collected.wrong, 0, "a tie was counted wrong");
            taken.extend(collected.taken.into_iter().map(|manifest| Item {
                kind: "manifest",
                repository: manifest.repository,
                name: manifest.digest,
                bytes: manifest.size,
            }));
            if !collected.more {
                break;
            }
        }
        let mut after = Some(LinkCursor::default());
        while let Some(at) = after {
            let collected =
                CollectLinks { after: at, due: now.into(), budget: Budget(Duration::ZERO) }.run(db).unwrap();
            assert_eq!(collected.wrong, 0, "a reference was counted wrong");
            after = collected.next;
        }
        let due = ListDueBlobs { after: BlobCursor::default(), now, limit: 99 }.run(db).unwrap();
        for DueBlob { id, digest, last_repository, .. } in due {
            let condemn = Condemn { forget: vec![], candidates: vec![id], due: now.into(), budget: ENDLESS };
            assert_eq!(condemn.run(db).unwrap().ids, [id]);
            let bytes = db.query_row("SELECT size FROM blobs WHERE id = ?1", [id], |row| row.get(0)).unwrap();
            taken.insert(Item { kind: "blob", repository: last_repository, name: digest, bytes });
            Condemn { forget: vec![id], candidates: vec![], due: now.into(), budget: ENDLESS }
                .run(db)
                .unwrap();
        }
        taken
    }

    fn sweep_and_compare(&self) {
        let (now, kept_until) = (self.now, self.now.after(self.keep));
        let untagged_before = self.untagged_after.map(|after| now.before(after));
        let foreseen = Foresee { now, kept_until, untagged_before, idle_since: now }.run(&self.db).unwrap();
        let foreseen: BTreeSet<Item> = foreseen.into_iter().collect();
        let manifests = self.expected_manifests();
        let taken = self.sweep();
        assert_eq!(foreseen, taken, "the dry run saw something else");
        assert_eq!(self.manifests().keys().cloned().collect::<BTreeSet<_>>(), manifests);
        assert_eq!(self.sweep(), BTreeSet::new(), "a second sweep found more");
        self.nothing_is_missing_and_nothing_is_too_much();
    }

    /// Each manifest that is here: by repository and digest its subject.
    fn manifests(&self) -> BTreeMap<(i64, String), Option<String>> {
        self.rows("SELECT repository_id, digest, subject FROM manifests", |row| {
            Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
        })
        .into_iter()
        .collect()
    }

    pub(in crate::db::queries) fn rows<T>(
        &self,
        sql: &str,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let mut statement = self.db.prepare(sql).unwrap();
        statement.query_map([], read).unwrap().map(Result::unwrap).collect()
    }

    /// The obvious way to find which manifests stay: take one that nothing holds, keep what it held for a while, and look again.
    fn expected_manifests(&self) -> BTreeSet<(i64, String)> {
        let mut here = self.manifests();
        let Some(after) = self.untagged_after else { return here.into_keys().collect() };
        let before = self.now.before(after).as_millis();
        let mut untagged: BTreeMap<(i64, String), (i64, i64, i64)> = self
            .rows(
                "SELECT manifests.repository_id, digest, untagged_since, subject_state, kept_until FROM manifest_ties
                   JOIN manifests ON id = manifest_id WHERE untagged_since IS NOT NULL",
                |row| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?, row.get(4)?))),
            )
            .into_iter()
            .collect();
        let children: Vec<((i64, String), String)> = self.rows(
            "SELECT manifests.repository_id, manifests.digest, manifest_references.digest
               FROM manifest_references JOIN manifests ON id = manifest_id WHERE holds = 1",
            |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)),
        );
        loop {
            let loose = here.iter().find(|(key, subject)| {
                let Some((since, state, kept)) = untagged.get(key) else { return false };
                let is_child = children
                    .iter()
                    .any(|(parent, child)| parent.0 == key.0 && *child == key.1 && here.contains_key(parent));
                let subject_here =
                    subject.as_ref().is_some_and(|subject| here.contains_key(&(key.0, subject.clone())));
                let time_is_over = match subject {
                    None => *since <= before,
                    // One whose subject never came stays.
                    Some(_) => *state != 1,
                };
                !is_child && !subject_here && time_is_over && *kept <= self.now.as_millis()
            });
            let Some(gone) = loose.map(|(key, _)| key.clone()) else { return here.into_keys().collect() };
            here.remove(&gone);
            let until = self.now.after(self.keep).as_millis();
            for (key, (.., kept)) in &mut untagged {
                let held = children.iter().any(|(parent, child)| *parent == gone && *child == key.1)
                    || here.get(key).is_some_and(|subject| subject.as_ref() == Some(&gone.1));
                if key.0 == gone.0 && held {
                    *kept = until.max(*kept);
                }
            }
        }
    }

    fn nothing_is_missing_and_nothing_is_too_much(&self) {
        let now = self.now.as_millis();
        // What no manifest needs and no promise holds is gone.
        let left: Vec<String> = self.rows(
            &format!(
                "SELECT blobs.digest FROM repository_blobs JOIN blobs ON id = blob_id
                  WHERE repository_blobs.kept_until <= {now}
                    AND blobs.digest NOT IN (SELECT digest FROM manifest_references
                        WHERE dropped = 0 AND manifest_references.repository_id = repository_blobs.repository_id)
                 UNION ALL
                 SELECT digest FROM blobs WHERE kept_until <= {now}
                    AND id NOT IN (SELECT blob_id FROM repository_blobs)"
            ),
            |row| row.get(0),
        );
        assert_eq!(left, Vec::<String>::new(), "garbage was left");
    }

    /// The counts are those of the rows.
    pub(in crate::db::queries) fn counts_hold(&self) {
        let wrong: Vec<String> = self.rows(
            "SELECT 'link ' || reference_count FROM repository_blobs JOIN blobs ON id = blob_id WHERE reference_count <>
                 (SELECT count(*) FROM manifest_references WHERE dropped = 0
                     AND manifest_references.digest = blobs.digest
                     AND manifest_references.repository_id = repository_blobs.repository_id)
             UNION ALL
             SELECT 'tie ' || manifest_ties.manifest_id FROM manifests LEFT JOIN manifest_ties ON manifest_id = id
              WHERE manifest_id IS NULL
                 OR (untagged_since IS NULL) <> EXISTS (SELECT 1 FROM tags WHERE tags.manifest_id = id)
                 OR parent_count <> (SELECT count(*) FROM manifest_references
                     WHERE manifest_references.repository_id = manifests.repository_id
                       AND manifest_references.digest = manifests.digest AND holds = 1)
                 OR (subject_state = 0) <> (subject IS NULL)
                 OR (subject_state = 2) <> EXISTS (SELECT 1 FROM manifests AS subjects
                     WHERE subjects.repository_id = manifests.repository_id AND subjects.digest = manifests.subject)",
            |row| row.get(0),
        );
        assert_eq!(wrong, Vec::<String>::new());
    }

    /// What is needed and was not taken away by name is visible.
    fn needed_blobs(&self) -> BTreeSet<(i64, String)> {
        let needed = "SELECT DISTINCT manifest_references.repository_id, manifest_references.digest
             FROM manifest_references
             JOIN blobs ON blobs.digest = manifest_references.digest AND blobs.state = 0
             JOIN repository_blobs ON blob_id = blobs.id
                                  AND repository_blobs.repository_id = manifest_references.repository_id
            WHERE dropped = 0";
        self.rows(needed, |row| Ok((row.get(0)?, row.get(1)?))).into_iter().collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn sweeps_take_what_nothing_holds_and_nothing_else(
        history in prop::collection::vec(op(), 0..60),
        keep in 0..3u32,
        untagged_after in prop::option::of(0..4u32),
    ) {
        let untagged_after = untagged_after.map(|seconds| SECOND * seconds);
        let mut world = World { db: database(), now: NOW, keep: SECOND * keep, untagged_after };
        for op in history {
            let before = world.needed_blobs();
            let is_sweep = matches!(op, Op::Sweep) && world.untagged_after.is_none();
            world.run(op);
            world.counts_hold();
            prop_assert!(!is_sweep || world.needed_blobs() == before, "a sweep took what is needed");
        }
        world.run(Op::Wait(9));
        world.run(Op::Sweep);
    }
}

#[test]
fn regression_a_dry_run_names_the_repository_that_loses_its_reference_last() {
    let mut world =
        World { db: database(), now: NOW, keep: Duration::ZERO, untagged_after: Some(Duration::ZERO) };
    let history = [Op::Push("b", 1), Op::Push("b", 2), Op::Push("a", 1), Op::Publish("b", 1, None, false)];
    for op in history.into_iter().chain([Op::Wait(9), Op::Sweep]) {
        world.run(op);
    }
}

#[test]
fn a_wrong_count_takes_nothing_and_is_set_right() {
    let mut world =
        World { db: database(), now: NOW, keep: Duration::ZERO, untagged_after: Some(Duration::ZERO) };
    for op in [Op::Push("a", 0), Op::Push("a", 1), Op::Publish("a", 0, Some("v1"), false)] {
        world.run(op);
    }
    world
        .db
        .execute_batch(
            "UPDATE repository_blobs SET reference_count = 0; UPDATE manifest_ties SET untagged_since = 0",
        )
        .unwrap();
    let collected = CollectLinks { after: LinkCursor::default(), due: NOW.into(), budget: ENDLESS }
        .run(&world.db)
        .unwrap();
    assert_eq!((collected.examined, collected.taken, collected.wrong), (2, 0, 2));
    let untagged =
        CollectUntagged { sweep: 1, before: NOW, due: NOW.into(), kept_until: NOW, budget: ENDLESS };
    let collected = untagged.run(&world.db).unwrap();
    assert_eq!((collected.taken.len(), collected.wrong), (0, 1));
    world.counts_hold();
}

#[test]
fn candidates_come_from_indexes() {
    let db = database();
    for (sql, index) in [
        (DUE_LINKS, "repository_blobs_unreferenced"),
        (DUE_BLOBS, "blobs_unlinked"),
        (LOOSE, "manifest_ties_loose"),
    ] {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let values = vec![1; statement.parameter_count()];
        let plan: Vec<String> = statement
            .query_map(rusqlite::params_from_iter(values), |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
        assert!(
            plan.iter().all(|step| !step.starts_with("SCAN") && !step.contains("TEMP B-TREE")),
            "{plan:?}"
        );
    }
}

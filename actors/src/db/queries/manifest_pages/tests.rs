use std::time::Duration;

use super::*;
use crate::db::WriteQuery;
use crate::db::queries::manifests::{DeleteManifest, PublishManifest};
use crate::db::queries::tags::DeleteTag;
use crate::db::queries::testing::{NOW, database, name, push};
use crate::domain::{Algorithm, Digest, Manifest, MediaType};

/// Something that refers to these, under a key that holds them or as its subject.
fn manifest(word: &str, children: &[Digest], subject: Option<Digest>) -> Manifest {
    let children = children.iter().map(|digest| format!("\"{digest}\"")).collect::<Vec<_>>().join(",");
    let subject =
        subject.map(|digest| format!(r#","subject":{{"mediaType":"a/b","digest":"{digest}","size":1}}"#));
    let body = format!(r#"{{"word":"{word}","manifests":[{children}]{}}}"#, subject.unwrap_or_default());
    let media_type = MediaType::parse("application/vnd.test+json").unwrap();
    Manifest::parse(Algorithm::Sha256, media_type, body.into()).unwrap()
}

fn publish(db: &Connection, at: &str, manifest: &Manifest, tags: &[&str], second: u64) -> Digest {
    let now = NOW.after(Duration::from_secs(second));
    PublishManifest { now, ..push(at, manifest.clone(), tags) }.run(db).unwrap();
    manifest.digest
}

fn page(state: Option<ManifestState>, after: Option<ManifestPlace>, limit: usize) -> PageManifests {
    PageManifests { repository: name("a"), state, after, limit }
}

/// All pages one after the other.
fn walk(db: &Connection, state: Option<ManifestState>, limit: usize) -> Vec<String> {
    let (mut digests, mut after) = (Vec::new(), None);
    loop {
        let found = page(state, after, limit).run(db).unwrap().unwrap();
        assert!(found.manifests.len() <= limit);
        let of_state = |manifest: &ManifestSummary| state.is_none_or(|state| manifest.state == state);
        assert!(found.manifests.iter().all(of_state), "{found:?}");
        digests.extend(found.manifests.into_iter().map(|manifest| manifest.digest));
        let Some(next) = found.next else {
            assert_eq!(found.total, digests.len() as u64);
            return digests;
        };
        after = Some(next);
    }
}

#[test]
fn each_manifest_is_in_the_list_of_one_state_newest_first() {
    let db = database();
    assert_eq!(page(None, None, 9).run(&db).unwrap(), None);
    let child = publish(&db, "a", &manifest("child", &[], None), &[], 1);
    let index = publish(&db, "a", &manifest("index", &[child], None), &["v1", "v2"], 2);
    let referrer = publish(&db, "a", &manifest("referrer", &[], Some(index)), &[], 3);
    let awaits =
        publish(&db, "a", &manifest("awaits", &[], Some(Digest::of(Algorithm::Sha256, b"x"))), &[], 4);
    let loose = publish(&db, "a", &manifest("loose", &[], None), &[], 5);
    publish(&db, "b", &manifest("other", &[], None), &["v1"], 6);
    let texts = |digests: &[Digest]| digests.iter().map(Digest::to_string).collect::<Vec<_>>();
    use ManifestState as S;
    for limit in 1..7 {
        assert_eq!(walk(&db, None, limit), texts(&[loose, awaits, referrer, index, child]));
        assert_eq!(walk(&db, Some(S::Tagged), limit), texts(&[index]));
        assert_eq!(walk(&db, Some(S::Child), limit), texts(&[child]));
        assert_eq!(walk(&db, Some(S::Referrer), limit), texts(&[awaits, referrer]));
        assert_eq!(walk(&db, Some(S::Untagged), limit), texts(&[loose]));
    }
    let tagged = page(Some(S::Tagged), None, 9).run(&db).unwrap().unwrap().manifests.remove(0);
    assert_eq!((tagged.tags.total, tagged.tags.items[1].name.as_str()), (2, "v2"));
    // What changes what holds one changes its list: a tag, a delete, a push again.
    for tag in ["v1", "v2"] {
        DeleteTag { repository: name("a"), tag: tag.parse().unwrap(), now: NOW }.run(&db).unwrap();
    }
    assert_eq!(walk(&db, Some(S::Untagged), 9), texts(&[loose, index]));
    publish(&db, "a", &manifest("index", &[child], None), &[], 7);
    assert_eq!(walk(&db, Some(S::Untagged), 9), texts(&[index, loose]));
    publish(&db, "a", &manifest("child", &[], None), &["tagged"], 8);
    assert_eq!(walk(&db, Some(S::Tagged), 9), texts(&[child]));
    DeleteTag { repository: name("a"), tag: "tagged".parse().unwrap(), now: NOW }.run(&db).unwrap();
    DeleteManifest { repository: name("a"), digest: index, kept_until: NOW }.run(&db).unwrap();
    assert_eq!(walk(&db, Some(S::Untagged), 9), texts(&[child, loose, referrer]));
    assert_eq!(walk(&db, Some(S::Referrer), 9), texts(&[awaits]));
    let lost: u64 = db
        .query_row(
            "SELECT count(*) FROM manifests CROSS JOIN manifest_ties ON manifest_id = id
              WHERE (manifests.repository_id, manifests.pushed_at)
                    IS NOT (manifest_ties.repository_id, manifest_ties.pushed_at)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(lost, 0, "the ties of a manifest say another repository or time than its own");
}

#[test]
fn a_page_of_manifests_is_found_by_an_index_and_sorts_nothing() {
    let db = database();
    let cases = [
        (ALL, "manifest_ties_by_time", 4),
        (OF_STATE, "manifest_ties_by_state", 5),
        (COUNT, "manifest_ties_by_state", 3),
        (TAGS_OF, "tags_by_manifest", 3),
        (COUNT_TAGS, "tags_by_manifest", 3),
    ];
    for (sql, index, parameters) in cases {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = plan
            .query_map(rusqlite::params_from_iter(1..=parameters), |row| row.get::<_, String>(3))
            .unwrap();
        let lines = lines.map(Result::unwrap).collect::<Vec<_>>().join("; ");
        // The count goes over its own inner list.
        let scans = lines.replace("SCAN (subquery-1)", "").contains("SCAN");
        assert!(lines.contains(index) && !scans && !lines.contains("B-TREE"), "{lines}");
    }
}

#[test]
fn words_of_states_are_read_as_they_are_written() {
    for (number, state) in ManifestState::ALL.into_iter().enumerate() {
        assert_eq!(state.as_str().parse(), Ok(state));
        assert_eq!((state.number(), ManifestState::of(number).unwrap()), (Some(number), state));
    }
    assert!("TAGGED".parse::<ManifestState>().is_err() && ManifestState::of(4).is_err());
}

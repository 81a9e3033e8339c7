use std::time::{Duration, Instant};

use super::*;
use crate::db::WriteQuery;
use crate::db::queries::manifests::PublishManifest;
use crate::db::queries::testing::{NOW, database, name, push};
use crate::domain::{Algorithm, Manifest, MediaType};

fn publish(db: &Connection, tags: &[&str], second: u64) {
    let body = r#"{"schemaVersion":2}"#.into();
    let media_type = MediaType::parse("application/vnd.test+json").unwrap();
    let manifest = Manifest::parse(Algorithm::Sha256, media_type, body).unwrap();
    let now = NOW.after(Duration::from_secs(second));
    PublishManifest { now, ..push("a", manifest, tags) }.run(db).unwrap();
}

fn page(part: &str, order: TagOrder, after: Option<TagPlace>, limit: usize) -> PageTags {
    PageTags { repository: name("a"), part: part.to_owned(), order, after, limit }
}

/// All pages one after the other.
fn walk(db: &Connection, part: &str, order: TagOrder, limit: usize) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let found = page(part, order, after, limit).run(db).unwrap().unwrap();
        assert!(found.tags.len() <= limit && found.total.is_some() == part.is_empty());
        names.extend(found.tags.into_iter().map(|tag| tag.name));
        match found.next {
            Some(next) => after = Some(next),
            None => return names,
        }
    }
}

#[test]
fn pages_of_any_length_are_the_whole_list_in_its_order() {
    let db = database();
    assert_eq!(page("", TagOrder::Name, None, 9).run(&db).unwrap(), None);
    publish(&db, &["b", "c"], 1);
    publish(&db, &["RC-1", "a"], 3);
    publish(&db, &["rc-2"], 2);
    for limit in 1..7 {
        assert_eq!(walk(&db, "", TagOrder::Name, limit), ["RC-1", "a", "b", "c", "rc-2"]);
        assert_eq!(walk(&db, "", TagOrder::Updated, limit), ["a", "RC-1", "rc-2", "c", "b"]);
        assert_eq!(walk(&db, "rC-", TagOrder::Name, limit), ["RC-1", "rc-2"]);
        assert_eq!(walk(&db, "c", TagOrder::Updated, limit), ["RC-1", "rc-2", "c"]);
        assert_eq!(walk(&db, "%", TagOrder::Updated, limit), [""; 0]);
    }
    let found = page("", TagOrder::Updated, None, 1).run(&db).unwrap().unwrap();
    assert_eq!((found.total, found.tags[0].updated_at), (Some(5), NOW.after(Duration::from_secs(3))));
    assert!(found.tags[0].facts.is_some(), "{found:?}");
    // A tag that moved is the newest, and a place that is gone is one all the same.
    publish(&db, &["b"], 4);
    let after = TagPlace { name: "bb".to_owned(), updated_at: NOW.after(Duration::from_secs(3)) };
    let named =
        |order| page("", order, Some(after.clone()), 1).run(&db).unwrap().unwrap().tags[0].name.clone();
    assert_eq!((named(TagOrder::Name), named(TagOrder::Updated)), ("c".to_owned(), "a".to_owned()));
    assert_eq!(walk(&db, "", TagOrder::Updated, 2)[0], "b");
}

#[test]
fn a_page_of_tags_is_found_by_an_index_and_sorts_nothing() {
    let db = database();
    for (order, index) in
        [(TagOrder::Name, "USING PRIMARY KEY"), (TagOrder::Updated, "USING COVERING INDEX tags_by_time")]
    {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {}", order.sql())).unwrap();
        let lines = plan.query_map((1, "v1", 0, 9), |row| row.get::<_, String>(3)).unwrap();
        let lines = lines.map(Result::unwrap).collect::<Vec<_>>().join("; ");
        assert!(lines.contains(index) && !lines.contains("SCAN") && !lines.contains("B-TREE"), "{lines}");
    }
}

/// With more tags than one page looks at, those of a page are few, and the list ends all the same.
#[test]
fn a_page_looks_at_so_many_tags_and_no_more() {
    let db = database();
    publish(&db, &["v"], 0);
    db.execute_batch(
        "WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 25000)
         INSERT INTO tags SELECT repository_id, printf('t%05d', n), manifest_id, 1000000 + n FROM numbers, tags",
    )
    .unwrap();
    for order in [TagOrder::Name, TagOrder::Updated] {
        assert_eq!(walk(&db, "24999", order, 9), ["t24999"]);
        let begin = Instant::now();
        let found = page("nothing", order, None, 100).run(&db).unwrap().unwrap();
        let (seldom, begin) = (begin.elapsed(), Instant::now());
        assert!(found.tags.is_empty() && found.next.is_some());
        let after = TagPlace { name: "t12000".to_owned(), updated_at: Timestamp::from_millis(1_012_000) };
        let found = page("", order, Some(after), 100).run(&db).unwrap().unwrap();
        assert_eq!((found.tags.len(), found.total), (100, Some(25_001)));
        println!("{order:?}: none of 10 000 in {seldom:?}, 100 from the middle in {:?}", begin.elapsed());
    }
}

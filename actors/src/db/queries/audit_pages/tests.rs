use std::time::Duration;

use super::*;
use crate::db::WriteQuery;
use crate::db::queries::audit::Record;
use crate::db::queries::testing::{NOW, database};
use crate::domain::{Event, EventName, Origin};

/// Records what somebody did, from an address that has the number of the second.
fn record(db: &Connection, actor: &str, name: EventName, repository: &str, second: u64) {
    let event = Event {
        repository: repository.to_owned(),
        digest: if repository.is_empty() { String::new() } else { format!("sha256:{second}") },
        tag: if repository.is_empty() { String::new() } else { format!("v{second}") },
        ..Event::new(name)
    };
    let origin = Origin {
        actor_id: format!("id-{actor}"),
        actor_name: actor.to_owned(),
        address: format!("192.0.2.{second}"),
        ..Origin::default()
    };
    let now = NOW.after(Duration::from_secs(second));
    Record { origin, now, event, times: 1 }.run(db).unwrap();
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn events(names: &[&str]) -> AuditFilter {
    AuditFilter { events: names.iter().map(|name| (*name).to_owned()).collect(), ..AuditFilter::default() }
}

/// Everything that the pages of this length have, one after the other.
fn walk(db: &Connection, first: &ListAudit, limit: usize) -> Vec<i64> {
    let (mut ids, mut place) = (Vec::new(), first.place);
    loop {
        let page = ListAudit { place, limit, ..first.clone() }.run(db).unwrap();
        assert!(page.entries.len() <= limit);
        ids.extend(page.entries.iter().map(|entry| entry.id));
        let Some(next) = page.next else { return ids };
        assert_ne!(next, place, "the list never ends");
        place = next;
    }
}

#[test]
fn entries_are_listed_by_every_filter_in_both_directions() {
    let db = database();
    record(&db, "ada", EventName::Logout, "", 0);
    record(&db, "ada", EventName::ManifestPushed, "a", 1);
    record(&db, "bob", EventName::ManifestPushed, "b", 2);
    record(&db, "bob", EventName::TagDeleted, "b", 3);
    let list = |filter: AuditFilter, expected: &[i64]| {
        let first = ListAudit { filter, limit: 9, counts: true, ..ListAudit::default() };
        let page = first.clone().run(&db).unwrap();
        let ids: Vec<i64> = page.entries.iter().map(|entry| entry.id).collect();
        assert_eq!((ids.as_slice(), page.total), (expected, Some(expected.len() as u64)), "{first:?}");
        for limit in 1..4 {
            assert_eq!(walk(&db, &first, limit), expected, "{first:?}");
            let as_they_came = ListAudit { place: AuditPlace::After(0), ..first.clone() };
            assert!(walk(&db, &as_they_came, limit).iter().eq(expected.iter().rev()), "{first:?}");
        }
    };
    let all = AuditFilter::default;
    list(all(), &[4, 3, 2, 1]);
    list(events(&["manifest_pushed"]), &[3, 2]);
    list(events(&["logout", "manifest_pushed", "gc_started"]), &[3, 2, 1]);
    list(AuditFilter { actor_id: text("id-ada"), ..all() }, &[2, 1]);
    list(AuditFilter { actor_name: text("bob"), ..all() }, &[4, 3]);
    list(AuditFilter { repository: text("b"), ..all() }, &[4, 3]);
    list(AuditFilter { digest: text("sha256:2"), ..all() }, &[3]);
    list(AuditFilter { tag: text("v3"), ..all() }, &[4]);
    list(AuditFilter { address: text("192.0.2.0"), ..all() }, &[1]);
    list(AuditFilter { repository: text("b"), ..events(&["logout", "tag_deleted"]) }, &[4]);
    list(AuditFilter { actor_name: text("bob"), tag: text("v2"), repository: text("b"), ..all() }, &[3]);
    list(AuditFilter { actor_name: text("ada"), repository: text("b"), ..all() }, &[]);
    let second = |seconds| Some(NOW.after(Duration::from_secs(seconds)));
    list(AuditFilter { since: second(1), ..all() }, &[4, 3, 2]);
    list(AuditFilter { until: second(1), ..all() }, &[1]);
    list(AuditFilter { since: second(9), ..all() }, &[]);
    list(
        AuditFilter { since: second(1), until: second(3), ..events(&["logout", "manifest_pushed"]) },
        &[3, 2],
    );
}

#[test]
fn entries_that_are_passed_over_count_from_the_first_that_is_wanted() {
    let db = database();
    for second in 0..8 {
        let name = if second % 2 == 0 { EventName::Logout } else { EventName::ManifestPushed };
        record(&db, "ada", name, if second % 2 == 0 { "" } else { "a" }, second);
    }
    let page = |filter, place, offset| {
        let page = ListAudit { filter, place, offset, limit: 2, ..ListAudit::default() }.run(&db).unwrap();
        page.entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    let both = || AuditFilter { repository: text("a"), ..events(&["manifest_pushed"]) };
    assert_eq!(page(AuditFilter::default(), AuditPlace::Newest, 3), [5, 4]);
    assert_eq!(page(events(&["logout", "manifest_pushed"]), AuditPlace::Newest, 3), [5, 4]);
    assert_eq!(page(both(), AuditPlace::Newest, 1), [6, 4]);
    assert_eq!(page(both(), AuditPlace::After(0), 1), [4, 6]);
    assert_eq!(page(both(), AuditPlace::Newest, 9), [0_i64; 0]);
}

/// How SQLite will run it.
fn plan(db: &Connection, (sql, values): &Statement) -> String {
    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
    steps.map(Result::unwrap).collect::<Vec<String>>().join("; ")
}

#[test]
fn no_filter_scans_the_log() {
    let db = database();
    let indices = [
        ("event", "audit_log_by_event"),
        ("actor_id", "audit_log_by_actor"),
        ("actor_name", "audit_log_by_actor_name"),
        ("repository", "audit_log_by_repository"),
        ("digest", "audit_log_by_digest"),
        ("tag", "audit_log_by_tag"),
        ("address", "audit_log_by_address"),
    ];
    let (one, three) = ([String::from("x")], ["x", "y", "z"].map(str::to_owned));
    for bits in 0..16 {
        let bit = |bit: u32| bits >> bit & 1 == 1;
        let (since, until) = (Some(NOW).filter(|_| bit(0)), Some(NOW).filter(|_| bit(1)));
        let place = match (bit(2), bit(3)) {
            (true, false) => AuditPlace::Before(AuditCursor { time: NOW, id: 1 }),
            (true, true) => AuditPlace::After(1),
            (false, _) => AuditPlace::Newest,
        };
        let list = ListAudit {
            filter: AuditFilter { since, until, ..AuditFilter::default() },
            place,
            ..ListAudit::default()
        };
        let is_walked = matches!(place, AuditPlace::After(_));
        let all = plan(&db, &list.rows(None, 0));
        let by = if is_walked { "USING INTEGER PRIMARY KEY" } else { "audit_log_by_time" };
        assert!(all.contains(by) && !all.contains("TEMP B-TREE"), "{list:?}: {all}");
        let texts = |column, texts| Some((column, texts)).filter(|_| !is_walked);
        for (column, index) in indices {
            for values in [&one[..], &three[..]].iter().take(if column == "event" { 2 } else { 1 }) {
                let found = plan(&db, &list.rows(texts(column, *values), 0));
                assert!(
                    !found.contains("TEMP B-TREE") && !found.contains("SCAN audit_log"),
                    "{list:?}: {found}"
                );
                assert!(is_walked || found.contains(&format!("{index} (")), "{list:?} {column}: {found}");
                let leading = (column, *values);
                let counted = plan(&db, &list.counted(&[leading], Some(leading)));
                assert!(
                    counted.contains(index) && !counted.contains("SCAN audit_log"),
                    "{column}: {counted}"
                );
            }
        }
    }
}

#[test]
fn the_rarest_of_several_filters_leads() {
    let db = database();
    for second in 0..20 {
        record(&db, "ci", EventName::BlobUploaded, "busy", second);
        record(&db, &format!("person-{second}"), EventName::Logout, "", second);
    }
    record(&db, "ci", EventName::TagDeleted, "busy", 20);
    record(&db, "ada", EventName::BlobUploaded, "busy", 21);
    for (event, actor, column) in [("tag_deleted", "ci", "event"), ("blob_uploaded", "ada", "actor_name")] {
        let filter = AuditFilter { actor_name: text(actor), repository: text("busy"), ..events(&[event]) };
        let texts = filter.texts();
        assert_eq!(filter.leading(&db, &texts).unwrap().map(|(column, _)| column), Some(column));
        let page = ListAudit { filter: filter.clone(), limit: 9, counts: true, ..ListAudit::default() };
        let page = page.run(&db).unwrap();
        assert_eq!((page.entries.len(), page.total), (1, Some(1)));
        assert_eq!(page.entries[0].actor_name, actor);
    }
}

#[test]
fn a_page_looks_at_a_bounded_number_of_entries_and_says_where_it_goes_on() {
    let db = database();
    for second in 0..30 {
        let is_rare = second % 10 == 0;
        let (event, repository) = (EventName::ManifestPushed, if is_rare { "rare" } else { "busy" });
        record(&db, if is_rare { "ada" } else { "ci" }, event, repository, second);
        record(&db, "ada", EventName::BlobUploaded, repository, second);
    }
    // A third of all for either, and none for both.
    let filter = || AuditFilter { actor_name: text("ada"), tag: text("none"), ..AuditFilter::default() };
    let found = |place, filter, examined| {
        let list = ListAudit { filter, place, examined, limit: 2, counts: true, ..ListAudit::default() };
        let page = list.clone().run(&db).unwrap();
        assert!(
            page.total.is_some_and(|total| total <= 3 && (examined < EXAMINED || total == 3)),
            "{page:?}"
        );
        (page.entries.len(), page.next.is_some(), walk(&db, &list, 2))
    };
    let pushed = || AuditFilter { actor_name: text("ada"), ..events(&["manifest_pushed"]) };
    assert_eq!(found(AuditPlace::Newest, pushed(), 5), (0, true, vec![41, 21, 1]));
    assert_eq!(found(AuditPlace::After(0), pushed(), 5), (1, true, vec![1, 21, 41]));
    assert_eq!(found(AuditPlace::Newest, pushed(), EXAMINED), (2, true, vec![41, 21, 1]));
    assert_eq!(found(AuditPlace::Newest, filter(), 5), (0, false, vec![]));
}

#[test]
fn whoever_tails_goes_on_from_what_was_looked_at() {
    let db = database();
    let tail = |after, limit| {
        let list = ListAudit {
            filter: events(&["tag_deleted"]),
            place: AuditPlace::After(after),
            limit,
            ..ListAudit::default()
        };
        let page = list.run(&db).unwrap();
        let ids: Vec<i64> = page.entries.iter().map(|entry| entry.id).collect();
        (ids, page.seen, page.next)
    };
    assert_eq!(tail(0, 9), (vec![], None, None));
    for second in [5, 3] {
        record(&db, "ada", EventName::Logout, "", second);
    }
    assert_eq!(tail(0, 9), (vec![], Some(2), None));
    // The clock was set back; the numbers rise all the same.
    for second in [1, 0, 2] {
        record(&db, "ada", EventName::TagDeleted, "a", second);
    }
    assert_eq!(tail(2, 9), (vec![3, 4, 5], Some(5), None));
    assert_eq!(tail(2, 2), (vec![3, 4], Some(4), Some(AuditPlace::After(4))));
    assert_eq!(tail(5, 9), (vec![], None, None));
    assert_eq!(tail(i64::MAX, 9), (vec![], None, None));
}

#[test]
fn the_order_is_that_of_times_and_no_entry_is_passed_over_between_pages() {
    let db = database();
    for second in [5, 3, 3, 9, 3, 0, 9] {
        record(&db, "ada", EventName::Logout, "", second);
    }
    let (mut place, mut ids) = (AuditPlace::Newest, Vec::new());
    loop {
        let page = ListAudit { place, limit: 2, ..ListAudit::default() }.run(&db).unwrap();
        ids.extend(page.entries.into_iter().map(|entry| entry.id));
        // What is recorded meanwhile moves no page.
        record(&db, "bob", EventName::Logout, "", 9);
        let Some(next) = page.next else { break };
        let AuditPlace::Before(cursor) = next else { panic!("{next:?}") };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        place = next;
    }
    assert_eq!(ids, [7, 4, 1, 5, 3, 2, 6]);
}

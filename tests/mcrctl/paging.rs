//! Lists are shown whole, page by page as they come, and what was printed stays when the rest does not come.

use serde_json::{Value, json};

use crate::door::{VERBS, arguments};
use crate::stand_in::{Answer, Asked, Person, StandIn, finish, printed, said, typed};

const ALL: u64 = 2500;

fn parameter(asked: &Asked, key: &str) -> Option<String> {
    let query = asked.path.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}=")).map(str::to_owned))
}

/// A log of [`ALL`] entries that only a cursor leads through, as the registry's does: it counts only where there is none, and no
/// further than `counted`. The page after `breaks` fails.
fn log(asked: &Asked, breaks: u64, counted: u64) -> Answer {
    let Some(wanted) = parameter(asked, "n") else { return Answer::json(&json!({"status": "ok"})) };
    let wanted: u64 = wanted.parse().unwrap();
    let cursor = parameter(asked, "cursor");
    let begin: u64 = match &cursor {
        Some(cursor) => cursor.trim_start_matches("after-").parse().unwrap(),
        None => parameter(asked, "offset").map_or(0, |offset| offset.parse().unwrap()),
    };
    if begin >= breaks {
        return Answer(503, String::new(), json!({"error": "the database is busy"}).to_string());
    }
    let end = (begin + wanted).min(ALL);
    let items: Vec<Value> =
        (begin..end).map(|number| json!({"id": ALL - number, "event": format!("e{number}")})).collect();
    let next = (end < ALL).then(|| format!("after-{end}"));
    let total = cursor.is_none().then_some(ALL.min(counted));
    Answer::json(&json!({"total": total, "items": items, "next": next}))
}

fn list(server: &StandIn, more: &[&str]) -> std::process::Output {
    let url = server.url();
    let options = ["--server", url.as_str(), "--token", "x", "audit", "list"];
    Person::new().run(&[&options[..], more].concat(), &[])
}

#[test]
fn the_whole_log_comes_by_cursor_and_in_one_piece() {
    let server = StandIn::start(|asked| log(asked, u64::MAX, ALL));
    let output = list(&server, &["--all"]);
    let text = printed(&output);
    assert!(output.status.success(), "{}", said(&output));
    let events: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert!(events.iter().copied().eq((0..ALL).map(|number| format!("e{number}")).collect::<Vec<_>>()));
    let with = |key| server.asked().iter().filter(|asked| parameter(asked, key).is_some()).count();
    assert_eq!((with("n"), with("cursor")), (3, 2));
    let json: Value = serde_json::from_str(&printed(&list(&server, &["--all", "--json"]))).unwrap();
    assert_eq!((json["items"].as_array().unwrap().len() as u64, &json["total"]), (ALL, &json!(ALL)));
    let json: Value =
        serde_json::from_str(&printed(&list(&server, &["--limit", "1500", "--offset", "7", "--json"])))
            .unwrap();
    assert_eq!(
        (json["items"].as_array().unwrap().len(), &json["items"][1499]["event"]),
        (1500, &json!("e1506"))
    );
    let cut = printed(&list(&server, &["--limit", "3"]));
    assert!(cut.ends_with("\n3 of 2500; --all shows the rest\n") && cut.lines().count() == 5, "{cut}");
    let last = printed(&list(&server, &["--all", "--offset", "2498"]));
    assert_eq!(last.lines().count(), 3, "{last}");
}

/// What is asked for, how many come, the total, and what the table says of the rest.
type Case = (&'static [&'static str], u64, Option<u64>, Option<String>);

#[test]
fn a_total_is_that_of_the_whole_list_or_none_is_said() {
    let rest = "--all shows the rest";
    // Of a log that is counted out, and of one that is not.
    let counted_out: &[Case] = &[
        (&["--all"], ALL, Some(ALL), None),
        (&["--all", "--offset", "2400"], 100, Some(ALL), None),
        (&["--all", "--offset", "3000"], 0, Some(ALL), None),
        (&["--limit", "3"], 3, Some(ALL), Some(format!("3 of 2500; {rest}"))),
        (&["--limit", "1500"], 1500, Some(ALL), Some(format!("1500 of 2500; {rest}"))),
        (&["--limit", "2500"], ALL, Some(ALL), None),
        (&["--limit", "2600"], ALL, Some(ALL), None),
    ];
    let not: &[Case] = &[
        (&["--all"], ALL, Some(ALL), None),
        (&["--limit", "1200"], 1200, None, Some(format!("1200; {rest}"))),
        (&["--limit", "1500"], 1500, None, Some(format!("1500; {rest}"))),
        (&["--limit", "2500"], ALL, Some(ALL), None),
        (&["--limit", "2600"], ALL, Some(ALL), None),
    ];
    for (counted, cases) in [(ALL, counted_out), (1200, not)] {
        let server = StandIn::start(move |asked| log(asked, u64::MAX, counted));
        for (line, items, total, rest) in cases {
            let json: Value =
                serde_json::from_str(&printed(&list(&server, &[*line, &["--json"]].concat()))).unwrap();
            let seen = (json["items"].as_array().unwrap().len() as u64, json["total"].as_u64());
            assert_eq!(seen, (*items, *total), "{line:?}, counted to {counted}");
            let table = printed(&list(&server, line));
            let last = table.lines().last().filter(|line| line.contains("--all"));
            assert_eq!(last, rest.as_deref(), "{line:?}, counted to {counted}");
        }
    }
}

#[test]
fn an_export_is_printed_as_it_comes_and_is_all_or_an_error() {
    let hostile = "bell\u{7}\u{202e}";
    let server = StandIn::start(move |asked| {
        if !asked.path.starts_with("/v1/audit") {
            return Answer::json(&Value::Null);
        }
        let wants = |form: &str| asked.head.to_ascii_lowercase().contains(&format!("accept: {form}\r\n"));
        if asked.path.contains("event_type=refused") {
            return Answer(403, String::new(), json!({"error": "not you"}).to_string());
        }
        let cut = if asked.path.contains("event_type=cut") { "" } else { "\r\n" };
        match (wants("text/csv"), wants("application/x-ndjson"), asked.path.contains("event_type=old")) {
            (true, _, false) => {
                let head = "Content-Type: text/csv; charset=utf-8\r\n".to_owned();
                Answer(200, head, format!("id,actor\r\n7,{hostile}{cut}"))
            }
            (_, true, false) => {
                let line = format!("{}\n", json!({"id": 7, "actor": hostile}));
                Answer(200, "Content-Type: application/x-ndjson\r\n".to_owned(), line.repeat(3))
            }
            _ => Answer::json(&json!({"total": 0, "items": []})),
        }
    });
    let csv = list(&server, &["--csv", "--event", "a", "--event", "b", "--actor", "ada", "--tag", "v1"]);
    assert_eq!(printed(&csv), "id,actor\n7,bell\\u{7}\\u{202e}\n", "{}", said(&csv));
    let asked = server.asked().last().unwrap().path.clone();
    assert_eq!(asked, "/v1/audit?event_type=a&event_type=b&actor=ada&tag=v1");
    let ndjson = printed(&list(&server, &["--ndjson", "--digest", "sha256:x", "--address", "192.0.2.7"]));
    assert_eq!(ndjson.lines().count(), 3);
    let entry: Value = serde_json::from_str(ndjson.lines().next().unwrap()).unwrap();
    assert_eq!((entry["actor"].as_str(), ndjson.contains('\u{202e}')), (Some(hostile), false));
    for (event, expected) in [("cut", "did not come whole"), ("refused", "not you"), ("old", "older than")] {
        let output = list(&server, &["--csv", "--event", event]);
        assert_eq!(output.status.code(), Some(1), "{event}");
        assert!(said(&output).contains(expected), "{event}: {}", said(&output));
    }
    assert_eq!(list(&server, &["--csv", "--ndjson"]).status.code(), Some(2));
    assert_eq!(list(&server, &["--csv", "--json"]).status.code(), Some(2));
}

#[test]
fn what_came_before_a_failure_is_printed_and_json_stays_open() {
    let server = StandIn::start(|asked| log(asked, 2000, ALL));
    for (more, lines) in [(&["--all"][..], 2001), (&["--all", "--json"], 2000)] {
        let output = list(&server, more);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("the database is busy"), "{}", said(&output));
        let text = printed(&output);
        assert!(text.lines().count() >= lines && text.contains("e1999"), "{} lines", text.lines().count());
        assert!(serde_json::from_str::<Value>(&text).is_err(), "half of a list looks like all of it");
    }
}

#[test]
fn nothing_is_printed_when_the_first_page_does_not_come() {
    let refused = || Answer(401, String::new(), json!({"error": "the token is not valid"}).to_string());
    let server = StandIn::start(move |asked| match asked.path.as_str() {
        "/v1/health" => Answer::json(&Value::Null),
        _ => refused(),
    });
    // Nobody listens on the port of a server that has ended.
    let gone = StandIn::start(|_| Answer::json(&Value::Null)).url();
    for url in [server.url(), gone] {
        for (verb, more) in VERBS.iter().filter(|(verb, _)| !["completions", "login"].contains(verb)) {
            for json in [&[][..], &["--json"]] {
                let options = ["--yes", "--server", url.as_str(), "--token", "x"];
                let line = [&options[..], &arguments(verb, more, "7"), json].concat();
                let output = finish(Person::new().command(&line).spawn().unwrap(), &typed(&line));
                assert_eq!(output.status.code(), Some(1), "{line:?}");
                assert_eq!(printed(&output), "", "{line:?}");
            }
        }
    }
}

#[test]
fn a_repository_shows_all_of_its_tags() {
    let server = StandIn::start(|asked| {
        let is_list = asked.path.starts_with("/v1/repositories/a/tags?");
        let last = parameter(asked, if is_list { "cursor" } else { "last" }).unwrap_or_default();
        let begin = last.strip_prefix('t').map_or(0, |number| number.parse::<u64>().unwrap() + 1);
        let tags: Vec<Value> = (begin..ALL)
            .take(1000)
            .map(|number| json!({"name": format!("t{number:04}"), "size": 1}))
            .collect();
        if is_list {
            // A page may be empty, and the list still go on.
            let next = tags.last().map(|tag| tag["name"].clone());
            let (items, next) = match (begin, parameter(asked, "cursor")) {
                (0, None) => (Vec::new(), Some(json!("start"))),
                _ => (tags, next),
            };
            return Answer::json(&json!({"total": ALL, "items": items, "next": next}));
        }
        Answer::json(&json!({"name": "a", "tags": ALL, "tag_list": tags}))
    });
    let url = server.url();
    let show = |verb: &[&str]| {
        let options = ["--server", url.as_str(), "--token", "x"];
        let output = Person::new().run(&[&options[..], verb].concat(), &[]);
        assert!(output.status.success(), "{}", said(&output));
        printed(&output)
    };
    for verb in [["repo", "show", "a"], ["tag", "list", "a"]] {
        let text = show(&verb);
        let tags: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split(' ').next())
            .filter(|word| word.starts_with('t'))
            .collect();
        assert_eq!(
            (tags.len() as u64, tags.first(), tags.last()),
            (ALL, Some(&"t0000"), Some(&"t2499")),
            "{verb:?}"
        );
        let json: Value = serde_json::from_str(&show(&[&verb[..], &["--json"]].concat())).unwrap();
        let list = if verb[0] == "repo" { &json["tag_list"] } else { &json["items"] };
        assert_eq!(list.as_array().unwrap().len() as u64, ALL, "{verb:?}");
    }
}

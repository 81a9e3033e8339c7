//! Lists are shown whole, page by page as they come, and what was printed stays when the rest does not come.

use serde_json::{Value, json};

use crate::stand_in::{Answer, Asked, Person, StandIn, printed, said};

const ALL: u64 = 2500;

fn parameter(asked: &Asked, key: &str) -> Option<String> {
    let query = asked.path.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}=")).map(str::to_owned))
}

/// A log of [`ALL`] entries that only a cursor leads through, as the registry's does; the page after `breaks` fails.
fn log(asked: &Asked, breaks: u64) -> Answer {
    let wanted: u64 = parameter(asked, "n").unwrap().parse().unwrap();
    let begin: u64 = match parameter(asked, "last") {
        Some(cursor) => cursor.trim_start_matches("after-").parse().unwrap(),
        None => parameter(asked, "offset").unwrap().parse().unwrap(),
    };
    if begin >= breaks {
        return Answer(503, String::new(), json!({"error": "the database is busy"}).to_string());
    }
    let end = (begin + wanted).min(ALL);
    let items: Vec<Value> =
        (begin..end).map(|number| json!({"id": ALL - number, "event": format!("e{number}")})).collect();
    let next = (end - begin == wanted).then(|| format!("after-{end}"));
    Answer::json(&json!({"total": ALL, "items": items, "next": next}))
}

fn list(server: &StandIn, more: &[&str]) -> std::process::Output {
    let url = server.url();
    let options = ["--server", url.as_str(), "--token", "x", "audit", "list"];
    Person::new().run(&[&options[..], more].concat(), &[])
}

#[test]
fn the_whole_log_comes_by_cursor_and_in_one_piece() {
    let server = StandIn::start(|asked| log(asked, u64::MAX));
    let output = list(&server, &["--all"]);
    let text = printed(&output);
    assert!(output.status.success(), "{}", said(&output));
    let events: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert!(events.iter().copied().eq((0..ALL).map(|number| format!("e{number}")).collect::<Vec<_>>()));
    let with_cursor = server.asked().iter().filter(|asked| parameter(asked, "last").is_some()).count();
    assert_eq!((server.asked().len(), with_cursor), (3, 2));
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

#[test]
fn what_came_before_a_failure_is_printed() {
    let server = StandIn::start(|asked| log(asked, 2000));
    for (more, lines) in [(&["--all"][..], 2001), (&["--all", "--json"], 1)] {
        let output = list(&server, more);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("the database is busy"), "{}", said(&output));
        let text = printed(&output);
        assert!(text.lines().count() >= lines && text.contains("e1999"), "{} lines", text.lines().count());
    }
}

#[test]
fn a_repository_shows_all_of_its_tags() {
    let server = StandIn::start(|asked| {
        let last = parameter(asked, "last").unwrap_or_default();
        let begin = last.strip_prefix('t').map_or(0, |number| number.parse::<u64>().unwrap() + 1);
        let tags: Vec<Value> = (begin..ALL)
            .take(1000)
            .map(|number| json!({"name": format!("t{number:04}"), "size": 1}))
            .collect();
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

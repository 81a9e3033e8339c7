//! Whatever strangers put into names, no verb prints it raw; whoever stops reading ends a verb quietly.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stand_in::{Answer, Asked, Person, StandIn, finish, printed, said, typed};

/// Each verb with what it needs; `{}` is a name that a stranger chose.
pub(crate) const VERBS: &[(&str, &[&str])] = &[
    ("audit list", &["--all"]),
    ("audit tail", &[]),
    ("completions", &["bash"]),
    ("gc items", &["7"]),
    ("gc list", &[]),
    ("gc run", &["--dry-run", "--wait"]),
    ("gc status", &[]),
    ("gc stop", &[]),
    ("login", &["--user", "{}", "--password-stdin"]),
    ("logout", &[]),
    ("manifest delete", &["{}", "{}", "--dry-run"]),
    ("manifest list", &["{}"]),
    ("manifest show", &["{}", "{}"]),
    ("passwd", &["--password-stdin"]),
    ("policy create", &["--description", "{}"]),
    ("policy delete", &["7"]),
    ("policy disable", &["7"]),
    ("policy enable", &["7"]),
    ("policy list", &[]),
    ("policy show", &["7"]),
    ("policy test", &["--action", "{}"]),
    ("policy update", &["7", "--role", "{}"]),
    ("renew", &[]),
    ("repo access", &["{}"]),
    ("repo delete", &["{}"]),
    ("repo list", &[]),
    ("repo show", &["{}"]),
    ("snapshot create", &["--wait"]),
    ("snapshot list", &[]),
    ("status", &[]),
    ("tag delete", &["{}", "{}"]),
    ("tag list", &["{}"]),
    ("token create", &["{}", "--user", "{}"]),
    ("token list", &[]),
    ("token renew", &["{}"]),
    ("token revoke", &["{}"]),
    ("upload cancel", &["{}"]),
    ("upload list", &[]),
    ("user create", &["{}", "--password-stdin"]),
    ("user delete", &["{}"]),
    ("user disable", &["{}"]),
    ("user enable", &["{}"]),
    ("user list", &["--query", "{}"]),
    ("user show", &["{}"]),
    ("user update", &["{}", "--no-roles", "--password-stdin"]),
];
/// Those that say nothing of what a stranger can choose when all is well.
const SILENT: &[&str] = &["completions", "gc stop", "logout", "policy delete"];

fn is_raw(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{9}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// Everything that must not be printed, between letters, a line of its own, and more of anybody's characters.
fn hostile(seed: u64) -> String {
    let all = ('\u{1}'..='\u{206f}').filter(|character| is_raw(*character) || *character == '\n');
    let mut random = seed;
    let more = std::iter::repeat_with(move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from_u32(u32::try_from(random >> 43).unwrap_or_default()).unwrap_or('x')
    });
    let more = more.filter(|character| *character != '\0').take(40);
    format!("a\u{1b}]0;owned\u{7}b{}\nmcrctl: forged\r{}", all.collect::<String>(), more.collect::<String>())
}

/// Every field that any verb shows.
const FIELDS: &str = "
    name tags manifests blobs logical_bytes exclusive_bytes digest size updated_at pushed_at media_type time event actor
    repository tag address started_at outcome dry_run bytes removed freed_bytes error_count phase finished_at
    uploads links strays strays_waiting left kind owner last_active_at priority effect enabled account_types actions repositories
    description subject_uuid builtin created_by created_at account_type disabled user expires_at last_used_at
    revoked state path all_blobs all_bytes detail ok alive in_flight messages mean_us error token version public_url provider
    stored_bytes saved_bytes free_bytes min_free_bytes next_at artifact_type subject message manifest_bytes pushed_by platform pull_bytes";

/// One thing that has every field that any verb shows.
fn thing(name: &str, id: u64) -> Value {
    let mut thing =
        json!({"id": id, "total": 2, "ready": true, "errors": [name], "roles": [name, name], name: name});
    thing["platforms"] = json!([{"platform": name, "digest": name, "pull_bytes": id}]);
    for field in FIELDS.split_whitespace() {
        thing[field] = json!(name);
    }
    thing["details"] = json!({name: [name]});
    thing
}

/// Answers anything with everything.
pub(crate) fn everything(name: &str, asked: &Asked, count: &AtomicU64) -> Answer {
    let number = count.fetch_add(1, Ordering::SeqCst);
    // New entries come all the time; everything else is what it was.
    let one = thing(name, if asked.path.starts_with("/v1/audit") { number + 1 } else { 7 });
    let mut all = one.clone();
    for list in ["items", "checks", "actors", "matching", "kinds", "rules"] {
        all[list] = json!([one]);
    }
    for below in ["principal", "rule", "running", "last", "totals", "disk", "gc"] {
        all[below] = one.clone();
    }
    let is_first = asked.path.split("last=").nth(1).unwrap_or_default().is_empty();
    all["after"] = json!(number);
    for list in ["layers", "children", "parents", "referrers"] {
        all[list] = json!({"items": [one], "total": 2});
    }
    all["config"] = one.clone();
    all["tokens"] = json!({"total": 1, "items": [one]});
    all["tag_list"] = if is_first { json!([one, one]) } else { json!([]) };
    all["accounts"] = json!({"total": 3, "items": [all]});
    let is_tag = asked.path.contains("tag");
    all["deleted"] = json!(if is_tag { "tag" } else { "repository" });
    Answer::json(&all)
}

/// The command line of a verb for this name.
pub(crate) fn arguments<'a>(verb: &'a str, more: &[&'a str], name: &'a str) -> Vec<&'a str> {
    verb.split(' ').chain(more.iter().map(|word| if *word == "{}" { name } else { word })).collect()
}

/// Runs a verb; one that goes on for ever is ended when it has printed something.
fn run(person: &Person, server: &StandIn, arguments: &[&str]) -> Output {
    let url = server.url();
    let options = ["--yes", "--server", url.as_str(), "--token", "mcr_x"];
    let mut command = person.command(&[&options[..], arguments].concat());
    let mut child = command.spawn().unwrap();
    if !arguments.contains(&"tail") {
        return finish(child, &typed(arguments));
    }
    let mut out = child.stdout.take().unwrap();
    let (mut buffer, mut seen) = ([0; 4096], Vec::new());
    let deadline = Instant::now() + Duration::from_secs(30);
    while !String::from_utf8_lossy(&seen).contains("forged") && Instant::now() < deadline {
        match out.read(&mut buffer).unwrap() {
            0 => break,
            read => seen.extend_from_slice(&buffer[..read]),
        }
    }
    // It may have ended by itself.
    let _ = child.kill();
    out.read_to_end(&mut seen).unwrap();
    Output { stdout: seen, ..child.wait_with_output().unwrap() }
}

fn check(output: &Output, what: &str) -> String {
    let all = format!("{}{}", printed(output), said(output));
    if let Some(raw) = all.chars().find(|character| is_raw(*character)) {
        panic!("{what} prints {raw:?} raw: {all:?}");
    }
    assert!(!all.contains("panicked"), "{what}: {all}");
    let forged = all.lines().any(|line| line.trim_start().starts_with("mcrctl: forged"));
    assert!(!forged, "{what} lets a stranger write a line: {all}");
    all
}

#[test]
fn the_table_has_every_verb() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mcrctl.md")).unwrap();
    let headings: Vec<&str> = document.lines().filter_map(|line| line.strip_prefix("## mcrctl ")).collect();
    let is_noun = |heading: &str| headings.iter().any(|other| other.starts_with(&format!("{heading} ")));
    let verbs: BTreeSet<&str> = headings.iter().copied().filter(|heading| !is_noun(heading)).collect();
    assert_eq!(VERBS.iter().map(|(verb, _)| *verb).collect::<BTreeSet<_>>(), verbs);
}

#[test]
fn no_verb_prints_raw_what_strangers_chose() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    for (index, (verb, more)) in (0..).zip(VERBS) {
        let name = hostile(seed.wrapping_add(index));
        let (answered, count) = (name.clone(), AtomicU64::new(0));
        let server = StandIn::start(move |asked| everything(&answered, asked, &count));
        for json in [false, true] {
            let mut line = arguments(verb, more, &name);
            line.extend(json.then_some("--json"));
            let person = Person::new();
            let output = run(&person, &server, &line);
            let all = check(&output, verb);
            let shown = if json {
                all.contains("\\u202e") || all.contains("\\\\u{202e}")
            } else {
                all.contains("\\u{202e}")
            };
            assert!(shown || SILENT.contains(verb), "{verb} shows nothing, so nothing was tried: {all}");
            if json && output.status.success() && !["completions", "audit tail"].contains(verb) {
                serde_json::from_slice::<Value>(&output.stdout)
                    .unwrap_or_else(|error| panic!("{verb}: {error}: {all}"));
            }
        }
    }
}

#[test]
fn no_refusal_is_printed_raw() {
    let name = hostile(1);
    let refused = json!({"error": name}).to_string();
    let location = name
        .replace(['\n', '\r'], "")
        .replace(|character: char| character < ' ' || character == '\u{7f}', "");
    let answers = [
        (500, String::new(), refused.clone()),
        (401, String::new(), refused.clone()),
        (409, String::new(), refused),
        (200, String::new(), name.clone()),
        (302, format!("Location: https://{location}/\r\n"), String::new()),
        (307, format!("Location: {location}\r\n"), String::new()),
    ];
    for (status, headers, body) in answers {
        let server = StandIn::start(move |_| Answer(status, headers.clone(), body.clone()));
        for (verb, more) in VERBS.iter().filter(|(verb, _)| *verb != "audit tail" || status != 200) {
            for json in [false, true] {
                let mut line = arguments(verb, more, &name);
                line.extend(json.then_some("--json"));
                check(&run(&Person::new(), &server, &line), &format!("{verb} at {status}"));
            }
        }
    }
}

#[test]
fn what_the_command_line_says_is_not_printed_raw() {
    let name = hostile(2);
    let person = Person::new();
    let lines: [&[&str]; 7] = [
        &[&name],
        &["repo", &name],
        &["repo", "show", "a", &name],
        &["gc", "items", &name],
        &["--server", &name, "status"],
        &["--ca-cert", &name, "--server", "https://127.0.0.1:9", "--token", "x", "status"],
        &["policy", "create", "--file", &name, "--server", "http://127.0.0.1:9", "--token", "x"],
    ];
    for line in lines {
        let output = person.run(line, &[]);
        assert!(!output.status.success());
        check(&output, &format!("{line:?}"));
    }
}

#[test]
fn whoever_stops_reading_ends_every_verb_quietly() {
    let count = AtomicU64::new(0);
    let server = StandIn::start(move |asked| everything("a", asked, &count));
    let url = server.url();
    let options = ["--yes", "--server", url.as_str(), "--token", "mcr_x"];
    let verbs = VERBS.iter().map(|(verb, more)| [&options[..], &arguments(verb, more, "b")].concat());
    let helps = [vec!["--help"], vec!["audit", "list", "--help"], vec!["--version"]];
    let shells = ["elvish", "fish", "powershell", "zsh"].map(|shell| vec!["completions", shell]);
    for line in verbs.chain(helps).chain(shells) {
        for json in [false, true] {
            let line = if json { [&line[..], &["--json"]].concat() } else { line.clone() };
            let person = Person::new();
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let output = finish(person.command(&line).stdout(writer).spawn().unwrap(), &typed(&line));
            let all = said(&output);
            assert!(!all.contains("panicked"), "{line:?}: {all}");
            assert_eq!(output.status.code(), Some(141), "{line:?}: {all}");
        }
    }
}

#[test]
fn standard_output_and_error_may_be_full_or_closed() {
    let count = AtomicU64::new(0);
    let server = StandIn::start(move |asked| everything("a", asked, &count));
    let (person, url) = (Person::new(), server.url());
    let line = ["--server", url.as_str(), "--token", "x", "repo", "list"];
    let mut command = person.command(&line);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = finish(command.stdout(full).spawn().unwrap(), "");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("cannot write to standard output: "), "{}", said(&output));
    // Nobody reads what went wrong.
    for line in [&["--server", &url, "--token", "x", "repo", "delete", "a"][..], &["nothing"], &["status"]] {
        let expected = if line == ["nothing"] { 2 } else { 1 };
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = person.command(line).stderr(writer).spawn().unwrap();
        assert_eq!(finish(child, "").status.code(), Some(expected), "{line:?}");
        let mut command = person.command(line);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let child = command.stderr(Stdio::from(full)).spawn().unwrap();
        assert_eq!(finish(child, "").status.code(), Some(expected), "{line:?}");
    }
}

//! Passwords and tokens go to the registry that they are for, on a way that nobody else reads, and nowhere else.

use std::collections::BTreeSet;
use std::process::Output;
use std::sync::atomic::AtomicU64;

use serde_json::json;

use crate::door::{VERBS, arguments, everything};
use crate::stand_in::{Answer, PASSWORD, Person, StandIn, finish, printed, said, typed};

/// All that a server was sent.
fn sent(server: &StandIn) -> String {
    server.asked().iter().map(|asked| format!("{}{}", asked.head, asked.body)).collect()
}

/// Runs a verb with a token, and a password for those that read one.
fn run(person: &Person, server: &StandIn, line: &[&str]) -> Output {
    let mut command = person.command(&[&["--yes"], line].concat());
    command.envs([("MCRCTL_SERVER", server.url().as_str()), ("MCRCTL_TOKEN", "mcr_secret")]);
    finish(command.spawn().unwrap(), &typed(line))
}

#[test]
fn no_verb_sends_a_secret_where_it_would_be_redirected() {
    for status in [301, 302, 303, 307, 308] {
        let target = StandIn::start(|_| Answer::json(&json!({"token": "mcr_stolen"})));
        let elsewhere = target.url().replace("127.0.0.1", "localhost");
        let locations = elsewhere.clone();
        let server = StandIn::start(move |asked| {
            Answer(status, format!("Location: {locations}{}\r\n", asked.path), String::new())
        });
        for (verb, more) in VERBS.iter().filter(|(verb, _)| *verb != "completions") {
            let (person, before) = (Person::new(), server.asked().len());
            let output = run(&person, &server, &arguments(verb, more, "a"));
            assert_eq!(output.status.code(), Some(1), "{verb} at {status}");
            assert!(said(&output).contains(&format!("--server {elsewhere}\n")), "{verb}: {}", said(&output));
            assert_eq!(server.asked().len(), before + 1, "{verb} goes on after {status}");
            assert!(!person.file().try_exists().unwrap(), "{verb}");
        }
        let sent = sent(&server);
        assert!(!sent.contains(PASSWORD), "a password went out at {status}: {sent}");
        assert!(!sent.contains("mcr_secret"), "a token went out at {status}: {sent}");
        assert_eq!(target.asked().len(), 0, "{status} was followed");
    }
}

#[test]
fn the_way_is_tried_once_however_much_a_verb_asks() {
    let count = AtomicU64::new(0);
    let server = StandIn::start(move |asked| everything("a", asked, &count));
    for (verb, more) in VERBS.iter().filter(|(verb, _)| !["completions", "audit tail"].contains(verb)) {
        let before = server.asked().len();
        // What it makes of answers that say nothing is no matter here.
        run(&Person::new(), &server, &arguments(verb, more, "a"));
        let asked = server.asked().split_off(before);
        let tries: Vec<usize> = (0..asked.len()).filter(|at| asked[*at].path == "/v1/health").collect();
        assert_eq!(tries, [0], "{verb}");
        assert!(!asked[0].head.contains("mcr_secret") && asked[0].body.is_empty(), "{verb}");
        let with_token = asked.iter().filter(|asked| asked.head.contains("Bearer mcr_secret")).count();
        let expected = if *verb == "login" { 0 } else { asked.len() - 1 };
        assert_eq!(with_token, expected, "{verb} comes without its token");
        assert!(asked.len() > 1, "{verb} asked nothing");
    }
}

#[test]
fn what_is_no_registry_gets_neither_password_nor_token() {
    let bodies = ["<html>It works!</html>", "{}", "null", "{\"status\":200}", "[\"status\"]", ""];
    for (body, status) in bodies.iter().flat_map(|body| [200, 204, 404, 500].map(|status| (*body, status))) {
        let server = StandIn::foreign(move |_| Answer(status, String::new(), body.to_owned()));
        for (verb, more) in VERBS.iter().filter(|(verb, _)| *verb != "completions") {
            let output = run(&Person::new(), &server, &arguments(verb, more, "a"));
            assert_eq!(output.status.code(), Some(1), "{verb}: {status} {body}");
            assert!(said(&output).contains("is no registry of this kind"), "{verb}: {}", said(&output));
        }
        let sent = sent(&server);
        assert!(!sent.contains(PASSWORD) && !sent.contains("mcr_secret"), "{status} {body}: {sent}");
    }
}

#[test]
fn a_redirect_to_nowhere_is_told_too() {
    for location in ["", "/login", "ftp://x/v1/health", "https://sso.example.com/login?to=x"] {
        let server = StandIn::start(move |_| Answer(302, format!("Location: {location}\r\n"), String::new()));
        let output = Person::new().login(&["--server", &server.url()]);
        assert_eq!(output.status.code(), Some(1));
        let expected = format!("redirects to {location}, and passwords and tokens do not follow");
        assert!(said(&output).contains(&expected), "{}", said(&output));
    }
}

#[test]
fn plain_http_to_another_machine_must_be_said() {
    // Nobody has this address (RFC 5737), so whatever got past the rule would not be answered.
    for url in ["http://192.0.2.1:9", "http://registry.example.invalid"] {
        let person = Person::new();
        let output = person.login(&["--server", url]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("--insecure-http"), "{}", said(&output));
        let output = person.run(&["status"], &[("MCRCTL_SERVER", url), ("MCRCTL_TOKEN", "mcr_x")]);
        assert!(said(&output).contains("is plain HTTP"), "{}", said(&output));
    }
    for said_so in [&["--insecure-http"][..], &[]] {
        let variables = [
            ("MCRCTL_TOKEN", "mcr_x"),
            ("MCRCTL_INSECURE_HTTP", if said_so.is_empty() { "true" } else { "" }),
        ];
        let line = [&["--server", "http://registry.example.invalid", "status"], said_so].concat();
        let output = Person::new().run(&line, &variables);
        assert!(said(&output).contains("cannot reach"), "{}", said(&output));
    }
}

#[test]
fn an_authority_is_believed_for_its_own_registry_only() {
    let server = StandIn::start(|_| Answer::json(&json!({"token": "mcr_x", "items": []})));
    let person = Person::new();
    let authority = person.path("ca.crt");
    mcr::tls::authority::prepare(&person.path("tls"), &[], mcr_actors::clock::Clock::system().now()).unwrap();
    std::fs::copy(person.path("tls/ca.crt"), &authority).unwrap();
    let authority = authority.to_str().unwrap();
    let output = person.login(&["--server", &server.url(), "--ca-cert", authority]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(std::fs::read_to_string(person.file()).unwrap().contains("ca.crt"));
    // The remembered one is gone, so whoever asks for it fails by its name.
    std::fs::remove_file(authority).unwrap();
    let other = person.run(
        &["status", "--server", "https://127.0.0.1:9", "--token", "x"],
        &[("SSL_CERT_FILE", "/nowhere")],
    );
    assert!(!said(&other).contains("ca.crt"), "{}", said(&other));
    assert!(said(&other).contains("no certificates of authorities"), "{}", said(&other));
    let text = std::fs::read_to_string(person.file()).unwrap().replace("http://", "https://");
    std::fs::write(person.file(), text).unwrap();
    let own = person.run(&["status"], &[]);
    assert!(said(&own).contains("ca.crt"), "{}", said(&own));
    // And the token stays with its registry, however that is written.
    assert!(said(&person.run(&["status", "--server", "http://127.0.0.1:9"], &[])).contains("cannot reach"));
}

#[test]
fn the_token_goes_to_the_registry_that_gave_it_however_that_is_written() {
    let server = StandIn::start(|_| Answer::json(&json!({"token": "mcr_x", "items": []})));
    let other = StandIn::start(|_| Answer::json(&json!({"items": []})));
    let person = Person::new();
    let loud = server.url().replace("http", "HTTP");
    assert!(person.login(&["--server", &format!("{loud}/")]).status.success());
    for url in [server.url(), format!("{}/", server.url()), other.url()] {
        assert!(person.run(&["repo", "list", "--server", &url], &[]).status.success());
    }
    let with_token =
        |stand_in: &StandIn| stand_in.asked().iter().filter(|asked| asked.head.contains("mcr_x")).count();
    assert_eq!((with_token(&server), with_token(&other)), (2, 0));
}

#[test]
fn an_authority_that_is_none_is_refused_before_anything_is_sent_and_told_once() {
    let person = Person::new();
    let file = person.path("ca.crt");
    let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let (begin, end) = ("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n");
    let (cut, damaged, other) =
        (format!("{begin}MAA=\n"), format!("{begin}!\n{end}"), format!("{begin}MAA=\n{end}"));
    let none = "no certificate in PEM form in it";
    for (content, what) in [
        (None, "cannot be read: No such file or directory"),
        (Some(""), none),
        (Some("hello"), none),
        (Some(key), none),
        (Some(&cut), "the certificate in it has no end"),
        (Some(&damaged), "the certificate in it is damaged: base64 decode error"),
        (Some(&other), "a certificate in it cannot be used"),
    ] {
        content.into_iter().for_each(|content| std::fs::write(&file, content).unwrap());
        let line = ["--server", "https://127.0.0.1:9", "--ca-cert", file.to_str().unwrap()];
        let output = person.login(&line);
        assert_eq!(output.status.code(), Some(1));
        let told = said(&output);
        let expected = format!("mcrctl: --ca-cert cannot be used: {}: {what}", file.display());
        assert!(told.starts_with(&expected), "{told}");
        // Whatever stands between two colons stands there once.
        let parts: Vec<&str> = told.trim_end().split(": ").collect();
        let once: BTreeSet<&str> = parts.iter().copied().collect();
        assert_eq!(once.len(), parts.len(), "{told}");
        assert!(printed(&output).is_empty());
    }
}

//! Passwords and tokens go to the registry that they are for, on a way that nobody else reads, and nowhere else.

use serde_json::json;

use crate::stand_in::{Answer, PASSWORD, Person, StandIn, printed, said};

#[test]
fn no_redirect_is_followed_and_the_password_does_not_go_out_first() {
    for status in [301, 302, 303, 307, 308] {
        let target = StandIn::start(|_| Answer::json(&json!({"token": "mcr_stolen"})));
        let elsewhere = target.url().replace("127.0.0.1", "localhost");
        let locations = elsewhere.clone();
        let server = StandIn::start(move |asked| {
            Answer(status, format!("Location: {locations}{}\r\n", asked.path), String::new())
        });
        let person = Person::new();
        let output = person.login(&["--server", &server.url()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(&format!("--server {elsewhere}\n")), "{}", said(&output));
        let sent =
            server.asked().iter().map(|asked| format!("{}{}", asked.head, asked.body)).collect::<String>();
        assert!(!sent.contains(PASSWORD), "the password went out: {sent}");
        assert!(!person.file().try_exists().unwrap());
        for verb in [&["repo", "list"][..], &["-y", "repo", "delete", "a"], &["gc", "run"], &["logout"]] {
            let output = person.run(verb, &[("MCRCTL_SERVER", &server.url()), ("MCRCTL_TOKEN", "mcr_x")]);
            assert_eq!(output.status.code(), Some(1), "{verb:?}");
            assert!(said(&output).contains(&format!("--server {elsewhere}\n")), "{}", said(&output));
        }
        assert_eq!(target.asked().len(), 0, "{status} was followed");
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
fn an_authority_that_is_none_is_refused_before_anything_is_sent() {
    let person = Person::new();
    let file = person.path("ca.crt");
    let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    for content in ["", "hello", key] {
        std::fs::write(&file, content).unwrap();
        let line = ["--server", "https://127.0.0.1:9", "--ca-cert", file.to_str().unwrap()];
        let output = person.login(&line);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("no certificate in PEM form in it"), "{}", said(&output));
        assert!(printed(&output).is_empty());
    }
}

//! Every route of the table: nobody gets in without a token, and nobody whom policy refuses.

use mcr::http::auth::Access;
use mcr::http::oci::routes::{ROUTES, Route};
use mcr::http::path::Shape;

use crate::support::http::Client;
use crate::support::{Data, Server};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A path of each shape; a new shape does not compile without one.
fn path(shape: Shape) -> String {
    match shape {
        Shape::Base => "/v2/".to_owned(),
        Shape::Token => "/v2/token".to_owned(),
        Shape::Catalog => "/v2/_catalog".to_owned(),
        Shape::Tags => "/v2/a/b/tags/list".to_owned(),
        Shape::Manifest => "/v2/a/b/manifests/v1".to_owned(),
        Shape::Blob => format!("/v2/a/b/blobs/{DIGEST}"),
        Shape::Uploads => "/v2/a/b/blobs/uploads/".to_owned(),
        Shape::Upload => "/v2/a/b/blobs/uploads/8d6f3bd5-7d8c-4f4b-9df3-7e1e3c2fd6ae".to_owned(),
        Shape::Referrers => format!("/v2/a/b/referrers/{DIGEST}"),
    }
}

fn ask(client: &mut Client, route: &Route) -> (u16, String) {
    let response = client.request(route.method.as_str(), &path(route.shape), &[], b"");
    (response.status, response.header("www-authenticate").unwrap_or_default().to_owned())
}

fn guarded() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|route| route.access != Access::Open)
}

fn only_token_is_open(route: &Route) {
    assert_eq!(route.access == Access::Open, route.shape == Shape::Token, "{route:?}");
}

/// Stores a rule by hand, as an operator's script would before a start.
fn deny_everything(server: &Server) {
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    let insert = "INSERT INTO policy_rules (priority, effect) VALUES (1, 'deny')";
    assert_eq!(database.execute(insert, []).unwrap(), 1);
}

#[test]
fn nobody_gets_in_without_a_token() {
    let data = Data::new();
    let server = data.start(&[("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "1000")]);
    for route in ROUTES {
        only_token_is_open(route);
    }
    for route in guarded() {
        let (status, challenge) = ask(&mut server.stranger(), route);
        assert_eq!(status, 401, "{route:?}");
        assert!(challenge.starts_with("Bearer realm=\"http://127.0.0.1:"), "{route:?}: {challenge}");
        assert!(!challenge.contains("error="), "{route:?}: {challenge}");
        for wrong in ["Bearer nonsense", "Bearer ", "Basic !", "Basic YWRtaW46d3Jvbmc=", "Negotiate x", "x"] {
            let (status, challenge) = ask(&mut server.stranger().authorized(wrong), route);
            assert_eq!(status, 401, "{route:?} {wrong}");
            assert!(challenge.starts_with("Bearer "), "{route:?}: {challenge}");
        }
    }
}

#[test]
fn nobody_gets_in_whom_policy_refuses() {
    let data = Data::new();
    let server = data.start(&[]);
    deny_everything(&server);
    drop(server);
    let server = data.start(&[]);
    for route in guarded() {
        let (status, challenge) = ask(&mut server.client(), route);
        assert_eq!((status, challenge.as_str()), (403, ""), "{route:?}");
    }
}

#[test]
fn the_anonymous_are_told_that_a_login_could_help() {
    let data = Data::new();
    let server = data.start(&[("MCR_AUTH_ANONYMOUS", "true")]);
    let given: serde_json::Value = serde_json::from_slice(&server.stranger().get("/v2/token").body).unwrap();
    assert_eq!(given["token"], given["access_token"]);
    let authorization = format!("Bearer {}", given["token"].as_str().unwrap());
    for route in guarded() {
        let (status, challenge) = ask(&mut server.stranger().authorized(&authorization), route);
        if route.access == Access::VersionCheck {
            assert_eq!(status, 200, "{route:?}");
        } else {
            assert_eq!(status, 401, "{route:?}");
            assert!(challenge.contains("error=\"insufficient_scope\""), "{route:?}: {challenge}");
        }
    }
}

/// What the token endpoint and any other route say to an `Authorization` header, or to none.
#[test]
fn whoever_sent_nothing_is_told_to_log_in_and_a_scheme_of_its_own_is_nothing_to_the_anonymous() {
    let own = ["AAAAC3NzaC1lZDI1NTE5:signature", "Signature keyId=x", "Negotiate x", "x"];
    let wrong = ["Basic !", "Basic YWRtaW46d3Jvbmc=", "Bearer nonsense"];
    for anonymous in [false, true] {
        let data = Data::new();
        let server = data.start(&[("MCR_AUTH_ANONYMOUS", if anonymous { "true" } else { "false" })]);
        let ask = |method: &str, path: &str, authorization: Option<&str>, body: &str| {
            let headers = authorization.map(|value| ("Authorization", value));
            let answer = server.stranger().request(method, path, headers.as_slice(), body.as_bytes());
            // Whoever is refused is told how to be let in (RFC 9110 §15.5.2).
            let is_told = answer.status != 401 || answer.header("www-authenticate").is_some();
            assert!(is_told, "{method} {path} {authorization:?}: no WWW-Authenticate");
            (answer.status, answer.text())
        };
        let empty = "grant_type=password&username=&password=";
        let logging_in = |method, path, body| {
            let (status, text) = ask(method, path, None, body);
            assert_eq!(status, if anonymous { 200 } else { 401 }, "{method} {path}: {text}");
            assert!(anonymous || text.contains("log in to use this registry"), "{method} {path}: {text}");
        };
        logging_in("GET", "/v2/token", "");
        for nothing in ["", " "] {
            let (status, text) = ask("GET", "/v2/token", Some(nothing), "");
            assert_eq!(status, if anonymous { 200 } else { 401 }, "{nothing:?}: {text}");
            assert!(anonymous || text.contains("log in to use this registry"), "{nothing:?}: {text}");
        }
        logging_in("POST", "/v2/token", empty);
        logging_in("POST", "/v2/token", "grant_type=password");
        logging_in("POST", "/v1/auth/login", r#"{"username":"","password":""}"#);
        for (path, what) in [("/v2/", ""), ("/v1/users", "")] {
            let (status, text) = ask("GET", path, None, what);
            assert!(status == 401 && text.contains("log in to use this registry"), "{path}: {status} {text}");
        }
        for scheme in own {
            let (status, text) = ask("GET", "/v2/token", Some(scheme), "");
            assert_eq!(status, if anonymous { 200 } else { 401 }, "{scheme}: {text}");
            assert_eq!(ask("GET", "/v2/", Some(scheme), "").0, 401, "{scheme}");
        }
        for value in wrong {
            assert_eq!(ask("GET", "/v2/token", Some(value), "").0, 401, "{value}");
        }
    }
}

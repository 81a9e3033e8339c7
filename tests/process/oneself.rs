//! What somebody changes of their own account gives nobody more than they have.

use mcr_actors::clock::Clock;
use mcr_actors::domain::Timestamp;
use serde_json::{Value, json};

use crate::support::admin::{expect, send, token_of};
use crate::support::http::Client;
use crate::support::mcrctl::Mcrctl;
use crate::support::{Data, Server};

const MANY: &[(&str, &str)] = &[("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "100000")];
const PASSWORD: &str = "/v1/auth/password";
const RENEW: &str = "/v1/auth/renew";
const TOKENS: &str = "/v1/auth/tokens";

/// An account with a role, logged in.
fn account(server: &Server, name: &str) -> Client {
    let user =
        json!({"name": name, "account_type": "human", "password": "long enough", "roles": ["dev", "ops"]});
    expect(&mut server.client(), 201, "POST", "/v1/users", user);
    token_of(server, name, "long enough")
}

/// Whoever shows the token of an answer.
fn with(server: &Server, answer: &Value) -> Client {
    server.stranger().authorized(&format!("Bearer {}", answer["token"].as_str().unwrap()))
}

fn refused(client: &mut Client, method: &str, path: &str, body: Value) -> (u16, String) {
    let answer = send(client, method, path, &body);
    let code = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    (answer.status, code["code"].as_str().unwrap_or_default().to_owned())
}

fn database(server: &Server) -> rusqlite::Connection {
    rusqlite::Connection::open(server.data.join("mcr.db")).unwrap()
}

#[test]
fn a_robots_token_changes_nothing_of_its_own_account() {
    let data = Data::new();
    let server = data.start(MANY);
    let mut ada = account(&server, "ada");
    let me = expect(&mut ada, 200, "GET", "/v1/auth/me", Value::Null);
    assert!(me["robot"] == false && me["expires_at"].is_string(), "{me}");
    let made = expect(&mut ada, 201, "POST", TOKENS, json!({"name": "ci"}));
    let mut robot = with(&server, &made);
    let me = expect(&mut robot, 200, "GET", "/v1/auth/me", Value::Null);
    assert!(me["robot"] == true && me["expires_at"] == made["expires_at"], "{me}");
    let change = json!({"old": "long enough", "new": "another one"});
    let id = made["id"].as_str().unwrap();
    let attempts = [
        ("GET", TOKENS.to_owned(), Value::Null),
        ("POST", TOKENS.to_owned(), json!({"name": "more"})),
        ("DELETE", format!("{TOKENS}/{id}"), Value::Null),
        ("POST", RENEW.to_owned(), Value::Null),
        ("POST", PASSWORD.to_owned(), change),
    ];
    for (method, path, body) in attempts {
        let answer = refused(&mut robot, method, &path, body);
        assert_eq!(answer, (403, "DENIED".to_owned()), "{method} {path}");
    }
    assert_eq!(expect(&mut ada, 200, "GET", TOKENS, Value::Null)["total"], 1);
    expect(&mut ada, 204, "DELETE", &format!("{TOKENS}/{id}"), Value::Null);
    assert_eq!(robot.get("/v1/auth/me").status, 401, "the next request with it is refused");
}

#[test]
fn nobody_makes_or_ends_a_token_beyond_their_own() {
    let data = Data::new();
    let server = data.start(&[MANY[0], ("MCR_AUTH_MAX_ROBOT_TOKENS", "2")]);
    let (mut ada, mut bob) = (account(&server, "ada"), account(&server, "bob"));
    let beyond = json!({"name": "t", "roles": ["dev", "admin"]});
    assert_eq!(refused(&mut ada, "POST", TOKENS, beyond), (409, "ROLE_NOT_HELD".to_owned()));
    // Not even by saying whose it shall be.
    let others = json!({"name": "t", "user": "admin"});
    assert_eq!(refused(&mut ada, "POST", TOKENS, others), (400, "BODY_INVALID".to_owned()));
    let made = expect(&mut ada, 201, "POST", TOKENS, json!({"name": "t", "roles": ["dev"]}));
    assert_eq!((&made["user"], &made["roles"]), (&json!("ada"), &json!(["dev"])));
    expect(&mut ada, 201, "POST", TOKENS, json!({"name": "t"}));
    let more = json!({"name": "t"});
    assert_eq!(refused(&mut ada, "POST", TOKENS, more), (409, "TOO_MANY_TOKENS".to_owned()));
    let path = format!("{TOKENS}/{}", made["id"].as_str().unwrap());
    assert_eq!(refused(&mut bob, "DELETE", &path, Value::Null).0, 404);
    assert_eq!(expect(&mut bob, 200, "GET", TOKENS, Value::Null)["total"], 0);
    assert_eq!(with(&server, &made).get("/v1/auth/me").status, 200, "another one has ended it");
    // A role that the account loses, its token loses.
    expect(&mut server.client(), 200, "PATCH", "/v1/users/ada", json!({"roles": ["ops"]}));
    let me = expect(&mut with(&server, &made), 200, "GET", "/v1/auth/me", Value::Null);
    assert_eq!(me["principal"]["roles"], json!([]));
}

#[test]
fn a_new_password_asks_for_the_old_one_and_ends_every_other_login() {
    let data = Data::new();
    let server = data.start(MANY);
    let (mut ada, mut other) = (account(&server, "ada"), token_of(&server, "ada", "long enough"));
    let made = expect(&mut ada, 201, "POST", TOKENS, json!({"name": "ci"}));
    let change = |old: &str, new: &str| json!({"old": old, "new": new});
    let wrong = (403, "WRONG_PASSWORD".to_owned());
    assert_eq!(refused(&mut ada, "POST", PASSWORD, change("not this one", "another one")), wrong);
    // Whoever has taken a token has a token and no password.
    let token = made["token"].as_str().unwrap();
    assert_eq!(refused(&mut ada, "POST", PASSWORD, change(token, "another one")), wrong);
    assert_eq!(refused(&mut ada, "POST", PASSWORD, change("", "another one")), wrong);
    let short = refused(&mut ada, "POST", PASSWORD, change("long enough", "short"));
    assert_eq!(short, (400, "INVALID".to_owned()));
    assert_eq!(other.get("/v1/auth/me").status, 200, "what was refused has ended a token");
    let changed = expect(&mut ada, 200, "POST", PASSWORD, change("long enough", "another one"));
    assert_eq!((&changed["ended_tokens"], &changed["tokens"]["total"]), (&json!(1), &json!(2)));
    assert_eq!((ada.get("/v1/auth/me").status, other.get("/v1/auth/me").status), (200, 401));
    assert_eq!(with(&server, &made).get("/v1/auth/me").status, 200);
    let log_in = |password: &str| json!({"username": "ada", "password": password});
    let old = refused(&mut server.stranger(), "POST", "/v1/auth/login", log_in("long enough"));
    assert_eq!(old.0, 401);
    expect(&mut server.stranger(), 200, "POST", "/v1/auth/login", log_in("another one"));
    let end = json!({"old": "another one", "new": "a third one", "end_tokens": true});
    expect(&mut ada, 200, "POST", PASSWORD, end);
    assert_eq!((ada.get("/v1/auth/me").status, with(&server, &made).get("/v1/auth/me").status), (200, 401));
    let audit = "/v1/audit?event_type=user_updated";
    let audit = expect(&mut server.client(), 200, "GET", audit, Value::Null);
    assert_eq!((&audit["total"], &audit["items"][0]["actor"]), (&json!(2), &json!("ada")));
    assert!(!audit.to_string().contains("another one") && !server.logged(PASSWORD).contains("a third one"));
}

#[test]
fn the_old_password_is_guessed_at_no_more_often_than_at_a_login() {
    let data = Data::new();
    let server = data.start(&[("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "3")]);
    let mut ada = account(&server, "ada");
    let mut answers = Vec::new();
    for guess in 0..8 {
        let change = json!({"old": format!("guess {guess}"), "new": "another one"});
        answers.push(refused(&mut ada, "POST", PASSWORD, change).0);
    }
    assert_eq!(answers.iter().filter(|status| **status == 403).count(), 3, "{answers:?}");
    assert!(answers[3..].iter().all(|status| *status == 429), "{answers:?}");
    let right = json!({"old": "long enough", "new": "another one"});
    assert!([200, 429].contains(&refused(&mut ada, "POST", PASSWORD, right).0));
    let failed = "/v1/audit?event_type=login_failed";
    let failed = expect(&mut server.client(), 200, "GET", failed, Value::Null);
    assert!(failed["items"].to_string().contains("ada"), "{failed}");
}

#[test]
fn a_login_is_renewed_in_the_place_of_its_token_and_for_twelve_hours() {
    let data = Data::new();
    let server = data.start(MANY);
    let mut ada = account(&server, "ada");
    let first = expect(&mut ada, 200, "POST", RENEW, Value::Null);
    let me = expect(&mut ada, 200, "GET", "/v1/auth/me", Value::Null);
    let end = Timestamp::parse(me["expires_at"].as_str().unwrap()).unwrap();
    assert!(end.since(Clock::system().now()).as_secs() <= 60, "the old one goes on: {me}");
    let again = expect(&mut ada, 200, "POST", RENEW, Value::Null);
    assert_ne!(again["token"], first["token"]);
    assert_eq!(with(&server, &again).get("/v1/auth/me").status, 200);
    let mut ada = with(&server, &first);
    let me = expect(&mut ada, 200, "GET", "/v1/auth/me", Value::Null);
    assert_eq!((&me["expires_at"], &me["principal"]), (&first["expires_at"], &first["principal"]));
    // As if the login had been so long ago.
    let hours = |hours: i64| {
        let sql = "UPDATE tokens SET logged_in_at = unixepoch() * 1000 - ?1 WHERE logged_in_at IS NOT NULL";
        database(&server).execute(sql, [hours * 3600 * 1000 - 5000]).unwrap();
    };
    hours(11);
    let second = expect(&mut ada, 200, "POST", RENEW, Value::Null);
    let mut ada = with(&server, &second);
    hours(13);
    // As if its minute were over.
    let ended = "UPDATE tokens SET expires_at = 1 WHERE logged_in_at IS NULL AND id IS NULL AND user_id =
                 (SELECT id FROM users WHERE name = 'ada')";
    assert_eq!(database(&server).execute(ended, []).unwrap(), 1);
    assert_eq!(refused(&mut ada, "POST", RENEW, Value::Null), (409, "LOGIN_TOO_OLD".to_owned()));
    assert_eq!(ada.get("/v1/auth/me").status, 200, "what cannot be renewed lives on to its end");
    // Somebody who shows a password has nothing to renew.
    let basic = base64("ada:long enough");
    let mut ada = server.stranger().authorized(&format!("Basic {basic}"));
    assert_eq!(refused(&mut ada, "POST", RENEW, Value::Null), (400, "TOKEN_NEEDED".to_owned()));
    expect(&mut server.client(), 200, "PATCH", "/v1/users/ada", json!({"disabled": true}));
    assert_eq!(refused(&mut with(&server, &second), "POST", RENEW, Value::Null).0, 401);
    assert_eq!(refused(&mut ada, "POST", TOKENS, json!({"name": "t"})).0, 401);
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn mcrctl_does_what_is_ones_own() {
    let data = Data::new();
    let server = data.start(MANY);
    drop(account(&server, "ada"));
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login(&server, "ada", "long enough");
    let made = mcrctl.json(&["token", "create", "ci"]);
    assert_eq!(mcrctl.json(&["token", "list", "--own"])["total"], 1);
    assert!(mcrctl.run(&["renew"], "").status.success());
    let changed = mcrctl.run(&["passwd", "--password-stdin"], "long enough\nanother one\n");
    assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
    assert!(!mcrctl.run(&["passwd", "--password-stdin"], "long enough\nanother one\n").status.success());
    let id = made["id"].as_str().unwrap();
    assert!(mcrctl.run(&["--yes", "token", "revoke", "--own", id], "").status.success());
    let variables = [("MCRCTL_TOKEN", made["token"].as_str().unwrap())];
    assert!(!mcrctl.run_with(&variables, &["renew"], "").status.success(), "a robot's is not renewed");
    assert!(mcrctl.run(&["renew"], "").status.success());
    let given = expect(&mut account(&server, "bob"), 200, "POST", RENEW, Value::Null);
    let printed = mcrctl.run_with(&[("MCRCTL_TOKEN", given["token"].as_str().unwrap())], &["renew"], "");
    let token = String::from_utf8(printed.stdout).unwrap();
    let me =
        expect(&mut with(&server, &json!({"token": token.trim()})), 200, "GET", "/v1/auth/me", Value::Null);
    assert_eq!(me["principal"]["name"], "bob");
    assert!(mcrctl.run(&["renew"], "").status.success(), "ada is not remembered");
}

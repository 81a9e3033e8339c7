//! Requests that are held open while the world changes: what holds when the change is made decides, not what held when the
//! request began.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use mcr::admin::access::Access;
use mcr::http::admin::path::Shape;
use mcr::http::admin::routes::{ROUTES, Route};
use rusqlite::TransactionBehavior;
use serde_json::{Value, json};

use crate::support::admin::{expect, token_of};
use crate::support::content::{Noise, manifest, push_blob, push_manifest};
use crate::support::http::{Client, Response, read_head};
use crate::support::{Data, Server};

/// How somebody loses what they may.
const LOSSES: [&str; 5] = ["deleted", "switched off", "demoted", "new password", "tokens ended"];

/// A request whose last byte has not come yet.
struct Held {
    connection: BufReader<TcpStream>,
    last: Vec<u8>,
}

/// Sends all of a request but the end of its body.
fn hold(client: &mut Client, method: &str, path: &str, body: &[u8]) -> Held {
    let length = body.len().to_string();
    let headers = [("Content-Length", length.as_str()), ("Content-Type", "application/json")];
    let mut head = client.head(method, path, &headers).into_bytes();
    let (first, last) = body.split_at(body.len() - 1);
    head.extend_from_slice(first);
    let mut connection = client.connect().unwrap();
    connection.get_mut().write_all(&head).unwrap();
    // So that the server has judged it as far as it can.
    std::thread::sleep(Duration::from_millis(60));
    Held { connection, last: last.to_vec() }
}

impl Held {
    fn finish(mut self) -> Response {
        self.connection.get_mut().write_all(&self.last).unwrap();
        read_head(&mut self.connection).unwrap()
    }
}

/// What there is to change.
struct Things {
    rule: Value,
    token: String,
    upload: String,
}

fn things(server: &Server) -> Things {
    let mut admin = server.client();
    let blob = Noise::new(5).bytes(100);
    assert_eq!(push_blob(&mut admin, "team/app", &blob).unwrap().status, 201);
    let pushed = push_manifest(&mut admin, "team/app", "v1", &manifest(std::slice::from_ref(&blob))).unwrap();
    assert_eq!(pushed.status, 201);
    let user = json!({"name": "victim", "account_type": "human", "password": "long enough"});
    expect(&mut admin, 201, "POST", "/v1/users", user);
    let token = expect(&mut admin, 201, "POST", "/v1/tokens", json!({"name": "t", "user": "victim"}));
    let deny = json!({"effect": "deny", "priority": 1, "actions": ["registry:catalog"], "roles": ["x"]});
    let rule = expect(&mut admin, 201, "POST", "/v1/policy/rules", deny)["id"].clone();
    let location = admin.request("POST", "/v2/team/app/blobs/uploads/", &[], b"").location();
    let upload = location.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    Things { rule, token: token["id"].as_str().unwrap().to_owned(), upload }
}

/// Where a route that changes something does it here, and with what; a new one fails until it is written down.
fn attempt(route: &Route, things: &Things, own: &str) -> (String, Value) {
    let Things { rule, token, upload } = things;
    match (route.shape, route.method.as_str()) {
        (Shape::Repository, "DELETE") => ("/v1/repositories/team%2Fapp".to_owned(), json!({})),
        (Shape::RepositoryTag, "DELETE") => ("/v1/repositories/team%2Fapp/tags/v1".to_owned(), json!({})),
        (Shape::Users, "POST") => {
            let root = json!({"name": "root2", "account_type": "human", "password": "long enough", "roles": ["admin"]});
            ("/v1/users".to_owned(), root)
        }
        (Shape::User, "PATCH") => ("/v1/users/victim".to_owned(), json!({"roles": ["admin"]})),
        (Shape::User, "DELETE") => ("/v1/users/victim".to_owned(), json!({})),
        (Shape::Tokens, "POST") => ("/v1/tokens".to_owned(), json!({"name": "more", "user": "admin"})),
        (Shape::Token, "DELETE") => (format!("/v1/tokens/{token}"), json!({})),
        // Its own are what it loses, and what it has not is another's.
        (Shape::OwnTokens, "POST") => ("/v1/auth/tokens".to_owned(), json!({"name": "more"})),
        (Shape::OwnTokenRenewal, "POST") => (format!("/v1/auth/tokens/{own}/renew"), json!({})),
        (Shape::TokenRenewal, "POST") => (format!("/v1/tokens/{token}/renew"), json!({})),
        (Shape::OwnToken, "DELETE") => (format!("/v1/auth/tokens/{own}"), json!({})),
        (Shape::Renew, "POST") => ("/v1/auth/renew".to_owned(), json!({})),
        (Shape::Password, "POST") => {
            ("/v1/auth/password".to_owned(), json!({"old": "long enough", "new": "quite another"}))
        }
        (Shape::Upload, "DELETE") => (format!("/v1/uploads/{upload}"), json!({})),
        (Shape::Gc, "POST") => ("/v1/gc".to_owned(), json!({"dry_run": true})),
        (Shape::Gc, "DELETE") => ("/v1/gc".to_owned(), json!({})),
        (Shape::Snapshots, "POST") => ("/v1/snapshots".to_owned(), json!({})),
        (Shape::Rules, "POST") => ("/v1/policy/rules".to_owned(), json!({"effect": "allow", "priority": 1})),
        (Shape::Rule, "PATCH") => (format!("/v1/policy/rules/{rule}"), json!({"enabled": false})),
        (Shape::Rule, "DELETE") => (format!("/v1/policy/rules/{rule}"), json!({})),
        (Shape::PolicyTest, "POST") => {
            let question = json!({"principal": {"account_type": "human"}, "action": "registry:pull"});
            ("/v1/policy/test".to_owned(), question)
        }
        other => panic!("write down what {other:?} changes"),
    }
}

/// The id of a robot token that somebody makes of their own.
fn own_token(who: &mut Client) -> String {
    let made = expect(who, 201, "POST", "/v1/auth/tokens", json!({"name": "own"}));
    made["id"].as_str().unwrap().to_owned()
}

/// Whoever loses their roles keeps what is their own.
fn is_kept(route: &Route, loss: &str) -> bool {
    route.access.access() == Access::Own && (loss == "demoted" || loss.contains("roles = '[]'"))
}

/// All that the routes can change, but for the account that loses its right.
fn state(server: &Server) -> String {
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    let queries = [
        "SELECT group_concat(name || roles || disabled, ';') FROM users WHERE name NOT LIKE 'ops%'",
        "SELECT group_concat(id || coalesce(revoked_at, ''), ';') FROM tokens WHERE id IS NOT NULL AND name <> 'own'",
        "SELECT count(*) || '' FROM audit_log
          WHERE event IN ('user_updated', 'token_created', 'token_renewed', 'token_revoked') AND actor_name LIKE 'ops%'",
        "SELECT group_concat(id || effect || enabled, ';') FROM policy_rules WHERE roles NOT LIKE '%ops%'",
        "SELECT group_concat(name || tag_count, ';') FROM repositories",
        "SELECT group_concat(id, ';') FROM uploads",
        "SELECT count(*) || '' FROM sweeps WHERE id NOT IN
            (SELECT details ->> '$.sweep' FROM audit_log WHERE event = 'gc_started' AND actor_name = 'admin')",
        "SELECT count(*) || '' FROM sweeps WHERE report LIKE '%\"outcome\":\"stopped\"%'",
        "SELECT count(*) || '' FROM snapshots",
    ];
    let state = queries.map(|query| {
        database.query_row(query, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
    });
    state.join("\n")
}

fn lose(admin: &mut Client, name: &str, loss: &str) {
    let path = format!("/v1/users/{name}");
    match loss {
        "deleted" => expect(admin, 204, "DELETE", &path, Value::Null),
        "switched off" => expect(admin, 200, "PATCH", &path, json!({"disabled": true})),
        "demoted" => expect(admin, 200, "PATCH", &path, json!({"roles": []})),
        "new password" => expect(admin, 200, "PATCH", &path, json!({"password": "another one"})),
        "tokens ended" => expect(admin, 200, "PATCH", &path, json!({"end_tokens": true})),
        other => panic!("{other}"),
    };
}

#[test]
fn whoever_loses_the_right_while_the_body_is_held_open_changes_nothing() {
    let data = Data::new();
    let server = data.start(&[("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "100000")]);
    let things = things(&server);
    let mut admin = server.client();
    let judged =
        |route: &&Route| route.changes() && ![Access::Open, Access::Anybody].contains(&route.access.access());
    let mut tried = 0;
    for route in ROUTES.iter().filter(judged) {
        for loss in LOSSES.into_iter().filter(|loss| !is_kept(route, loss)) {
            let name = format!("ops{tried}");
            tried += 1;
            let user =
                json!({"name": name, "account_type": "human", "password": "long enough", "roles": ["admin"]});
            expect(&mut admin, 201, "POST", "/v1/users", user);
            let mut ops = token_of(&server, &name, "long enough");
            let (path, body) = attempt(route, &things, &own_token(&mut ops));
            let before = state(&server);
            let held = hold(&mut ops, route.method.as_str(), &path, body.to_string().as_bytes());
            lose(&mut admin, &name, loss);
            let answer = held.finish();
            assert!([401, 403].contains(&answer.status), "{route:?}, {loss}: {}", answer.status);
            assert_eq!(state(&server), before, "{route:?}, {loss}");
        }
    }
    assert!(tried >= 60, "{tried}");
}

/// How somebody loses what they may, in the database itself, while nobody else can write there.
const LOST: [&str; 6] = [
    "DELETE FROM users WHERE name = ?1",
    "UPDATE users SET disabled = 1 WHERE name = ?1",
    "UPDATE users SET roles = '[]' WHERE name = ?1",
    "UPDATE tokens SET revoked_at = 1 WHERE user_id = (SELECT id FROM users WHERE name = ?1)",
    "DELETE FROM tokens WHERE user_id = (SELECT id FROM users WHERE name = ?1)",
    "UPDATE policy_rules SET enabled = 0 WHERE roles = json_array(?1)",
];

/// Whether nothing has come yet of an answer.
fn is_silent(connection: &mut BufReader<TcpStream>) -> bool {
    connection.get_ref().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let silent = connection.fill_buf().is_err();
    connection.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    silent
}

/// Sends a whole request, and does not wait for its answer.
fn send(client: &mut Client, method: &str, path: &str, body: &Value) -> BufReader<TcpStream> {
    let Held { mut connection, last } = hold(client, method, path, body.to_string().as_bytes());
    connection.get_mut().write_all(&last).unwrap();
    connection
}

/// Waits until a sweep runs, or none does.
fn until(server: &Server, state: &str) {
    let mut admin = server.client();
    let deadline = Instant::now() + Duration::from_secs(30);
    while expect(&mut admin, 200, "GET", "/v1/gc/status", Value::Null)["state"] != state {
        assert!(Instant::now() < deadline, "the collector does not come to be {state}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The token of a new account that may do what the route asks, and by nothing else.
fn with_right(server: &Server, access: Access, name: &str) -> Client {
    let (mut admin, by_rule) = (server.client(), access == Access::Rules);
    let role = if by_rule { name } else { "admin" };
    let user = json!({"name": name, "account_type": "human", "password": "long enough", "roles": [role]});
    expect(&mut admin, 201, "POST", "/v1/users", user);
    if by_rule {
        let rule = json!({"effect": "allow", "priority": 1, "roles": [name], "actions": ["policy:manage"]});
        expect(&mut admin, 201, "POST", "/v1/policy/rules", rule);
    }
    token_of(server, name, "long enough")
}

/// The writer is kept waiting from before the request until after the loss: the caller was judged, and nothing is written.
#[test]
fn whoever_loses_the_right_between_the_judgement_and_the_write_changes_nothing() {
    let data = Data::new();
    let server = data.start(&[("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "100000")]);
    let things = things(&server);
    let mut database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    let changes = |route: &&Route| {
        let judged = ![Access::Open, Access::Anybody].contains(&route.access.access());
        // It only answers a question.
        route.changes() && judged && route.shape != Shape::PolicyTest
    };
    let mut tried = 0;
    for route in ROUTES.iter().filter(changes) {
        let losses = if route.access.access() == Access::Rules { &LOST[..] } else { &LOST[..5] };
        for lost in losses.iter().filter(|lost| !is_kept(route, lost)) {
            let name = format!("ops{tried}");
            tried += 1;
            let mut ops = with_right(&server, route.access.access(), &name);
            assert_eq!(ops.get("/v1/auth/me").status, 200);
            let (path, body) = attempt(route, &things, &own_token(&mut ops));
            let before = state(&server);
            let held = database.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
            // There is nothing to stop but a sweep, which waits, too.
            let stops = (route.shape, &route.method) == (Shape::Gc, &Method::DELETE);
            let sweep =
                stops.then(|| send(&mut server.client(), "POST", "/v1/gc", &json!({"dry_run": true})));
            if stops {
                until(&server, "running");
            }
            let mut answer = send(&mut ops, route.method.as_str(), &path, &body);
            assert!(is_silent(&mut answer), "{route:?}: it is answered before anything is written");
            assert!(held.execute(lost, [&name]).unwrap() > 0, "{lost}");
            held.commit().unwrap();
            let answer = read_head(&mut answer).unwrap();
            assert!([401, 403].contains(&answer.status), "{route:?}, {lost}: {}", answer.status);
            if let Some(mut sweep) = sweep {
                assert_eq!(read_head(&mut sweep).unwrap().status, 202);
                until(&server, "idle");
            }
            assert_eq!(state(&server), before, "{route:?}, {lost}");
        }
    }
    assert!(tried >= 70, "{tried}");
}

#[test]
fn a_slow_change_undoes_nothing_that_was_changed_meanwhile() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let deny = json!({"effect": "deny", "priority": 1, "actions": ["registry:pull", "registry:push"], "enabled": false});
    let id = expect(&mut admin, 201, "POST", "/v1/policy/rules", deny)["id"].clone();
    let rule = format!("/v1/policy/rules/{id}");
    let mut slow = server.client();
    let held = hold(&mut slow, "PATCH", &rule, json!({"description": "closed"}).to_string().as_bytes());
    expect(&mut admin, 200, "PATCH", &rule, json!({"enabled": true}));
    assert_eq!(held.finish().status, 200);
    assert_eq!(admin.get("/v2/a/tags/list").status, 403, "the deny was undone");
    assert_eq!(expect(&mut admin, 200, "GET", &rule, Value::Null)["description"], "closed");
    let user = json!({"name": "ada", "account_type": "human", "roles": ["admin"]});
    expect(&mut admin, 201, "POST", "/v1/users", user);
    let mut slow = server.client();
    let held = hold(&mut slow, "PATCH", "/v1/users/ada", json!({"disabled": true}).to_string().as_bytes());
    expect(&mut admin, 200, "PATCH", "/v1/users/ada", json!({"roles": []}));
    assert_eq!(held.finish().status, 200);
    let ada = expect(&mut admin, 200, "GET", "/v1/users/ada", Value::Null);
    assert_eq!((&ada["roles"], &ada["disabled"]), (&json!([]), &json!(true)));
}

#[test]
fn whoever_says_what_they_saw_changes_nothing_else() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let deny = json!({"effect": "deny", "priority": 1, "roles": ["x"]});
    let id = expect(&mut admin, 201, "POST", "/v1/policy/rules", deny)["id"].clone();
    expect(&mut admin, 201, "POST", "/v1/users", json!({"name": "ada", "account_type": "human"}));
    let change = json!({"roles": ["y"]}).to_string();
    for path in [format!("/v1/policy/rules/{id}"), "/v1/users/ada".to_owned()] {
        let mut ask = |method: &str, tag: &str, body: &str| {
            let headers = [("If-Match", tag), ("Content-Type", "application/json")];
            let answer = admin.request(method, &path, &headers, body.as_bytes());
            (answer.status, answer.header("etag").map(str::to_owned))
        };
        let (_, seen) = ask("GET", "*", "");
        let seen = seen.unwrap();
        assert_eq!(ask("PATCH", "\"other\"", &change), (412, Some(seen.clone())), "{path}");
        let (status, now) = ask("PATCH", &seen, &change);
        let now = now.unwrap();
        assert!(status == 200 && now != seen, "{path}: {status} {now}");
        for method in ["PATCH", "DELETE"] {
            assert_eq!(ask(method, &seen, &change), (412, Some(now.clone())), "{method} {path}");
        }
        assert_eq!(ask("GET", "*", "").1, Some(now.clone()), "{path}");
        assert_eq!(ask("PATCH", "*", &change).0, 200, "{path}");
        let (_, now) = ask("GET", "*", "");
        assert_eq!(ask("DELETE", &now.unwrap(), "").0, 204, "{path}");
        assert_eq!(ask("DELETE", &seen, "").0, 404, "what is gone is gone, whatever was seen: {path}");
    }
}

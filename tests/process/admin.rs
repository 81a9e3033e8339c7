//! The admin API: who may ask for what, and that what it answers with 2xx holds at once.

use serde_json::{Value, json};

use crate::support::content::{Noise, digest, manifest, push_blob, push_manifest};
use crate::support::http::{Client, Response};
use crate::support::{Data, Server};

fn value(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

fn send(client: &mut Client, method: &str, path: &str, body: &Value) -> Response {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    client.request(method, path, &[("Content-Type", "application/json")], &body)
}

/// Sends, expects this status, and answers the body.
fn expect(client: &mut Client, status: u16, method: &str, path: &str, body: Value) -> Value {
    let response = send(client, method, path, &body);
    assert_eq!(response.status, status, "{method} {path}: {}", response.text());
    value(&response)
}

fn token_of(server: &Server, name: &str, password: &str) -> Client {
    let body = json!({"username": name, "password": password});
    let given = expect(&mut server.stranger(), 200, "POST", "/v1/auth/login", body);
    server.stranger().authorized(&format!("Bearer {}", given["token"].as_str().unwrap()))
}

fn password(server: &Server) -> String {
    std::fs::read_to_string(server.data.join("admin-password")).unwrap().trim().to_owned()
}

#[test]
fn what_names_nothing_is_404_to_everybody_and_a_wrong_method_says_which_are_right() {
    let data = Data::new();
    let server = data.start(&[]);
    for path in ["/v1/search?q=x", "/v1", "/v1/", "/", "/v1/nothing"] {
        let response = server.stranger().get(path);
        assert_eq!(response.status, 404, "{path}");
        assert!(value(&response)["error"].is_string(), "{path}");
    }
    let wrong = server.client().request("PUT", "/v1/users", &[], b"");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, POST")));
}

#[test]
fn a_robot_pushes_where_its_rule_lets_it_and_its_revocation_holds_at_once() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    expect(&mut admin, 201, "POST", "/v1/users", json!({"name": "ci", "account_type": "system"}));
    let token = json!({"name": "deploy", "user": "ci", "roles": ["builder"], "expires_in": "24h"});
    let token = expect(&mut admin, 201, "POST", "/v1/tokens", token);
    let mut robot = server.stranger().authorized(&format!("Bearer {}", token["token"].as_str().unwrap()));
    let blob = Noise::new(1).bytes(100);
    assert_eq!(push_blob(&mut robot, "ci/app", &blob).unwrap().status, 403);
    let rule = json!({"effect": "allow", "priority": 10, "roles": ["builder"], "actions": ["registry:push"],
                      "repositories": ["ci/**"], "description": "builds"});
    let rule = expect(&mut admin, 201, "POST", "/v1/policy/rules", rule);
    assert_eq!(push_blob(&mut robot, "ci/app", &blob).unwrap().status, 201);
    let pushed = push_manifest(&mut robot, "ci/app", "v1", &manifest(std::slice::from_ref(&blob))).unwrap();
    assert_eq!(pushed.status, 201);
    assert_eq!(push_blob(&mut robot, "prod/app", &blob).unwrap().status, 403);
    let question = |repository: &str| {
        json!({"principal": {"account_type": "system", "roles": ["builder"]}, "action": "registry:push",
               "repository": repository})
    };
    let answer = expect(&mut admin, 200, "POST", "/v1/policy/test", question("ci/app"));
    assert_eq!((&answer["allowed"], &answer["rule"]["id"]), (&json!(true), &rule["id"]));
    let answer = expect(&mut admin, 200, "POST", "/v1/policy/test", question("prod/app"));
    assert_eq!(
        (&answer["allowed"], &answer["rule"], &answer["matching"]),
        (&json!(false), &Value::Null, &json!([]))
    );
    let used = expect(&mut admin, 200, "GET", "/v1/tokens", Value::Null);
    assert!(used["items"][0]["last_used_at"].is_string(), "{used}");
    let id = token["id"].as_str().unwrap();
    expect(&mut admin, 204, "DELETE", &format!("/v1/tokens/{id}"), Value::Null);
    assert_eq!(push_blob(&mut robot, "ci/app", &blob).unwrap().status, 401);
}

#[test]
fn rules_are_checked_at_the_door_and_hold_for_the_next_request() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let bad = [
        json!({}),
        json!([]),
        json!({"effect": "allow"}),
        json!({"effect": "perhaps", "priority": 1}),
        json!({"effect": "allow", "priority": 0}),
        json!({"effect": "allow", "priority": 1, "actions": ["push"]}),
        json!({"effect": "allow", "priority": 1, "repositories": ["A"]}),
        json!({"effect": "allow", "priority": 1, "account_types": ["robot"]}),
        json!({"effect": "allow", "priority": 1, "unknown": 1}),
        json!({"effect": "allow", "priority": 1, "roles": [""]}),
    ];
    for rule in bad {
        let refused = expect(&mut admin, 400, "POST", "/v1/policy/rules", rule);
        assert!(refused["error"].is_string());
    }
    let deny = json!({"effect": "deny", "priority": 1, "actions": ["registry:pull", "registry:push"]});
    let id = expect(&mut admin, 201, "POST", "/v1/policy/rules", deny)["id"].clone();
    let path = format!("/v1/policy/rules/{id}");
    assert_eq!(admin.get("/v2/a/tags/list").status, 403);
    expect(&mut admin, 200, "PATCH", &path, json!({"enabled": false}));
    assert_eq!(admin.get("/v2/a/tags/list").status, 404);
    expect(&mut admin, 200, "PATCH", &path, json!({"enabled": true, "description": "closed"}));
    let rule = expect(&mut admin, 200, "GET", &path, Value::Null);
    assert_eq!(
        (&rule["description"], &rule["effect"], &rule["created_by"]),
        (&json!("closed"), &json!("deny"), &json!("admin"))
    );
    assert_eq!(admin.get("/v2/a/tags/list").status, 403);
    expect(&mut admin, 204, "DELETE", &path, Value::Null);
    assert_eq!(admin.get("/v2/a/tags/list").status, 404);
    let all = expect(&mut admin, 200, "GET", "/v1/policy/rules", Value::Null);
    assert_eq!(all["total"], 3);
    for builtin in [-1, -2, -3] {
        let path = format!("/v1/policy/rules/{builtin}");
        assert_eq!(expect(&mut admin, 200, "GET", &path, Value::Null)["builtin"], true);
        expect(&mut admin, 409, "PATCH", &path, json!({"enabled": false}));
        expect(&mut admin, 409, "DELETE", &path, Value::Null);
    }
    // A deny of everything does not lock the administrator out of the rules.
    let deny = expect(&mut admin, 201, "POST", "/v1/policy/rules", json!({"effect": "deny", "priority": 1}));
    expect(&mut admin, 204, "DELETE", &format!("/v1/policy/rules/{}", deny["id"]), Value::Null);
}

#[test]
fn accounts_change_at_once_and_the_last_administrator_stays() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let user = json!({"name": "ada", "password": "long enough", "account_type": "human"});
    expect(&mut admin, 201, "POST", "/v1/users", user.clone());
    expect(&mut admin, 409, "POST", "/v1/users", user);
    for bad in [
        json!({"name": "a b", "account_type": "human"}),
        json!({"name": "x", "account_type": "anonymous"}),
        json!({"name": "x", "account_type": "human", "password": "short"}),
        json!({"name": "x"}),
    ] {
        expect(&mut admin, 400, "POST", "/v1/users", bad);
    }
    let mut ada = token_of(&server, "ada", "long enough");
    assert_eq!(ada.get("/v2/_catalog").status, 200);
    assert_eq!(value(&ada.get("/v1/auth/me"))["principal"]["name"], "ada");
    expect(&mut admin, 200, "PATCH", "/v1/users/ada", json!({"disabled": true}));
    assert_eq!(ada.get("/v2/_catalog").status, 401);
    expect(&mut admin, 200, "PATCH", "/v1/users/ada", json!({"disabled": false}));
    assert_eq!(ada.get("/v2/_catalog").status, 200);
    expect(&mut admin, 200, "PATCH", "/v1/users/ada", json!({"password": "another one"}));
    assert_eq!(ada.get("/v2/_catalog").status, 401);
    let old = json!({"username": "ada", "password": "long enough"});
    expect(&mut server.stranger(), 401, "POST", "/v1/auth/login", old);
    let mut ada = token_of(&server, "ada", "another one");
    assert_eq!(send(&mut ada, "POST", "/v1/auth/logout", &Value::Null).status, 204);
    assert_eq!(ada.get("/v2/_catalog").status, 401);
    expect(&mut admin, 409, "PATCH", "/v1/users/admin", json!({"disabled": true}));
    expect(&mut admin, 409, "DELETE", "/v1/users/admin", Value::Null);
    expect(&mut admin, 204, "DELETE", "/v1/users/ada", Value::Null);
    expect(&mut admin, 404, "DELETE", "/v1/users/ada", Value::Null);
}

#[test]
fn what_happened_is_in_the_audit_log_with_the_rule_that_denied_it() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let deny =
        json!({"effect": "deny", "priority": 1, "actions": ["registry:push"], "repositories": ["prod/**"]});
    let rule = expect(&mut admin, 201, "POST", "/v1/policy/rules", deny)["id"].clone();
    let blobs = [Noise::new(1).bytes(10), Noise::new(2).bytes(10)];
    for blob in &blobs {
        assert_eq!(push_blob(&mut admin, "team/app", blob).unwrap().status, 201);
        let pushed =
            push_manifest(&mut admin, "team/app", "v1", &manifest(std::slice::from_ref(blob))).unwrap();
        assert_eq!(pushed.status, 201);
    }
    let headers = [("X-Request-Id", "build-7"), ("X-Forwarded-For", "6.6.6.6")];
    let denied = admin.request("POST", "/v2/prod/app/blobs/uploads/", &headers, b"");
    assert_eq!((denied.status, denied.header("x-request-id")), (403, Some("build-7")));
    let wrong = json!({"username": "admin", "password": "wrong wrong"});
    expect(&mut server.stranger(), 401, "POST", "/v1/auth/login", wrong);
    let mut audit = |filter: &str| expect(&mut admin, 200, "GET", &format!("/v1/audit{filter}"), Value::Null);
    let denials = audit("?event_type=access_denied");
    let denial = &denials["items"][0];
    assert_eq!((&denials["total"], &denial["details"]["rule"]), (&json!(1), &rule));
    assert_eq!((&denial["repository"], &denial["actor"]), (&json!("prod/app"), &json!("admin")));
    assert_eq!((&denial["request_id"], &denial["address"]), (&json!("build-7"), &json!("127.0.0.1")));
    let moved = audit("?event_type=tag_moved&repository=team/app");
    assert_eq!(moved["items"][0]["details"]["from"], json!(digest(&manifest(&blobs[..1]))));
    assert_eq!(audit("?event_type=repository_created")["total"], 1);
    assert_eq!(audit("?event_type=blob_uploaded&n=1")["items"].as_array().unwrap().len(), 1);
    assert_eq!(audit("?event_type=manifest_pushed")["total"], 2);
    assert_eq!(audit("?event_type=login_failed")["items"][0]["actor"], "admin");
    assert_eq!(audit("?event_type=policy_created")["items"][0]["details"]["id"], rule);
    assert_eq!(audit("?since=2999-01-01T00:00:00Z")["total"], 0);
    for bad in ["?event_type=x", "?since=yesterday", "?n=x", "?offset=-1"] {
        expect(&mut admin, 400, "GET", &format!("/v1/audit{bad}"), Value::Null);
    }
}

#[test]
fn repositories_and_uploads_are_seen_and_ended() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let blob = Noise::new(3).bytes(1000);
    for repository in ["one", "two"] {
        assert_eq!(push_blob(&mut admin, repository, &blob).unwrap().status, 201);
        let pushed =
            push_manifest(&mut admin, repository, "v1", &manifest(std::slice::from_ref(&blob))).unwrap();
        assert_eq!(pushed.status, 201);
    }
    let size = manifest(std::slice::from_ref(&blob)).len();
    let list = expect(&mut admin, 200, "GET", "/v1/repositories", Value::Null);
    assert_eq!(list["total"], 2);
    let one = expect(&mut admin, 200, "GET", "/v1/repositories/one", Value::Null);
    assert_eq!((&one["logical_bytes"], &one["exclusive_bytes"]), (&json!(1000 + size), &json!(size)));
    assert_eq!(one["tag_list"][0]["name"], "v1");
    expect(&mut admin, 204, "DELETE", "/v1/repositories/one/tags/v1", Value::Null);
    expect(&mut admin, 404, "DELETE", "/v1/repositories/one/tags/v1", Value::Null);
    expect(&mut admin, 204, "DELETE", "/v1/repositories/one", Value::Null);
    assert_eq!(admin.get(&format!("/v2/one/blobs/{}", digest(&blob))).status, 404);
    let two = expect(&mut admin, 200, "GET", "/v1/repositories/two", Value::Null);
    assert_eq!(two["exclusive_bytes"], json!(1000 + size));
    let location = admin.request("POST", "/v2/two/blobs/uploads/", &[], b"").location();
    assert_eq!(admin.request("PATCH", &location, &[], b"abc").status, 202);
    let uploads = expect(&mut admin, 200, "GET", "/v1/uploads", Value::Null);
    assert_eq!((&uploads["total"], &uploads["items"][0]["bytes"]), (&json!(1), &json!(3)));
    let id = uploads["items"][0]["id"].as_str().unwrap();
    expect(&mut admin, 204, "DELETE", &format!("/v1/uploads/{id}"), Value::Null);
    assert_eq!(admin.get(&location).status, 404);
    let metrics = admin.get("/metrics").text();
    for line in
        ["mcr_uploads 0", "route=\"/v1/uploads/{id}\",method=\"DELETE\",status=\"204\"} 1", "mcr_build_info{"]
    {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let ready = expect(&mut admin, 200, "GET", "/v1/ready", Value::Null);
    assert_eq!(ready["ready"], true, "{ready}");
}

#[test]
fn too_many_wrong_passwords_have_to_wait() {
    let data = Data::new();
    let server = data.start(&[("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "3")]);
    let attempt = |password: &str| {
        let body = json!({"username": "admin", "password": password});
        send(&mut server.stranger(), "POST", "/v1/auth/login", &body)
    };
    let statuses: Vec<u16> = (0..5).map(|index| attempt(&format!("wrong {index}")).status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    let refused = attempt(&password(&server));
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
}

#[test]
fn guesses_made_at_once_are_limited_like_those_made_one_after_another() {
    let data = Data::new();
    let server = data.start(&[("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "3")]);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guess = |index| {
            let mut client = server.stranger();
            scope.spawn(move || {
                let body = json!({"username": "admin", "password": format!("guess {index}")});
                send(&mut client, "POST", "/v1/auth/login", &body).status
            })
        };
        let guesses: Vec<_> = (0..64).map(guess).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    let judged = statuses.iter().filter(|status| **status == 401).count();
    // On a slow machine a place comes back meanwhile: one in twenty seconds.
    assert!((3..=6).contains(&judged), "{judged} guesses were judged");
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
}

#[test]
fn no_secret_is_in_the_log_or_the_database() {
    let data = Data::new();
    let server = data.start(&[("MCR_LOG_LEVEL", "trace")]);
    let mut admin = server.client();
    let given = expect(&mut admin, 201, "POST", "/v1/tokens", json!({"name": "t", "user": "admin"}));
    let new_user = json!({"name": "ada", "password": "a secret phrase", "account_type": "human"});
    expect(&mut admin, 201, "POST", "/v1/users", new_user);
    expect(
        &mut server.stranger(),
        401,
        "POST",
        "/v1/auth/login",
        json!({"username": "ada", "password": "wrong secret"}),
    );
    let mut ada = token_of(&server, "ada", "a secret phrase");
    assert_eq!(ada.get("/v2/_catalog?token=a%20secret%20phrase").status, 200);
    let secrets = [
        password(&server),
        given["token"].as_str().unwrap().to_owned(),
        "a secret phrase".to_owned(),
        "a%20secret%20phrase".to_owned(),
        "wrong secret".to_owned(),
    ];
    let log = server.logged("/v2/_catalog");
    drop(server);
    let database: Vec<u8> = ["mcr.db", "mcr.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(data.path().join("data").join(name)).unwrap_or_default())
        .collect();
    for secret in secrets {
        assert!(!log.contains(&secret), "the log has {secret}");
        assert!(
            !database.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "the database has {secret}"
        );
    }
}

#[test]
fn metrics_on_an_address_of_their_own_need_no_login_and_show_nothing_else() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let data = Data::new();
    let server = data.start(&[("MCR_SERVER_METRICS_ADDR", &free.to_string())]);
    assert_eq!(server.client().get("/v2/").status, 200);
    let mut scraper = Client::new(free, None);
    let scraped = scraper.get("/metrics");
    assert_eq!(scraped.status, 200);
    assert!(scraped.text().contains("route=\"/v2/\",method=\"GET\",status=\"200\"} 1"), "{}", scraped.text());
    for path in ["/v2/", "/v1/health", "/v1/users"] {
        assert_eq!(scraper.get(path).status, 404, "{path}");
    }
}

/// The lines of requests, as JSON, up to one that has `last` in it.
fn requests(server: &Server, last: &str) -> Vec<Value> {
    let lines = server.logged(last);
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["request_id"].is_string()).collect()
}

#[test]
fn each_request_has_a_line_that_says_who_did_what_where() {
    let data = Data::new();
    let server = data.start(&[("MCR_LOG_FORMAT", "json")]);
    let mut admin = server.client();
    let location = admin.request("POST", "/v2/team/app/blobs/uploads/", &[], b"").location();
    let chunked = [("Transfer-Encoding", "chunked"), ("X-Request-Id", "build-7")];
    assert_eq!(admin.request("PATCH", &location, &chunked, b"3\r\nabc\r\n0\r\n\r\n").status, 202);
    for odd in ["two words", "a\tb", &"x".repeat(129), "\"", "\u{e4}"] {
        let answer = admin.request("GET", "/v1/repositories/team/app", &[("X-Request-Id", odd)], b"");
        let given = answer.header("x-request-id").unwrap();
        assert!(given.len() == 32 && given != odd, "{given}");
    }
    assert_eq!(server.stranger().get("/v2/nothing/tags/list").status, 401);
    assert_eq!(admin.get("/v2/token").status, 200);
    let lines = requests(&server, "/v2/token");
    assert!(lines.iter().any(|line| line["principal"] == "admin" && line["action"] == "-"), "a login");
    let line = lines.iter().find(|line| line["request_id"] == "build-7").unwrap();
    assert_eq!((&line["principal"], &line["action"]), (&json!("admin"), &json!("registry:push")));
    assert_eq!((&line["repository"], &line["status"]), (&json!("team/app"), &json!(202)));
    assert_eq!((&line["received"], &line["bytes"]), (&json!(3), &json!(0)));
    assert!(line["us"].is_u64() && line["time"].is_string(), "{line}");
    assert!(line["message"].as_str().unwrap().starts_with("PATCH /v2/team/app/blobs/uploads/"), "{line}");
    let last = &lines[lines.len() - 2];
    assert_eq!((&last["principal"], &last["repository"]), (&json!("-"), &json!("nothing")));
    assert_eq!((&last["action"], &last["status"]), (&json!("registry:pull"), &json!(401)));
    assert!(lines.iter().any(|line| line["action"] == "administration" && line["repository"] == "team/app"));
}

#[test]
fn everything_that_operators_watch_is_counted() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let location = admin.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    let mut body = b"100000\r\n".to_vec();
    body.extend_from_slice(&[7; 1 << 20]);
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    assert_eq!(admin.request("PATCH", &location, &[("Transfer-Encoding", "chunked")], &body).status, 202);
    expect(&mut admin, 202, "POST", "/v1/gc", json!({"dry_run": true}));
    let metrics = admin.get("/metrics").text();
    let number = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(
        number("mcr_http_received_bytes_total") >= f64::from(1 << 20),
        "chunks are not counted: {metrics}"
    );
    for counted in [
        "mcr_http_requests_total{route=\"/v2/{name}/blobs/uploads/\",method=\"POST\",status=\"202\"}",
        "mcr_http_request_duration_seconds_count",
        "mcr_uploads",
        "mcr_actor_messages{actor=\"uploads\"}",
        "mcr_actor_message_time_seconds{actor=\"db writer\"}",
        "mcr_database_reads",
        "mcr_database_read_time_seconds",
        "mcr_database_commits",
        "mcr_database_commit_time_seconds",
        "mcr_auth_cache_answers{found=\"hit\"}",
        "mcr_auth_cache_answers{found=\"miss\"}",
        "mcr_password_hashes",
        "mcr_build_info",
    ] {
        assert!(number(counted) > 0.0, "{counted} in {metrics}");
    }
    for known in ["mcr_actor_in_flight{", "mcr_actor_refusals{", "mcr_gc_running", "mcr_gc_freed_bytes"] {
        number(known);
    }
    let actors = expect(&mut admin, 200, "GET", "/v1/actors", Value::Null);
    let names: Vec<&str> =
        actors["actors"].as_array().unwrap().iter().map(|actor| actor["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["db writer", "blob store", "uploads", "policy", "auth cache", "gc", "snapshots"]);
    let writer = &actors["actors"][0];
    assert!(writer["alive"] == true && writer["messages"].as_u64().unwrap() > 0, "{writer}");
}

#[test]
fn forwarded_addresses_are_believed_only_from_trusted_proxies() {
    let data = Data::new();
    for (trusted, expected) in [("", "127.0.0.1"), ("127.0.0.0/8", "192.0.2.7")] {
        let server = data.start(&[("MCR_SERVER_TRUSTED_PROXIES", trusted)]);
        let wrong = json!({"username": "admin", "password": format!("wrong from {expected}")}).to_string();
        let forwarded = [("X-Forwarded-For", "6.6.6.6, 192.0.2.7")];
        let refused = server.stranger().request("POST", "/v1/auth/login", &forwarded, wrong.as_bytes());
        assert_eq!(refused.status, 401);
        let failed = "/v1/audit?event_type=login_failed&n=1";
        let entry = expect(&mut server.client(), 200, "GET", failed, Value::Null);
        assert_eq!(entry["items"][0]["address"], expected);
    }
}

#[test]
fn a_wrong_password_tried_again_and_again_is_recorded_once() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut guesser = server.stranger().authorized("Basic YWRtaW46d3Jvbmc=");
    let began = std::time::Instant::now();
    for _ in 0..200 {
        assert_eq!(guesser.get("/v2/").status, 401);
    }
    let failed = "/v1/audit?event_type=login_failed";
    let failed = expect(&mut server.client(), 200, "GET", failed, Value::Null)["total"].as_u64().unwrap();
    // A verdict is remembered for some seconds, and then tried again.
    assert!((1..=1 + began.elapsed().as_secs()).contains(&failed), "{failed} entries");
}

#[test]
fn readiness_says_what_is_missing() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let lines = |answer: &Value| -> Vec<(String, bool)> {
        let checks = answer["checks"].as_array().unwrap().iter();
        checks.map(|check| (check["name"].as_str().unwrap().to_owned(), check["ok"] == true)).collect()
    };
    let all = |storage, free| {
        let checks = [("database", true), ("storage", storage), ("free space", free)];
        let more = [("provider", true), ("actors", true)];
        checks.into_iter().chain(more).map(|(name, ok)| (name.to_owned(), ok)).collect::<Vec<_>>()
    };
    assert_eq!(lines(&expect(&mut admin, 200, "GET", "/v1/ready", Value::Null)), all(true, true));
    assert!(server.files("uploads").is_empty());
    let (uploads, away) = (server.data.join("uploads"), server.data.join("away"));
    std::fs::rename(&uploads, &away).unwrap();
    assert_eq!(lines(&expect(&mut admin, 503, "GET", "/v1/ready", Value::Null)), all(false, false));
    std::fs::rename(&away, &uploads).unwrap();
    expect(&mut admin, 200, "GET", "/v1/ready", Value::Null);
    drop(server);
    let server = data.start(&[("MCR_STORAGE_MIN_FREE", "1000000TiB")]);
    let full = expect(&mut server.client(), 503, "GET", "/v1/ready", Value::Null);
    assert_eq!(lines(&full), all(true, false));
}

/// Looks until it is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !so() {
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "never {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn sighup_reads_the_rules_again_and_a_bad_one_changes_nothing() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    let store = |patterns: &str| {
        let insert = "INSERT INTO policy_rules (priority, effect, actions, repositories)
                      VALUES (1, 'deny', '[\"registry:pull\",\"registry:push\"]', ?1)";
        assert_eq!(database.execute(insert, [patterns]).unwrap(), 1);
    };
    store("[\"closed/**\"]");
    assert_eq!(admin.get("/v2/closed/a/tags/list").status, 404, "nobody has read it yet");
    server.hang_up();
    until("read again", || admin.get("/v2/closed/a/tags/list").status == 403);
    database.execute("UPDATE policy_rules SET repositories = '[\"other/**\"]'", []).unwrap();
    store("[\"NOT A PATTERN\"]");
    server.hang_up();
    server.logged("NOT A PATTERN");
    assert_eq!(admin.get("/v2/closed/a/tags/list").status, 403, "the old rules hold");
    assert_eq!(admin.get("/v2/other/a/tags/list").status, 404);
}

#[test]
fn whoever_is_kept_from_the_rules_finds_the_rule_that_does_it_in_the_audit_log() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    expect(&mut admin, 201, "POST", "/v1/users", json!({"name": "ops", "account_type": "system"}));
    let token = json!({"name": "t", "user": "ops", "roles": ["ops"]});
    let token = expect(&mut admin, 201, "POST", "/v1/tokens", token);
    let mut ops = server.stranger().authorized(&format!("Bearer {}", token["token"].as_str().unwrap()));
    expect(&mut ops, 403, "GET", "/v1/policy/rules", Value::Null);
    let mut rule = |effect: &str| {
        let rule = json!({"effect": effect, "priority": 5, "roles": ["ops"], "actions": ["policy:manage"]});
        expect(&mut admin, 201, "POST", "/v1/policy/rules", rule)["id"].clone()
    };
    rule("allow");
    expect(&mut ops, 200, "GET", "/v1/policy/rules", Value::Null);
    expect(&mut ops, 403, "GET", "/v1/users", Value::Null);
    let deny = rule("deny");
    expect(&mut ops, 403, "GET", "/v1/policy/rules", Value::Null);
    let denied = "/v1/audit?event_type=access_denied&n=1";
    let denied = expect(&mut server.client(), 200, "GET", denied, Value::Null)["items"][0].clone();
    assert_eq!((&denied["actor"], &denied["details"]["rule"]), (&json!("ops"), &deny));
    assert_eq!(denied["details"]["action"], "policy:manage");
}

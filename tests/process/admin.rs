//! The admin API: who may ask for what, and that what it answers with 2xx holds at once.

use serde_json::{Value, json};

use crate::support::Data;
use crate::support::admin::{expect, password, send, token_of, value};
use crate::support::content::{Noise, digest, manifest, push_blob, push_manifest};

#[test]
fn what_names_nothing_is_404_to_everybody_and_a_wrong_method_says_which_are_right() {
    let data = Data::new();
    let server = data.start(&[]);
    for path in ["/v1/search?q=x", "/v1", "/v1/", "/", "/v1/nothing"] {
        let response = server.stranger().get(path);
        assert_eq!(response.status, 404, "{path}");
        let said = value(&response);
        assert!(said["error"].is_string() && said["code"] == "NOT_FOUND", "{path}");
    }
    let wrong = server.client().request("PUT", "/v1/users", &[], b"");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, POST")));
    assert_eq!(value(&wrong)["code"], "METHOD_NOT_ALLOWED");
}

#[test]
fn a_refusal_says_in_a_word_why_and_which_field_is_at_fault() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let cases = [
        ("GET", "/v1/users?n=x", "", 400, "INVALID", json!("n")),
        ("GET", "/v1/audit?since=yesterday", "", 400, "INVALID", json!("since")),
        ("GET", "/v1/audit?event_type=nothing", "", 400, "INVALID", json!("event_type")),
        ("GET", "/v1/repositories/UPPER", "", 400, "INVALID", json!("name")),
        ("GET", "/v1/policy/rules/x", "", 400, "INVALID", json!("id")),
        ("POST", "/v1/users", "{", 400, "BODY_INVALID", Value::Null),
        ("POST", "/v1/policy/rules", r#"{"effect": "allow"}"#, 400, "INVALID", json!("priority")),
        ("PATCH", "/v1/policy/rules/-1", "{", 409, "BUILT_IN_RULE", Value::Null),
        ("DELETE", "/v1/gc", "", 409, "NO_SWEEP_RUNS", Value::Null),
    ];
    for (method, path, body, status, code, field) in cases {
        let refused = admin.request(method, path, &[], body.as_bytes());
        let said = value(&refused);
        assert_eq!(
            (refused.status, &said["code"], &said["field"]),
            (status, &json!(code), &field),
            "{path}: {said}"
        );
        assert!(said["error"].is_string(), "{path}");
    }
    let long = vec![b' '; 300 * 1024];
    assert_eq!(value(&admin.request("POST", "/v1/users", &[], &long))["code"], "TOO_LARGE");
    assert_eq!(value(&server.stranger().get("/v1/users"))["code"], "NO_CREDENTIALS");
    let mut wrong = server.stranger().authorized("Bearer nothing");
    assert_eq!(value(&wrong.get("/v1/users"))["code"], "BAD_CREDENTIALS");
}

#[test]
fn a_robot_pushes_where_its_rule_lets_it_and_its_revocation_holds_at_once() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    expect(
        &mut admin,
        201,
        "POST",
        "/v1/users",
        json!({"name": "ci", "account_type": "system", "roles": ["builder"]}),
    );
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
    // A plus that was not escaped arrives as a space.
    for offset in ["%2B02:00", "+02:00", "-02:00", "Z"] {
        let bounds = format!("?since=1970-01-02T00:00:00{offset}&until=2999-01-01T00:00:00{offset}&n=1");
        assert_eq!(audit(&bounds)["items"].as_array().unwrap().len(), 1, "{offset}");
    }
    let several = audit("?event_type=tag_moved,login_failed&event_type=manifest_pushed&n=2");
    assert_eq!((&several["total"], several["items"].as_array().unwrap().len()), (&json!(4), 2));
    let rest = audit(&format!(
        "?event_type=tag_moved,login_failed,manifest_pushed&cursor={}",
        several["next"].as_str().unwrap()
    ));
    assert_eq!(
        (rest["items"].as_array().unwrap().len(), &rest["next"], &rest["total"]),
        (2, &Value::Null, &Value::Null)
    );
    let second = digest(&manifest(&blobs[1..]));
    for filter in [
        format!("digest={second}&event_type=manifest_pushed"),
        "tag=v1&event_type=tag_moved&actor=admin".to_owned(),
        "address=127.0.0.1&event_type=access_denied".to_owned(),
    ] {
        assert_eq!(audit(&format!("?{filter}"))["total"], 1, "{filter}");
    }
    assert_eq!(audit("?actor=nobody")["items"], json!([]));
    let all = audit("?n=1000");
    let third = all["items"].as_array().unwrap().iter().rev().nth(2).unwrap()["id"].clone();
    let tailed = audit(&format!("?after={third}&n=2"));
    let ids = |list: &Value| {
        list["items"].as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(tailed["after"], ids(&tailed)[1]);
    let rest = ids(&audit(&format!("?after={}", tailed["after"])));
    let tailed = [ids(&tailed), rest].concat();
    assert!(tailed.iter().eq(ids(&all).iter().rev().skip(3)), "{tailed:?}");
    for bad in [
        "?event_type=logout,x",
        "?digest=sha256:1",
        "?tag=a%2Fb",
        "?address=here",
        "?after=-1",
        "?after=x",
        "?after=1&last=1-1",
        "?cursor=x",
        "?since=2026-01-31T12:00:00+2",
        "?event_type=x",
        "?since=yesterday",
        "?n=x",
        "?offset=-1",
        "?offset=1000001",
    ] {
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
    let gone = expect(&mut admin, 200, "DELETE", "/v1/repositories/one/tags/v1", Value::Null);
    assert_eq!(gone, json!({"deleted": "tag", "repository": "one", "tag": "v1"}));
    expect(&mut admin, 404, "DELETE", "/v1/repositories/one/tags/v1", Value::Null);
    let gone = expect(&mut admin, 200, "DELETE", "/v1/repositories/one", Value::Null);
    assert_eq!(gone, json!({"deleted": "repository", "repository": "one"}));
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
fn pages_of_the_audit_log_pass_over_nothing_while_more_is_recorded() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    for number in 0..7 {
        expect(
            &mut admin,
            201,
            "POST",
            "/v1/policy/rules",
            json!({"effect": "allow", "priority": number + 1}),
        );
    }
    let (mut next, mut ids) = (String::new(), Vec::new());
    loop {
        let page = expect(&mut admin, 200, "GET", &format!("/v1/audit?n=2{next}"), Value::Null);
        ids.extend(page["items"].as_array().unwrap().iter().map(|entry| entry["id"].as_i64().unwrap()));
        let Some(last) = page["next"].as_str() else { break };
        // The word of before is heard, too.
        next = format!("&{}={last}", if ids.len() % 4 == 0 { "last" } else { "cursor" });
        expect(&mut admin, 201, "POST", "/v1/policy/rules", json!({"effect": "allow", "priority": 9}));
    }
    assert!(ids.len() >= 7, "{ids:?}");
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1] + 1), "{ids:?}");
    expect(&mut admin, 400, "GET", "/v1/audit?last=x", Value::Null);
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
fn whoever_guesses_from_elsewhere_does_not_lock_out_who_has_logged_in_from_home() {
    let data = Data::new();
    let server = data.start(&[
        ("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "3"),
        ("MCR_AUTH_CACHE_TTL", "0s"),
        ("MCR_SERVER_TRUSTED_PROXIES", "127.0.0.0/8"),
    ]);
    let attempt = |address: &str, password: &str| {
        let body = json!({"username": "admin", "password": password}).to_string();
        let headers = [("X-Forwarded-For", address), ("Content-Type", "application/json")];
        let answer = server.stranger().request("POST", "/v1/auth/login", &headers, body.as_bytes());
        (answer.status, answer.header("retry-after").map(|wait| wait.parse::<u64>().unwrap()))
    };
    let right = password(&server);
    assert_eq!(attempt("192.0.2.1", &right).0, 200);
    for number in 0..20 {
        attempt(&format!("198.51.100.{number}"), &format!("guess {number}"));
    }
    let (status, wait) = attempt("192.0.2.2", &right);
    assert!(status == 429 && (1..=21).contains(&wait.unwrap()), "{status} {wait:?}");
    assert_eq!(attempt("192.0.2.1", &right).0, 200, "who is at home was locked out");
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
fn whoever_is_kept_from_the_rules_finds_the_rule_that_does_it_in_the_audit_log() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    expect(
        &mut admin,
        201,
        "POST",
        "/v1/users",
        json!({"name": "ops", "account_type": "system", "roles": ["ops"]}),
    );
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

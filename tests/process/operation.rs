//! What operators see: the log, metrics, readiness, signals.

use serde_json::{Value, json};

use crate::support::admin::{expect, password, token_of};
use crate::support::http::Client;
use crate::support::mcrctl::Mcrctl;
use crate::support::{Data, Server};

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
    assert_eq!(admin.request("DELETE", "/v1/repositories/team/app", &[], b"").status, 404);
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
        "mcr_actor_messages_total{actor=\"uploads\"}",
        "mcr_actor_message_time_seconds_total{actor=\"db writer\"}",
        "mcr_database_reads_total",
        "mcr_database_read_time_seconds_total",
        "mcr_database_commits_total",
        "mcr_database_commit_time_seconds_total",
        "mcr_auth_cache_answers_total{found=\"hit\"}",
        "mcr_auth_cache_answers_total{found=\"miss\"}",
        "mcr_password_hashes_total",
        "mcr_build_info",
    ] {
        assert!(number(counted) > 0.0, "{counted} in {metrics}");
    }
    for known in ["mcr_actor_in_flight{", "mcr_actor_refusals_total{", "mcr_gc_running", "mcr_gc_freed_bytes"]
    {
        number(known);
    }
    let actors = expect(&mut admin, 200, "GET", "/v1/actors", Value::Null);
    let names: Vec<&str> =
        actors["actors"].as_array().unwrap().iter().map(|actor| actor["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["db writer", "blob store", "uploads", "policy", "auth cache", "gc", "snapshots"]);
    let writer = &actors["actors"][0];
    assert!(writer["alive"] == true && writer["messages"].as_u64().unwrap() > 0, "{writer}");
}

/// A look is told for a second.
fn report_grows_old() {
    std::thread::sleep(std::time::Duration::from_millis(1100));
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
        let checks = [("database", true), ("commits", true), ("storage", storage), ("free space", free)];
        let more = [("upload places", storage), ("provider", true), ("actors", true)];
        checks.into_iter().chain(more).map(|(name, ok)| (name.to_owned(), ok)).collect::<Vec<_>>()
    };
    assert_eq!(lines(&expect(&mut admin, 200, "GET", "/v1/ready", Value::Null)), all(true, true));
    assert!(server.files("uploads").is_empty());
    let (uploads, away) = (server.data.join("uploads"), server.data.join("away"));
    std::fs::rename(&uploads, &away).unwrap();
    // Where there is nothing it would be made again.
    std::os::unix::fs::symlink("nowhere", &uploads).unwrap();
    report_grows_old();
    assert_eq!(lines(&expect(&mut admin, 503, "GET", "/v1/ready", Value::Null)), all(false, false));
    std::fs::remove_file(&uploads).unwrap();
    std::fs::rename(&away, &uploads).unwrap();
    report_grows_old();
    expect(&mut admin, 200, "GET", "/v1/ready", Value::Null);
    drop(server);
    let server = data.start(&[("MCR_STORAGE_MIN_FREE", "1000000TiB")]);
    let full = expect(&mut server.client(), 503, "GET", "/v1/ready", Value::Null);
    assert_eq!(lines(&full), all(true, false));
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    let status = mcrctl.run(&["--json", "status"], "");
    assert_eq!(status.status.code(), Some(1), "what is not ready is no success");
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["ready"], lines(&status)), (&json!(false), all(true, false)));
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

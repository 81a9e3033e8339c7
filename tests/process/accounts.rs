//! Accounts: one rule for names and passwords at every door, and the way back for whoever has forgotten a password.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::admin::{expect, password, send, token_of, value};
use crate::support::http::Client;
use crate::support::mcrctl::Mcrctl;
use crate::support::{Data, Server, StopLater, program};

/// Runs `mcrsrv` to its end.
fn mcrsrv(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that refuses its command line does not read.
    let _ended = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// A configuration whose data is in a directory of its own.
fn configuration(directory: &Path) -> PathBuf {
    std::fs::create_dir_all(directory).unwrap();
    let text = format!(
        "[server]\nlisten_addr = \"127.0.0.1:0\"\ninsecure_http = true\n[database]\npath = \"{0}/mcr.db\"\n\
         [storage]\nlayers_path = \"{0}/layers\"\n[auth]\nprovider = \"local\"\n",
        directory.join("data").display()
    );
    let file = directory.join("mcr.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// The accounts of a database, each by name, password hash and roles.
fn accounts(database: &Path) -> Vec<(String, Option<String>, String)> {
    if !database.try_exists().unwrap() {
        return Vec::new();
    }
    let database = rusqlite::Connection::open(database).unwrap();
    let mut rows = database.prepare("SELECT name, password_hash, roles FROM users ORDER BY name").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Every door at which an account is given a name or a password. Each says whether it let the two in.
struct Doors<'a> {
    server: &'a Server,
    admin: Client,
    mcrctl: Mcrctl,
    place: PathBuf,
    tried: usize,
}

impl Doors<'_> {
    fn post(&mut self, name: &str, password: &str) -> bool {
        let user = json!({"name": name, "password": password, "account_type": "human"});
        let answer = send(&mut self.admin, "POST", "/v1/users", &user);
        assert!([201, 400, 409].contains(&answer.status), "{name:?} {password:?}: {}", answer.text());
        answer.status == 201
    }

    fn patch(&mut self, password: &str) -> bool {
        let answer = send(&mut self.admin, "PATCH", "/v1/users/ada", &json!({"password": password}));
        assert!([200, 400].contains(&answer.status), "{password:?}: {}", answer.text());
        answer.status == 200
    }

    /// The account's own way.
    fn own(&mut self, password: &str) -> bool {
        let change = json!({"old": "long enough", "new": password});
        let mut ada = token_of(self.server, "ada", "long enough");
        let answer = send(&mut ada, "POST", "/v1/auth/password", &change);
        assert!([200, 400].contains(&answer.status), "{password:?}: {}", answer.text());
        answer.status == 200
    }

    fn mcrctl_create(&mut self, name: &str, password: &str) -> bool {
        let arguments = ["user", "create", "--password-stdin", "--", name];
        self.mcrctl.run(&arguments, password).status.success()
    }

    fn mcrctl_update(&mut self, password: &str) -> bool {
        self.mcrctl.run(&["user", "update", "ada", "--password-stdin"], password).status.success()
    }

    /// A registry that is not there yet: what is refused makes nothing.
    fn init(&mut self, name: &str, password: &str) -> bool {
        self.tried += 1;
        let directory = self.place.join(format!("init-{}", self.tried));
        let config = configuration(&directory);
        let admin = format!("--admin={name}");
        let output =
            mcrsrv(&["init", "--config", config.to_str().unwrap(), &admin, "--password-stdin"], password);
        let made = accounts(&directory.join("data/mcr.db"));
        assert_eq!(output.status.success(), made.len() == 1, "{name:?} {password:?}: {}", said(&output));
        output.status.success()
    }

    /// A file that somebody put where `dev` keeps the password that it makes up.
    fn dev(&mut self, password: &str) -> bool {
        self.tried += 1;
        let data = self.place.join(format!("dev-{}", self.tried));
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("admin-password"), password).unwrap();
        let mut command = Command::new(program());
        command.args(["dev", "--http", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        // It ended by itself, or it serves.
        let _gone = child.kill();
        child.wait().unwrap();
        line.starts_with("listening on ")
    }

    fn reset(&mut self, password: &str) -> bool {
        let data = self.server.data.to_str().unwrap();
        let arguments = ["admin", "reset-password", "--data", data, "--user", "ada", "--password-stdin"];
        mcrsrv(&arguments, password).status.success()
    }
}

#[test]
fn no_door_gives_an_account_what_another_refuses() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let ada = json!({"name": "ada", "password": "long enough", "account_type": "human"});
    expect(&mut admin, 201, "POST", "/v1/users", ada);
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    let place = data.path().join("others");
    let mut doors = Doors { server: &server, admin, mcrctl, place, tried: 0 };
    let before = accounts(&server.data.join("mcr.db"));
    let good = "a good password";
    let long = "n".repeat(129);
    let names = [
        "",
        ".",
        "..",
        "a b",
        "a/b",
        "-rf",
        "ä",
        "gc",
        "GC",
        "anonymous",
        "Anonymous",
        "mcrsrv",
        "mcr_x",
        &long,
    ];
    for name in names {
        assert!(!doors.post(name, good), "POST {name:?}");
        assert!(!doors.mcrctl_create(name, good), "mcrctl user create {name:?}");
        assert!(!doors.init(name, good), "init --admin {name:?}");
    }
    let (token, much) = (format!("mcr_{}", "0a".repeat(32)), "p".repeat(1025));
    for password in ["x", "1234567", "a tab\tin it", &token, &much] {
        assert!(!doors.post("bob", password), "POST {password:?}");
        assert!(!doors.patch(password), "PATCH {password:?}");
        assert!(!doors.own(password), "POST /v1/auth/password {password:?}");
        assert!(!doors.mcrctl_create("bob", password), "mcrctl user create {password:?}");
        assert!(!doors.mcrctl_update(password), "mcrctl user update {password:?}");
        assert!(!doors.init("admin", password), "init {password:?}");
        assert!(!doors.dev(password), "dev {password:?}");
        assert!(!doors.reset(password), "reset-password {password:?}");
    }
    // A name that is there in other letter case.
    for name in ["ADA", "Ada", "ADMIN"] {
        assert!(!doors.post(name, good), "POST {name}");
        assert!(!doors.mcrctl_create(name, good), "mcrctl user create {name}");
    }
    assert_eq!(accounts(&server.data.join("mcr.db")), before, "what was refused changed something");
    assert!(doors.init("Ada.L_ovelace@example.com", good) && doors.dev(good));
    let config = configuration(&doors.place.join("twice"));
    let init = |name: &str| mcrsrv(&["init", "--config", config.to_str().unwrap(), "--admin", name], "");
    assert!(init("admin").status.success());
    let other = init("Admin");
    assert!(
        !other.status.success() && said(&other).contains("there is an account admin"),
        "{}",
        said(&other)
    );
    assert!(init("admin").status.success(), "as often as it is called");
}

#[test]
fn an_account_from_before_the_rule_works_and_can_be_ended() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let user = json!({"name": "old", "password": "long enough", "account_type": "human"});
    expect(&mut admin, 201, "POST", "/v1/users", user);
    for (number, name) in ["gc", "Anonymous", "..", "a b", "ADMIN"].into_iter().enumerate() {
        let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
        let copy = "INSERT INTO users (id, name, account_type, password_hash, roles, created_at, updated_at)
            SELECT ?1, ?2, account_type, password_hash, roles, 0, 0 FROM users WHERE name = 'old'";
        assert_eq!(database.execute(copy, (number.to_string(), name)).unwrap(), 1);
        assert_eq!(token_of(&server, name, "long enough").get("/v2/").status, 200, "{name}");
        let path: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/v1/users/{path}");
        expect(&mut admin, 200, "PATCH", &path, json!({"password": "another one"}));
        token_of(&server, name, "another one");
        expect(&mut admin, 204, "DELETE", &path, Value::Null);
    }
}

/// Robot tokens and tokens of logins of the account that are still good.
fn live(answer: &Value) -> (u64, Vec<&str>) {
    let tokens = answer["tokens"]["items"].as_array().unwrap();
    (
        answer["tokens"]["total"].as_u64().unwrap(),
        tokens.iter().map(|t| t["kind"].as_str().unwrap()).collect(),
    )
}

#[test]
fn a_new_password_tells_which_tokens_go_on_and_ends_them_when_told_to() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let user = json!({"name": "ada", "password": "long enough", "account_type": "human"});
    expect(&mut admin, 201, "POST", "/v1/users", user);
    let mut ada = token_of(&server, "ada", "long enough");
    let token = expect(&mut admin, 201, "POST", "/v1/tokens", json!({"name": "deploy", "user": "ada"}));
    let mut robot = server.stranger().authorized(&format!("Bearer {}", token["token"].as_str().unwrap()));
    let changed = expect(&mut admin, 200, "PATCH", "/v1/users/ada", json!({"roles": []}));
    assert_eq!((live(&changed), &changed["ended_tokens"]), ((2, vec!["robot", "login"]), &json!(0)));
    let changed = expect(&mut admin, 200, "PATCH", "/v1/users/ada", json!({"password": "another one"}));
    assert_eq!((live(&changed), &changed["ended_tokens"]), ((1, vec!["robot"]), &json!(1)));
    let first = &changed["tokens"]["items"][0];
    assert_eq!((&first["id"], &first["name"]), (&token["id"], &json!("deploy")));
    assert_eq!((ada.get("/v2/").status, robot.get("/v2/").status), (401, 200));
    let change = json!({"password": "a third one", "end_tokens": true});
    let changed = expect(&mut admin, 200, "PATCH", "/v1/users/ada", change);
    assert_eq!((live(&changed), &changed["ended_tokens"]), ((0, vec![]), &json!(1)));
    assert_eq!(robot.get("/v2/").status, 401);
    let entry = expect(&mut admin, 200, "GET", "/v1/audit?event_type=user_updated&n=1", Value::Null);
    assert_eq!(entry["items"][0]["details"]["ended_tokens"], 1);
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    expect(&mut admin, 201, "POST", "/v1/tokens", json!({"name": "nightly", "user": "ada"}));
    let told = mcrctl.run(&["user", "update", "ada", "--password-stdin"], "a fourth one");
    assert!(
        said(&told).contains("0 tokens ended, 1 go on") && said(&told).contains("nightly"),
        "{}",
        said(&told)
    );
    let told = mcrctl.run(&["user", "update", "ada", "--password-stdin", "--end-tokens"], "a fifth one");
    assert!(said(&told).contains("1 tokens ended, 0 go on"), "{}", said(&told));
}

fn login(password: &str) -> Value {
    json!({"username": "admin", "password": password})
}

/// Switches the only administrator off and takes its role, as only an accident beside the registry can.
fn lock_everybody_out(data: &Path) {
    let database = rusqlite::Connection::open(data.join("mcr.db")).unwrap();
    assert_eq!(database.execute("UPDATE users SET disabled = 1, roles = '[]'", []).unwrap(), 1);
}

fn reset(data: &Path, more: &[&str], input: &str) -> Output {
    let arguments = ["admin", "reset-password", "--data", data.to_str().unwrap(), "--user"];
    mcrsrv(&[&arguments, more].concat(), input)
}

#[test]
fn a_forgotten_password_is_replaced_beside_a_server_that_is_stopped() {
    let data = Data::new();
    let server = data.start(&[]);
    let old = password(&server);
    let before = expect(&mut server.stranger(), 200, "POST", "/v1/auth/login", login(&old))["token"].clone();
    let place = server.data.clone();
    drop(server);
    lock_everybody_out(&place);
    let unknown = reset(&place, &["nobody"], "");
    assert!(
        unknown.status.code() == Some(1) && said(&unknown).contains("no user nobody"),
        "{}",
        said(&unknown)
    );
    let first = reset(&place, &["admin"], "");
    assert!(said(&first).contains("--enable switches it on"), "{}", said(&first));
    let output = reset(&place, &["admin", "--enable", "--make-admin"], "");
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    let made_up = text.split("shown this once: ").nth(1).unwrap().trim();
    let server = data.start(&[]);
    let mut admin = token_of(&server, "admin", made_up);
    assert_eq!(admin.get("/v1/users").status, 200);
    expect(&mut server.stranger(), 401, "POST", "/v1/auth/login", login(&old));
    let mut before = server.stranger().authorized(&format!("Bearer {}", before.as_str().unwrap()));
    assert_eq!(before.get("/v2/").status, 401, "a token of the old password");
    let entry = expect(&mut admin, 200, "GET", "/v1/audit?event_type=user_updated&n=1", Value::Null);
    assert_eq!(entry["items"][0]["actor"], "mcrsrv");
    assert_eq!(entry["items"][0]["details"]["new_password"], true);
}

#[test]
fn a_forgotten_password_is_replaced_beside_a_server_that_runs_and_remembers() {
    let data = Data::new();
    // It would believe the old password and its tokens for an hour.
    let server =
        data.start(&[("MCR_AUTH_CACHE_TTL", "1h"), ("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "100000")]);
    let old = password(&server);
    let mut token = token_of(&server, "admin", &old);
    let robot = expect(&mut token, 201, "POST", "/v1/tokens", json!({"name": "ci", "user": "admin"}));
    let mut robot = server.stranger().authorized(&format!("Bearer {}", robot["token"].as_str().unwrap()));
    let mut basic = server.client();
    assert_eq!([token.get("/v2/").status, robot.get("/v2/").status, basic.get("/v2/").status], [200; 3]);
    // Somebody goes on to log in with the old password meanwhile.
    let stop = AtomicBool::new(false);
    let given = std::thread::scope(|scope| {
        let (server, old, stop) = (&server, &old, &stop);
        let guesser = scope.spawn(move || {
            let mut given = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = send(&mut server.stranger(), "POST", "/v1/auth/login", &login(old));
                if answer.status == 200 {
                    given.push(value(&answer)["token"].as_str().unwrap().to_owned());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            given
        });
        let until = StopLater(stop);
        let output = reset(&server.data, &["admin", "--password-stdin"], "a new password\n");
        drop(until);
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("1 tokens of its robots go on"), "{}", said(&output));
        // Whatever the server remembers of the old password, it changes nothing from now on.
        let account =
            json!({"name": "of-the-old", "account_type": "human", "password": "a long enough password"});
        let made = send(&mut basic, "POST", "/v1/users", &account);
        assert!([401, 403].contains(&made.status), "{}", made.text());
        guesser.join().unwrap()
    });
    assert!(!given.is_empty());
    // All that was given for the old password is over, at the latest when the server has looked once more.
    let deadline = Instant::now() + Duration::from_secs(20);
    let good = |authorization: String| server.stranger().authorized(&authorization).get("/v2/").status == 200;
    while given.iter().any(|token| good(format!("Bearer {token}"))) {
        assert!(Instant::now() < deadline, "a token of the old password goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(
        [token.get("/v2/").status, robot.get("/v2/").status, basic.get("/v2/").status],
        [401, 200, 401]
    );
    token_of(&server, "admin", "a new password");
    let output = reset(&server.data, &["admin", "--password-stdin", "--end-tokens"], "a newer password\n");
    assert!(output.status.success(), "{}", said(&output));
    while robot.get("/v2/").status == 200 {
        assert!(Instant::now() < deadline, "a robot's token goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    token_of(&server, "admin", "a newer password");
}

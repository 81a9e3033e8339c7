//! The pages, as `mcr-web` serves them to a browser: who sees what, who may change anything, and what strangers pushed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::admin::expect;
use crate::support::content::{MANIFEST, digest, push_blob};
use crate::support::http::{Client, Response};
use crate::support::{Data, Server};

const MANY: &[(&str, &str)] = &[("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "100000")];
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const OURS: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

/// Every page that asks for somebody, with names in the places of its parts.
const PAGES: [&str; 11] = [
    "/",
    "/repositories",
    "/search?q=a",
    "/r/team/app",
    "/r/team/app/-/t/v1",
    "/r/team/app/-/m/sha256:00",
    "/uploads",
    "/audit",
    "/gc",
    "/gc/sweeps/1",
    "/me",
];

/// Every form, with what is asked of the registry by it.
const FORMS: [&str; 7] = [
    "/logout",
    "/uploads/00000000-0000-0000-0000-000000000000/cancel",
    "/gc/start",
    "/gc/stop",
    "/me/password",
    "/me/tokens",
    "/me/tokens/1/end",
];

/// The program with the pages of a registry.
struct Web {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Drop for Web {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Web {
    fn of(data: &Data, registry: SocketAddr) -> Self {
        let file = data.path().join("web.toml");
        let key = data.path().join("web.key");
        let text = format!(
            "[web]\nlisten_addr = \"127.0.0.1:0\"\ninsecure_http = true\nserver_url = \"http://{registry}\"\n\
             registry_host = \"mcr.example.com\"\nsession_key = {key:?}\n"
        );
        std::fs::write(&file, text).unwrap();
        let program = std::env::var_os("MCR_WEB")
            .map_or_else(|| env!("CARGO_BIN_EXE_mcr-web").into(), std::path::PathBuf::from);
        let mut command = Command::new(program);
        command.args(["server", "--config"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(data.path().join("web.log")).unwrap());
        let mut child = command.spawn().unwrap();
        let (mut stdout, mut line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("it listens").parse().unwrap();
        Self { child, _stdout: stdout, address }
    }

    fn browser(&self) -> Browser {
        Browser { client: Client::new(self.address, None), cookie: String::new() }
    }
}

/// What a browser does: it keeps the cookie, and says where a form is from.
struct Browser {
    client: Client,
    cookie: String,
}

impl Browser {
    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let cookie = self.cookie.clone();
        let mut all = headers.to_vec();
        if !cookie.is_empty() {
            all.push(("Cookie", &cookie));
        }
        let answer = self.client.request(method, path, &all, body.as_bytes());
        if let Some(set) = answer.header("set-cookie") {
            let pair = set.split(';').next().unwrap();
            self.cookie = if pair.ends_with('=') { String::new() } else { pair.to_owned() };
        }
        answer
    }

    fn get(&mut self, path: &str) -> Response {
        self.send("GET", path, &[], "")
    }

    fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Response {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send("POST", path, &[FORM, OURS], &body)
    }

    fn sign_in(&mut self, name: &str, password: &str) -> Response {
        self.post("/login", &[("username", name), ("password", password), ("next", "/repositories")])
    }

    /// The page that is there, in text.
    fn page(&mut self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }
}

fn password(server: &Server) -> String {
    std::fs::read_to_string(server.data.join("admin-password")).unwrap().trim().to_owned()
}

/// Pushes an image with this config and these annotations under a tag; answers its digest.
fn push(client: &mut Client, repository: &str, tag: &str, config: &Value, annotations: &Value) -> String {
    let config = config.to_string().into_bytes();
    let layer = format!("layer of {tag}").into_bytes();
    for blob in [&config, &layer] {
        assert_eq!(push_blob(client, repository, blob).unwrap().status, 201);
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "annotations": annotations,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&layer), "size": layer.len()}],
    });
    let (path, body) = (format!("/v2/{repository}/manifests/{tag}"), manifest.to_string());
    let put = client.request("PUT", &path, &[("Content-Type", MANIFEST)], body.as_bytes());
    assert_eq!(put.status, 201, "{}", put.text());
    digest(body.as_bytes())
}

fn image() -> Value {
    json!({
        "os": "linux", "architecture": "arm64", "variant": "v8", "config": {"Entrypoint": ["/bin/app"], "Labels": {"team": "blue"}},
        "history": [{"created_by": "COPY app /bin/app # buildkit"}, {"created_by": "USER 65532", "empty_layer": true}],
    })
}

#[test]
fn nobody_sees_anything_without_signing_in() {
    let data = Data::new();
    let server = data.start(MANY);
    let web = Web::of(&data, server.address);
    let mut browser = web.browser();
    let unknown = ["/unknown", "/r/", "/static/none.css", "/v1/repositories", "/v2/", "/..%2f", "/%ff"];
    for path in PAGES.iter().chain(&FORMS).chain(&unknown) {
        for (method, headers) in
            [("GET", &[][..]), ("HEAD", &[]), ("POST", &[FORM, OURS]), ("DELETE", &[OURS])]
        {
            for cookie in ["", "mcr=", "mcr=AAAA", "mcr=%00", "__Host-mcr=x"] {
                browser.cookie = cookie.to_owned();
                let answer = browser.send(method, path, headers, "");
                assert_eq!(answer.status, 303, "{method} {path} {cookie}: {}", answer.text());
                assert!(answer.location().starts_with("/login"), "{}", answer.location());
                assert!(answer.body.is_empty());
            }
        }
    }
    let answer = browser.get("/r/team/app?q=x&sort=name");
    assert_eq!(answer.location(), "/login?next=%2Fr%2Fteam%2Fapp%3Fq%3Dx%26sort%3Dname");
    let login = browser.get("/login");
    assert!(login.status == 200 && login.text().contains("mcr.example.com"));
    for answer in [&answer, &login] {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let text = login.text();
    let style = text.split('"').find(|text| text.starts_with("/static/") && text.ends_with(".css")).unwrap();
    let style = browser.get(style);
    assert!(style.status == 200 && style.header("cache-control").unwrap().contains("immutable"));
}

#[test]
fn a_session_begins_with_a_password_and_ends_for_good() {
    let data = Data::new();
    let server = data.start(MANY);
    let web = Web::of(&data, server.address);
    let mut browser = web.browser();
    let wrong = browser.sign_in("admin", "wrong");
    assert!(
        wrong.status == 200 && wrong.text().contains("Name or password is not right."),
        "{}",
        wrong.text()
    );
    assert!(wrong.text().contains("value=\"admin\"") && !wrong.text().contains("wrong"), "what was typed");
    assert_eq!(browser.cookie, "");
    let right = browser.sign_in("admin", &password(&server));
    assert_eq!((right.status, right.location().as_str()), (303, "/repositories"));
    let set = right.header("set-cookie").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(browser.page("/repositories").contains("Push a first image"));
    // The token is nowhere but in the cookie, and there nobody can read it.
    let kept = browser.cookie.clone();
    assert!(!kept.contains("mcr_") && !browser.page("/repositories").contains("mcr_"));
    let out = browser.post("/logout", &[]);
    assert_eq!((out.status, out.location().as_str(), browser.cookie.as_str()), (303, "/login", ""));
    browser.cookie = kept;
    assert_eq!(browser.get("/repositories").status, 303, "somebody kept the cookie");
    let elsewhere = [("username", "admin"), ("password", &password(&server)), ("next", "//evil.example")];
    assert_eq!(browser.post("/login", &elsewhere).location(), "/");
    // What cannot stand in a header is refused a place there, and is nobody's failure.
    let odd = [("username", "admin"), ("password", &password(&server)), ("next", "/\u{e9}\u{202e}\n")];
    let answer = browser.post("/login", &odd);
    assert_eq!((answer.status, answer.location().as_str()), (303, "/"));
}

#[test]
fn only_a_page_of_ours_changes_anything() {
    let data = Data::new();
    let server = data.start(MANY);
    let web = Web::of(&data, server.address);
    let mut browser = web.browser();
    browser.sign_in("admin", &password(&server));
    let own = format!("http://{}", web.address);
    for headers in [
        vec![],
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site")],
        vec![("Origin", "https://evil.example")],
        vec![("Origin", "null")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Origin", own.as_str())],
    ] {
        let mut all = vec![FORM];
        all.extend(&headers);
        for form in FORMS {
            let answer = browser.send("POST", form, &all, "name=x&old=x&new=x&again=x");
            assert_eq!(answer.status, 403, "{form} {headers:?}");
        }
        let answer = browser.send("POST", "/login", &all, "username=admin&password=x");
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    assert_eq!(browser.get("/repositories").status, 200);
    let answer = browser.send("POST", "/logout", &[FORM, ("Origin", own.as_str())], "");
    assert_eq!(answer.status, 303, "a browser that says its origin only");
}

#[test]
fn a_person_sees_what_policy_shows_them() {
    let data = Data::new();
    let server = data.start(MANY);
    let web = Web::of(&data, server.address);
    let mut admin = server.client();
    let none = json!({});
    push(&mut admin, "team/app", "v1", &image(), &none);
    push(&mut admin, "secret/plan", "v1", &image(), &none);
    for (name, roles) in [("ada", "dev"), ("eve", "guest")] {
        let user =
            json!({"name": name, "account_type": "human", "password": "long enough", "roles": [roles]});
        expect(&mut admin, 201, "POST", "/v1/users", user);
    }
    let deny = json!({"effect": "deny", "priority": 1, "roles": ["dev"], "repositories": ["secret/**"]});
    expect(&mut admin, 201, "POST", "/v1/policy/rules", deny);
    let mut ada = web.browser();
    ada.sign_in("ada", "long enough");
    let list = ada.page("/repositories");
    assert!(list.contains("/r/team/app") && !list.contains("secret"), "{list}");
    assert!(!list.contains("Own size"), "what only administrators are told");
    for hidden in ["/r/secret/plan", "/r/secret/plan/-/t/v1", "/r/none", "/r/team/app/-/t/none", "/r/A"] {
        let answer = ada.get(hidden);
        assert!((400..500).contains(&answer.status), "{hidden}: {}", answer.status);
        assert!(answer.text().contains("x-request-id") || answer.header("x-request-id").is_some());
    }
    // What is an administrator's is neither offered nor given.
    assert!(!list.contains("href=\"/gc\"") && !list.contains("href=\"/audit\""));
    for path in ["/uploads", "/audit", "/gc", "/gc/sweeps/1"] {
        assert_eq!(ada.get(path).status, 403, "{path}");
    }
    for form in ["/gc/start", "/gc/stop", "/uploads/00000000-0000-0000-0000-000000000000/cancel"] {
        assert_eq!(ada.post(form, &[]).status, 403, "{form}");
    }
    assert_eq!(ada.get("/").location(), "/repositories");
    let mut boss = web.browser();
    boss.sign_in("admin", &password(&server));
    assert!(
        boss.page("/repositories").contains("/r/secret/plan")
            && boss.page("/repositories").contains("Own size")
    );
}

#[test]
fn an_image_is_shown_with_how_it_was_made() {
    let data = Data::new();
    let server = data.start(MANY);
    let web = Web::of(&data, server.address);
    let annotations = json!({"org.opencontainers.image.source": "https://git.example.com/app"});
    let digest = push(&mut server.client(), "team/app", "v1", &image(), &annotations);
    let mut browser = web.browser();
    browser.sign_in("admin", &password(&server));
    let page = browser.page("/r/team/app");
    assert!(page.contains("docker pull mcr.example.com/team/app:v1") && page.contains(&digest), "{page}");
    let to = browser.get("/r/team/app/-/t/v1").location();
    assert_eq!(to, format!("/r/team/app/-/m/{digest}?tag=v1"));
    let page = browser.page(&to);
    for text in [
        "COPY app /bin/app",
        "USER 65532",
        "linux/arm64/v8",
        "/bin/app",
        "href=\"https://git.example.com/app\"",
        "Nothing is attached here",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    for (typed, leads) in [
        ("mcr.example.com/team/app:v1", "/r/team/app/-/t/v1"),
        ("team/app", "/repositories?q=team%2Fapp"),
        ("other/app:v1", "/repositories?q=other%2Fapp:v1"),
    ] {
        let typed = form_urlencoded::byte_serialize(typed.as_bytes()).collect::<String>();
        assert_eq!(browser.get(&format!("/search?q={typed}")).location(), leads);
    }
}

#[test]
fn an_administrator_sweeps_and_sees_what_happened() {
    let data = Data::new();
    let server = data.start(MANY);
    let web = Web::of(&data, server.address);
    let mut client = server.client();
    push(&mut client, "team/app", "v1", &image(), &json!({}));
    assert_eq!(client.request("POST", "/v2/team/app/blobs/uploads/", &[], b"").status, 202);
    let mut browser = web.browser();
    browser.sign_in("admin", &password(&server));
    let overview = browser.page("/");
    assert!(overview.contains("Saved by sharing") && overview.contains("manifest pushed"), "{overview}");
    let started = browser.post("/gc/start", &[("dry_run", "true")]);
    assert_eq!((started.status, started.location().as_str()), (303, "/gc"));
    let mut page = browser.page("/gc");
    for _ in 0..500 {
        if page.contains("the last that ended") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        page = browser.page("/gc");
    }
    assert!(page.contains("What it found") && page.contains("dry run"), "{page}");
    assert!(browser.page("/gc/sweeps/1").contains("Nothing would go."));
    assert_eq!(browser.post("/gc/stop", &[]).status, 409, "nothing runs");
    let found = browser.page("/audit?event_type=gc_started&actor=admin");
    assert!(found.contains("gc started") && !found.contains("manifest pushed"), "{found}");
    assert!(browser.page("/audit?repository=none").contains("Nothing like that happened."));
    let uploads = browser.page("/uploads");
    let cancel =
        uploads.split('"').find(|text| text.starts_with("/uploads/") && text.ends_with("/cancel")).unwrap();
    assert_eq!(browser.post(cancel, &[]).location(), "/uploads");
    assert!(browser.page("/uploads").contains("Nobody pushes in parts"));
}

#[test]
fn a_person_sees_to_what_is_their_own() {
    let data = Data::new();
    let server = data.start(MANY);
    let web = Web::of(&data, server.address);
    let user = json!({"name": "ada", "account_type": "human", "password": "long enough", "roles": ["dev"]});
    expect(&mut server.client(), 201, "POST", "/v1/users", user);
    let (mut ada, mut elsewhere) = (web.browser(), web.browser());
    ada.sign_in("ada", "long enough");
    elsewhere.sign_in("ada", "long enough");
    let made = ada.post("/me/tokens", &[("name", "ci"), ("expires_in", "168h")]);
    let text = made.text();
    let token = text
        .split(['<', '>'])
        .find(|text| text.starts_with("mcr_"))
        .unwrap_or_else(|| panic!("it is not shown: {text}"));
    assert_eq!(made.status, 200);
    let mut robot = server.stranger().authorized(&format!("Bearer {token}"));
    assert_eq!(robot.get("/v2/").status, 200);
    let page = ada.page("/me");
    assert!(!page.contains(token), "it is shown once");
    let end = page.split('"').find(|text| text.starts_with("/me/tokens/") && text.ends_with("/end")).unwrap();
    assert_eq!(ada.post(end, &[]).location(), "/me");
    assert_eq!(robot.get("/v2/").status, 401);
    let long = ada.post("/me/tokens", &[("name", "x"), ("expires_in", "for ever")]);
    assert!(long.status == 200 && long.text().contains("token-problem"), "{}", long.text());
    let change = |old, new, again| [("old", old), ("new", new), ("again", again)];
    let said = |answer: Response| answer.text();
    assert!(
        said(ada.post("/me/password", &change("long enough", "another one", "another two")))
            .contains("differ")
    );
    assert!(
        said(ada.post("/me/password", &change("wrong", "another one", "another one")))
            .contains("password-problem")
    );
    let changed = said(ada.post("/me/password", &change("long enough", "another one", "another one")));
    assert!(changed.contains("Your password is changed."), "{changed}");
    assert!(!changed.contains("another one"));
    assert_eq!(ada.get("/me").status, 200);
    // Who was known a moment ago is asked for again where something is shown.
    assert_eq!(elsewhere.get("/repositories").status, 303);
}

/// Whatever somebody pushed or typed, it is text.
#[test]
fn what_strangers_wrote_is_inert() {
    let data = Data::new();
    let server = data.start(MANY);
    let web = Web::of(&data, server.address);
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}\u{0}";
    let config = json!({
        "os": hostile, "architecture": hostile, "created": hostile,
        "config": {"Entrypoint": [hostile], "Env": [hostile], "Labels": {hostile: hostile}, "User": hostile, "ExposedPorts": {hostile: {}}},
        "history": [{"created_by": hostile}, {"comment": hostile}],
    });
    let annotations = json!({hostile: hostile, "org.opencontainers.image.source": "javascript:alert(1)", "org.opencontainers.image.version": hostile});
    let digest = push(&mut server.client(), "team/app", "v1", &config, &annotations);
    let mut browser = web.browser();
    browser.sign_in("admin", &password(&server));
    let typed = form_urlencoded::byte_serialize(hostile.as_bytes()).collect::<String>();
    let pages = [
        format!("/r/team/app/-/m/{digest}?tag={typed}"),
        format!("/r/team/app?q={typed}&sort={typed}"),
        format!("/repositories?q={typed}&prefix={typed}"),
        format!("/login?next={typed}"),
        format!("/r/{typed}"),
        format!("/r/team/app/-/m/{typed}"),
        format!("/audit?actor={typed}&tag={typed}&cursor={typed}"),
        format!("/gc/sweeps/{typed}?offset={typed}"),
    ];
    for path in pages {
        let text = browser.get(&path).text();
        for raw in ["<script>alert", "<img", "\u{202e}", "href=\"javascript:"] {
            assert!(!text.contains(raw), "{raw:?} in {path}: {text}");
        }
        assert!(text.contains("</html>"), "{path}: {text}");
    }
}

#[test]
fn a_registry_that_does_not_answer_signs_nobody_out() {
    let data = Data::new();
    let server = data.start(MANY);
    let web = Web::of(&data, server.address);
    let mut browser = web.browser();
    browser.sign_in("admin", &password(&server));
    let kept = browser.cookie.clone();
    server.kill();
    let answer = browser.get("/repositories");
    assert_eq!((answer.status, browser.cookie.as_str()), (502, kept.as_str()));
    assert!(answer.text().contains("You stay signed in."), "{}", answer.text());
    let answer = browser.sign_in("admin", "whatever");
    assert!(answer.status == 200 && answer.text().contains("Try again in a moment"), "{}", answer.text());
}

#[test]
fn a_form_without_an_end_is_refused() {
    let data = Data::new();
    let server = data.start(MANY);
    let web = Web::of(&data, server.address);
    let long = "x".repeat(100_000);
    let answer = web.browser().post("/login", &[("username", &long), ("password", "x")]);
    assert_eq!(answer.status, 400);
}

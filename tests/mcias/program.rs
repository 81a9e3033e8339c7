//! The real program with MCIAS as its provider.

use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcr_actors::clock::Clock;
use rustls::version::TLS13;

use crate::stand_in::StandIn;
use crate::support::content::push_blob;
use crate::support::http::{Client, Response};
use crate::support::{Data, Server, program};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn stand_in() -> StandIn {
    StandIn::start(Clock::system().now().after(Duration::from_secs(3600)), &TLS13)
}

fn config(data: &Data, stand_in: &StandIn) -> String {
    let at = |name| data.path().join(name);
    format!(
        "server = {{ insecure_http = true, listen_addr = \"127.0.0.1:0\", workers = 2 }}\ndatabase.path = {:?}\n\
         storage.layers_path = {:?}\nstorage.min_free = \"0\"\nauth.cache_ttl = \"1s\"\n[mcias]\n\
         server_url = \"{}/\"\nca_cert = {:?}\ntags = [\"env:test\"]\ntimeout = \"5s\"\n",
        at("mcr.db"),
        at("layers"),
        stand_in.url(),
        stand_in.authority(),
    )
}

pub(crate) fn start(data: &Data, stand_in: &StandIn) -> Server {
    let file = data.path().join("mcr.toml");
    std::fs::write(&file, config(data, stand_in)).unwrap();
    let mut command = Command::new(program());
    command.args(["server", "--config"]).arg(file);
    Server::spawn(command, data.path())
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// Logs in as docker does.
fn log_in(server: &Server, name: &str) -> Client {
    let given = server.stranger().authorized(&basic(name, "right")).get("/v2/token?service=x");
    assert_eq!(given.status, 200, "{}", given.text());
    let given: serde_json::Value = serde_json::from_slice(&given.body).unwrap();
    assert!(given["expires_in"].as_u64().unwrap() > 3000);
    server.stranger().authorized(&format!("Bearer {}", given["token"].as_str().unwrap()))
}

/// Asks until the answer is this one; all others must be of `meanwhile`.
fn ask_until(client: &mut Client, path: &str, wanted: u16, meanwhile: &[u16]) -> Response {
    let began = Instant::now();
    loop {
        let response = client.get(path);
        if response.status == wanted {
            return response;
        }
        assert!(meanwhile.contains(&response.status), "{}: {}", response.status, response.text());
        assert!(began.elapsed() < PATIENCE, "never {wanted}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_unavailable(response: &Response) {
    assert_eq!((response.status, response.code().as_str()), (503, "UNAVAILABLE"));
    assert_eq!(response.header("retry-after"), Some("5"));
    assert_eq!(response.header("www-authenticate"), None);
}

#[test]
fn accounts_of_mcias_have_the_rights_that_policy_gives_them() {
    let (data, stand_in) = (Data::new(), stand_in());
    let server = start(&data, &stand_in);
    let wrong = server.stranger().authorized(&basic("ada", "wrong")).get("/v2/token");
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "UNAUTHORIZED"));
    let mut person = log_in(&server, "ada");
    assert_eq!(push_blob(&mut person, "team/app", b"by a person").unwrap().status, 201);
    let mut password = server.stranger().authorized(&basic("ada", "right"));
    assert_eq!(push_blob(&mut password, "team/app", b"by a password").unwrap().status, 201);
    let mut robot = log_in(&server, "robot");
    assert_eq!(robot.get("/v2/").status, 200);
    let denied = push_blob(&mut robot, "team/app", b"by a robot").unwrap();
    assert_eq!((denied.status, denied.code().as_str()), (403, "DENIED"));
}

#[test]
fn when_mcias_dies_cached_answers_serve_then_503_and_it_works_again_when_it_is_back() {
    let (data, mut stand_in) = (Data::new(), stand_in());
    let server = start(&data, &stand_in);
    let mut person = log_in(&server, "ada");
    let began = Instant::now();
    loop {
        // A machine may be so slow that the cache's second is over before the question.
        let asked = Instant::now();
        assert_eq!(person.get("/v2/").status, 200);
        stand_in.die();
        let cached = person.get("/v2/").status;
        if cached == 200 {
            break;
        }
        assert!(asked.elapsed() > Duration::from_millis(400) && began.elapsed() < PATIENCE, "{cached}");
        stand_in.come_back();
        ask_until(&mut person, "/v2/", 200, &[503]);
    }
    is_unavailable(&ask_until(&mut person, "/v2/", 503, &[200]));
    is_unavailable(&push_blob(&mut person, "team/app", b"not now").unwrap());
    for credentials in [basic("ada", "right"), basic("ada", "wrong"), "Bearer nonsense".to_owned()] {
        is_unavailable(&server.stranger().authorized(&credentials).get("/v2/"));
        is_unavailable(&server.stranger().authorized(&credentials).get("/v2/token"));
    }
    stand_in.come_back();
    assert_eq!(ask_until(&mut person, "/v2/", 200, &[503]).status, 200);
    assert_eq!(push_blob(&mut person, "team/app", b"now").unwrap().status, 201);
    assert_eq!(server.stranger().authorized(&basic("ada", "wrong")).get("/v2/").status, 401);
}

#[test]
fn init_makes_no_administrator_and_a_bad_authority_is_an_error_of_the_configuration() {
    let (data, stand_in) = (Data::new(), stand_in());
    let file = data.path().join("mcr.toml");
    std::fs::write(&file, config(&data, &stand_in)).unwrap();
    let init = || Command::new(program()).args(["init", "--config"]).arg(&file).output().unwrap();
    let done = init();
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && said.contains("no administrator was made"), "{said}");
    std::fs::remove_file(stand_in.authority()).unwrap();
    let failed = init();
    let said = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(64), "{said}");
    assert!(said.contains("mcias.ca_cert: ") && said.contains("ca.crt"), "{said}");
}

//! The program as its users meet it: verbs, exit codes, signals, and what is where afterwards.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcr::tls::authority;
use mcr_actors::clock::Clock;
use mcr_actors::domain::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

/// Long enough for a slow machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

fn mcrsrv() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcrsrv"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MCR_")) {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    mcrsrv().args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Polls until there is something, and fails when there never is.
fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server that has said that it listens. It is killed when dropped.
struct Running {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Running {
    fn start(command: Command, log: PathBuf) -> Self {
        let file = fs::File::create(&log).unwrap();
        Self::logging_to(file.into(), command, log)
    }

    fn logging_to(stderr: Stdio, mut command: Command, log: PathBuf) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("listening on ").map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("{line:?}: {}", fs::read_to_string(&log).unwrap()));
        Self { child, url, log }
    }

    fn dev(data: &Path) -> Self {
        let mut command = mcrsrv();
        command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        Self::start(command, data.with_extension("log"))
    }

    fn address(&self) -> &str {
        self.url.split("//").nth(1).unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The status line of the answer to a GET over plain HTTP.
    fn get(&self, path: &str, headers: &str) -> String {
        let mut stream = self.connect();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    /// The certificate that the server shows to a client that trusts `authority`.
    fn shows(&self, authority: &Path, name: &str) -> CertificateDer<'static> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(client, self.connect());
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 401");
        stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits for text in the log.
    fn logged(&self, text: &str) {
        wait_for(text, || self.log().contains(text).then_some(()));
    }

    fn ended(&mut self) -> ExitStatus {
        wait_for("end of the server", || self.child.try_wait().unwrap())
    }

    fn stop(mut self) {
        self.signal("-TERM");
        assert_eq!(self.ended().code(), Some(0), "{}", self.log());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory with a configuration in it, whose required keys are on its first five lines.
struct Place(TempDir);

impl Place {
    fn new(more: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let (database, layers) = (place.path("data/mcr.db"), place.path("data/layers"));
        let text = format!(
            "database.path = {database:?}\nstorage.layers_path = {layers:?}\nauth.provider = \"local\"\n\
             [server]\nlisten_addr = \"127.0.0.1:0\"\n{more}"
        );
        fs::write(place.path("mcr.toml"), text).unwrap();
        place
    }

    fn plain() -> Self {
        Self::new("insecure_http = true\n")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self) -> String {
        self.path("mcr.toml").display().to_string()
    }

    fn server(&self) -> Running {
        let mut command = mcrsrv();
        command.args(["server", "--config", &self.config()]);
        Running::start(command, self.path("log"))
    }
}

/// Every file under a directory that is not the database's own, with its mode and content.
fn files(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        if metadata.is_dir() {
            files.extend(self::files(&path));
        } else if !["mcr.db", ".mcr-"].iter().any(|own| entry.file_name().to_string_lossy().starts_with(own))
        {
            files.insert(path.clone(), (metadata.permissions().mode() & 0o777, fs::read(&path).unwrap()));
        }
    }
    files
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_verb_explains_itself() {
    for verb in ["", "dev", "init", "server", "snapshot", "restore", "verify", "admin reset-password"] {
        let arguments: Vec<&str> = verb.split_whitespace().chain(["--help"]).collect();
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("64 the configuration is invalid"), "{arguments:?}");
    }
    assert_eq!(stdout(&run(&["--version"])), format!("mcrsrv {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn nobody_waits_for_who_reads_the_log() {
    let place = Place::plain();
    let mut command = mcrsrv();
    command.args(["server", "--config", &place.config()]);
    let mut server = Running::logging_to(Stdio::piped(), command, place.path("log"));
    // Much more than a pipe takes.
    for _ in 0..2000 {
        assert_eq!(server.get("/v2/", ""), "HTTP/1.1 401 Unauthorized");
    }
    server.signal("-TERM");
    assert_eq!(server.ended().code(), Some(0));
    let mut log = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("GET /v2/"), "{log}");
}

#[test]
fn a_wrong_command_line_is_2() {
    for arguments in [
        [].as_slice(),
        &["serve"],
        &["server"],
        &["init", "--config", "x", "--admin", "a:b"],
        &["dev", "--listen", "here"],
        &["dev", "--http", "--listen", "0.0.0.0:0"],
        &["dev", "--http", "--listen", "[::]:0"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn an_invalid_configuration_is_64_and_makes_nothing() {
    let place = Place::new("insecure_http = true\nworker = 1\n");
    for verb in ["server", "init"] {
        let output = run(&[verb, "--config", &place.config()]);
        assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
        assert!(stderr(&output).contains("mcr.toml:7: server.worker: unknown key"), "{}", stderr(&output));
    }
    assert!(!place.path("data").try_exists().unwrap());
    let data = place.path("dev");
    let output =
        mcrsrv().args(["dev", "--data"]).arg(&data).env("MCR_SERVER_WORKERS", "many").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(!data.try_exists().unwrap());
}

#[test]
fn plain_http_by_a_variable_is_refused_too_where_others_could_hear_it() {
    let place = tempfile::tempdir().unwrap();
    let variables = [("MCR_SERVER_INSECURE_HTTP", "true"), ("MCR_SERVER_LISTEN_ADDR", "0.0.0.0:0")];
    let output =
        mcrsrv().args(["dev", "--data"]).arg(place.path().join("data")).envs(variables).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("0.0.0.0:0 is not a loopback address"), "{}", stderr(&output));
}

#[test]
fn a_key_of_another_certificate_is_64_and_one_open_to_everybody_a_warning() {
    let place = Place::new("tls_cert = \"one/server.crt\"\n");
    for name in ["one", "two"] {
        authority::prepare(&place.path(name), &[], Clock::system().now()).unwrap();
    }
    let init = |key: &str| {
        let mut command = mcrsrv();
        command.args(["init", "--config", &place.config()]).current_dir(place.0.path());
        command.env("MCR_SERVER_TLS_KEY", key).output().unwrap()
    };
    let output = init("two/server.key");
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("the key two/server.key does not belong to"), "{}", stderr(&output));
    assert!(!place.path("data").try_exists().unwrap());
    fs::set_permissions(place.path("one/server.key"), fs::Permissions::from_mode(0o604)).unwrap();
    let output = init("one/server.key");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("chmod 600 one/server.key"), "{}", stderr(&output));
}

#[test]
fn init_makes_the_administrator_once() {
    let place = Place::plain();
    let init = || run(&["init", "--config", &place.config(), "--admin", "ada"]);
    let first = init();
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let expected = "the administrator ada was made; the password, shown this once: ";
    assert!(stdout(&first).contains(expected), "{}", stdout(&first));
    let second = init();
    assert_eq!(second.status.code(), Some(0));
    let expected = "the account ada was there before; its password is unchanged";
    assert!(stdout(&second).contains(expected), "{}", stdout(&second));
}

#[test]
fn init_takes_a_password_from_standard_input() {
    let place = Place::plain();
    let init = |input: &str| {
        let mut command = mcrsrv();
        command.args(["init", "--password-stdin", "--config", &place.config()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    assert_eq!(init("").status.code(), Some(1));
    assert_eq!(init("sesame\n").status.code(), Some(2), "too short");
    assert!(!place.path("data").try_exists().unwrap());
    let output = init("open sesame\n");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stdout(&output).contains("sesame"));
    let server = place.server();
    // "admin:open sesame"
    let credentials = "authorization: Basic YWRtaW46b3BlbiBzZXNhbWU=\r\n";
    assert_eq!(server.get("/v2/", credentials), "HTTP/1.1 200 OK");
    server.stop();
}

#[test]
fn the_data_has_one_program_at_a_time() {
    let place = Place::plain();
    let server = place.server();
    for verb in ["server", "init"] {
        let output = run(&[verb, "--config", &place.config()]);
        assert_eq!(output.status.code(), Some(1));
        let holder = format!("mcr.db is in use by mcrsrv server, process {}: ", server.child.id());
        assert!(stderr(&output).contains(&holder), "{}", stderr(&output));
    }
    server.stop();
    assert_eq!(run(&["init", "--config", &place.config()]).status.code(), Some(0));
}

#[test]
fn an_address_in_use_is_1() {
    let place = Place::plain();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = mcrsrv();
    command.args(["server", "--config", &place.config()]).env("MCR_SERVER_LISTEN_ADDR", &address);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("cannot listen on server.listen_addr {address}: ");
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
}

#[test]
fn a_second_start_of_dev_finds_everything_and_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let server = Running::dev(&data);
    for name in ["localhost", "127.0.0.1", "::1"] {
        server.shows(&data.join("tls/ca.crt"), name);
    }
    server.stop();
    let first = files(&data);
    for name in ["admin-password", "tls/ca.key", "tls/server.key", "mcr.db"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&data), 0o700);
    Running::dev(&data).stop();
    assert_eq!(files(&data), first);
    // Somebody who keeps the password elsewhere does not get a wrong one.
    fs::remove_file(data.join("admin-password")).unwrap();
    Running::dev(&data).stop();
    assert!(!data.join("admin-password").try_exists().unwrap());
}

#[test]
fn dev_speaks_plain_http_when_asked_to_and_heeds_variables() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut command = mcrsrv();
    command.args(["dev", "--http", "--data"]).arg(&data);
    command.env("MCR_SERVER_LISTEN_ADDR", "127.0.0.2:0").env("MCR_LOG_FORMAT", "json");
    let server = Running::start(command, place.path().join("log"));
    assert!(server.url.starts_with("http://127.0.0.2:"), "{}", server.url);
    assert_eq!(server.get("/v2/", ""), "HTTP/1.1 401 Unauthorized");
    let log = server.log.clone();
    server.stop();
    for line in fs::read_to_string(log).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(["time", "level", "target", "message"].iter().all(|key| line[key].is_string()), "{line}");
    }
    assert!(!data.join("tls").try_exists().unwrap());
}

#[test]
fn sighup_reads_the_certificate_again_and_a_bad_one_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (data, other) = (place.path().join("data"), place.path().join("other"));
    let server = Running::dev(&data);
    authority::prepare(&other, &[], Clock::system().now()).unwrap();
    let (ours, theirs) = (data.join("tls/ca.crt"), other.join("ca.crt"));
    let before = server.shows(&ours, "localhost");
    fs::write(data.join("tls/server.crt"), "garbage").unwrap();
    server.signal("-HUP");
    server.logged("the certificate stays as it is: ");
    assert_eq!(server.shows(&ours, "localhost"), before);
    for name in ["server.crt", "server.key"] {
        fs::copy(other.join(name), data.join("tls").join(name)).unwrap();
    }
    server.signal("-HUP");
    server.logged("the certificate was read again");
    assert_ne!(server.shows(&theirs, "localhost"), before);
    server.stop();
}

#[test]
fn sighup_reads_the_log_level_again_and_a_bad_file_changes_nothing() {
    let place = Place::plain();
    let server = place.server();
    let text = fs::read_to_string(place.path("mcr.toml")).unwrap();
    fs::write(place.path("mcr.toml"), format!("{text}[log]\nlevel = \"loud\"\n")).unwrap();
    server.signal("-HUP");
    server.logged("log.level stays as it is: the configuration is invalid");
    fs::write(place.path("mcr.toml"), format!("{text}max_connections = 9\n[log]\nlevel = \"debug\"\n"))
        .unwrap();
    server.signal("-HUP");
    server.logged("log.level is debug");
    server.logged("what changed in server takes effect at the next start");
    server.stop();
}

#[test]
fn a_request_in_flight_delays_a_stop_and_a_second_signal_does_not_wait_for_it() {
    let place = Place::new("insecure_http = true\nworkers = 1\n");
    let mut server = place.server();
    let mut stream = server.connect();
    let head = "POST /v2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                content-length: 100\r\n\r\ngrant_type=";
    stream.write_all(head.as_bytes()).unwrap();
    // The only worker takes connections in order, so an answer here shows that it has the other.
    server.get("/v1", "");
    server.signal("-TERM");
    server.logged("stopping: requests in flight have 1m");
    wait_for("closed port", || TcpStream::connect(server.address()).is_err().then_some(()));
    assert_eq!(server.child.try_wait().unwrap(), None);
    server.signal("-INT");
    assert_eq!(server.ended().code(), Some(0));
    server.logged("stopped at once");
}

#[test]
fn a_start_says_each_thing_once() {
    let place = Place::new("tls_cert = \"tls/server.crt\"\ntls_key = \"tls/server.key\"\n");
    let lapsed = Timestamp::from_millis(1_000_000_000_000);
    authority::prepare(&place.path("tls"), &[], lapsed).unwrap();
    let mut command = mcrsrv();
    command.args(["server", "--config", &place.config()]).current_dir(place.0.path());
    command.env("MCR_SERVER_PORT", "tcp://10.0.0.1:443").env("MCR_SERVER_SERVICE_HOST", "10.0.0.1");
    let server = Running::start(command, place.path("log"));
    server.logged("the certificate tls/server.crt lapsed at ");
    server.signal("-HUP");
    server.logged("the certificate was read again");
    wait_for("second warning", || (server.log().matches("lapsed at").count() == 2).then_some(()));
    assert_eq!(server.log().matches("2 variables of an orchestrator's services are passed over").count(), 1);
    server.stop();
    let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(place.path("tls/server.key"), key).unwrap();
    let output = mcrsrv().args(["server", "--config", &place.config()]).current_dir(place.0.path()).output();
    let said = stderr(&output.unwrap());
    assert_eq!(
        (said.matches("is encrypted").count(), said.matches("openssl pkey").count()),
        (1, 1),
        "{said}"
    );
}

//! A stand-in for MCIAS on 127.0.0.1: real TLS with an authority of its own, one thread for each connection, and
//! manners that a test can change while requests wait.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, UNIX_EPOCH};

use mcr_actors::domain::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use serde_json::{Value, json};

pub(crate) const LOGIN: &str = "/v1/auth/login";
pub(crate) const VALIDATE: &str = "/v1/token/validate";
pub(crate) const LOGOUT: &str = "/v1/auth/logout";
/// Where a redirect leads.
pub(crate) const ELSEWHERE: &str = "/elsewhere";

/// How questions are answered.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// As they should be.
    Honest,
    /// Not before the manner is another one.
    Held,
    /// With this status and body, whatever was asked.
    Say(u16, String),
    /// With half of an answer.
    BreakOff,
}

struct Account {
    password: String,
    /// One-time codes that are left, where its logins want one.
    codes: Option<Vec<String>>,
    account_type: &'static str,
    roles: Vec<&'static str>,
}

struct State {
    manner: Manner,
    alive: bool,
    accounts: HashMap<String, Account>,
    /// Whose tokens they are, and when their life ends.
    tokens: HashMap<String, (String, Timestamp)>,
    tokens_end: Timestamp,
    given: usize,
    asked: HashMap<String, usize>,
    sockets: Vec<TcpStream>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// The stand-in. It dies when dropped.
pub(crate) struct StandIn {
    shared: Arc<Shared>,
    tls: Arc<ServerConfig>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
    directory: tempfile::TempDir,
}

impl StandIn {
    /// Starts; tokens that it gives live until `tokens_end`. It knows ada, a person, chief, an
    /// administrator, and robot, a service.
    pub(crate) fn start(tokens_end: Timestamp, version: &'static SupportedProtocolVersion) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (authority, tls) = certificates(version);
        std::fs::write(directory.path().join("ca.crt"), authority).unwrap();
        let account = |account_type, role| Account {
            password: "right".to_owned(),
            codes: None,
            account_type,
            roles: vec![role],
        };
        let accounts = [
            ("ada", "human", "dev"),
            ("robot", "system", "builder"),
            ("odd", "anonymous", "dev"),
            ("chief", "human", "admin"),
        ];
        let state = State {
            manner: Manner::Honest,
            alive: true,
            accounts: accounts.map(|(name, of, role)| (name.to_owned(), account(of, role))).into(),
            tokens: HashMap::new(),
            tokens_end,
            given: 0,
            asked: HashMap::new(),
            sockets: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = Some(accept(listener, &shared, &tls));
        Self { shared, tls, address, accepting, directory }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// How often this path was asked.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.shared.state().asked.get(path).copied().unwrap_or_default()
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.shared.state().manner = manner;
        self.shared.changed.notify_all();
    }

    pub(crate) fn set_password(&self, name: &str, password: &str) {
        self.shared.state().accounts.get_mut(name).unwrap().password = password.to_owned();
    }

    /// From now on this account's logins need one of these codes.
    pub(crate) fn want_codes(&self, name: &str, codes: &[&str]) {
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        self.shared.state().accounts.get_mut(name).unwrap().codes = Some(codes);
    }

    /// A new token, as if somebody had logged in.
    pub(crate) fn token(&self, name: &str) -> String {
        self.shared.state().give_token(name)
    }

    pub(crate) fn revoke(&self, token: &str) {
        assert!(self.shared.state().tokens.remove(token).is_some());
    }

    /// Stops listening, and breaks every connection off.
    pub(crate) fn die(&mut self) {
        self.shared.state().alive = false;
        self.shared.changed.notify_all();
        // The listening thread looks up when somebody connects.
        let _woken = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
        for socket in self.shared.state().sockets.drain(..) {
            // It may be closed already.
            let _closed = socket.shutdown(Shutdown::Both);
        }
    }

    /// Listens again where it did before.
    pub(crate) fn come_back(&mut self) {
        self.shared.state().alive = true;
        let listener = TcpListener::bind(self.address).unwrap();
        self.accepting = Some(accept(listener, &self.shared, &self.tls));
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.die();
    }
}

/// An authority's certificate in PEM form, and a server's settings with one of its certificates.
fn certificates(version: &'static SupportedProtocolVersion) -> (String, Arc<ServerConfig>) {
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    (certificate.pem(), Arc::new(tls))
}

fn accept(listener: TcpListener, shared: &Arc<Shared>, tls: &Arc<ServerConfig>) -> JoinHandle<()> {
    let (shared, tls) = (Arc::clone(shared), Arc::clone(tls));
    thread::spawn(move || {
        for socket in listener.incoming().map(Result::unwrap) {
            let mut state = shared.state();
            if !state.alive {
                return;
            }
            state.sockets.push(socket.try_clone().unwrap());
            let (shared, tls) = (Arc::clone(&shared), Arc::clone(&tls));
            // A connection that breaks ends its thread.
            thread::spawn(move || serve(&shared, tls, socket));
        }
    })
}

fn serve(shared: &Shared, tls: Arc<ServerConfig>, socket: TcpStream) -> std::io::Result<()> {
    let connection = ServerConnection::new(tls).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, socket));
    loop {
        let (path, bearer, body) = read_request(&mut stream)?;
        let answer = answer(shared, &path, &bearer, &body);
        stream.get_mut().write_all(&answer)?;
        stream.get_mut().flush()?;
        if answer.ends_with(b"half") {
            return stream.get_mut().sock.shutdown(Shutdown::Both);
        }
    }
}

/// The path, the bearer token and the body.
fn read_request(stream: &mut impl BufRead) -> std::io::Result<(String, String, Vec<u8>)> {
    let (mut line, mut bearer, mut length) = (String::new(), String::new(), 0);
    stream.read_line(&mut line)?;
    let path = line.strip_prefix("POST ").and_then(|line| line.split(' ').next()).map(str::to_owned);
    let path = path.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap()
            }
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                bearer = value.strip_prefix("Bearer ").unwrap().to_owned();
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((path, bearer, body))
}

fn answer(shared: &Shared, path: &str, bearer: &str, body: &[u8]) -> Vec<u8> {
    let mut state = shared.state();
    *state.asked.entry(path.to_owned()).or_default() += 1;
    while matches!(state.manner, Manner::Held) && state.alive {
        state = shared.changed.wait(state).unwrap();
    }
    let (status, body) = match state.manner.clone() {
        Manner::Honest | Manner::Held => state.honest(path, bearer, &serde_json::from_slice(body).unwrap()),
        Manner::Say(status, body) => (status, body),
        Manner::BreakOff => return b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf".to_vec(),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nlocation: {ELSEWHERE}\r\n\r\n");
    (head + &body).into_bytes()
}

impl State {
    fn give_token(&mut self, name: &str) -> String {
        self.given += 1;
        let token = format!("v4.public.{name}-{}", self.given);
        self.tokens.insert(token.clone(), (name.to_owned(), self.tokens_end));
        token
    }

    /// Whether this is a code that the account has left, if it wants any; none is good twice.
    fn takes_code(&mut self, name: &str, given: Option<&str>) -> bool {
        let Some(codes) = &mut self.accounts.get_mut(name).unwrap().codes else { return true };
        let found = codes.iter().position(|code| Some(code.as_str()) == given);
        found.map(|place| codes.remove(place)).is_some()
    }

    fn honest(&mut self, path: &str, bearer: &str, asked: &Value) -> (u16, String) {
        let written = |time: Timestamp| {
            let since = Duration::from_millis(u64::try_from(time.as_millis()).unwrap());
            humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
        };
        match path {
            LOGIN => {
                assert_eq!((&asked["service_name"], &asked["tags"]), (&json!("mcr"), &json!(["env:test"])));
                let (name, password) =
                    (asked["username"].as_str().unwrap(), asked["password"].as_str().unwrap());
                if self.accounts.get(name).is_none_or(|account| account.password != password)
                    || !self.takes_code(name, asked["totp_code"].as_str())
                {
                    return (401, json!({"error": "invalid credentials"}).to_string());
                }
                let (token, name) = (self.give_token(name), written(self.tokens_end));
                (200, json!({"token": token, "expires_at": name}).to_string())
            }
            VALIDATE => {
                let Some((name, end)) = self.tokens.get(asked["token"].as_str().unwrap()) else {
                    return (200, json!({"valid": false}).to_string());
                };
                let account = &self.accounts[name];
                let answer = json!({"valid": true, "subject": format!("id-of-{name}"), "username": name,
                    "account_type": account.account_type, "roles": account.roles, "expires_at": written(*end)});
                (200, answer.to_string())
            }
            LOGOUT => match self.tokens.remove(bearer) {
                Some(_) => (204, String::new()),
                None => (401, String::new()),
            },
            _ => (404, String::new()),
        }
    }
}

//! A registry that answers what it is told to, remembers what it was asked, and a person who runs `mcrctl`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

/// What was asked, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// An answer: status, headers with their line ends, body.
pub(crate) struct Answer(pub(crate) u16, pub(crate) String, pub(crate) String);

impl Answer {
    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self(200, "Content-Type: application/json\r\n".to_owned(), value.to_string())
    }
}

/// A listener on a port of its own; it ends when dropped.
pub(crate) struct StandIn {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// One that says it is a registry wherever `answer` has no objection, and answers anything else so.
    pub(crate) fn start(answer: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        Self::foreign(move |asked| match answer(asked) {
            Answer(200, _, _) if asked.path == "/v1/health" => Answer::json(&json!({"status": "ok"})),
            answer => answer,
        })
    }

    /// One that answers everything so, and may be no registry at all.
    pub(crate) fn foreign(answer: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (all, end) = (Arc::clone(&asked), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                // Whoever goes away meanwhile is no matter of the test.
                let _ = stream.and_then(|stream| serve(&stream, &all, &answer));
            }
        });
        Self { address, asked, ended, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _woken = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(
    stream: &TcpStream,
    asked: &Mutex<Vec<Asked>>,
    answer: impl Fn(&Asked) -> Answer,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body)?;
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let asked_now = Asked { path, head, body: String::from_utf8(body).unwrap() };
    asked.lock().unwrap().push(asked_now.clone());
    let Answer(status, headers, body) = answer(&asked_now);
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} Any\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// Somebody with a home of their own.
pub(crate) struct Person {
    home: TempDir,
}

impl Person {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path(".config/mcrctl/config.toml")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcrctl"));
        command.env_clear().env("HOME", self.home.path()).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        finish(self.command(arguments).envs(variables.iter().copied()).spawn().unwrap(), "")
    }

    /// Logs in with a password that tests look for.
    pub(crate) fn login(&self, arguments: &[&str]) -> Output {
        let arguments = [&["login", "--password-stdin"], arguments].concat();
        finish(self.command(&arguments).spawn().unwrap(), PASSWORD)
    }
}

pub(crate) const PASSWORD: &str = "open sesame";

/// What is typed for a verb: one password, or an old one and a new one.
pub(crate) fn typed(line: &[&str]) -> String {
    if line.contains(&"passwd") { format!("{PASSWORD}\n{PASSWORD}, please\n") } else { PASSWORD.to_owned() }
}

/// Gives input, and waits for the end.
pub(crate) fn finish(mut child: Child, input: &str) -> Output {
    // A command that does not read may have ended already.
    let _ended = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

//! A server of one's own, and a client that sends exactly what it is told.

pub(crate) mod admin;
pub(crate) mod content;
pub(crate) mod disk;
pub(crate) mod faults;
pub(crate) mod http;
pub(crate) mod mcrctl;
pub(crate) mod snapshots;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a variable of the environment says, or this.
pub(crate) fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Where random numbers begin: `MCR_SEED`, or anywhere, said so that it can be given back.
pub(crate) fn seed() -> u64 {
    let seed = variable("MCR_SEED", u64::from(std::process::id()));
    println!("MCR_SEED={seed} gives this run again");
    seed
}

/// Tells others to stop, also when the test fails before: a scope waits for all that it started.
pub(crate) struct StopLater<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopLater<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A data directory, which outlives the servers started on it.
pub(crate) struct Data {
    directory: tempfile::TempDir,
}

impl Data {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::Builder::new().prefix("mcr-test-").tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Starts a server on it with these settings in the environment.
    pub(crate) fn start(&self, settings: &[(&str, &str)]) -> Server {
        Server::start(&self.path().join("data"), settings)
    }

    /// The same over TLS, with a certificate of its own authority.
    pub(crate) fn start_tls(&self, settings: &[(&str, &str)]) -> Server {
        let data = self.path().join("data");
        let mut command = Command::new(program());
        command.envs(settings.iter().copied());
        command.args(["dev", "--no-web", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        Server::spawn(command, &data)
    }
}

/// A running server; it is killed when it goes out of scope.
pub(crate) struct Server {
    child: Child,
    // Kept open, so that the server can go on printing.
    _stdout: BufReader<ChildStdout>,
    pub(crate) data: PathBuf,
    log: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) authorization: String,
}

pub(crate) fn program() -> PathBuf {
    std::env::var_os("MCRSRV").map_or_else(|| env!("CARGO_BIN_EXE_mcrsrv").into(), PathBuf::from)
}

impl Server {
    fn start(data: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program());
        command.args(["dev", "--no-web", "--http", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.envs(settings.iter().copied());
        let mut server = Self::spawn(command, data);
        let password = std::fs::read_to_string(data.join("admin-password")).unwrap();
        server.authorization = format!("Basic {}", STANDARD.encode(format!("admin:{}", password.trim())));
        server
    }

    /// Starts the program, and waits until it listens.
    pub(crate) fn spawn(mut command: Command, data: &Path) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let log = data.with_extension("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        command.stderr(file);
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut line = String::new();
        while !line.starts_with("listening on ") {
            line.clear();
            assert!(
                stdout.read_line(&mut line).unwrap() > 0 && Instant::now() < deadline,
                "it did not start"
            );
        }
        let address = line.trim().rsplit('/').next().unwrap().parse().unwrap();
        Self { child, _stdout: stdout, data: data.to_owned(), log, address, authorization: String::new() }
    }

    /// A connection that logs in as the administrator.
    pub(crate) fn client(&self) -> http::Client {
        http::Client::new(self.address, Some(self.authorization.clone()))
    }

    /// A connection that does not log in.
    pub(crate) fn stranger(&self) -> http::Client {
        http::Client::new(self.address, None)
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(told.success() && self.child.wait().unwrap().success());
    }

    /// Waits until it ends by itself; whether it says that all was well.
    pub(crate) fn ended(mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < deadline, "it goes on");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks it to read its configuration, certificate and rules again.
    pub(crate) fn hang_up(&self) {
        let told = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// All that it has logged, once that has `text` in it: lines are written a moment later.
    pub(crate) fn logged(&self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap();
            if log.contains(text) && log.ends_with('\n') {
                return log;
            }
            assert!(Instant::now() < deadline, "{text} is not in {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// How many files below a directory of the server's data it has open, but for its own marks there.
    pub(crate) fn open_files(&self, below: &str) -> usize {
        let (below, handles) = (self.data.join(below), format!("/proc/{}/fd", self.child.id()));
        let handles = std::fs::read_dir(handles).unwrap().filter_map(Result::ok);
        let links = handles.filter_map(|handle| std::fs::read_link(handle.path()).ok());
        let is_mark = |link: &Path| link.file_name().unwrap().as_encoded_bytes().starts_with(b".mcr-");
        links.filter(|link| link.starts_with(&below) && !link.is_dir() && !is_mark(link)).count()
    }

    /// Files below a directory of the server's data, but for its own marks there.
    pub(crate) fn files(&self, below: &str) -> Vec<PathBuf> {
        files(&self.data.join(below))
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.file_name().unwrap().as_encoded_bytes().starts_with(b".mcr-"))
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

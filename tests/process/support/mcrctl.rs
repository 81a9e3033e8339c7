//! The command-line program of administrators.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::Server;

/// `mcrctl` as one person runs it, with a home of their own.
pub(crate) struct Mcrctl {
    home: PathBuf,
}

impl Mcrctl {
    pub(crate) fn new(home: &Path) -> Self {
        std::fs::create_dir_all(home).unwrap();
        Self { home: home.to_owned() }
    }

    /// Starts it; whoever does must end it.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.spawn_with(&[], arguments)
    }

    fn spawn_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcrctl"));
        command.env_clear().env("HOME", &self.home).envs(variables.iter().copied()).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Output {
        self.run_with(&[], arguments, input)
    }

    /// The same with variables of the environment.
    pub(crate) fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str], input: &str) -> Output {
        let mut child = self.spawn_with(variables, arguments);
        // A command that does not read may have ended already.
        let _ended = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Runs it with `--json`, and expects it to succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json", "--yes"], arguments].concat(), "");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mcrctl {arguments:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Runs it, expects this exit status, and answers what it says about the failure.
    pub(crate) fn fails(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments, "");
        assert_eq!(output.status.code(), Some(status), "mcrctl {arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) fn login(&self, server: &Server, name: &str, password: &str) {
        let url = format!("http://{}", server.address);
        let output = self.run(&["login", "--server", &url, "-u", name, "--password-stdin"], password);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!String::from_utf8_lossy(&output.stdout).contains("mcr_"), "the token was printed");
    }

    /// As the administrator that `mcrsrv dev` made.
    pub(crate) fn login_as_admin(&self, server: &Server) {
        let password = std::fs::read_to_string(server.data.join("admin-password")).unwrap();
        self.login(server, "admin", &password);
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.home.join(".config/mcrctl/config.toml")
    }
}

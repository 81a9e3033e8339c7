//! How long a server takes from its start to the line that says it listens.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;

use crate::process::Usage;

/// The command line of `load startup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The server's command line
    #[arg(trailing_var_arg = true, required = true)]
    command: Vec<String>,
}

/// Runs it; the server is told to stop, and waited for.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let began = Instant::now();
    let mut child = Command::new(&arguments.command[0])
        .args(&arguments.command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", arguments.command[0]))?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let listens = lines.any(|line| line.is_ok_and(|line| line.starts_with("listening on ")));
    let took = began.elapsed();
    // What it does right after its start counts as idle memory too.
    std::thread::sleep(Duration::from_secs(1));
    let usage = Usage::of(&[child.id()]);
    if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(child.id())?) {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    }
    let status = child.wait()?;
    if !listens {
        bail!("the server ended with {status} before it listened");
    }
    println!(
        "{}",
        json!({"operations": 1, "errors": 0, "seconds": took.as_secs_f64(), "rss_after": usage?.resident})
    );
    Ok(true)
}

//! A sweep of MCR's collector, started and waited for.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::process::Usage;
use crate::session::{Client, Registry, Session};

/// The command line of `load sweep`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    registry: Registry,
    /// The longest that it may take, in seconds
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
}

/// Runs one sweep alone, and prints what it came to.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let client = arguments.registry.open()?;
    let pids = &arguments.registry.pid;
    let before = Usage::of(pids)?;
    let (mut peak, began) = (before.resident, Instant::now());
    let mut look = || {
        if let Ok(usage) = Usage::of(pids) {
            peak = peak.max(usage.resident);
        }
    };
    let report = Sweeper::new(&client).sweep(Duration::from_secs(arguments.seconds), &mut look)?;
    let (report, after) = (report.context("the sweep does not end")?, Usage::of(pids)?);
    println!(
        "{}",
        json!({"operations": report["removed"], "requests": report["removed"], "errors": report["error_count"],
            "seconds": began.elapsed().as_secs_f64(), "longest_write_us": report["longest_write_us"],
            "server_cpu_s": after.cpu - before.cpu, "rss_before": before.resident, "rss_peak": peak,
            "rss_after": after.resident})
    );
    Ok(report["error_count"] == 0)
}

/// Starts sweeps.
#[derive(Debug)]
pub(crate) struct Sweeper<'a>(&'a Client);

impl<'a> Sweeper<'a> {
    /// Of this registry, as this administrator.
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// Starts a sweep and waits for its end, but no longer than `most`; `look` is called now and then meanwhile. Answers
    /// the report of a sweep that ended.
    pub(crate) fn sweep(&self, most: Duration, look: &mut dyn FnMut()) -> anyhow::Result<Option<Value>> {
        let began = Instant::now();
        let mut session = Session::new(self.0)?;
        session
            .ask("POST", "/v1/gc", "Content-Type: application/json\r\n", b"{}")?
            .expect(202, "POST /v1/gc")?;
        while began.elapsed() < most {
            // Its state is written with all repositories, so it is not asked for often.
            for _ in 0..10 {
                thread::sleep(Duration::from_millis(100));
                look();
            }
            let status = session.ask("GET", "/v1/gc/status", "", b"")?.expect(200, "GET /v1/gc/status")?;
            let status: Value = serde_json::from_slice(&status.body)?;
            if status["state"] == "idle" {
                let last = &status["last"];
                let removed = last["removed"].as_u64().context("no count of what was removed")?;
                let (took, longest) = (began.elapsed().as_secs_f64(), &last["longest_write_us"]);
                eprintln!("the sweep removed {removed} in {took:.1} s, its longest write took {longest} µs");
                if last["error_count"].as_u64() != Some(0) {
                    bail!("the sweep met errors: {}", last["errors"]);
                }
                return Ok(Some(last.clone()));
            }
        }
        eprintln!("the sweep still runs after {} s", most.as_secs());
        Ok(None)
    }
}

//! A sweep of MCR's collector, started and waited for.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::session::{Client, Session};

/// Starts sweeps.
#[derive(Debug)]
pub(crate) struct Sweeper<'a>(&'a Client);

impl<'a> Sweeper<'a> {
    /// Of this registry, as this administrator.
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// Starts a sweep and waits for its end, but no longer than `most`.
    pub(crate) fn sweep(&self, most: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut session = Session::new(self.0)?;
        session
            .ask("POST", "/v1/gc", "Content-Type: application/json\r\n", b"{}")?
            .expect(202, "POST /v1/gc")?;
        while began.elapsed() < most {
            // Its state is written with all repositories, so it is not asked for often.
            thread::sleep(Duration::from_secs(1));
            let status = session.ask("GET", "/v1/gc/status", "", b"")?.expect(200, "GET /v1/gc/status")?;
            let status: serde_json::Value = serde_json::from_slice(&status.body)?;
            if status["state"] == "idle" {
                let last = &status["last"];
                let removed = last["removed"].as_u64().context("no count of what was removed")?;
                eprintln!("the sweep removed {removed} in {:.1} s", began.elapsed().as_secs_f64());
                if last["error_count"].as_u64() != Some(0) {
                    bail!("the sweep met errors: {}", last["errors"]);
                }
                return Ok(());
            }
        }
        eprintln!("the sweep still runs after {} s", most.as_secs());
        Ok(())
    }
}

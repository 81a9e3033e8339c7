//! `gc`: sweeps of what nothing refers to.

use std::time::Duration;

use anyhow::bail;
use mcr::model::NewSweep;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::Client;
use crate::output::{Column, Output};
use crate::print;
use crate::repositories::Paging;

const REPORT: &[Column] = &[
    ("SWEEP", "id"),
    ("OUTCOME", "outcome"),
    ("PHASE", "phase"),
    ("DRY RUN", "dry_run"),
    ("BEGAN", "started_at"),
    ("ENDED", "finished_at"),
    ("UPLOADS", "uploads"),
    ("MANIFESTS", "manifests"),
    ("LINKS", "links"),
    ("BLOBS", "removed"),
    ("FREED", "freed_bytes"),
    ("STRAYS", "strays"),
    ("STRAYS THAT STAY", "strays_waiting"),
    ("LEFT", "left"),
    ("ERRORS", "error_count"),
];
const SWEEPS: &[Column] = &[
    ("ID", "id"),
    ("BEGAN", "started_at"),
    ("OUTCOME", "outcome"),
    ("DRY RUN", "dry_run"),
    ("MANIFESTS", "manifests"),
    ("BLOBS", "removed"),
    ("FREED", "freed_bytes"),
    ("ERRORS", "error_count"),
];
const ITEMS: &[Column] =
    &[("KIND", "kind"), ("REPOSITORY", "repository"), ("NAME", "name"), ("SIZE", "bytes")];
/// How often progress is asked for.
const POLL: Duration = Duration::from_millis(200);

/// The verbs of `mcrctl gc`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Gc {
    /// Begin a sweep
    Run {
        /// Only find what would go; with --wait it is listed
        #[arg(long)]
        dry_run: bool,
        /// Take files without a row also when they are more than a tenth of all files
        #[arg(long)]
        take_strays: bool,
        /// Wait until it has ended, and show its report
        #[arg(long)]
        wait: bool,
    },
    /// Show the sweep that runs and the last one
    Status,
    /// End the sweep that runs, after its present step
    Stop,
    /// List sweeps, the newest first
    List(Paging),
    /// List what a dry run found
    Items {
        /// The dry run's number
        id: i64,
        #[command(flatten)]
        paging: Paging,
    },
}

impl Gc {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Run { dry_run, take_strays, wait } => {
                let told = json!(NewSweep { dry_run: *dry_run, take_strays: *take_strays });
                run(client, output, &told, *wait)
            }
            Self::Status => {
                let status = client.get("/v1/gc/status")?;
                show(output, &status);
                Ok(())
            }
            Self::Stop => {
                let stopped = client.call(Method::DELETE, "/v1/gc", None)?;
                output.done(&format!("sweep {} ends after its present step", stopped["id"]));
                Ok(())
            }
            Self::List(paging) => {
                output.stream(client.pages("/v1/gc/sweeps", &[], paging.limit(), paging.offset), SWEEPS)
            }
            Self::Items { id, paging } => {
                let path = format!("/v1/gc/sweeps/{id}/items");
                output.stream(client.pages(&path, &[], paging.limit(), paging.offset), ITEMS)
            }
        }
    }
}

/// The report that runs, else the last one; scripts get both.
fn show(output: &Output, status: &Value) {
    if output.is_json() {
        return output.one(status, REPORT);
    }
    for report in [&status["running"], &status["last"]] {
        if !report.is_null() {
            output.one(report, REPORT);
        }
    }
    if status["running"].is_null() && status["last"].is_null() {
        output.done("there was no sweep yet");
    }
}

fn run(client: &Client, output: &Output, told: &Value, wait: bool) -> anyhow::Result<()> {
    let started = client.call(Method::POST, "/v1/gc", Some(told))?;
    let id = started["id"].clone();
    if !wait {
        match output.is_json() {
            true => output.one(&started, REPORT),
            false => output.done(&format!("sweep {id} has begun; `mcrctl gc status` shows how it goes")),
        }
        return Ok(());
    }
    let report = await_end(client, &id)?;
    if told["dry_run"] == true && !output.is_json() {
        output.stream(client.pages(&format!("/v1/gc/sweeps/{id}/items"), &[], None, 0), ITEMS)?;
    }
    output.one(&report, REPORT);
    let errors = report["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for error in errors.filter(|_| !output.is_json()) {
        print::complain(error);
    }
    match report["outcome"].as_str() {
        Some("done") => Ok(()),
        outcome => bail!("sweep {id} was {}", outcome.unwrap_or("lost")),
    }
}

/// Asks until the sweep has ended, and shows progress where somebody looks.
fn await_end(client: &Client, id: &Value) -> anyhow::Result<Value> {
    loop {
        let sweeps = client.get("/v1/gc/sweeps?n=20")?;
        let mut items = sweeps["items"].as_array().into_iter().flatten();
        let Some(report) = items.find(|report| report["id"] == *id) else {
            bail!("the registry no longer knows sweep {id}");
        };
        let phase = report["phase"].as_str().unwrap_or_default();
        let (removed, left) = (&report["removed"], &report["left"]);
        print::progress(Some(&format!("sweep {id}: {phase}, {removed} blobs removed, {left} left")));
        if report["outcome"] != "running" {
            print::progress(None);
            return Ok(report.clone());
        }
        std::thread::sleep(POLL);
    }
}

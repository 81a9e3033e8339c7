//! `snapshot`: consistent copies of the registry, taken while it serves.

use std::time::Duration;

use anyhow::bail;
use bytesize::ByteSize;
use mcr::model::NewSnapshot;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::Client;
use crate::output::{Column, Output};
use crate::print;
use crate::repositories::Paging;

const REPORT: &[Column] = &[
    ("SNAPSHOT", "id"),
    ("NAME", "name"),
    ("STATE", "state"),
    ("PATH", "path"),
    ("BEGAN", "started_at"),
    ("ENDED", "finished_at"),
    ("BLOBS", "blobs"),
    ("SIZE", "bytes"),
    ("ERRORS", "error_count"),
];
const SNAPSHOTS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("STATE", "state"),
    ("BLOBS", "blobs"),
    ("SIZE", "bytes"),
    ("ERRORS", "error_count"),
];
/// How often progress is asked for.
const POLL: Duration = Duration::from_millis(300);

/// The verbs of `mcrctl snapshot`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Snapshot {
    /// Begin a snapshot, on the machine of the registry, in its directory of snapshots
    Create {
        /// A word to know it by: lower-case letters, digits, dots, underscores, hyphens
        #[arg(long)]
        name: Option<String>,
        /// Wait until it has ended, and show its report
        #[arg(long)]
        wait: bool,
    },
    /// List snapshots, the newest first
    List(Paging),
}

impl Snapshot {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Create { name, wait } => create(client, output, name.as_deref(), *wait),
            Self::List(paging) => {
                output.stream(client.pages("/v1/snapshots", &[], paging.limit(), paging.offset), SNAPSHOTS)
            }
        }
    }
}

fn create(client: &Client, output: &Output, name: Option<&str>, wait: bool) -> anyhow::Result<()> {
    let started = client.call(
        Method::POST,
        "/v1/snapshots",
        Some(&json!(NewSnapshot { name: name.map(str::to_owned) })),
    )?;
    let id = started["id"].clone();
    if !wait {
        match output.is_json() {
            true => output.one(&started, REPORT),
            false => {
                output.done(&format!("snapshot {id} has begun; `mcrctl snapshot list` shows how it goes"))
            }
        }
        return Ok(());
    }
    let snapshot = await_end(client, &id)?;
    output.one(&snapshot, REPORT);
    let errors = snapshot["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for error in errors.filter(|_| !output.is_json()) {
        print::complain(error);
    }
    match snapshot["state"].as_str() {
        Some("done") => Ok(()),
        state => {
            let why = snapshot["error"].as_str().unwrap_or("the registry's log says why");
            bail!("snapshot {id} is {}: {why}", state.unwrap_or("lost"))
        }
    }
}

/// Asks until the snapshot has ended, and shows progress where somebody looks.
fn await_end(client: &Client, id: &Value) -> anyhow::Result<Value> {
    loop {
        let snapshots = client.get("/v1/snapshots?n=20")?;
        let mut items = snapshots["items"].as_array().into_iter().flatten();
        let Some(snapshot) = items.find(|snapshot| snapshot["id"] == *id) else {
            bail!("the registry no longer knows snapshot {id}");
        };
        let size = |field: &str| ByteSize(snapshot[field].as_u64().unwrap_or_default());
        print::progress(Some(&format!(
            "snapshot {id}: {} of {} blobs, {} of {}",
            snapshot["blobs"],
            snapshot["all_blobs"],
            size("bytes"),
            size("all_bytes")
        )));
        if snapshot["state"] != "running" {
            print::progress(None);
            return Ok(snapshot.clone());
        }
        std::thread::sleep(POLL);
    }
}

//! Pulls of large blobs, and of images with many layers.

use std::time::Instant;

use serde_json::json;

use crate::run::{End, Phase, Run, Tally};
use crate::session::{Client, Registry, Session};

/// The command line of `load pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    registry: Registry,
    /// What is fetched, one after another, in each pull
    #[arg(long = "path", required = true)]
    paths: Vec<String>,
    /// Clients at once
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// Pulls of each client, one after another
    #[arg(long, default_value_t = 1)]
    repeat: usize,
}

/// Runs it; says whether all went well.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let client = arguments.registry.open()?;
    let notes = json!({"at_once": arguments.at_once});
    let run = Run { pids: &arguments.registry.pid, end: End::Done, notes };
    let client = &client;
    let worker = |_| {
        move |_: &Phase| {
            let mut tally = Tally::default();
            if let Err(error) = pull(arguments, client, &mut tally) {
                tally.fail(format!("{error:#}"));
            }
            tally
        }
    };
    run.conduct((0..arguments.at_once).map(worker).collect())
}

fn pull(arguments: &Arguments, client: &Client, tally: &mut Tally) -> anyhow::Result<()> {
    let mut session = Session::new(client)?;
    for _ in 0..arguments.repeat {
        let (began, requests) = (Instant::now(), session.requests);
        let mut bytes = 0;
        for path in &arguments.paths {
            bytes += session.fetch(path)?;
        }
        tally.add(began.elapsed(), session.requests - requests, bytes);
    }
    Ok(())
}

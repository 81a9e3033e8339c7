//! `audit`: what happened, and what happens.

use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::output::{Column, Output};
use crate::repositories::Paging;

const COLUMNS: &[Column] = &[
    ("TIME", "time"),
    ("EVENT", "event"),
    ("TIMES", "count"),
    ("ACTOR", "actor"),
    ("REPOSITORY", "repository"),
    ("TAG", "tag"),
    ("ADDRESS", "address"),
    ("DETAILS", "details"),
];
/// How often new entries are asked for.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many entries are asked for at once where few are new.
const SOME: usize = 100;

/// Which entries.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only this event, such as access_denied
    #[arg(long)]
    event: Option<String>,
    /// Only this actor, by its id
    #[arg(long)]
    actor_id: Option<String>,
    /// Only this repository
    #[arg(long)]
    repository: Option<String>,
}

/// The verbs of `mcrctl audit`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Audit {
    /// List entries, newest first
    List {
        #[command(flatten)]
        filter: Filter,
        /// Only at or after this time, such as 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00
        #[arg(long)]
        since: Option<String>,
        /// Only before this time
        #[arg(long)]
        until: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Print entries as they come, until it is stopped
    Tail {
        #[command(flatten)]
        filter: Filter,
    },
}

impl Filter {
    fn query(&self) -> Vec<(&'static str, &str)> {
        let given =
            [("event_type", &self.event), ("actor_id", &self.actor_id), ("repository", &self.repository)];
        given.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))).collect()
    }
}

impl Audit {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { filter, since, until, paging } => {
                let mut query = filter.query();
                query.extend(since.as_deref().map(|since| ("since", since)));
                query.extend(until.as_deref().map(|until| ("until", until)));
                output.stream(client.pages("/v1/audit", &query, paging.limit(), paging.offset), COLUMNS)
            }
            Self::Tail { filter } => tail(client, output, filter),
        }
    }
}

fn id(entry: &Value) -> i64 {
    entry["id"].as_i64().unwrap_or_default()
}

/// Asks again and again for what came after the last entry printed; for scripts, one JSON object a line.
fn tail(client: &Client, output: &Output, filter: &Filter) -> anyhow::Result<()> {
    let newest = client.pages("/v1/audit", &filter.query(), Some(1), 0).next().transpose()?;
    if !output.is_json() {
        output.table(&Value::Null, COLUMNS);
    }
    let mut last = newest.and_then(|page| page.items.first().map(id)).unwrap_or_default();
    loop {
        let mut fresh: Vec<Value> = Vec::new();
        // Newest first: pages are read until one reaches what was printed.
        for page in client.pages("/v1/audit", &filter.query(), None, 0).of(SOME) {
            let (items, before) = (page?.items, fresh.len());
            let all = items.len();
            fresh.extend(items.into_iter().filter(|entry| id(entry) > last));
            if fresh.len() - before < all {
                break;
            }
        }
        last = fresh.iter().map(id).max().unwrap_or(last);
        fresh.reverse();
        output.more(&fresh, COLUMNS);
        std::thread::sleep(INTERVAL);
    }
}

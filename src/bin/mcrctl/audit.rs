//! `audit`: what happened, and what happens.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use crate::client::Client;
use crate::output::{Column, Output};
use crate::print;
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
/// For how long an export may be silent: while nothing matches, nothing comes.
const SILENCE: Duration = Duration::from_secs(600);

/// Which entries.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only this event, such as access_denied; several may be given
    #[arg(long)]
    event: Vec<String>,
    /// Only this actor, by its name
    #[arg(long)]
    actor: Option<String>,
    /// Only this actor, by its id
    #[arg(long)]
    actor_id: Option<String>,
    /// Only this repository
    #[arg(long)]
    repository: Option<String>,
    /// Only this content
    #[arg(long)]
    digest: Option<String>,
    /// Only this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only from this address
    #[arg(long)]
    address: Option<String>,
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
        /// Write all of them as a table for spreadsheets
        #[arg(long, conflicts_with_all = ["limit", "offset", "all", "json"])]
        csv: bool,
        /// Write all of them, a JSON object on each line
        #[arg(long, conflicts_with_all = ["limit", "offset", "all", "json", "csv"])]
        ndjson: bool,
    },
    /// Print entries as they come, until it is stopped
    Tail {
        #[command(flatten)]
        filter: Filter,
    },
}

impl Filter {
    fn query(&self) -> Vec<(&'static str, &str)> {
        let given = [
            ("actor", &self.actor),
            ("actor_id", &self.actor_id),
            ("repository", &self.repository),
            ("digest", &self.digest),
            ("tag", &self.tag),
            ("address", &self.address),
        ];
        let given = given.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
        self.event.iter().map(|event| ("event_type", event.as_str())).chain(given).collect()
    }
}

fn path(query: &[(&str, &str)]) -> String {
    format!("/v1/audit?{}", mcr::http::query::encode(query))
}

impl Audit {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { filter, since, until, paging, csv, ndjson } => {
                let mut query = filter.query();
                query.extend(since.as_deref().map(|since| ("since", since)));
                query.extend(until.as_deref().map(|until| ("until", until)));
                if *csv || *ndjson {
                    return export(client, &query, *csv);
                }
                let pages = client.pages("/v1/audit", &query, paging.limit(), paging.offset);
                output.stream(pages.by_cursor(), COLUMNS)
            }
            Self::Tail { filter } => tail(client, output, filter),
        }
    }
}

/// Prints all entries as they come.
fn export(client: &Client, query: &[(&str, &str)], is_csv: bool) -> anyhow::Result<()> {
    let media_type = if is_csv { "text/csv" } else { "application/x-ndjson" };
    for line in client.lines(&path(query), media_type, SILENCE)? {
        let line = line?;
        match is_csv {
            true => print::say(&line),
            false => print::json_text(&(line + "\n")),
        }
    }
    Ok(())
}

/// Asks again and again for what came after what was seen; for scripts, one JSON object a line.
fn tail(client: &Client, output: &Output, filter: &Filter) -> anyhow::Result<()> {
    let newest = client.get(&path(&[("n", "1")]))?;
    if !output.is_json() {
        output.table(&Value::Null, COLUMNS);
    }
    let mut after = newest["items"][0]["id"].as_i64().unwrap_or_default();
    loop {
        let number = after.to_string();
        let mut query = filter.query();
        query.extend([("n", "1000"), ("after", &number)]);
        let page = client.get(&path(&query))?;
        after = page["after"]
            .as_i64()
            .context("the registry is older than this mcrctl and does not say what is new")?;
        output.more(page["items"].as_array().map(Vec::as_slice).unwrap_or_default(), COLUMNS);
        if page["next"].is_null() {
            std::thread::sleep(INTERVAL);
        }
    }
}

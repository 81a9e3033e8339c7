//! `manifest`.

use mcr::http::admin::path::{manifest_path, manifests_path};
use serde_json::{Value, json};

use crate::client::{Client, Page};
use crate::deletions::Extent;
use crate::output::{Column, Output};
use crate::print::say;
use crate::repositories::{all_in_words, in_words};

const LIST: &[Column] = &[
    ("DIGEST", "digest"),
    ("STATE", "state"),
    ("KIND", "kind"),
    ("PLATFORMS", "platforms"),
    ("SIZE", "size"),
    ("PUSHED", "pushed_at"),
    ("TAGS", "tag_names"),
];
const ONE: &[Column] = &[
    ("DIGEST", "digest"),
    ("STATE", "state"),
    ("KIND", "kind"),
    ("TYPE", "media_type"),
    ("ARTIFACT TYPE", "artifact_type"),
    ("SUBJECT", "subject"),
    ("PLATFORMS", "platforms"),
    ("SIZE", "size"),
    ("MANIFEST", "manifest_bytes"),
    ("PUSHED", "pushed_at"),
    ("BY", "pushed_by"),
    ("BUILT", "created_at"),
    ("TAGS", "tag_names"),
];
const LAYERS: &[Column] =
    &[("LAYER", "digest"), ("TYPE", "media_type"), ("SIZE", "bytes"), ("REPOSITORIES", "repositories")];
const CHILDREN: &[Column] =
    &[("CHILD", "digest"), ("PLATFORM", "platform"), ("KIND", "kind"), ("SIZE", "pull_bytes")];
const NEIGHBOURS: &[Column] = &[("DIGEST", "digest"), ("KIND", "kind"), ("TYPE", "artifact_type")];

/// The verbs of `mcrctl manifest`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Manifest {
    /// List a repository's manifests, those that were pushed last first
    List {
        /// The repository
        repository: String,
        /// Only those that are held so: by a tag, by another manifest, by their subject, by nothing
        #[arg(long, value_parser = ["tagged", "child", "referrer", "untagged"])]
        state: Option<String>,
    },
    /// Show a manifest: its tags, what it consists of, what points at it, what is about it
    Show {
        /// The repository
        repository: String,
        /// The manifest's digest
        digest: String,
    },
    /// Delete manifests with all their tags, all or none
    Delete {
        /// The repository
        repository: String,
        /// Their digests
        #[arg(required = true, value_name = "DIGEST")]
        digests: Vec<String>,
        #[command(flatten)]
        extent: Extent,
    },
}

/// The names of the first tags, and that there are more.
fn with_tag_names(mut manifest: Value) -> Value {
    let tags = manifest["tags"]["items"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<Value> = tags.into_iter().map(|tag| tag["name"].clone()).collect();
    let more = manifest["tags"]["total"].as_u64().unwrap_or_default().saturating_sub(names.len() as u64);
    if more > 0 {
        names.push(json!(format!("{more} more")));
    }
    manifest["tag_names"] = names.into();
    manifest
}

/// A list below a heading, unless it is empty; what is left out is said.
fn below(output: &Output, heading: &str, list: &Value, columns: &[Column]) {
    let shown = list["items"].as_array().map(Vec::len).unwrap_or_default();
    if shown == 0 {
        return;
    }
    say(&format!("\n{heading}"));
    output.table(&list["items"], columns);
    let total = list["total"].as_u64().unwrap_or_default();
    if total > shown as u64 {
        say(&format!("{shown} of {total}"));
    }
}

fn show(output: &Output, manifest: Value) {
    let manifest = in_words(with_tag_names(manifest));
    output.one(&manifest, ONE);
    if !manifest["config"].is_null() {
        below(output, "Config", &json!({"items": [manifest["config"]], "total": 1}), LAYERS);
    }
    below(output, "Layers", &manifest["layers"], LAYERS);
    below(output, "Children", &manifest["children"], CHILDREN);
    below(output, "Parents", &manifest["parents"], NEIGHBOURS);
    below(output, "Referrers", &manifest["referrers"], NEIGHBOURS);
}

impl Manifest {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { repository, state } => {
                let state = state.as_deref().map(|state| ("state", state));
                let query: Vec<(&str, &str)> = state.into_iter().collect();
                let pages = client.pages(&manifests_path(repository), &query, None, 0).by_cursor();
                if output.is_json() {
                    return output.stream(pages, LIST);
                }
                let pages = pages.map(|page| {
                    let page = page?;
                    Ok(Page { items: page.items.into_iter().map(with_tag_names).collect(), ..page })
                });
                output.stream(all_in_words(pages), LIST)?;
            }
            Self::Delete { repository, digests, extent } => {
                extent.delete((client, output), repository, (&[], digests))?;
            }
            Self::Show { repository, digest } => {
                let manifest = client.get(&manifest_path(repository, digest))?;
                if output.is_json() {
                    output.one(&manifest, ONE);
                } else {
                    show(output, manifest);
                }
            }
        }
        Ok(())
    }
}

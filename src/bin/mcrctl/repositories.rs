//! `repo` and `tag`.

use mcr::http::admin::path::{repository_path, tag_path};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::Client;
use crate::output::{Column, Output, say};

const COLUMNS: &[Column] = &[
    ("REPOSITORY", "name"),
    ("TAGS", "tags"),
    ("MANIFESTS", "manifests"),
    ("BLOBS", "blobs"),
    ("SIZE", "logical_bytes"),
    ("EXCLUSIVE", "exclusive_bytes"),
];
const TAGS: &[Column] =
    &[("TAG", "name"), ("DIGEST", "digest"), ("SIZE", "size"), ("SET", "updated_at"), ("TYPE", "media_type")];

/// How much of a list.
#[derive(Debug, clap::Args)]
pub(crate) struct Paging {
    /// Show at most so many
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    /// Pass over so many
    #[arg(long, default_value_t = 0)]
    pub(crate) offset: usize,
    /// Show all
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
}

impl Paging {
    /// The most entries; none for all.
    pub(crate) fn limit(&self) -> Option<usize> {
        (!self.all).then_some(self.limit)
    }
}

/// The verbs of `mcrctl repo`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Repo {
    /// List repositories with their sizes
    List(Paging),
    /// Show a repository and its tags
    Show {
        /// The repository
        name: String,
    },
    /// Delete a repository with all in it
    Delete {
        /// The repository
        name: String,
    },
}

/// What the server says that it deleted.
fn deleted(answer: &Value) -> String {
    let (repository, tag) = (answer["repository"].as_str(), answer["tag"].as_str());
    match (answer["deleted"].as_str(), repository, tag) {
        (Some("repository"), Some(repository), _) => format!("deleted the repository {repository}"),
        (Some("tag"), Some(repository), Some(tag)) => format!("deleted the tag {tag} of {repository}"),
        _ => "the server deleted something and does not say what: is it older than this program?".to_owned(),
    }
}

impl Repo {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List(paging) => {
                let list = client.list("/v1/repositories", &[], paging.limit(), paging.offset)?;
                output.list(&list, COLUMNS);
            }
            Self::Show { name } => {
                let repository = client.get(&repository_path(name))?;
                output.one(&repository, COLUMNS);
                if !output.is_json() {
                    say("");
                    output.list(&json!({"total": 0, "items": repository["tag_list"]}), TAGS);
                }
            }
            Self::Delete { name } => {
                output.confirm(&format!("delete the repository {name} with all in it"))?;
                let answer = client.call(Method::DELETE, &repository_path(name), None)?;
                output.done(&deleted(&answer));
            }
        }
        Ok(())
    }
}

/// The verbs of `mcrctl tag`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Tag {
    /// List a repository's tags
    List {
        /// The repository
        repository: String,
    },
    /// Delete a tag; the manifest stays
    Delete {
        /// The repository
        repository: String,
        /// The tag
        tag: String,
    },
}

impl Tag {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { repository } => {
                let mut tags = Vec::new();
                let mut last = String::new();
                loop {
                    let query = mcr::http::query::encode(&[("last", last.as_str())]);
                    let page = client.get(&format!("{}?{query}", repository_path(repository)))?;
                    let Some(page) = page["tag_list"].as_array().filter(|page| !page.is_empty()) else {
                        break;
                    };
                    last = page.last().and_then(|tag| tag["name"].as_str()).unwrap_or_default().to_owned();
                    tags.extend(page.clone());
                }
                output.list(&json!({"total": tags.len(), "items": tags}), TAGS);
            }
            Self::Delete { repository, tag } => {
                output.confirm(&format!("delete the tag {tag} of {repository}"))?;
                let answer = client.call(Method::DELETE, &tag_path(repository, tag), None)?;
                output.done(&deleted(&answer));
            }
        }
        Ok(())
    }
}

//! `repo` and `tag`.

use bytesize::ByteSize;
use mcr::http::admin::path::{access_path, repository_path, tag_path, tags_path};
use serde_json::{Map, Value};
use ureq::http::Method;

use crate::client::{Client, Page};
use crate::deletions::Extent;
use crate::output::{Column, Output};
use crate::print::say;

const COLUMNS: &[Column] = &[
    ("REPOSITORY", "name"),
    ("TAGS", "tags"),
    ("MANIFESTS", "manifests"),
    ("BLOBS", "blobs"),
    ("SIZE", "logical_bytes"),
    ("EXCLUSIVE", "exclusive_bytes"),
];
const TAGS: &[Column] = &[
    ("TAG", "name"),
    ("KIND", "kind"),
    ("PLATFORMS", "platforms"),
    ("SIZE", "size"),
    ("PUSHED", "pushed_at"),
    ("DIGEST", "digest"),
];

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
    List {
        #[command(flatten)]
        paging: Paging,
        /// Only those whose name has this in it
        #[arg(long, default_value = "", hide_default_value = true, value_name = "PART")]
        query: String,
        /// Only those whose name begins with this
        #[arg(long, default_value = "", hide_default_value = true)]
        prefix: String,
        /// In which order: by name, or those first that were pushed to last
        #[arg(long, default_value = "name", value_parser = ["name", "updated"])]
        sort: String,
    },
    /// Show a repository and its tags
    Show {
        /// The repository
        name: String,
    },
    /// Show who may do what to a repository, and by which rules
    Access {
        /// The repository
        name: String,
        /// Show at most so many accounts
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Pass over so many accounts
        #[arg(long, default_value_t = 0)]
        offset: usize,
    },
    /// Delete a repository with all in it
    Delete {
        /// The repository
        name: String,
    },
}

const ACCESS: &[Column] = &[
    ("WHO", "name"),
    ("ACCOUNT", "account_type"),
    ("ROLES", "roles"),
    ("PULL", "pull"),
    ("PUSH", "push"),
    ("DELETE", "delete"),
];

/// What is shown of a rule that decides.
const RULES: &[Column] = &[
    ("RULE", "id"),
    ("PRIORITY", "priority"),
    ("EFFECT", "effect"),
    ("ROLES", "roles"),
    ("ACCOUNTS", "account_types"),
    ("ACTIONS", "actions"),
    ("REPOSITORIES", "repositories"),
    ("DESCRIPTION", "description"),
];

/// Somebody with what they may do in words: yes or no, and by which rule.
fn with_rights(mut somebody: Value, name: Value) -> Value {
    for action in ["pull", "push", "delete"] {
        let decision = &somebody[action];
        let word = if decision["allowed"] == true { "yes" } else { "no" };
        let rule = decision["rule"].as_i64().map(|rule| format!(" ({rule})")).unwrap_or_default();
        somebody[action] = format!("{word}{rule}").into();
    }
    somebody["name"] = name;
    somebody
}

/// Accounts, each followed by its robot tokens that have other roles.
fn accounts(access: &Value) -> Value {
    let items = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let all = items(&access["accounts"]["items"]).into_iter().flat_map(|account| {
        let (name, kind) =
            (account["name"].as_str().unwrap_or_default().to_owned(), account["account_type"].clone());
        let off = if account["disabled"] == true { " (switched off)" } else { "" };
        let tokens = items(&account["tokens"]).into_iter().map(|mut tokens| {
            let count = tokens["total"].as_u64().unwrap_or_default();
            tokens["account_type"] = kind.clone();
            with_rights(tokens, format!("{name}: {count} robot tokens").into())
        });
        let tokens: Vec<Value> = tokens.collect();
        [with_rights(account, format!("{name}{off}").into())].into_iter().chain(tokens)
    });
    all.collect()
}

fn show_access(access: &Value, output: &Output) {
    let kinds = access["kinds"].as_array().into_iter().flatten();
    let kinds: Value = kinds.map(|kind| with_rights(kind.clone(), "anybody".into())).collect();
    output.table(&kinds, ACCESS);
    if access["accounts"].is_object() {
        say("");
        output.table(&accounts(access), ACCESS);
        let (total, shown) = (access["accounts"]["total"].as_u64(), access["accounts"]["items"].as_array());
        if total > shown.map(|shown| shown.len() as u64) {
            say("there are more accounts; --offset and --limit show them");
        }
    }
    say("");
    output.table(&access["rules"], RULES);
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

/// A repository, and its tags, page by page; each page begins after the last tag of the one before.
fn tags<'a>(
    client: &'a Client,
    repository: &'a str,
) -> anyhow::Result<(Value, impl Iterator<Item = anyhow::Result<Page>> + 'a)> {
    let page_after = |last: &str| {
        let query = mcr::http::query::encode(&[("last", last)]);
        client.get(&format!("{}?{query}", repository_path(repository)))
    };
    let first = page_after("")?;
    let (mut ready, mut last, mut shown) = (Some(first.clone()), None::<String>, 0);
    let pages = std::iter::from_fn(move || {
        let page = match ready.take() {
            Some(page) => Ok(page),
            None => page_after(&last.take()?),
        };
        let items = match page {
            Ok(page) => page["tag_list"].as_array().cloned().unwrap_or_default(),
            Err(error) => return Some(Err(error)),
        };
        let next = items.last().and_then(|tag| tag["name"].as_str()).map(str::to_owned);
        // One that pays no heed to where a page begins would give the same for ever.
        last = if next == last { None } else { next };
        shown += items.len() as u64;
        Some(Ok(Page { total: Some(shown), items, is_cut: false }))
    });
    Ok((first, pages))
}

/// A tag or manifest as people read it: its platforms by their names, and what is pulled for the least and for the most of them.
pub(crate) fn in_words(mut tag: Value) -> Value {
    let platforms = tag["platforms"].as_array().cloned().unwrap_or_default();
    let mut sizes: Vec<u64> = platforms.iter().filter_map(|of| of["pull_bytes"].as_u64()).collect();
    sizes.extend(tag["pull_bytes"].as_u64());
    let size = match (sizes.iter().min(), sizes.iter().max()) {
        (Some(least), Some(most)) if least != most => format!("{} - {}", ByteSize(*least), ByteSize(*most)),
        (_, Some(most)) => ByteSize(*most).to_string(),
        _ => String::new(),
    };
    tag["size"] = size.into();
    tag["platforms"] = platforms.iter().map(|of| of["platform"].clone()).collect();
    tag
}

/// The same of pages of tags.
pub(crate) fn all_in_words(
    pages: impl Iterator<Item = anyhow::Result<Page>>,
) -> impl Iterator<Item = anyhow::Result<Page>> {
    pages.map(|page| {
        let page = page?;
        Ok(Page { items: page.items.into_iter().map(in_words).collect(), ..page })
    })
}

impl Repo {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { paging, query, prefix, sort } => {
                let query = [("q", query.as_str()), ("prefix", prefix.as_str()), ("sort", sort.as_str())];
                let pages = client.pages("/v1/repositories", &query, paging.limit(), paging.offset);
                output.stream(pages.by_cursor(), COLUMNS)?;
            }
            Self::Show { name } => {
                let (repository, tags) = tags(client, name)?;
                if output.is_json() {
                    let empty = Map::new();
                    return output.stream_below(repository.as_object().unwrap_or(&empty), "tag_list", tags);
                }
                output.one(&repository, COLUMNS);
                say("");
                output.stream(all_in_words(tags), TAGS)?;
            }
            Self::Access { name, limit, offset } => {
                let path = access_path(name);
                let access = client.get(&format!("{path}?n={limit}&offset={offset}"))?;
                if output.is_json() {
                    output.one(&access, &[]);
                } else {
                    show_access(&access, output);
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
        /// Only those whose name has this in it
        #[arg(long, default_value = "", hide_default_value = true, value_name = "PART")]
        query: String,
        /// In which order: by name, or those first that were set last
        #[arg(long, default_value = "name", value_parser = ["name", "updated"])]
        sort: String,
    },
    /// Delete tags, all or none; their manifests stay
    Delete {
        /// The repository
        repository: String,
        /// The tags
        #[arg(required = true, value_name = "TAG")]
        tags: Vec<String>,
        #[command(flatten)]
        extent: Extent,
    },
}

impl Tag {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { repository, query, sort } => {
                let query = [("q", query.as_str()), ("sort", sort.as_str())];
                let tags = client.pages(&tags_path(repository), &query, None, 0).by_cursor();
                if output.is_json() {
                    return output.stream(tags, TAGS);
                }
                output.stream(all_in_words(tags), TAGS)?;
            }
            Self::Delete { repository, tags, extent } => {
                let [tag] = tags.as_slice() else {
                    return extent.delete((client, output), repository, (tags, &[]));
                };
                if !extent.is_plain() {
                    return extent.delete((client, output), repository, (tags, &[]));
                }
                output.confirm(&format!("delete the tag {tag} of {repository}"))?;
                let answer = client.call(Method::DELETE, &tag_path(repository, tag), None)?;
                output.done(&deleted(&answer));
            }
        }
        Ok(())
    }
}

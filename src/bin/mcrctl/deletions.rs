//! Several tags or manifests deleted at once, after a look at what that does.

use bytesize::ByteSize;
use mcr::http::admin::path::deletions_path;
use mcr::model::NewDeletions;
use serde_json::Value;
use ureq::http::Method;

use crate::client::Client;
use crate::output::{Column, Output};
use crate::print::say;

const COLUMNS: &[Column] = &[
    ("TAG", "tag"),
    ("DIGEST", "digest"),
    ("WHAT HAPPENS", "outcome"),
    ("TAGS", "tag_names"),
    ("PARENTS", "parent_names"),
    ("WHY NOT", "message"),
];

/// How much goes, and whether.
#[derive(Debug, clap::Args)]
pub(crate) struct Extent {
    /// Delete each manifest, too, that nothing holds any more then
    #[arg(long)]
    with_untagged: bool,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Extent {
    /// Whether nothing of it was said.
    pub(crate) fn is_plain(&self) -> bool {
        !self.with_untagged && !self.dry_run
    }

    /// Deletes these from a repository, all or none.
    pub(crate) fn delete(
        &self,
        (client, output): (&Client, &Output),
        repository: &str,
        (tags, manifests): (&[String], &[String]),
    ) -> anyhow::Result<()> {
        let ask = |dry_run: bool| {
            let wanted = NewDeletions {
                tags: tags.to_vec(),
                manifests: manifests.to_vec(),
                with_untagged: self.with_untagged.then_some(true),
                dry_run: dry_run.then_some(true),
            };
            client.call(Method::POST, &deletions_path(repository), Some(&serde_json::to_value(wanted)?))
        };
        if self.dry_run {
            let foreseen = ask(true)?;
            show(output, &foreseen);
            return Ok(());
        }
        if output.asks() {
            show(output, &ask(true)?);
        }
        let things = tags.len() + manifests.len();
        let kind = if manifests.is_empty() { "tags" } else { "manifests" };
        output.confirm(&format!("delete {things} {kind} of {repository}"))?;
        let done = ask(false)?;
        if output.is_json() {
            output.one(&done, COLUMNS);
        } else {
            say(&format!("{repository}: {}", summary(&done, "were deleted")));
        }
        Ok(())
    }
}

/// How many things went or would go.
fn summary(deletions: &Value, verb: &str) -> String {
    let count = |field: &str| deletions[field].as_u64().unwrap_or_default();
    let (tags, manifests) = (count("tags_removed"), count("manifests_deleted"));
    format!("{tags} tags and {manifests} manifests {verb}; a sweep frees {}", ByteSize(count("freed_bytes")))
}

/// Shows what is foreseen.
fn show(output: &Output, deletions: &Value) {
    if output.is_json() {
        return output.one(deletions, COLUMNS);
    }
    let items = deletions["items"].as_array().cloned().unwrap_or_default();
    let in_words = |mut item: Value| {
        item["tag_names"] = item["tags"]["items"].clone();
        item["parent_names"] = item["parents"]["items"].clone();
        item
    };
    output.table(&items.into_iter().map(in_words).collect(), COLUMNS);
    let left = deletions["left_untagged"]["total"].as_u64().unwrap_or_default();
    if left > 0 {
        say(&format!("{left} manifests stay that nothing holds any more; --with-untagged deletes them, too"));
    }
    say(&match deletions["is_refused"].as_bool() {
        Some(true) => "nothing would be deleted, since something cannot be".to_owned(),
        _ => summary(deletions, "would be deleted"),
    });
}

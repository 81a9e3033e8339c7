//! The audit log: what happened, found by whatever an entry says.

use askama::Template;
use mcr_api::{AuditList, AuditModel};
use time::OffsetDateTime;

use super::search::path;
use super::{Frame, render};
use crate::failure::Failure;
use crate::registry::{segment, with_query};
use crate::show::{self, Moment};
use crate::visit::{Reply, Visit};

/// Rows of a page.
const ROWS: &str = "50";
/// What entries can be found by, with what a form calls it.
const FILTERS: [(&str, &str); 6] = [
    ("event_type", "Event"),
    ("actor", "Who"),
    ("repository", "Repository"),
    ("tag", "Tag"),
    ("digest", "Digest"),
    ("address", "Address"),
];

/// An entry.
pub(crate) struct Row {
    pub(crate) time: Moment,
    pub(crate) event: String,
    pub(crate) of_event: String,
    pub(crate) actor: String,
    pub(crate) of_actor: String,
    pub(crate) repository: String,
    pub(crate) of_repository: String,
    pub(crate) tag: String,
    pub(crate) digest: String,
    pub(crate) short: String,
    pub(crate) address: String,
    pub(crate) count: u64,
    pub(crate) details: String,
    pub(crate) request_id: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage<'a> {
    frame: Frame,
    filters: Vec<(&'static str, &'static str, &'a str)>,
    is_filtered: bool,
    rows: Vec<Row>,
    total: Option<String>,
    next: Option<String>,
}

/// An entry as it is shown.
pub(crate) fn row(entry: &AuditModel, now: OffsetDateTime) -> Row {
    let by = |name: &str, value: &str| with_query("/audit", &[(name, value)]);
    // What a blob is no page shows.
    let has_page = entry.event.starts_with("manifest_") || entry.event.starts_with("tag_");
    let is_empty = entry.details.as_object().is_none_or(serde_json::Map::is_empty);
    Row {
        time: show::moment(&entry.time, now),
        event: entry.event.replace('_', " "),
        of_event: by("event_type", &entry.event),
        actor: show::plain(&entry.actor),
        of_actor: by("actor", &entry.actor),
        of_repository: if entry.repository.is_empty() {
            String::new()
        } else {
            format!("/r/{}", path(&entry.repository))
        },
        repository: entry.repository.clone(),
        tag: entry.tag.clone(),
        short: show::short(&entry.digest).to_owned(),
        digest: if !has_page || entry.digest.is_empty() || entry.repository.is_empty() {
            String::new()
        } else {
            format!("/r/{}/-/m/{}", path(&entry.repository), segment(&entry.digest))
        },
        address: entry.address.clone(),
        count: entry.count,
        details: if is_empty { String::new() } else { entry.details.to_string() },
        request_id: entry.request_id.clone(),
    }
}

/// Lists it, the newest first.
pub(crate) async fn list(visit: Visit) -> Result<Reply, Failure> {
    let filters: Vec<_> =
        FILTERS.iter().map(|(name, label)| (*name, *label, visit.parameter(name).trim())).collect();
    let asked: Vec<(&str, &str)> = filters.iter().map(|(name, _, value)| (*name, *value)).collect();
    let page = [("n", ROWS), ("cursor", visit.parameter("cursor"))];
    let query = with_query("/v1/audit", &[&asked[..], &page].concat());
    let found: AuditList = visit.registry().get(&visit.asker, &query).await?;
    let next =
        found.next.as_deref().map(|next| with_query("/audit", &[&asked[..], &[("cursor", next)]].concat()));
    render(&AuditPage {
        frame: Frame::of(&visit, "audit"),
        is_filtered: asked.iter().any(|(_, value)| !value.is_empty()),
        filters,
        rows: found.items.iter().map(|entry| row(entry, visit.now)).collect(),
        total: found.total.map(show::thousands),
        next,
    })
}

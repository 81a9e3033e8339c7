//! The audit log, for whoever asks what happened.

use actix_web::HttpResponse;
use mcr_actors::db::queries::audit::{AuditCursor, AuditEntry};
use mcr_actors::domain::{EventName, Timestamp};

use super::call::AdminCall;
use super::page;
use crate::admin::audit::{self, Entries, Filter};
use crate::admin::refusal::Refusal;
use crate::http::error::ApiError;
use crate::model::{AuditList, AuditModel, Problem};

fn model(entry: AuditEntry) -> AuditModel {
    AuditModel {
        id: entry.id,
        time: entry.time.to_string(),
        event: entry.event,
        actor_id: entry.actor_id,
        actor: entry.actor_name,
        repository: entry.repository,
        digest: entry.digest,
        tag: entry.tag,
        address: entry.address,
        request_id: entry.request_id,
        details: serde_json::from_str(&entry.details).unwrap_or_default(),
        count: entry.count,
    }
}

pub(super) fn list_model(Entries { listed, next }: Entries) -> AuditList {
    let items = listed.items.into_iter().map(model).collect();
    AuditList { total: listed.total, items, next: next.map(|next| next.to_string()) }
}

/// The kind of events that is asked for.
fn event(call: &AdminCall) -> Result<Option<EventName>, Refusal> {
    let Some(text) = call.query.get("event_type") else { return Ok(None) };
    let found = EventName::ALL.iter().find(|name| name.as_str() == text);
    found.copied().map(Some).ok_or_else(|| {
        let names = EventName::ALL.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        Refusal::invalid("event_type", format!("event_type is one of {names}"))
    })
}

/// A time of the query. A plus that was not written `%2B` arrives as a space, and no time has one.
fn time(call: &AdminCall, key: &'static str) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = call.query.get(key) else { return Ok(None) };
    Timestamp::parse(&text.replacen(' ', "+", 1)).map(Some).ok_or_else(|| {
        let message =
            format!("{key} is a time in RFC 3339, such as 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00");
        Refusal::invalid(key, message)
    })
}

/// Where the page begins, as an earlier page said.
fn cursor(call: &AdminCall) -> Result<Option<AuditCursor>, Refusal> {
    let Some(text) = call.query.get("last") else { return Ok(None) };
    let bad = |_| Refusal::invalid("last", "last is what an earlier page gave as next");
    text.parse().map(Some).map_err(bad)
}

/// Lists entries, newest first: by their time, then their number. `next` is where the next page begins, given back as
/// `last`; no entry is passed over when others are recorded meanwhile.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(
    ("event_type" = Option<String>, Query), ("actor_id" = Option<String>, Query),
    ("repository" = Option<String>, Query), ("since" = Option<String>, Query), ("until" = Option<String>, Query),
    ("n" = Option<u64>, Query), ("offset" = Option<u64>, Query), ("last" = Option<String>, Query)), responses(
    (status = 200, body = AuditList), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let page = page(call)?;
    let filter = Filter {
        event: event(call)?,
        actor_id: call.query.get("actor_id").map(str::to_owned),
        repository: call.query.get("repository").map(str::to_owned),
        since: time(call, "since")?,
        until: time(call, "until")?,
        after: cursor(call)?,
    };
    let entries = audit::list(&call.plain(), filter, page).await?;
    Ok(HttpResponse::Ok().json(list_model(entries)))
}

//! The audit log, for whoever asks what happened.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use mcr_actors::db::queries::audit::{AuditCursor, AuditEntry, ListAudit};
use mcr_actors::domain::{EventName, Timestamp};

use super::call::AdminCall;
use super::model::{AuditList, AuditModel, Problem};
use super::page;
use crate::http::error::ApiError;

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

/// A time of the query. A plus that was not written `%2B` arrives as a space, and no time has one.
fn time(call: &AdminCall, key: &str) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = call.query.get(key) else { return Ok(None) };
    Timestamp::parse(&text.replacen(' ', "+", 1)).map(Some).ok_or_else(|| {
        let message =
            format!("{key} is a time in RFC 3339, such as 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00");
        ApiError::admin(StatusCode::BAD_REQUEST, message)
    })
}

/// Where the page begins, as an earlier page said.
fn cursor(call: &AdminCall) -> Result<Option<AuditCursor>, ApiError> {
    let Some(text) = call.query.get("last") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let message = "last is what an earlier page gave as next";
        ApiError::admin(StatusCode::BAD_REQUEST, message)
    })
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
    let (limit, offset) = page(call)?;
    let event = call.query.get("event_type").map(str::to_owned);
    if let Some(event) = &event
        && EventName::ALL.iter().all(|name| name.as_str() != event)
    {
        let names = EventName::ALL.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(ApiError::admin(StatusCode::BAD_REQUEST, format!("event_type is one of {names}")));
    }
    let query = ListAudit {
        event,
        actor_id: call.query.get("actor_id").map(str::to_owned),
        repository: call.query.get("repository").map(str::to_owned),
        since: time(call, "since")?,
        until: time(call, "until")?,
        after: cursor(call)?,
        offset,
        limit,
    };
    let (entries, total) = call.state.worker.db.read(query).await?;
    let full = entries.len() == limit;
    let last = entries.last().filter(|_| full).map(|entry| AuditCursor { time: entry.time, id: entry.id });
    let next = last.map(|last| last.to_string());
    Ok(HttpResponse::Ok().json(AuditList { total, items: entries.into_iter().map(model).collect(), next }))
}

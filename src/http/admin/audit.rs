//! The audit log, for whoever asks what happened.

mod csv;
mod entry;
mod export;

use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::http::header;
use mcr_actors::db::queries::audit_pages::{AuditCursor, AuditPlace};
use mcr_actors::domain::{EventName, Timestamp};

use self::entry::model;
use self::export::Form;
use super::call::AdminCall;
use super::{number, page, place, reader, sealed};
use crate::admin::audit::{self, Entries, Export, Filter, Wanted};
use crate::admin::page::PAGE;
use crate::admin::refusal::Refusal;
use crate::http::accept;
use crate::http::error::ApiError;
use crate::model::{AuditList, Problem};

/// The list for which cursors are sealed.
const LIST: &str = "/v1/audit";
/// The forms that a list can have.
const FORMS: [&str; 3] = ["application/json", "text/csv", "application/x-ndjson"];

pub(super) fn list_model(entries: Entries, next: Option<String>) -> AuditList {
    let Entries { items, total, after, .. } = entries;
    AuditList { total, items: items.into_iter().map(model).collect(), next, after }
}

/// The kinds of events that are asked for.
fn events(call: &AdminCall) -> Result<Vec<EventName>, Refusal> {
    let mut events = Vec::new();
    for text in call.query.listed("event_type") {
        let event = EventName::ALL.iter().find(|name| name.as_str() == text).ok_or_else(|| {
            let names = EventName::ALL.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            Refusal::invalid("event_type", format!("event_type is one or several of {names}"))
        })?;
        if !events.contains(event) {
            events.push(*event);
        }
    }
    Ok(events)
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

/// A value of the query that is a word of some kind.
fn word<T: FromStr>(call: &AdminCall, key: &'static str, what: &str) -> Result<Option<T>, Refusal> {
    let Some(text) = call.query.get(key) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Refusal::invalid(key, format!("{key} is {what}")))
}

fn filter(call: &AdminCall) -> Result<Filter, Refusal> {
    let text = |key| call.query.get(key).map(str::to_owned);
    Ok(Filter {
        events: events(call)?,
        actor_id: text("actor_id"),
        actor: text("actor"),
        repository: text("repository"),
        digest: word(call, "digest", "a digest as a whole, such as sha256:e3b0c442… with 64 digits")?,
        tag: word(call, "tag", "the name of a tag, such as v1.2")?,
        address: word(call, "address", "an address as a whole, such as 192.0.2.7 or 2001:db8::7")?,
        since: time(call, "since")?,
        until: time(call, "until")?,
    })
}

/// What is sealed of a place.
fn written(place: AuditPlace) -> String {
    match place {
        AuditPlace::Newest => String::new(),
        AuditPlace::Before(cursor) => format!("before {cursor}"),
        AuditPlace::After(id) => format!("after {id}"),
    }
}

/// The place of which this was written.
fn read(text: &str) -> Option<AuditPlace> {
    match text.split_once(' ')? {
        ("before", cursor) => cursor.parse().ok().map(AuditPlace::Before),
        ("after", id) => id.parse().ok().map(AuditPlace::After),
        _ => None,
    }
}

/// Where the page begins that an earlier one gave as `next`, given back as `last`: as it is now, or as it was before it was sealed.
fn last(call: &AdminCall) -> Result<Option<AuditPlace>, ApiError> {
    let Some(text) = call.query.get("last") else { return Ok(None) };
    let opened = call.state.cursors.open_sealed(LIST, reader(call)?, text);
    let place = match &opened {
        Some(opened) => read(opened),
        None => text.parse::<AuditCursor>().ok().map(AuditPlace::Before),
    };
    let refused = || Refusal::invalid("last", "last is what an earlier page gave as next");
    Ok(Some(place.ok_or_else(refused)?))
}

/// After which entry the page begins.
fn after(call: &AdminCall) -> Result<Option<AuditPlace>, Refusal> {
    let Some(text) = call.query.get("after") else { return Ok(None) };
    let id = text.parse::<i64>().ok().filter(|id| *id >= 0).ok_or_else(|| {
        Refusal::invalid("after", "after is the number of an entry, or 0 for all, such as after=4711")
    })?;
    Ok(Some(AuditPlace::After(id)))
}

/// Where the page begins, of which only one can be said.
fn begin(call: &AdminCall) -> Result<AuditPlace, ApiError> {
    let said = [place(call, LIST, read)?, last(call)?, after(call)?];
    let mut said = said.into_iter().flatten();
    let place = said.next().unwrap_or_default();
    match said.next() {
        None => Ok(place),
        Some(_) => {
            let message = "cursor, last and after each say where a page begins: give one of them";
            Err(Refusal::invalid("cursor", message).into())
        }
    }
}

/// The form in which the entries are asked for; none for a page in JSON.
fn form(call: &AdminCall) -> Option<Form> {
    let given = call.request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    match accept::best(&given.collect::<Vec<_>>().join(","), &FORMS) {
        Some("text/csv") => Some(Form::Csv),
        Some("application/x-ndjson") => Some(Form::Ndjson),
        _ => None,
    }
}

/// Lists entries, newest first: by their time, then their number. `next` is where the next page begins, given back as `cursor`; no entry
/// is passed over when others are recorded meanwhile, and a page may be short, or empty, and the list still go on. With `after` they come
/// as they were recorded, those after the entry of that number; `after` of the answer is where to go on when there are more. Whoever
/// pages by `offset` or `last` gets full pages. `Accept: text/csv` or `application/x-ndjson` gives all that match as a file, or `n` of
/// them.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(
    ("event_type" = Option<Vec<String>>, Query), ("actor_id" = Option<String>, Query), ("actor" = Option<String>, Query),
    ("repository" = Option<String>, Query), ("digest" = Option<String>, Query), ("tag" = Option<String>, Query),
    ("address" = Option<String>, Query), ("since" = Option<String>, Query), ("until" = Option<String>, Query),
    ("after" = Option<i64>, Query), ("n" = Option<u64>, Query), ("cursor" = Option<String>, Query),
    ("offset" = Option<u64>, Query), ("last" = Option<String>, Query)), responses(
    (status = 200, content((AuditList = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let (page, filter, place) = (page(call)?, filter(call)?, begin(call)?);
    if let Some(form) = form(call) {
        let much = (number(call, "n", PAGE)?, number(call, "offset", 0)?.unwrap_or_default());
        let export = Export::new(&call.plain(), filter, place, much);
        return Ok(export::answer(export, form, call.state.worker.clock.now()));
    }
    let is_whole = ["offset", "last"].into_iter().any(|key| call.query.get(key).is_some());
    let entries = audit::list(&call.plain(), Wanted { filter, place, page, is_whole }).await?;
    let next = entries.next.map(|next| sealed(call, LIST, &written(next))).transpose()?;
    Ok(HttpResponse::Ok().insert_header((header::VARY, "Accept")).json(list_model(entries, next)))
}

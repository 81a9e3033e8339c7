//! The audit log, for whoever asks what happened.

use mcr_actors::db::queries::audit::{AuditCursor, AuditEntry, ListAudit};
use mcr_actors::domain::{EventName, Timestamp};

use super::call::Call;
use super::page::{Listed, Page};
use super::refusal::Refusal;

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this event.
    pub event: Option<EventName>,
    /// Only this actor, by id.
    pub actor_id: Option<String>,
    /// Only this repository.
    pub repository: Option<String>,
    /// Only at or after this.
    pub since: Option<Timestamp>,
    /// Only before this.
    pub until: Option<Timestamp>,
    /// Only what comes after this one in the list.
    pub after: Option<AuditCursor>,
}

/// A page of the audit log.
#[derive(Debug, Clone)]
pub struct Entries {
    /// The entries, and how many there are.
    pub listed: Listed<AuditEntry>,
    /// Where the next page begins, unless this was the last.
    pub next: Option<AuditCursor>,
}

/// Lists entries, newest first: by their time, then their number. No entry is passed over by who goes on from `next` when
/// others are recorded meanwhile.
///
/// # Errors
/// When the database does not answer.
pub async fn list(call: &Call, filter: Filter, page: Page) -> Result<Entries, Refusal> {
    let Page { limit, offset } = page;
    let Filter { event, actor_id, repository, since, until, after } = filter;
    let event = event.map(|event| event.as_str().to_owned());
    let query = ListAudit { event, actor_id, repository, since, until, after, offset, limit };
    let (items, total) = call.worker.db.read(query).await?;
    let full = items.len() == limit;
    let last = items.last().filter(|_| full);
    let next = last.map(|entry| AuditCursor { time: entry.time, id: entry.id });
    Ok(Entries { listed: Listed { total, items }, next })
}

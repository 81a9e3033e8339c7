//! The audit log, for whoever asks what happened.

use std::net::IpAddr;

use mcr_actors::db::Db;
use mcr_actors::db::queries::audit_pages::{AuditEntry, AuditFilter, AuditPlace, EXAMINED, ListAudit};
use mcr_actors::domain::{Digest, EventName, Tag, Timestamp};

use super::call::Call;
use super::page::Page;
use super::refusal::Refusal;

/// Entries that are read at once of an export.
const PIECE: usize = 100;
/// Entries that are looked at at once for them: others are served in between.
const LOOK: usize = 1000;

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these events; all when there are none.
    pub events: Vec<EventName>,
    /// Only this actor, by id.
    pub actor_id: Option<String>,
    /// Only this actor, by name.
    pub actor: Option<String>,
    /// Only this repository.
    pub repository: Option<String>,
    /// Only this content.
    pub digest: Option<Digest>,
    /// Only this tag.
    pub tag: Option<Tag>,
    /// Only from this address.
    pub address: Option<IpAddr>,
    /// Only at or after this.
    pub since: Option<Timestamp>,
    /// Only before this.
    pub until: Option<Timestamp>,
}

impl From<Filter> for AuditFilter {
    fn from(filter: Filter) -> Self {
        Self {
            events: filter.events.iter().map(|event| event.as_str().to_owned()).collect(),
            actor_id: filter.actor_id,
            actor_name: filter.actor,
            repository: filter.repository,
            digest: filter.digest.map(|digest| digest.to_string()),
            tag: filter.tag.map(|tag| tag.to_string()),
            address: filter.address.map(|address| address.to_string()),
            since: filter.since,
            until: filter.until,
        }
    }
}

/// Which part of the audit log.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which entries.
    pub filter: Filter,
    /// Where it begins.
    pub place: AuditPlace,
    /// How many.
    pub page: Page,
    /// Whether as many entries are looked at as it takes to fill the page, as whoever goes on by numbers or by the last entry expects.
    /// Else a page may be short, or empty, and the list still go on.
    pub is_whole: bool,
}

/// A page of the audit log.
#[derive(Debug, Clone)]
pub struct Entries {
    /// The entries.
    pub items: Vec<AuditEntry>,
    /// How many there are, of a page that does not begin at an entry.
    pub total: Option<u64>,
    /// Where the next page begins, unless this was the last.
    pub next: Option<AuditPlace>,
    /// As they came: the number from which to go on when there are more.
    pub after: Option<i64>,
}

/// Lists entries, newest first: by their time, then their number; or as they came. No entry is passed over by who goes on from `next`,
/// or as they came from `after`, when others are recorded meanwhile.
///
/// # Errors
/// When the database does not answer.
pub async fn list(call: &Call, wanted: Wanted) -> Result<Entries, Refusal> {
    let Wanted { filter, place, page: Page { limit, offset }, is_whole } = wanted;
    let examined = if is_whole { usize::MAX } else { EXAMINED };
    let counts = is_whole || place == AuditPlace::Newest;
    let query = ListAudit { filter: filter.into(), place, offset, limit, examined, counts, leading: None };
    let page = call.worker.db.read(query).await?;
    let after = match place {
        AuditPlace::After(after) => Some(page.seen.unwrap_or(after)),
        AuditPlace::Newest | AuditPlace::Before(_) => None,
    };
    Ok(Entries { items: page.entries, total: page.total, next: page.next, after })
}

/// All entries that are wanted, a few at a time: nothing is held between two reads but the place of the last one.
#[derive(Debug)]
pub struct Export {
    db: Db,
    next: Option<ListAudit>,
    left: usize,
}

impl Export {
    /// From where `wanted` begins to the end of the log, or to so many entries. Those recorded meanwhile are not of a list that goes
    /// back in time.
    pub fn new(
        call: &Call,
        filter: Filter,
        place: AuditPlace,
        (most, offset): (Option<usize>, usize),
    ) -> Self {
        let (filter, examined) = (filter.into(), LOOK);
        let next = ListAudit { filter, place, offset, examined, ..ListAudit::default() };
        Self { db: call.worker.db.clone(), next: Some(next), left: most.unwrap_or(usize::MAX) }
    }

    /// The next few; nothing when there are no more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next(&mut self) -> Result<Option<Vec<AuditEntry>>, Refusal> {
        while self.left > 0 {
            let Some(query) = self.next.take() else { return Ok(None) };
            let query = ListAudit { limit: PIECE.min(self.left), ..query };
            let page = self.db.read(query.clone()).await?;
            self.next = page.next.map(|place| ListAudit { place, offset: 0, leading: page.leading, ..query });
            self.left -= page.entries.len();
            if !page.entries.is_empty() {
                return Ok(Some(page.entries));
            }
        }
        Ok(None)
    }
}

//! What an administrator sees first; everybody else begins with the repositories.

use askama::Template;
use futures_util::future::try_join3;
use mcr_api::{AuditList, GcStatusModel, SystemDetails, SystemModel};

use super::audit::{Row, row};
use super::collection::{Sweep, sweep};
use super::{Frame, render};
use crate::failure::Failure;
use crate::people::Person;
use crate::show::{self, Moment};
use crate::visit::{Reply, Visit};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    figures: Vec<(&'static str, String, &'static str)>,
    facts: Vec<(&'static str, String)>,
    started: Moment,
    next: Option<Moment>,
    running: Option<Sweep>,
    last: Option<Sweep>,
    events: Vec<Row>,
}

fn figures(details: &SystemDetails) -> Vec<(&'static str, String, &'static str)> {
    let totals = &details.totals;
    vec![
        ("Repositories", show::thousands(totals.repositories), ""),
        ("Tags", show::thousands(totals.tags), ""),
        ("Stored", show::size(totals.stored_bytes), "each blob once"),
        ("As pushed", show::size(totals.logical_bytes), "of each repository all it shows"),
        ("Saved by sharing", show::size(totals.saved_bytes), ""),
        ("Waiting for a sweep", show::size(totals.unlinked_bytes), "no repository shows it"),
        ("Free on the disk", show::maybe_size(details.disk.free_bytes), ""),
    ]
}

/// Seconds as people say them, the largest unit that is whole.
fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "min")];
    let fits = units.iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}

fn facts(model: &SystemModel, details: &SystemDetails) -> Vec<(&'static str, String)> {
    let (gc, on) = (&details.gc, &details.switches);
    let yes = |is: bool| if is { "on" } else { "off" }.to_owned();
    let never = || "never by itself".to_owned();
    let kept = || "for ever".to_owned();
    vec![
        ("Version", details.version.clone()),
        (
            "Accounts",
            if details.accounts_here { "the registry's own".to_owned() } else { model.provider.clone() },
        ),
        ("Public URL", details.public_url.clone().unwrap_or_else(|| "—".to_owned())),
        ("Deleting tags by clients", yes(on.tag_delete)),
        ("Pulls without a login", yes(on.anonymous)),
        ("Pulls in the audit log", yes(on.audit_pulls)),
        (
            "A sweep begins",
            gc.interval_seconds.map_or_else(never, |seconds| format!("every {}", span(seconds))),
        ),
        ("Kept after its last reference", span(gc.grace_seconds)),
        ("Kept without a tag", gc.untagged_after_seconds.map_or_else(kept, span)),
    ]
}

/// Shows how the registry is.
pub(crate) async fn home(visit: Visit) -> Result<Reply, Failure> {
    if !visit.person.as_deref().is_some_and(Person::is_admin) {
        return Ok(Reply::Redirect("/repositories".to_owned()));
    }
    let (registry, asker) = (visit.registry(), &visit.asker);
    let (system, status, audit) = try_join3(
        registry.get::<SystemModel>(asker, "/v1/system"),
        registry.get::<GcStatusModel>(asker, "/v1/gc/status"),
        registry.get::<AuditList>(asker, "/v1/audit?n=10"),
    )
    .await?;
    // A role that was lost a moment ago.
    let Some(details) = &system.details else { return Ok(Reply::Redirect("/repositories".to_owned())) };
    render(&OverviewPage {
        frame: Frame::of(&visit, "overview"),
        figures: figures(details),
        facts: facts(&system, details),
        started: show::moment(&details.started_at, visit.now),
        next: show::maybe_moment(details.gc.next_at.as_deref(), visit.now),
        running: status.running.map(|found| sweep(&found, visit.now)),
        last: status.last.map(|found| sweep(&found, visit.now)),
        events: audit.items.iter().map(|entry| row(entry, visit.now)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_in_its_largest_whole_unit() {
        let said = [0, 59, 60, 90, 3600, 86_400, 604_800].map(span);
        assert_eq!(said, ["0 s", "59 s", "1 min", "90 s", "1 h", "1 d", "7 d"]);
    }
}

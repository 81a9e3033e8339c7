//! The collector: sweeps, their progress and their reports.

use mcr_actors::db::queries::sweeps::{ListItems, ListSweeps, StoredItem, SweepRow};
use mcr_actors::gc::{GetGcStatus, Outcome, Report, StartSweep, StopSweep, Trigger};

use super::call::Call;
use super::door::{self, Asked};
use super::page::{Listed, Page};
use super::refusal::Refusal;
use crate::model::NewSweep;

/// What the collector does and did last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The sweep that runs.
    pub running: Option<Report>,
    /// The last one that ended.
    pub last: Option<Report>,
}

/// Begins a sweep, and answers its number.
///
/// # Errors
/// When one runs already, or a snapshot is being taken.
pub async fn start(call: &Call, sweep: NewSweep) -> Result<(i64, Asked), Refusal> {
    let NewSweep { dry_run, take_strays } = sweep;
    let (trigger, origin) = (Trigger::Request, call.origin.clone());
    let start = |caller| StartSweep { trigger, dry_run, take_strays, origin, caller };
    door::ask(call, &call.worker.gc, start).await
}

/// Ends the sweep that runs, after its present step, and answers its number.
///
/// # Errors
/// When none runs.
pub async fn stop(call: &Call) -> Result<(i64, Asked), Refusal> {
    let origin = call.origin.clone();
    door::ask(call, &call.worker.gc, |caller| StopSweep { origin, caller }).await
}

/// A past sweep as its row has it; one without an end, which does not run, was interrupted.
fn past(row: SweepRow) -> Option<Report> {
    let mut report: Report = serde_json::from_str(&row.report).ok()?;
    report.id = row.id;
    if row.finished_at.is_none() {
        report.outcome = Outcome::Interrupted;
    }
    Some(report)
}

/// Tells what the collector does, and what it did last.
///
/// # Errors
/// When an actor does not answer.
pub async fn status(call: &Call) -> Result<Status, Refusal> {
    let running = call.worker.gc.ask(GetGcStatus).await?.running;
    let (rows, _) = call.worker.db.read(ListSweeps { offset: 0, limit: 2 }).await?;
    let runs = running.as_ref().map(|report| report.id);
    // One that has only just begun has no number yet; its row then comes with no end.
    let ended = |row: &SweepRow| runs.is_none() || (Some(row.id) != runs && row.finished_at.is_some());
    let last = rows.into_iter().find(ended).and_then(past);
    Ok(Status { running, last })
}

/// Lists sweeps, the newest first.
///
/// # Errors
/// When an actor does not answer.
pub async fn list(call: &Call, page: Page) -> Result<Listed<Report>, Refusal> {
    let Page { limit, offset } = page;
    let running = call.worker.gc.ask(GetGcStatus).await?.running;
    let (rows, total) = call.worker.db.read(ListSweeps { offset, limit }).await?;
    let report = |row: SweepRow| match &running {
        // One that has only just begun has no number yet.
        Some(report) if report.id == 0 && report.started_at == row.started_at.as_millis() => {
            Some(Report { id: row.id, ..report.clone() })
        }
        Some(report) if report.id == row.id => Some(report.clone()),
        _ => past(row),
    };
    Ok(Listed { total, items: rows.into_iter().filter_map(report).collect() })
}

/// Lists what a dry run found. Only the findings of the last one are kept.
///
/// # Errors
/// When the database does not answer.
pub async fn findings(call: &Call, sweep: i64, page: Page) -> Result<Listed<StoredItem>, Refusal> {
    let Page { limit, offset } = page;
    Ok(call.worker.db.read(ListItems { sweep, offset, limit }).await?.into())
}

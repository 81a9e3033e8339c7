//! Snapshots: begun here, and listed with how they are.

use mcr_actors::db::queries::snapshots::{ListSnapshots, SnapshotRow};
use mcr_actors::snapshot::{GetSnapshotStatus, SnapshotName, SnapshotReport, SnapshotState, StartSnapshot};

use super::call::Call;
use super::door::{self, Asked};
use super::page::{Listed, Page};
use super::refusal::Refusal;
use crate::model::NewSnapshot;

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its number.
    pub id: i64,
    /// The name of its directory.
    pub name: String,
    /// How it is.
    pub report: SnapshotReport,
}

/// Begins a snapshot, and answers its number. Sweeps are refused until it has ended.
///
/// # Errors
/// When one is being taken already, or a sweep runs.
pub async fn start(call: &Call, snapshot: NewSnapshot) -> Result<(i64, Asked), Refusal> {
    let parsed = snapshot.name.map(|name| name.parse()).transpose();
    let name: Option<SnapshotName> = parsed.map_err(|error| Refusal::invalid("name", error))?;
    let origin = call.origin.clone();
    let start = |caller| StartSnapshot { name, origin, caller };
    door::ask(call, &call.worker.snapshots, start).await
}

/// Lists snapshots, the newest first.
///
/// # Errors
/// When an actor does not answer.
pub async fn list(call: &Call, page: Page) -> Result<Listed<Taken>, Refusal> {
    let Page { limit, offset } = page;
    // Asked first: one that ends in between is said to run once more.
    let running = call.worker.snapshots.ask(GetSnapshotStatus).await?.running;
    let (rows, total) = call.worker.db.read(ListSnapshots { offset, limit }).await?;
    let taken = |row: SnapshotRow| {
        let mut report: SnapshotReport = serde_json::from_str(&row.report).ok()?;
        match &running {
            Some((id, live)) if *id == row.id => report = live.clone(),
            // One that has only just begun has no number yet.
            Some((0, live)) if live.started_at == report.started_at => {}
            _ if row.finished_at.is_none() => report.state = SnapshotState::Interrupted,
            _ => {}
        }
        Some(Taken { id: row.id, name: row.name, report })
    };
    Ok(Listed { total, items: rows.into_iter().filter_map(taken).collect() })
}

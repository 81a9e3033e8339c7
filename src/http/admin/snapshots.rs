//! Snapshots: begun here, and listed with how they are.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use mcr_actors::db::queries::snapshots::{ListSnapshots, SnapshotRow};
use mcr_actors::domain::Timestamp;
use mcr_actors::snapshot::{GetSnapshotStatus, SnapshotName, SnapshotReport, SnapshotState, StartSnapshot};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::AdminCall;
use super::door::{self, Changed};
use super::model::{List, Problem};
use super::{json_or_default, page};
use crate::http::error::ApiError;

/// What a snapshot is told.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewSnapshot {
    /// A word to know it by: lower-case letters, digits, dots, underscores, hyphens.
    pub name: Option<String>,
}

/// A snapshot that began.
#[derive(Debug, Serialize, ToSchema)]
pub struct SnapshotStarted {
    /// Its number.
    pub id: i64,
}

/// A snapshot.
#[derive(Debug, Serialize, ToSchema)]
pub struct SnapshotModel {
    /// Its number.
    pub id: i64,
    /// The name of its directory: when it began, and the word that was given.
    pub name: String,
    /// Its directory, on the machine of the registry.
    pub path: String,
    /// `running`, `done`, `failed` or `interrupted`.
    pub state: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Blobs that it has, or that were looked at so far.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that the database names.
    pub all_blobs: u64,
    /// Their bytes.
    pub all_bytes: u64,
    /// Why there is none.
    pub error: Option<String>,
    /// How many blobs were missing or bad; they are marked so in the snapshot.
    pub error_count: u64,
    /// Which, the first twenty.
    pub errors: Vec<String>,
}

impl SnapshotModel {
    /// The snapshot of that number and directory.
    pub fn new(id: i64, name: String, report: SnapshotReport) -> Self {
        let SnapshotReport { state, path, blobs, bytes, all_blobs, all_bytes, .. } = report;
        let time = |millis| Timestamp::from_millis(millis).to_string();
        Self {
            id,
            name,
            path,
            state: state.as_str().to_owned(),
            started_at: time(report.started_at),
            finished_at: report.finished_at.map(time),
            blobs,
            bytes,
            all_blobs,
            all_bytes,
            error: report.error,
            error_count: report.error_count,
            errors: report.errors,
        }
    }
}

/// Begins a snapshot; `GET /v1/snapshots` tells how it goes. Sweeps are refused until it has ended.
#[utoipa::path(post, path = "/v1/snapshots", tag = "snapshots", request_body = Option<NewSnapshot>, responses(
    (status = 202, body = SnapshotStarted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn start(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let NewSnapshot { name } = json_or_default(call)?;
    let name: Option<SnapshotName> = name
        .map(|name| name.parse())
        .transpose()
        .map_err(|error| ApiError::admin(StatusCode::BAD_REQUEST, error))?;
    let origin = call.origin();
    let start = |caller| StartSnapshot { name, origin, caller };
    let (id, asked) = door::ask(call, &call.state.worker.snapshots, start).await?;
    Ok(asked.answer(HttpResponse::Accepted().json(SnapshotStarted { id })))
}

/// Lists snapshots, the newest first.
#[utoipa::path(get, path = "/v1/snapshots", tag = "snapshots",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<SnapshotModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let (limit, offset) = page(call)?;
    let worker = &call.state.worker;
    // Asked first: one that ends in between is said to run once more.
    let running = worker.snapshots.ask(GetSnapshotStatus).await?.running;
    let (rows, total) = worker.db.read(ListSnapshots { offset, limit }).await?;
    let model = |row: SnapshotRow| {
        let mut report: SnapshotReport = serde_json::from_str(&row.report).ok()?;
        match &running {
            Some((id, live)) if *id == row.id => report = live.clone(),
            // One that has only just begun has no number yet.
            Some((0, live)) if live.started_at == report.started_at => {}
            _ if row.finished_at.is_none() => report.state = SnapshotState::Interrupted,
            _ => {}
        }
        Some(SnapshotModel::new(row.id, row.name, report))
    };
    Ok(HttpResponse::Ok().json(List { total, items: rows.into_iter().filter_map(model).collect() }))
}

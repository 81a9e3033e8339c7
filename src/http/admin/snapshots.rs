//! Snapshots: begun here, and listed with how they are.

use actix_web::HttpResponse;
use mcr_actors::domain::Timestamp;
use mcr_actors::snapshot::SnapshotReport;

use super::call::AdminCall;
use super::changed::Changed;
use super::{json_or_default, listed, page};
use crate::admin::snapshots::{self, Taken};
use crate::http::error::ApiError;
use crate::model::{List, NewSnapshot, Problem, SnapshotModel, SnapshotStarted};

pub(super) fn model(Taken { id, name, report }: Taken) -> SnapshotModel {
    let SnapshotReport { state, path, blobs, bytes, all_blobs, all_bytes, .. } = report;
    let time = |millis| Timestamp::from_millis(millis).to_string();
    SnapshotModel {
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

/// Begins a snapshot; `GET /v1/snapshots` tells how it goes. Sweeps are refused until it has ended.
#[utoipa::path(post, path = "/v1/snapshots", tag = "snapshots", request_body = Option<NewSnapshot>, responses(
    (status = 202, body = SnapshotStarted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn start(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (id, asked) = snapshots::start(&call.plain(), json_or_default(call)?).await?;
    Ok(Changed::after(asked, HttpResponse::Accepted().json(SnapshotStarted { id })))
}

/// Lists snapshots, the newest first.
#[utoipa::path(get, path = "/v1/snapshots", tag = "snapshots",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<SnapshotModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let snapshots = snapshots::list(&call.plain(), page(call)?).await?;
    Ok(HttpResponse::Ok().json(listed(snapshots, model)))
}

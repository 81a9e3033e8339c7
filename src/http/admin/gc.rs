//! The collector: sweeps, their progress and their reports.

use actix_web::HttpResponse;
use mcr_actors::db::queries::sweeps::StoredItem;
use mcr_actors::domain::Timestamp;
use mcr_actors::gc::Report;
use mcr_actors::gc::report::Share;

use super::call::AdminCall;
use super::changed::Changed;
use super::path::Target;
use super::{far_page, json_or_default, listed, not_found, page};
use crate::admin::collection::{self, Status};
use crate::http::error::ApiError;
use crate::model::{
    GcStatusModel, List, NewSweep, Problem, ShareModel, SweepItemModel, SweepModel, SweepStarted,
};

pub(super) fn model(report: Report) -> SweepModel {
    let Report { id, dry_run, counts, left, errors, repositories, .. } = report;
    let time = |millis| Timestamp::from_millis(millis).to_string();
    let share = |share: Share| ShareModel { items: share.items, bytes: share.bytes };
    SweepModel {
        id,
        trigger: report.trigger.as_str().to_owned(),
        dry_run,
        phase: report.phase.as_str().to_owned(),
        outcome: report.outcome.as_str().to_owned(),
        started_at: time(report.started_at),
        finished_at: report.finished_at.map(time),
        examined: counts.examined,
        uploads: counts.uploads,
        manifests: counts.manifests,
        links: counts.links,
        condemned: counts.condemned,
        removed: counts.removed,
        freed_bytes: counts.freed_bytes,
        strays: counts.strays,
        strays_waiting: counts.strays_waiting,
        busy: counts.busy,
        left,
        longest_write_us: counts.longest_write_us,
        error_count: counts.error_count,
        errors,
        repositories: repositories.into_iter().map(|(name, of)| (name, share(of))).collect(),
    }
}

pub(super) fn status_model(Status { running, last }: Status) -> GcStatusModel {
    let state = if running.is_some() { "running" } else { "idle" };
    GcStatusModel { state: state.into(), running: running.map(model), last: last.map(model) }
}

pub(super) fn item_model((kind, repository, name, bytes): StoredItem) -> SweepItemModel {
    SweepItemModel { kind, repository, name, bytes }
}

/// Begins a sweep; `GET /v1/gc/status` tells how it goes.
#[utoipa::path(post, path = "/v1/gc", tag = "gc", request_body = Option<NewSweep>, responses(
    (status = 202, body = SweepStarted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn start(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (id, asked) = collection::start(&call.plain(), json_or_default(call)?).await?;
    Ok(Changed::after(asked, HttpResponse::Accepted().json(SweepStarted { id })))
}

/// Ends the sweep that runs, after its present step.
#[utoipa::path(delete, path = "/v1/gc", tag = "gc", responses((status = 413, body = Problem), 
    (status = 202, body = SweepStarted), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem)))]
pub async fn stop(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (id, asked) = collection::stop(&call.plain()).await?;
    Ok(Changed::after(asked, HttpResponse::Accepted().json(SweepStarted { id })))
}

/// Tells what the collector does, and what it did last.
#[utoipa::path(get, path = "/v1/gc/status", tag = "gc", responses(
    (status = 200, body = GcStatusModel), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn status(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(status_model(collection::status(&call.plain()).await?)))
}

/// Lists sweeps, the newest first.
#[utoipa::path(get, path = "/v1/gc/sweeps", tag = "gc",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<SweepModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let sweeps = collection::list(&call.plain(), page(call)?).await?;
    Ok(HttpResponse::Ok().json(listed(sweeps, model)))
}

/// Lists what a dry run found. Only the findings of the last one are kept.
#[utoipa::path(get, path = "/v1/gc/sweeps/{id}/items", tag = "gc", params(("id" = i64, Path),
    ("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<SweepItemModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn items(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::SweepItems(sweep) = call.target else { return Err(not_found("sweep")) };
    let found = collection::findings(&call.plain(), sweep, far_page(call)?).await?;
    Ok(HttpResponse::Ok().json(listed(found, item_model)))
}

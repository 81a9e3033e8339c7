//! The collector: sweeps, their progress and their reports.

use actix_web::HttpResponse;
use mcr_actors::db::queries::sweeps::{ListItems, ListSweeps, SweepRow};
use mcr_actors::gc::{GetGcStatus, Outcome, Report, StartSweep, StopSweep, Trigger};

use super::call::AdminCall;
use super::door::{self, Changed};
use super::model::{GcStatusModel, List, NewSweep, Problem, SweepItemModel, SweepModel, SweepStarted};
use super::path::Target;
use super::{far_page, json_or_default, not_found, page};
use crate::http::error::ApiError;

/// Begins a sweep; `GET /v1/gc/status` tells how it goes.
#[utoipa::path(post, path = "/v1/gc", tag = "gc", request_body = Option<NewSweep>, responses(
    (status = 202, body = SweepStarted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn start(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let NewSweep { dry_run, take_strays } = json_or_default(call)?;
    let (trigger, origin) = (Trigger::Request, call.origin());
    let start = |caller| StartSweep { trigger, dry_run, take_strays, origin, caller };
    let (id, asked) = door::ask(call, &call.state.worker.gc, start).await?;
    Ok(asked.answer(HttpResponse::Accepted().json(SweepStarted { id })))
}

/// Ends the sweep that runs, after its present step.
#[utoipa::path(delete, path = "/v1/gc", tag = "gc", responses((status = 413, body = Problem), 
    (status = 202, body = SweepStarted), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem)))]
pub async fn stop(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let origin = call.origin();
    let (id, asked) = door::ask(call, &call.state.worker.gc, |caller| StopSweep { origin, caller }).await?;
    Ok(asked.answer(HttpResponse::Accepted().json(SweepStarted { id })))
}

/// A past sweep as its row has it; one without an end, which does not run, was interrupted.
fn past(row: SweepRow) -> Option<SweepModel> {
    let mut report: Report = serde_json::from_str(&row.report).ok()?;
    report.id = row.id;
    if row.finished_at.is_none() {
        report.outcome = Outcome::Interrupted;
    }
    Some(report.into())
}

/// Tells what the collector does, and what it did last.
#[utoipa::path(get, path = "/v1/gc/status", tag = "gc", responses(
    (status = 200, body = GcStatusModel), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn status(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let worker = &call.state.worker;
    let running = worker.gc.ask(GetGcStatus).await?.running;
    let (rows, _) = worker.db.read(ListSweeps { offset: 0, limit: 2 }).await?;
    let runs = running.as_ref().map(|report| report.id);
    // One that has only just begun has no number yet; its row then comes with no end.
    let ended = |row: &SweepRow| runs.is_none() || (Some(row.id) != runs && row.finished_at.is_some());
    let last = rows.into_iter().find(ended).and_then(past);
    let state = if running.is_some() { "running" } else { "idle" };
    Ok(HttpResponse::Ok().json(GcStatusModel { state, running: running.map(SweepModel::from), last }))
}

/// Lists sweeps, the newest first.
#[utoipa::path(get, path = "/v1/gc/sweeps", tag = "gc",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<SweepModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let (limit, offset) = page(call)?;
    let worker = &call.state.worker;
    let running = worker.gc.ask(GetGcStatus).await?.running;
    let (rows, total) = worker.db.read(ListSweeps { offset, limit }).await?;
    let model = |row: SweepRow| match &running {
        // One that has only just begun has no number yet.
        Some(report) if report.id == 0 && report.started_at == row.started_at.as_millis() => {
            Some(Report { id: row.id, ..report.clone() }.into())
        }
        Some(report) if report.id == row.id => Some(report.clone().into()),
        _ => past(row),
    };
    Ok(HttpResponse::Ok().json(List { total, items: rows.into_iter().filter_map(model).collect() }))
}

/// Lists what a dry run found. Only the findings of the last one are kept.
#[utoipa::path(get, path = "/v1/gc/sweeps/{id}/items", tag = "gc", params(("id" = i64, Path),
    ("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<SweepItemModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn items(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::SweepItems(sweep) = call.target else { return Err(not_found("sweep")) };
    let (limit, offset) = far_page(call)?;
    let (rows, total) = call.state.worker.db.read(ListItems { sweep, offset, limit }).await?;
    let model = |(kind, repository, name, bytes)| SweepItemModel { kind, repository, name, bytes };
    Ok(HttpResponse::Ok().json(List { total, items: rows.into_iter().map(model).collect() }))
}

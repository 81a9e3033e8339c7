//! How the registry is.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use mcr_actors::policy::builtin::ADMIN;
use mcr_actors::readiness::{Check, GetReadiness};
use mcr_actors::registry::ActorState;

use super::call::AdminCall;
use super::model::{ActorModel, Actors, Health, Problem, Ready, ReadyCheck};
use crate::http::auth::Inquiry;
use crate::http::error::ApiError;
use crate::http::metrics::CONTENT_TYPE;
use crate::http::state::State;

/// Tells that the process lives.
#[utoipa::path(method(get, head), path = "/v1/health", tag = "system", security(()),
    responses((status = 200, body = Health)))]
pub async fn health(_: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(Health { status: "ok" }))
}

/// Tells whether the registry can serve; administrators also what was looked at. All who ask within a second hear the
/// same.
#[utoipa::path(method(get, head), path = "/v1/ready", tag = "system", security((), ("bearer" = [])), responses(
    (status = 200, body = Ready), (status = 401, body = Problem), (status = 503, body = Ready)))]
pub async fn ready(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let report = call.state.worker.readiness.ask(GetReadiness).await?;
    let model = |check: &Check| ReadyCheck { name: check.name, ok: check.ok, detail: check.detail.clone() };
    let checks = is_admin(call).await.then(|| report.checks.iter().map(model).collect());
    let mut response = if report.ready() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    Ok(response.json(Ready { ready: report.ready(), checks }))
}

/// Whether an administrator asks. Whoever is not known, or cannot be known now, is a stranger.
async fn is_admin(call: &AdminCall) -> bool {
    call.request.headers().contains_key(header::AUTHORIZATION)
        && Inquiry::new(&call.request, &call.state, &call.request_id)
            .caller(None)
            .await
            .is_ok_and(|caller| caller.principal.has_role(ADMIN))
}

/// Tells what each actor says of itself.
#[utoipa::path(get, path = "/v1/actors", tag = "system", responses(
    (status = 200, body = Actors), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn actors(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let states = call.state.registry.actors().into_iter();
    let actors = states
        .map(|ActorState { name, alive, load }| ActorModel {
            name,
            alive,
            in_flight: load.in_flight,
            messages: load.messages,
            mean_us: mean(load.time, load.messages),
            refused: load.refused,
        })
        .collect();
    Ok(HttpResponse::Ok().json(Actors { actors }))
}

fn mean(time: Duration, count: u64) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX) / count.max(1)
}

/// Everything that is counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "system", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text"), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn metrics(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let State { worker, registry, metrics, .. } = call.state.get_ref();
    let text = metrics.shared().text(worker, registry).await?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text))
}

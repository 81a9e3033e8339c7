//! How the registry is.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use mcr_actors::domain::Timestamp;
use mcr_actors::readiness::Check;
use mcr_actors::registry::ActorState;

use super::call::AdminCall;
use crate::admin::call::Call;
use crate::admin::system::{self, Details, Readiness, System};
use crate::http::auth::Inquiry;
use crate::http::error::ApiError;
use crate::http::metrics::CONTENT_TYPE;
use crate::http::state::State;
use crate::model::{
    ActorModel, Actors, DiskModel, GcSettingsModel, Health, Problem, Ready, ReadyCheck, SwitchesModel,
    SystemDetails, SystemModel, TotalsModel,
};

/// Tells that the process lives.
#[utoipa::path(method(get, head), path = "/v1/health", tag = "system", security(()),
    responses((status = 200, body = Health)))]
pub async fn health(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    system::health(&call.plain()).await?;
    Ok(HttpResponse::Ok().json(Health { status: "ok".into() }))
}

pub(super) fn ready_model(Readiness { ready, report }: Readiness) -> Ready {
    let model =
        |check: &Check| ReadyCheck { name: check.name.into(), ok: check.ok, detail: check.detail.clone() };
    Ready { ready, checks: report.map(|report| report.checks.iter().map(model).collect()) }
}

/// Tells whether the registry can serve; administrators also what was looked at. All who ask within a second hear the
/// same.
#[utoipa::path(method(get, head), path = "/v1/ready", tag = "system", security((), ("bearer" = [])), responses(
    (status = 200, body = Ready), (status = 401, body = Problem), (status = 503, body = Ready)))]
pub async fn ready(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let readiness = system::readiness(&perhaps_known(call).await).await?;
    let mut response = if readiness.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    Ok(response.json(ready_model(readiness)))
}

/// The call with who asks. Whoever is not known, or cannot be known now, is a stranger.
async fn perhaps_known(call: &AdminCall) -> Call {
    let mut plain = call.plain();
    if call.request.headers().contains_key(header::AUTHORIZATION) {
        let inquiry = Inquiry::new(&call.request, &call.state, &call.request_id);
        plain.caller = inquiry.caller(None).await.ok();
    }
    plain
}

pub(super) fn model(System { name, provider, details }: System) -> SystemModel {
    SystemModel { name, provider, details: details.map(details_model) }
}

fn details_model(details: Details) -> SystemDetails {
    let Details { settings, set_up, totals, .. } = &details;
    SystemDetails {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("MCR_COMMIT").filter(|commit| !commit.is_empty()).map(str::to_owned),
        started_at: details.started_at.to_string(),
        uptime_seconds: details.uptime.as_secs(),
        public_url: settings.public_url.clone(),
        accounts_here: details.has_accounts,
        switches: SwitchesModel {
            tag_delete: settings.allow_tag_delete,
            sparse_manifests: settings.allow_sparse,
            anonymous: set_up.anonymous,
            builtin_human_access: set_up.builtin_human_access,
            audit_pulls: settings.audit_pulls,
            verify_on_push: set_up.verify_on_push,
        },
        gc: GcSettingsModel {
            interval_seconds: set_up.gc_interval.map(|interval| interval.as_secs()),
            next_at: details.next_sweep.as_ref().map(Timestamp::to_string),
            grace_seconds: set_up.grace.as_secs(),
            untagged_after_seconds: set_up.untagged_after.map(|after| after.as_secs()),
        },
        totals: TotalsModel {
            repositories: totals.repositories,
            tags: totals.tags,
            manifests: totals.manifests,
            blobs: totals.blobs,
            stored_bytes: totals.stored_bytes(),
            logical_bytes: totals.logical_bytes(),
            saved_bytes: totals.saved_bytes(),
            unlinked_bytes: totals.unlinked_bytes,
        },
        disk: DiskModel { free_bytes: details.free, min_free_bytes: set_up.min_free },
    }
}

/// Tells what the registry is called and who knows its accounts, so that a login page can be made; administrators also how it
/// is set and what it has. Nothing is counted for it.
#[utoipa::path(get, path = "/v1/system", tag = "system", security((), ("bearer" = [])), responses(
    (status = 200, body = SystemModel)))]
pub async fn show(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let system = system::show(&perhaps_known(call).await).await?;
    Ok(HttpResponse::Ok().json(model(system)))
}

pub(super) fn actors_model(states: Vec<ActorState>) -> Actors {
    let model = |ActorState { name, alive, load }| ActorModel {
        name: name.into(),
        alive,
        in_flight: load.in_flight,
        messages: load.messages,
        mean_us: mean(load.time, load.messages),
        refused: load.refused,
    };
    Actors { actors: states.into_iter().map(model).collect() }
}

/// Tells what each actor says of itself.
#[utoipa::path(get, path = "/v1/actors", tag = "system", responses(
    (status = 200, body = Actors), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn actors(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(actors_model(system::actors(&call.plain()).await?)))
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

//! How the registry is.

use std::time::Duration;

use actix_web::HttpResponse;
use mcr_actors::db::queries::repositories::ListRepositories;
use mcr_actors::registry::ActorState;
use mcr_actors::upload::{CheckStorage, Storage};

use super::model::{ActorModel, Actors, Health, Problem, Ready, ReadyCheck};
use super::routes::AdminCall;
use crate::http::error::ApiError;
use crate::http::metrics::CONTENT_TYPE;
use crate::http::state::State;

/// Tells that the process lives.
#[utoipa::path(get, path = "/v1/health", tag = "system", security(()), responses((status = 200, body = Health)))]
pub async fn health(_: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(Health { status: "ok" }))
}

/// Tells whether the registry can serve: its database, its storage, its identity provider, its actors.
#[utoipa::path(get, path = "/v1/ready", tag = "system", responses(
    (status = 200, body = Ready), (status = 401, body = Problem), (status = 503, body = Ready)))]
pub async fn ready(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let worker = &call.state.worker;
    let check = |name, result: Result<String, String>| match result {
        Ok(detail) => ReadyCheck { name, ok: true, detail },
        Err(detail) => ReadyCheck { name, ok: false, detail },
    };
    let database = worker.db.read(ListRepositories { after: String::new(), limit: 1 }).await;
    let storage = worker.uploads.ask(CheckStorage).await;
    let room = match &storage {
        Ok(Storage { free, enough: true }) => Ok(format!("{free} bytes are free")),
        Ok(Storage { free, .. }) => Err(format!("only {free} bytes are free, less than storage.min_free")),
        Err(_) => Err("it is not known".to_owned()),
    };
    let dead = call.state.registry.dead();
    let provider = call.state.registry.provider().check().await;
    let checks = vec![
        check("database", database.map(|_| "it answers".to_owned()).map_err(|error| error.to_string())),
        check(
            "storage",
            storage.map(|_| "it can be written to".to_owned()).map_err(|error| error.to_string()),
        ),
        check("free space", room),
        check("provider", provider.map(|()| "it answers".to_owned()).map_err(|error| error.to_string())),
        check("actors", dead.map_or(Ok("all run".to_owned()), |name| Err(format!("{name} has died")))),
    ];
    let ready = checks.iter().all(|check| check.ok);
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    Ok(response.json(Ready { ready, checks }))
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

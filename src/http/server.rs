//! The server: one [`State`] for each worker, one service behind every path.

use std::rc::Rc;

use actix_web::web::{self, Data};
use actix_web::{App, Error, HttpResponse};
use mcr_actors::registry::{Registry, Worker};

use super::cursor::Cursors;
use super::entrance;
use super::error::ApiError;
use super::metrics::{CONTENT_TYPE, Metrics, WorkerMetrics};
use super::state::{HttpOptions, State};

/// What an application of ours is to the server.
macro_rules! application {
    () => {
        App<
            impl actix_web::dev::ServiceFactory<
                actix_web::dev::ServiceRequest,
                Config = (),
                Response = actix_web::dev::ServiceResponse,
                Error = Error,
                InitError = (),
            >,
        >
    };
}

/// The application that each worker runs. Its actors are started on the worker's own thread.
pub fn app(registry: Registry, options: HttpOptions, metrics: Metrics) -> application!() {
    App::new()
        .data_factory(move || {
            let (registry, options) = (registry.clone(), Rc::new(options.clone()));
            let metrics = Rc::new(WorkerMetrics::new(metrics.clone()));
            async move {
                let worker = registry.worker().await.inspect_err(|error| log::error!("{error}"))?;
                let cursors = Cursors::load(&worker.db).await.inspect_err(|error| log::error!("{error}"))?;
                Ok::<_, mcr_actors::registry::StartError>(State {
                    worker,
                    registry,
                    options,
                    metrics,
                    cursors,
                    denials: Rc::default(),
                })
            }
        })
        .default_service(web::to(
            |request: actix_web::HttpRequest, payload: web::Payload, state: Data<State>| {
                entrance::serve(request, payload, state)
            },
        ))
}

/// An application that serves `/metrics` to whoever asks, and nothing else.
pub fn metrics_app(registry: Registry, metrics: Metrics) -> application!() {
    App::new()
        .data_factory(move || {
            let (registry, metrics) = (registry.clone(), metrics.clone());
            async move {
                let worker = registry.worker().await.inspect_err(|error| log::error!("{error}"))?;
                Ok::<_, mcr_actors::registry::StartError>((worker, registry, metrics))
            }
        })
        .route(
            "/metrics",
            web::get().to(|state: Data<(Worker, Registry, Metrics)>| async move {
                let (worker, registry, metrics) = state.get_ref();
                match metrics.text(worker, registry).await {
                    Ok(text) => HttpResponse::Ok().content_type(CONTENT_TYPE).body(text),
                    Err(refusal) => ApiError::from(refusal).into_admin_response(),
                }
            }),
        )
}

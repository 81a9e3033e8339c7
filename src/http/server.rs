//! The server: one [`State`] for each worker, one service behind every path.

use std::rc::Rc;

use actix_web::web::{self, Data};
use actix_web::{App, Error};
use mcr_actors::registry::Registry;

use super::metrics::{Metrics, WorkerMetrics};
use super::routes;
use super::state::{HttpOptions, State};

/// The application that each worker runs. Its actors are started on the worker's own thread.
pub fn app(
    registry: Registry,
    options: HttpOptions,
    metrics: Metrics,
) -> App<
    impl actix_web::dev::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .data_factory(move || {
            let (registry, options) = (registry.clone(), Rc::new(options.clone()));
            let metrics = Rc::new(WorkerMetrics::new(metrics.clone()));
            async move {
                let worker = registry.worker().await.inspect_err(|error| log::error!("{error}"))?;
                Ok::<_, mcr_actors::registry::StartError>(State { worker, registry, options, metrics })
            }
        })
        .default_service(web::to(
            |request: actix_web::HttpRequest, payload: web::Payload, state: Data<State>| {
                routes::serve(request, payload, state)
            },
        ))
}

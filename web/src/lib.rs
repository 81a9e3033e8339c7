//! MCR as a person sees it: pages over the registry's API.
//!
//! It has no right and no database. It asks the registry as the person who is signed in, whose token is in an encrypted cookie,
//! so it shows what the registry shows that person and can do what that person may do. It does not know how its listener is
//! made or where its settings come from.

mod asset;
mod clock;
mod document;
mod entrance;
mod failure;
mod inert;
mod origin;
mod pages;
mod people;
mod registry;
mod route;
mod session;
mod show;
mod site;
mod visit;

use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::web::{self, Data};
use actix_web::{App, Error, HttpRequest};

pub use self::site::{Address, Settings};

use self::site::Site;

/// The application that each worker runs.
pub fn app(
    settings: Settings,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>,
> {
    App::new()
        .data_factory(move || {
            let site = Site::new(settings.clone()).ok_or("the key of sessions is none");
            async move { site }
        })
        .default_service(web::to(|request: HttpRequest, payload: web::Payload, site: Data<Site>| {
            entrance::serve(request, payload, site)
        }))
}

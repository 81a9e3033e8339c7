//! A table of routes, whatever the API: a route cannot be written without saying what it asks of its caller.

use actix_web::http::Method;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;

use super::api::{Access, Api, Shape, ShapeOf, Target};
use super::call::Call;
use super::error::ApiError;
use super::note::{About, RouteName};

/// What a handler gives: a response, or what an API takes from who can change something.
pub type Answer<'a, T> = LocalBoxFuture<'a, Result<T, ApiError>>;

/// Who answers.
#[derive(Debug)]
pub(super) enum Handler<A: Api> {
    /// It only looks.
    Reads(for<'a> fn(&'a mut Call<A>) -> Answer<'a, HttpResponse>),
    /// It can change something.
    Changes(for<'a> fn(&'a mut Call<A>) -> Answer<'a, A::Changed>),
}

/// One method on one shape of path.
#[derive(Debug)]
pub struct Route<A: Api> {
    /// The method.
    pub method: Method,
    /// The path.
    pub shape: ShapeOf<A>,
    /// What it asks of its caller.
    pub access: A::Access,
    /// Who answers.
    pub(super) handler: Handler<A>,
}

/// Only what is safe by its method (RFC 9110 §9.2.1) may answer as one that only looks.
macro_rules! handler {
    (GET $handler:path) => {
        $crate::http::router::Handler::Reads(|call| Box::pin($handler(call)))
    };
    (HEAD $handler:path) => {
        $crate::http::router::Handler::Reads(|call| Box::pin($handler(call)))
    };
    ($method:ident $handler:path) => {
        $crate::http::router::Handler::Changes(|call| Box::pin($handler(call)))
    };
}
pub(super) use handler;

/// The rows of a table, behind the type that says what routes ask of their callers: method, shape of the path, what it asks,
/// and who answers.
macro_rules! routes {
    ($asks:ident: $($method:ident $shape:ident $access:ident => $handler:path;)*) => {
        &[$($crate::http::router::Route {
            method: actix_web::http::Method::$method,
            shape: Shape::$shape,
            access: $asks::$access,
            handler: $crate::http::router::handler!($method $handler),
        }),*]
    };
}
pub(super) use routes;

impl<A: Api> Route<A> {
    /// Whether it can change anything.
    pub fn changes(&self) -> bool {
        matches!(self.handler, Handler::Changes(_))
    }

    /// What its handler answers.
    pub(super) async fn answer(&self, call: &mut Call<A>) -> Result<HttpResponse, ApiError> {
        match self.handler {
            Handler::Reads(look) => look(call).await,
            Handler::Changes(change) => change(call).await.map(Into::into),
        }
    }

    /// The route of `table` that a request takes, and a note of it for its counters and its line in the log.
    pub(super) fn find(
        table: &'static [Self],
        request: &HttpRequest,
        target: Option<&A::Target>,
    ) -> Option<&'static Self> {
        let target = target?;
        let shape = target.shape();
        let route = table.iter().find(|route| route.shape == shape && route.method == *request.method())?;
        request.extensions_mut().insert(RouteName(shape.template()));
        let repository = target.repository().map(ToString::to_string);
        request.extensions_mut().insert(About { action: route.access.action(), repository });
        Some(route)
    }

    /// The refusal of a method that no route of `table` has for the path; it names those that there are.
    pub(super) fn not_allowed(table: &[Self], target: &A::Target) -> ApiError {
        let shape = target.shape();
        let methods = table.iter().filter(|route| route.shape == shape).map(|route| route.method.as_str());
        ApiError::method_not_allowed(&methods.collect::<Vec<_>>().join(", "))
    }
}

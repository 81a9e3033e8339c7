//! What an API consists of: what its paths name, of which kinds that is, and what its routes ask of their callers.
//!
//! It knows neither a request nor who answers. The registry has two: [`Oci`](super::oci::call::Oci) and
//! [`Admin`](super::admin::call::Admin).

use actix_web::HttpResponse;
use mcr_actors::domain::RepositoryName;

/// Which kind of thing a path names, for a table of routes.
pub trait Shape: Copy + Eq + std::fmt::Debug {
    /// The path with its parameters' names in braces.
    fn template(self) -> &'static str;
}

/// What a path names.
pub trait Target {
    /// Its kinds.
    type Shape: Shape;

    /// Its kind.
    fn shape(&self) -> Self::Shape;

    /// The repository it is about; none for what is global.
    fn repository(&self) -> Option<&RepositoryName>;
}

/// What a route asks of its caller.
pub trait Access: Copy + Eq {
    /// What it is called by in logs and refusals.
    fn action(self) -> &'static str;
}

/// An API.
pub trait Api: Sized + 'static {
    /// What a path names.
    type Target: Target;
    /// What a route asks of its caller.
    type Access: Access;
    /// What a handler gets of the body: its bytes, or the stream of them.
    type Body;
    /// What the handler of a route answers that can change something.
    type Changed: Into<HttpResponse> + std::fmt::Debug;
}

/// The kinds of what the paths of an API name.
pub type ShapeOf<A> = <<A as Api>::Target as Target>::Shape;

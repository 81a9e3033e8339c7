//! The answer to what can change something.

use actix_web::HttpResponse;

use crate::admin::door::Asked;

/// The answer of a route that can change something. It is made from what the door of the change gave, and from nothing else.
#[derive(Debug)]
pub struct Changed(HttpResponse);

impl Changed {
    /// What the route answers, once the caller was asked for.
    pub fn after(_: Asked, response: HttpResponse) -> Self {
        Self(response)
    }
}

impl From<Changed> for HttpResponse {
    fn from(Changed(response): Changed) -> Self {
        response
    }
}

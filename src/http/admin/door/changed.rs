//! What the door gives: that a caller was asked for, and the answer that is made from that alone. Nobody but the door can say so.

use actix_web::HttpResponse;

/// The answer of a route that can change something.
#[derive(Debug)]
pub struct Changed(HttpResponse);

impl From<Changed> for HttpResponse {
    fn from(Changed(response): Changed) -> Self {
        response
    }
}

/// Says that the caller was asked for in the transaction of the change, and still had the right.
#[derive(Debug)]
pub struct Asked(());

impl Asked {
    /// The caller was asked for.
    pub(super) fn made() -> Self {
        Self(())
    }

    /// Nobody need be asked for: what changes is what the request itself shows and nothing else, its password's or token's own
    /// life; or nothing changes, though the method could.
    pub fn of_own_or_nothing() -> Self {
        Self(())
    }

    /// What the route answers.
    pub fn answer(self, response: HttpResponse) -> Changed {
        let Self(()) = self;
        Changed(response)
    }
}

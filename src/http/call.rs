//! A request that may be handled: its parts, as every handler gets them.
//!
//! It stands above the actors and below the handlers, and knows neither a route nor who answers.

use actix_web::{HttpRequest, web};
use mcr_actors::domain::Origin;

use super::api::Api;
use super::auth;
use super::budget::Holder;
use super::origin::client;
use super::query::Query;
use super::state::State;
use crate::caller::Caller;

/// A request that may be handled: its parts are parsed and its caller is allowed.
pub struct Call<A: Api> {
    /// The request.
    pub request: HttpRequest,
    /// Its body.
    pub body: A::Body,
    /// Its query.
    pub query: Query,
    /// Who asks; nobody on open routes.
    pub caller: Option<Caller>,
    /// The actors and the settings.
    pub state: web::Data<State>,
    /// What its path names.
    pub target: A::Target,
    /// What its route asks of its caller.
    pub access: A::Access,
    /// Under which id it is logged and audited.
    pub request_id: String,
}

impl<A: Api> Call<A> {
    /// Who caused what this request changes.
    pub fn origin(&self) -> Origin {
        let principal = self.caller.as_ref().map(|caller| caller.principal.as_ref());
        auth::origin_of(&self.request, &self.state, &self.request_id, principal)
    }

    /// Who pays for the memory of its body.
    pub fn holder(&self) -> Holder {
        holder(&self.request, &self.state, self.caller.as_ref())
    }
}

/// Who pays for the memory of a request's body, as far as it is known who asks.
pub(super) fn holder(request: &HttpRequest, state: &State, caller: Option<&Caller>) -> Holder {
    Holder::of(caller.map(|caller| caller.principal.as_ref()), client(request, &state.options))
}

//! What a handler of `/v1` gets, and what a route asks of its caller.

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest};
use bytes::Bytes;
use mcr_actors::db::queries::permission::{self, Right};
use mcr_actors::domain::Action;
use mcr_actors::policy::builtin::ADMIN;

use super::door::Changed;
use super::path::Target;
use crate::http::api::{self, Access as _, Api};
use crate::http::auth::{Caller, Inquiry, decide};
use crate::http::call::Call;
use crate::http::error::ApiError;
use crate::http::note::Named;
use crate::http::state::State;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// Any valid token; it shows only what is the caller's own.
    Anybody,
    /// The role `admin`.
    Admin,
    /// The role `admin`, where the registry itself keeps the accounts.
    Accounts,
    /// `policy:manage`.
    Rules,
}

impl Access {
    /// What a change takes.
    fn right(self) -> Right {
        match self {
            Self::Open | Self::Anybody => Right::Account,
            Self::Admin | Self::Accounts => Right::Role(ADMIN),
            Self::Rules => Right::Rules,
        }
    }
}

impl api::Access for Access {
    fn action(self) -> &'static str {
        match self {
            Self::Open | Self::Anybody => "-",
            Self::Admin | Self::Accounts => "administration",
            Self::Rules => Action::ManagePolicy.as_str(),
        }
    }
}

/// The admin API. Its handlers get the body whole; empty where the route changes nothing.
#[derive(Debug)]
pub struct Admin;

impl Api for Admin {
    type Target = Target;
    type Access = Access;
    type Body = Bytes;
    type Changed = Changed;
}

/// A request of the admin API.
pub type AdminCall = Call<Admin>;

impl AdminCall {
    /// By what right it changes something, to be asked for again in the transaction of the change. Accounts that MCIAS keeps
    /// cannot be asked for there.
    pub fn permission(&self) -> Option<permission::Caller> {
        let caller = self.caller.as_ref()?;
        Some(permission::Caller {
            principal: caller.principal.as_ref().clone(),
            token_hash: caller.token_hash,
            right: self.access.right(),
            kept_here: self.state.registry.provider().managed_elsewhere().is_none(),
        })
    }

    /// Why a caller who was let in is not any more.
    pub async fn refused(&self) -> ApiError {
        let judged = admit(&self.request, &self.state, &self.request_id, self.access).await;
        // Whoever is let in again was refused a moment ago all the same.
        let again =
            || ApiError::admin(StatusCode::FORBIDDEN, "the right to this was lost meanwhile; try again");
        judged.err().unwrap_or_else(again)
    }
}

/// Finds the caller and holds it against what the route asks.
pub(super) async fn admit(
    request: &HttpRequest,
    state: &State,
    request_id: &str,
    access: Access,
) -> Result<Option<Caller>, ApiError> {
    if access == Access::Open {
        return Ok(None);
    }
    let inquiry = Inquiry::new(request, state, request_id);
    let caller = inquiry.caller(None).await?;
    request.extensions_mut().insert(Named(caller.principal.name.clone()));
    let (allowed, rule) = match access {
        Access::Open | Access::Anybody => (true, None),
        Access::Admin | Access::Accounts => (caller.principal.has_role(ADMIN), None),
        Access::Rules => {
            let decision = decide(state, &caller.principal, Action::ManagePolicy, None).await?;
            (decision.allowed, decision.rule)
        }
    };
    if !allowed {
        return Err(inquiry.deny(&caller, access.action(), None, rule).await?);
    }
    match state.registry.provider().managed_elsewhere() {
        Some(place) if access == Access::Accounts => Err(ApiError::admin(
            StatusCode::CONFLICT,
            format!("accounts and tokens are managed in {place}; the registry only asks it"),
        )),
        _ => Ok(Some(caller)),
    }
}

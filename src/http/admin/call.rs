//! What a handler of `/v1` gets, and how its caller is found and judged.

use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest};
use bytes::Bytes;
use mcr_actors::domain::RepositoryName;
use mcr_actors::policy::RuleId;

use super::changed::Changed;
use super::path::Target;
use crate::admin;
use crate::admin::access::Access;
use crate::admin::refusal::{Denied, Refusal};
use crate::admin::use_case::UseCase;
use crate::caller::Caller;
use crate::http::api::{self, Api};
use crate::http::auth::Inquiry;
use crate::http::call::Call;
use crate::http::error::ApiError;
use crate::http::note::Named;
use crate::http::origin::client;
use crate::http::state::State;

impl api::Access for UseCase {
    fn action(self) -> &'static str {
        self.access().action()
    }
}

/// The admin API: each of its routes is for a use case, and asks of its caller what that asks. Its handlers get the body whole;
/// empty where the route changes nothing.
#[derive(Debug)]
pub struct Admin;

impl Api for Admin {
    type Target = Target;
    type Access = UseCase;
    type Body = Bytes;
    type Changed = Changed;
}

/// A request of the admin API.
pub type AdminCall = Call<Admin>;

impl AdminCall {
    /// The same as the use case sees it.
    pub fn plain(&self) -> admin::call::Call {
        admin::call::Call {
            worker: self.state.worker.clone(),
            registry: self.state.registry.clone(),
            use_case: self.access,
            caller: self.caller.clone(),
            origin: self.origin(),
            address: client(&self.request, &self.state.options),
            settings: Arc::clone(&self.state.options.admin),
        }
    }

    /// Why a caller who was let in is not any more.
    pub(super) async fn refused(&self) -> ApiError {
        let judged = admit(&self.request, &self.state, &self.request_id, self.access.access()).await;
        // Whoever is let in again was refused a moment ago all the same.
        judged.err().unwrap_or_else(|| Refusal::lost().into())
    }

    /// The refusal of who may not do this to a repository, recorded.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub(super) async fn denied(
        &self,
        action: &str,
        repository: &RepositoryName,
        rule: Option<RuleId>,
    ) -> Result<ApiError, ApiError> {
        let caller = self.caller.as_ref().ok_or_else(Refusal::nobody)?;
        let inquiry = Inquiry::new(&self.request, &self.state, &self.request_id);
        inquiry.deny(caller, action, Some(repository), rule).await
    }

    /// Notes who a request turned out to come from.
    pub(super) fn named(&self, name: &str) {
        self.request.extensions_mut().insert(Named(name.to_owned()));
    }
}

/// Finds the caller and holds it against what the use case asks.
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
    match access.judge(&state.worker, &state.registry, Some(&caller)).await {
        Ok(()) => Ok(Some(caller)),
        Err(Refusal { denied: Some(Denied { action, rule }), .. }) => {
            Err(inquiry.deny(&caller, action, None, rule).await?)
        }
        Err(refusal) => Err(refusal.into()),
    }
}

//! What a use case gets beside its arguments.

use std::net::IpAddr;
use std::sync::Arc;

use mcr_actors::db::queries::permission;
use mcr_actors::domain::Origin;
use mcr_actors::registry::{Registry, Worker};

use super::settings::Settings;
use super::use_case::UseCase;
use crate::caller::Caller;

/// Somebody who asks for a use case, and was let in to it: [`Access::judge`](super::access::Access::judge) has judged.
#[derive(Debug, Clone)]
pub struct Call {
    /// The actors.
    pub worker: Worker,
    /// All of them, for who wants to know how they are.
    pub registry: Registry,
    /// What is asked for.
    pub use_case: UseCase,
    /// Who asks; nobody where nobody need be known.
    pub caller: Option<Caller>,
    /// Who causes what it changes, for the audit log.
    pub origin: Origin,
    /// From where it comes.
    pub address: Option<IpAddr>,
    /// What shapes it.
    pub settings: Arc<Settings>,
}

impl Call {
    /// By what right it changes something, to be asked for again in the transaction of the change. Accounts that are kept
    /// elsewhere cannot be asked for there.
    pub fn permission(&self) -> Option<permission::Caller> {
        let caller = self.caller.as_ref()?;
        Some(permission::Caller {
            principal: caller.principal.as_ref().clone(),
            token_hash: caller.token_hash,
            password: caller.password,
            right: self.use_case.access().right(),
            kept_here: self.registry.provider().managed_elsewhere().is_none(),
        })
    }
}

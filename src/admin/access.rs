//! What a use case asks of its caller.

use std::sync::Arc;

use mcr_actors::db::queries::permission::Right;
use mcr_actors::domain::Action;
use mcr_actors::policy::builtin::ADMIN;
use mcr_actors::policy::{Decide, Decision};
use mcr_actors::registry::{Registry, Worker};

use super::refusal::{Denied, Reason, Refusal};
use crate::caller::Caller;

/// What a use case asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// Any valid token; it shows only what is the caller's own, or what the caller may pull.
    Anybody,
    /// A token of a login, or the password, where the registry itself keeps the accounts: what is the caller's own is changed. A
    /// robot's token does not do: it could make itself live for ever.
    Own,
    /// The role `admin`.
    Admin,
    /// The role `admin`, where the registry itself keeps the accounts.
    Accounts,
    /// `policy:manage`.
    Rules,
}

impl Access {
    /// What it is called by in logs and refusals.
    pub fn action(self) -> &'static str {
        match self {
            Self::Open | Self::Anybody => "-",
            Self::Own => "self-service",
            Self::Admin | Self::Accounts => "administration",
            Self::Rules => Action::ManagePolicy.as_str(),
        }
    }

    /// What a change takes.
    pub(super) fn right(self) -> Right {
        match self {
            Self::Open | Self::Anybody | Self::Own => Right::Account,
            Self::Admin | Self::Accounts => Right::Role(ADMIN),
            Self::Rules => Right::Rules,
        }
    }

    /// Holds a caller against it, by what holds now. Whoever serves the use case records what was denied.
    ///
    /// # Errors
    /// When nobody asks and somebody must, when the caller may not, or where the accounts are managed elsewhere.
    pub async fn judge(
        self,
        worker: &Worker,
        registry: &Registry,
        caller: Option<&Caller>,
    ) -> Result<(), Refusal> {
        if self == Self::Open {
            return Ok(());
        }
        let caller = caller.ok_or_else(Refusal::nobody)?;
        let decision = self.decide(worker, caller).await?;
        if !decision.allowed {
            return Err(self.denied(caller, decision));
        }
        match registry.provider().managed_elsewhere() {
            Some(place) if matches!(self, Self::Accounts | Self::Own) => {
                let message =
                    format!("accounts and tokens are managed in {place}; the registry only asks it");
                Err(Refusal::new(Reason::ManagedElsewhere, message))
            }
            _ => Ok(()),
        }
    }

    async fn decide(self, worker: &Worker, caller: &Caller) -> Result<Decision, Refusal> {
        let by_role = |allowed| Ok(Decision { allowed, rule: None });
        match self {
            Self::Open | Self::Anybody => by_role(true),
            Self::Own => by_role(!caller.principal.is_anonymous() && !caller.of_robot),
            Self::Admin | Self::Accounts => by_role(caller.principal.has_role(ADMIN)),
            Self::Rules => {
                let principal = Arc::clone(&caller.principal);
                let action = Action::ManagePolicy;
                Ok(worker.policy.ask(Decide { principal, action, repository: None }).await?)
            }
        }
    }

    fn denied(self, caller: &Caller, Decision { rule, .. }: Decision) -> Refusal {
        let action = self.action();
        // Whoever did not log in could be helped by it.
        let reason = if caller.principal.is_anonymous() { Reason::NoCredentials } else { Reason::Denied };
        Refusal { denied: Some(Denied { action, rule }), ..Refusal::new(reason, caller.denied(action, None)) }
    }
}

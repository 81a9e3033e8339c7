//! What a caller sees of repositories: what it may pull, and an administrator all. What is not seen is not there.

use std::sync::Arc;

use mcr_actors::domain::{Action, Principal, RepositoryName};
use mcr_actors::policy::builtin::ADMIN;
use mcr_actors::policy::{Decision, Question, RuleSet, Rules};

use super::call::Call;
use super::refusal::Refusal;

/// What a caller sees, by the rules of one moment.
#[derive(Debug)]
pub struct Sight {
    principal: Arc<Principal>,
    rules: Arc<RuleSet>,
}

impl Sight {
    /// What this caller sees now.
    ///
    /// # Errors
    /// When nobody asks, or policy does not answer.
    pub async fn of(call: &Call) -> Result<Self, Refusal> {
        let caller = call.caller.as_ref().ok_or_else(Refusal::nobody)?;
        let rules = call.worker.policy.ask(Rules).await?;
        Ok(Self { principal: Arc::clone(&caller.principal), rules })
    }

    /// Whether it sees this one.
    pub fn shows(&self, repository: &RepositoryName) -> bool {
        self.is_administrators() || self.may(Action::Pull, repository)
    }

    /// Whether it is that of an administrator, who sees all.
    pub fn is_administrators(&self) -> bool {
        self.principal.has_role(ADMIN)
    }

    /// Whether the caller may do this to this one.
    pub fn may(&self, action: Action, repository: &RepositoryName) -> bool {
        self.decide(action, repository).allowed
    }

    /// The same with the rule that says so.
    pub fn decide(&self, action: Action, repository: &RepositoryName) -> Decision {
        let question = Question { principal: &self.principal, action, repository: Some(repository) };
        self.rules.decide(question)
    }

    /// The same as a refusal, which says no more than that nothing is there.
    ///
    /// # Errors
    /// When it is not seen.
    pub fn look_at(&self, repository: &RepositoryName) -> Result<(), Refusal> {
        if self.shows(repository) { Ok(()) } else { Err(unknown(repository)) }
    }
}

/// There is no such repository, or none that the caller may see.
pub(super) fn unknown(name: &RepositoryName) -> Refusal {
    Refusal::not_found(format_args!("repository {name}"))
}

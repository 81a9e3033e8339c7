//! The decision: any matching deny wins, else the matching allow with the lowest priority number, else deny.
//!
//! Pure: it knows no actor and no database.

use super::glob::{Glob, GlobError};
use crate::domain::{ADMIN, AccountType, Action, Algorithm, Digest, Principal, RepositoryName};

/// A rule's number: negative for the built-in ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub i64);

/// What a rule does to what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Lets it pass.
    Allow,
    /// Refuses it, whatever allows it.
    Deny,
}

impl Effect {
    /// Its name in columns and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// Why a rule is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The effect.
    #[error("the effect is allow or deny, not {0:?}")]
    Effect(String),
    /// An account type.
    #[error("an account type is human, system or anonymous, not {0:?}")]
    AccountType(String),
    /// An action.
    #[error("there is no action {0:?}")]
    Action(String),
    /// A pattern of repositories.
    #[error("{pattern:?}: {reason}")]
    Repositories {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: GlobError,
    },
    /// A role.
    #[error("a role is not empty")]
    Role,
    /// The priority.
    #[error("a priority is 1 or more, not {0}")]
    Priority(i64),
}

/// One rule. A field that is empty matches anything; all that are filled in must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its number.
    pub id: RuleId,
    /// Lower decides first among those that allow; 0 is the built-in rules'.
    pub priority: i64,
    /// What it does.
    pub effect: Effect,
    /// The principal has any of these.
    pub roles: Vec<String>,
    /// The principal is one of these.
    pub account_types: Vec<AccountType>,
    /// The principal is this one.
    pub subject: String,
    /// The action is one of these.
    pub actions: Vec<Action>,
    /// The repository matches one of these; global actions then do not match.
    pub repositories: Vec<Glob>,
    /// Whether it takes part.
    pub enabled: bool,
    /// What it is for, in the operator's words.
    pub description: String,
}

/// What to change of a rule; a field that is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleChange {
    /// See [`Rule::priority`].
    pub priority: Option<i64>,
    /// See [`Rule::effect`].
    pub effect: Option<Effect>,
    /// See [`Rule::roles`].
    pub roles: Option<Vec<String>>,
    /// See [`Rule::account_types`].
    pub account_types: Option<Vec<AccountType>>,
    /// See [`Rule::subject`].
    pub subject: Option<String>,
    /// See [`Rule::actions`].
    pub actions: Option<Vec<Action>>,
    /// See [`Rule::repositories`].
    pub repositories: Option<Vec<Glob>>,
    /// See [`Rule::enabled`].
    pub enabled: Option<bool>,
    /// See [`Rule::description`].
    pub description: Option<String>,
}

/// What is asked of policy.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// What.
    pub action: Action,
    /// Where; nothing for global actions.
    pub repository: Option<&'a RepositoryName>,
}

/// What policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// The rule that decided; none when nothing matched.
    pub rule: Option<RuleId>,
}

fn empty_or<T>(values: &[T], matches: impl FnMut(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(matches)
}

impl Rule {
    /// The digest of all its fields: two people who saw the same one saw the same rule.
    pub fn digest(&self) -> Digest {
        let Self { id, priority, effect, roles, subject, enabled, description, .. } = self;
        let kinds: Vec<&str> = self.account_types.iter().map(|kind| kind.as_str()).collect();
        let actions: Vec<&str> = self.actions.iter().map(|action| action.as_str()).collect();
        let globs: Vec<&str> = self.repositories.iter().map(Glob::as_str).collect();
        let effect = effect.as_str();
        let fields = serde_json::json!([
            id.0,
            priority,
            effect,
            roles,
            kinds,
            subject,
            actions,
            globs,
            enabled,
            description
        ]);
        Digest::of(Algorithm::Sha256, fields.to_string().as_bytes())
    }

    /// Whether it takes part in the question.
    pub fn matches(&self, question: &Question<'_>) -> bool {
        let Question { principal, action, repository } = question;
        // A global action has no repository, whatever was asked with it.
        let repository = repository.filter(|_| !action.is_global());
        self.enabled
            && empty_or(&self.actions, |mine| mine == action)
            && empty_or(&self.account_types, |mine| *mine == principal.account_type)
            && empty_or(&self.roles, |mine| principal.has_role(mine))
            && (self.subject.is_empty() || self.subject == principal.subject)
            && empty_or(&self.repositories, |mine| repository.is_some_and(|name| mine.matches(name.as_str())))
            && !self.would_lock_out(question)
    }

    /// A stored deny never keeps an administrator from the rules, so that nobody can lock out the last one.
    fn would_lock_out(&self, question: &Question<'_>) -> bool {
        self.effect == Effect::Deny
            && question.action == Action::ManagePolicy
            && question.principal.has_role(ADMIN)
    }
}

/// All rules, in the order in which they decide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

impl RuleSet {
    /// Puts the rules in order: denies first, then by priority, then by number.
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| (rule.effect == Effect::Allow, rule.priority, rule.id));
        Self { rules }
    }

    /// Every rule, in the order in which they decide.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Every rule that matches, the deciding one first.
    pub fn matching(&self, question: Question<'_>) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.matches(&question))
    }

    /// Decides.
    pub fn decide(&self, question: Question<'_>) -> Decision {
        match self.matching(question).next() {
            Some(rule) => Decision { allowed: rule.effect == Effect::Allow, rule: Some(rule.id) },
            None => Decision { allowed: false, rule: None },
        }
    }
}

#[cfg(test)]
mod tests;

//! A rule with who wrote it when.

use std::collections::HashMap;

use mcr_actors::db::queries::policy_rules::RuleHistory;
use mcr_actors::policy::{Rule, RuleId};

/// A rule as it decides, and who wrote it when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The rule.
    pub rule: Rule,
    /// Who wrote it; nothing of the built-in ones.
    pub history: Option<RuleHistory>,
}

/// Who wrote the stored rules, by their numbers.
pub(in crate::admin) type Histories = HashMap<RuleId, RuleHistory>;

/// The rule with its history.
pub(in crate::admin) fn ruling(rule: &Rule, histories: &Histories) -> Ruling {
    Ruling { rule: rule.clone(), history: histories.get(&rule.id).cloned() }
}

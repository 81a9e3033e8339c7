//! Rules as they would be after a change that nobody has made yet. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{Rule, RuleChange, RuleId, RuleSet};

/// Rules to add, to change and to leave out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// Rules that there would be. Their numbers are chosen as if they were made now, in this order.
    pub add: Vec<Rule>,
    /// What would be changed of rules that there are.
    pub change: BTreeMap<RuleId, RuleChange>,
    /// Rules that there would not be any more.
    pub remove: BTreeSet<RuleId>,
}

/// Why a draft cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// There is no such rule.
    #[error("there is no rule {}", .0.0)]
    Unknown(RuleId),
    /// It is one of those that are always there.
    #[error("rule {} is built in and cannot be changed", .0.0)]
    BuiltIn(RuleId),
    /// Two things are to become of it.
    #[error("rule {} is to be changed and left out: say one of both", .0.0)]
    Both(RuleId),
}

impl RuleChange {
    /// The rule as the change makes it.
    fn applied_to(&self, rule: &Rule) -> Rule {
        Rule {
            id: rule.id,
            priority: self.priority.unwrap_or(rule.priority),
            effect: self.effect.unwrap_or(rule.effect),
            roles: self.roles.clone().unwrap_or_else(|| rule.roles.clone()),
            account_types: self.account_types.clone().unwrap_or_else(|| rule.account_types.clone()),
            subject: self.subject.clone().unwrap_or_else(|| rule.subject.clone()),
            actions: self.actions.clone().unwrap_or_else(|| rule.actions.clone()),
            repositories: self.repositories.clone().unwrap_or_else(|| rule.repositories.clone()),
            enabled: self.enabled.unwrap_or(rule.enabled),
            description: self.description.clone().unwrap_or_else(|| rule.description.clone()),
        }
    }
}

impl Draft {
    /// Whether each rule that it names is there, can be changed, and is named for one thing.
    fn check(&self, rules: &RuleSet) -> Result<(), DraftError> {
        if let Some(id) = self.change.keys().find(|id| self.remove.contains(id)) {
            return Err(DraftError::Both(*id));
        }
        let known: BTreeSet<RuleId> = rules.rules().iter().map(|rule| rule.id).collect();
        for id in self.change.keys().chain(&self.remove) {
            if !known.contains(id) {
                return Err(DraftError::Unknown(*id));
            }
            if id.0 < 1 {
                return Err(DraftError::BuiltIn(*id));
            }
        }
        Ok(())
    }
}

impl RuleSet {
    /// The rules as the draft makes them. A rule that is added has a number above all others, so it comes after those of its
    /// priority, as it would if it were made.
    ///
    /// # Errors
    /// When the draft names a rule that is not there, that is built in, or for two things.
    pub fn with(&self, draft: &Draft) -> Result<Self, DraftError> {
        draft.check(self)?;
        let kept = self.rules().iter().filter(|rule| !draft.remove.contains(&rule.id));
        let mut rules: Vec<Rule> = kept
            .map(|rule| {
                draft.change.get(&rule.id).map_or_else(|| rule.clone(), |change| change.applied_to(rule))
            })
            .collect();
        let last = self.rules().iter().map(|rule| rule.id.0).max().unwrap_or_default().max(0);
        let added = (1..).map(|further| last.saturating_add(further)).zip(draft.add.iter().cloned());
        rules.extend(added.map(|(id, rule)| Rule { id: RuleId(id), ..rule }));
        Ok(Self::new(rules))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Action, Principal};
    use crate::policy::{Decision, Effect, Question, builtin};

    fn rule(id: i64, priority: i64, effect: Effect) -> Rule {
        Rule { id: RuleId(id), priority, effect, ..builtin::rules(true).remove(2) }
    }

    fn rules() -> RuleSet {
        let anything = |id, effect| Rule { actions: Vec::new(), ..rule(id, 5, effect) };
        RuleSet::new(
            [builtin::rules(true), vec![anything(3, Effect::Allow), anything(7, Effect::Deny)]].concat(),
        )
    }

    fn decide(rules: &RuleSet) -> Decision {
        let principal = Principal::anonymous();
        rules.decide(Question { principal: &principal, action: Action::Catalog, repository: None })
    }

    fn by(allowed: bool, rule: i64) -> Decision {
        Decision { allowed, rule: Some(RuleId(rule)) }
    }

    #[test]
    fn a_draft_decides_as_if_it_were_made_and_changes_nothing() {
        let rules = rules();
        assert_eq!(rules.with(&Draft::default()), Ok(rules.clone()));
        assert_eq!(decide(&rules), by(false, 7));
        let without = Draft { remove: [RuleId(7)].into(), ..Draft::default() };
        assert_eq!(decide(&rules.with(&without).unwrap()), by(true, 3));
        let off = RuleChange { enabled: Some(false), ..RuleChange::default() };
        let off = Draft { change: [(RuleId(7), off)].into(), ..Draft::default() };
        let drafted = rules.with(&off).unwrap();
        assert_eq!(decide(&drafted), by(true, 3));
        let changed = drafted.rules().iter().find(|rule| rule.id == RuleId(7)).unwrap();
        assert_eq!((changed.enabled, changed.effect, changed.priority), (false, Effect::Deny, 5));
        // Added ones come after those of their priority, in their order.
        let allow = |priority| Rule { actions: Vec::new(), ..rule(0, priority, Effect::Allow) };
        let added = Draft { add: vec![allow(5), allow(1), allow(1)], ..without.clone() };
        assert_eq!(decide(&rules.with(&added).unwrap()), by(true, 9));
        let same = Draft { add: vec![allow(5)], ..without };
        assert_eq!(decide(&rules.with(&same).unwrap()), by(true, 3));
        assert_eq!(decide(&rules), by(false, 7));
    }

    #[test]
    fn a_draft_of_what_is_not_there_is_none() {
        let rules = rules();
        let remove = |id| Draft { remove: [RuleId(id)].into(), ..Draft::default() };
        assert_eq!(rules.with(&remove(4)), Err(DraftError::Unknown(RuleId(4))));
        assert_eq!(rules.with(&remove(-1)), Err(DraftError::BuiltIn(RuleId(-1))));
        let both = Draft { change: [(RuleId(3), RuleChange::default())].into(), ..remove(3) };
        assert_eq!(rules.with(&both), Err(DraftError::Both(RuleId(3))));
        let full = RuleSet::new(vec![rule(i64::MAX, 1, Effect::Allow)]);
        let add = Draft { add: vec![rule(0, 1, Effect::Allow); 2], ..Draft::default() };
        assert_eq!(full.with(&add).unwrap().rules().len(), 3);
    }
}

//! Who may do what to one repository, for who looks at it. Pure.

use std::collections::BTreeSet;

use super::rules::{Decision, Question, Rule, RuleSet};
use crate::domain::{ADMIN, AccountType, Action, Principal, RepositoryName};

/// What somebody may do to a repository, and by which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Read it.
    pub pull: Decision,
    /// Write to it.
    pub push: Decision,
    /// Delete from it.
    pub delete: Decision,
}

impl Rights {
    /// Each decision.
    pub fn decisions(&self) -> [Decision; 3] {
        [self.pull, self.push, self.delete]
    }
}

/// The actions that concern one repository.
const ACTIONS: [Action; 3] = [Action::Pull, Action::Push, Action::Delete];

impl Rule {
    /// Whether it can say anything about this repository, to whomever.
    fn concerns(&self, repository: &RepositoryName) -> bool {
        let names = self.repositories.is_empty()
            || self.repositories.iter().any(|mine| mine.matches(repository.as_str()));
        let acts = self.actions.is_empty() || self.actions.iter().any(|mine| ACTIONS.contains(mine));
        self.enabled && names && acts
    }
}

impl RuleSet {
    /// What a principal may do to a repository.
    pub fn rights(&self, principal: &Principal, repository: &RepositoryName) -> Rights {
        let decide = |action| self.decide(Question { principal, action, repository: Some(repository) });
        Rights { pull: decide(Action::Pull), push: decide(Action::Push), delete: decide(Action::Delete) }
    }

    /// The kinds of principals that rules tell apart at a repository, whoever there is: nobody in particular, people and services
    /// without a role, and both with each role that a rule names which concerns it.
    pub fn kinds(&self, repository: &RepositoryName) -> Vec<Principal> {
        let concerning = self.rules().iter().filter(|rule| rule.concerns(repository));
        let named: BTreeSet<&str> = concerning.flat_map(|rule| &rule.roles).map(String::as_str).collect();
        // What an administrator may is worth a line although everybody knows it.
        let roles = named.into_iter().filter(|role| *role != ADMIN).chain([ADMIN]);
        let types = [AccountType::Human, AccountType::System];
        let of = |account_type, roles| Principal {
            subject: String::new(),
            name: String::new(),
            account_type,
            roles,
        };
        let plain = types.map(|account_type| of(account_type, Vec::new()));
        let with_role =
            roles.flat_map(|role| types.map(|account_type| of(account_type, vec![role.to_owned()])));
        [Principal::anonymous()].into_iter().chain(plain).chain(with_role).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::glob::Glob;
    use crate::policy::{Effect, RuleId, builtin};

    fn rule(id: i64, roles: &[&str], repositories: &[&str]) -> Rule {
        Rule {
            id: RuleId(id),
            priority: 1,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            actions: vec![Action::Push],
            repositories: repositories.iter().map(|glob| Glob::parse(glob).unwrap()).collect(),
            ..builtin::rules(true).remove(2)
        }
    }

    #[test]
    fn kinds_are_those_that_rules_about_the_repository_tell_apart() {
        let of_others = rule(3, &["elsewhere"], &["prod/**"]);
        let off = Rule { enabled: false, ..rule(4, &["off"], &[]) };
        let global = Rule { actions: vec![Action::Catalog], ..rule(5, &["lister"], &[]) };
        let rules = vec![rule(1, &["builder"], &["ci/*"]), rule(2, &["all"], &[]), of_others, off, global];
        let rules = RuleSet::new([builtin::rules(true), rules].concat());
        let repository = "ci/app".parse().unwrap();
        let kinds = rules.kinds(&repository);
        let words =
            kinds.iter().map(|kind| format!("{} {}", kind.account_type.as_str(), kind.roles.join(",")));
        let expected = [
            "anonymous ",
            "human ",
            "system ",
            "human all",
            "system all",
            "human builder",
            "system builder",
            "human admin",
            "system admin",
        ];
        assert_eq!(words.collect::<Vec<_>>(), expected);
        let rights: Vec<[Option<i64>; 3]> = kinds
            .iter()
            .map(|kind| {
                rules.rights(kind, &repository).decisions().map(|decision| decision.rule.map(|rule| rule.0))
            })
            .collect();
        assert_eq!((rights[0], rights[1], rights[2]), ([None; 3], [Some(-2); 3], [None; 3]));
        assert_eq!(rights[6], [None, Some(1), None]);
        assert_eq!(rights[8], [Some(-1); 3]);
    }

    #[test]
    fn a_deny_is_a_right_that_is_not_there_with_the_rule_that_takes_it() {
        let deny = Rule { effect: Effect::Deny, ..rule(1, &[], &["ci/*"]) };
        let rules = RuleSet::new([builtin::rules(true), vec![deny]].concat());
        let person = Principal { account_type: AccountType::Human, ..Principal::anonymous() };
        let rights = rules.rights(&person, &"ci/app".parse().unwrap());
        let denied = Decision { allowed: false, rule: Some(RuleId(1)) };
        assert_eq!((rights.push, rights.pull.allowed), (denied, true));
    }
}

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::policy::builtin;

const ROLES: [&str; 3] = ["admin", "dev", "ci"];
const SUBJECTS: [&str; 3] = ["", "s1", "s2"];
const GLOBS: [&str; 5] = ["**", "a/*", "a/**", "b", "?"];
const NAMES: [&str; 4] = ["a/x", "a/x/y", "b", "c"];
const ACCOUNTS: [AccountType; 3] = [AccountType::Human, AccountType::System, AccountType::Anonymous];

fn principal() -> impl Strategy<Value = Principal> {
    (select(&SUBJECTS[1..]), select(&ACCOUNTS[..]), subsequence(&ROLES[..], 0..=2)).prop_map(
        |(subject, account_type, roles)| Principal {
            subject: subject.to_owned(),
            name: "n".to_owned(),
            account_type,
            roles: roles.into_iter().map(str::to_owned).collect(),
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    (
        1..4i64,
        any::<bool>(),
        subsequence(&ROLES[..], 0..=2),
        subsequence(&ACCOUNTS[..], 0..=2),
        select(&SUBJECTS[..]),
        subsequence(&Action::ALL[..], 0..=3),
        subsequence(&GLOBS[..], 0..=2),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(priority, deny, roles, account_types, subject, actions, globs, enabled)| Rule {
            id: RuleId(0),
            priority,
            effect: if deny { Effect::Deny } else { Effect::Allow },
            roles: roles.into_iter().map(str::to_owned).collect(),
            account_types,
            subject: subject.to_owned(),
            actions,
            repositories: globs.into_iter().map(|glob| Glob::parse(glob).unwrap()).collect(),
            enabled,
            description: String::new(),
        })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(rule(), 0..8).prop_map(|mut rules| {
        for (id, rule) in (1..).zip(&mut rules) {
            rule.id = RuleId(id);
        }
        rules
    })
}

fn repository() -> impl Strategy<Value = Option<RepositoryName>> {
    prop::option::of(select(&NAMES[..]).prop_map(|name| name.parse().unwrap()))
}

proptest! {
    /// The specification's three sentences, one after another.
    #[test]
    fn it_decides_as_the_specification_says(
        rules in rules(), principal in principal(), action in select(&Action::ALL[..]), repository in repository()
    ) {
        let question = Question { principal: &principal, action, repository: repository.as_ref() };
        let matching: Vec<&Rule> = rules.iter().filter(|rule| rule.matches(&question)).collect();
        let lowest = |effect| matching.iter().filter(|rule| rule.effect == effect).min_by_key(|rule| (rule.priority, rule.id));
        let expected = match (lowest(Effect::Deny), lowest(Effect::Allow)) {
            (Some(deny), _) => Decision { allowed: false, rule: Some(deny.id) },
            (None, Some(allow)) => Decision { allowed: true, rule: Some(allow.id) },
            (None, None) => Decision { allowed: false, rule: None },
        };
        prop_assert_eq!(RuleSet::new(rules.clone()).decide(question), expected);
    }

    #[test]
    fn the_order_of_the_rules_does_not_matter(
        mut rules in rules(), principal in principal(), action in select(&Action::ALL[..]), repository in repository()
    ) {
        let question = Question { principal: &principal, action, repository: repository.as_ref() };
        let before = RuleSet::new(rules.clone()).decide(question);
        rules.reverse();
        prop_assert_eq!(RuleSet::new(rules).decide(question), before);
    }

    #[test]
    fn nobody_can_lock_out_an_administrator(rules in rules(), mut principal in principal()) {
        principal.roles.push(builtin::ADMIN.to_owned());
        let all = RuleSet::new(rules.into_iter().chain(builtin::rules(true)).collect());
        let question = Question { principal: &principal, action: Action::ManagePolicy, repository: None };
        prop_assert!(all.decide(question).allowed);
    }

    #[test]
    fn a_rule_for_repositories_never_matches_a_global_action(
        rule in rule(), principal in principal(), repository in repository()
    ) {
        for action in [Action::VersionCheck, Action::Catalog, Action::ManagePolicy] {
            let question = Question { principal: &principal, action, repository: repository.as_ref() };
            prop_assert!(rule.repositories.is_empty() || !rule.matches(&question));
        }
    }

    #[test]
    fn the_first_of_what_matches_decides(
        rules in rules(), principal in principal(), action in select(&Action::ALL[..]), repository in repository()
    ) {
        let question = Question { principal: &principal, action, repository: repository.as_ref() };
        let all = RuleSet::new(rules.clone());
        let matching: Vec<RuleId> = all.matching(question).map(|rule| rule.id).collect();
        prop_assert_eq!(all.decide(question).rule, matching.first().copied());
        prop_assert_eq!(matching.len(), rules.iter().filter(|rule| rule.matches(&question)).count());
    }
}

/// The specification's words on when a rule takes part, spelled out one by one.
fn takes_part(rule: &Rule, question: &Question<'_>) -> bool {
    let Question { principal, action, repository } = *question;
    let of_action = rule.actions.is_empty() || rule.actions.contains(&action);
    let of_account = rule.account_types.is_empty() || rule.account_types.contains(&principal.account_type);
    let of_role = rule.roles.is_empty() || rule.roles.iter().any(|role| principal.roles.contains(role));
    let of_subject = rule.subject.is_empty() || rule.subject == principal.subject;
    let of_repository = rule.repositories.is_empty()
        || match (action, repository) {
            (Action::Pull | Action::Push | Action::Delete, Some(name)) => {
                rule.repositories.iter().any(|glob| glob.matches(name.as_str()))
            }
            _ => false,
        };
    let spares_administrators = rule.effect == Effect::Deny
        && action == Action::ManagePolicy
        && principal.roles.iter().any(|role| role == "admin");
    rule.enabled
        && of_action
        && of_account
        && of_role
        && of_subject
        && of_repository
        && !spares_administrators
}

proptest! {
    #[test]
    fn a_rule_takes_part_as_the_specification_says(
        rule in rule(), principal in principal(), action in select(&Action::ALL[..]), repository in repository()
    ) {
        let question = Question { principal: &principal, action, repository: repository.as_ref() };
        prop_assert_eq!(rule.matches(&question), takes_part(&rule, &question));
    }
}

fn decide(account_type: AccountType, roles: &[&str], action: Action, human_access: bool) -> Decision {
    let principal = Principal {
        subject: "s".to_owned(),
        name: "n".to_owned(),
        account_type,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    let repository = "a/x".parse().unwrap();
    RuleSet::new(builtin::rules(human_access)).decide(Question {
        principal: &principal,
        action,
        repository: Some(&repository),
    })
}

#[test]
fn the_built_in_rules() {
    for action in Action::ALL {
        // Of equal priorities the lowest number decides.
        let rule = if action == Action::VersionCheck { RuleId(-3) } else { RuleId(-1) };
        assert_eq!(decide(AccountType::System, &["admin"], action, false).rule, Some(rule), "{action}");
    }
    for action in [Action::Pull, Action::Push, Action::Delete, Action::Catalog] {
        assert_eq!(decide(AccountType::Human, &[], action, true).rule, Some(RuleId(-2)), "{action}");
        for (account_type, human_access) in
            [(AccountType::Human, false), (AccountType::System, true), (AccountType::Anonymous, true)]
        {
            let decision = decide(account_type, &["dev"], action, human_access);
            assert_eq!(decision, Decision { allowed: false, rule: None }, "{account_type:?} {action}");
        }
    }
    for account_type in ACCOUNTS {
        assert!(decide(account_type, &[], Action::VersionCheck, false).allowed);
        assert!(!decide(account_type, &[], Action::ManagePolicy, true).allowed);
    }
}

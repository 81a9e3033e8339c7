//! The rules that are always there, with priority 0 and negative numbers.

use super::rules::{Effect, Rule, RuleId};
pub use crate::domain::ADMIN;
use crate::domain::{AccountType, Action};

fn allow(id: i64) -> Rule {
    Rule {
        id: RuleId(id),
        priority: 0,
        effect: Effect::Allow,
        roles: Vec::new(),
        account_types: Vec::new(),
        subject: String::new(),
        actions: Vec::new(),
        repositories: Vec::new(),
        enabled: true,
        description: String::new(),
    }
}

/// −1: administrators may do everything. −2: people may pull, push, delete and catalog, where `human_access` says so.
/// −3: whoever has a token may check the version.
pub fn rules(human_access: bool) -> Vec<Rule> {
    vec![
        Rule {
            roles: vec![ADMIN.to_owned()],
            description: "administrators may do everything".to_owned(),
            ..allow(-1)
        },
        Rule {
            account_types: vec![AccountType::Human],
            actions: vec![Action::Pull, Action::Push, Action::Delete, Action::Catalog],
            enabled: human_access,
            description: "people may pull, push, delete and list".to_owned(),
            ..allow(-2)
        },
        Rule {
            actions: vec![Action::VersionCheck],
            description: "whoever has a token may check the version".to_owned(),
            ..allow(-3)
        },
    ]
}

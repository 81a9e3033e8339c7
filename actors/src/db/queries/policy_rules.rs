//! The stored rules of policy.

use rusqlite::{Connection, Row};

use crate::db::{DbError, ReadQuery};
use crate::domain::{AccountType, Action};
use crate::policy::glob::Glob;
use crate::policy::{Effect, PolicyError, Rule, RuleError, RuleId};

/// Every stored rule. One that is not valid fails the whole: a rule that is skipped could be a deny.
#[derive(Debug)]
pub struct ListRules;

/// A rule as its row has it.
struct Stored {
    id: i64,
    priority: i64,
    effect: String,
    roles: String,
    account_types: String,
    subject: String,
    actions: String,
    repositories: String,
    enabled: bool,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        id: row.get(0)?,
        priority: row.get(1)?,
        effect: row.get(2)?,
        roles: row.get(3)?,
        account_types: row.get(4)?,
        subject: row.get(5)?,
        actions: row.get(6)?,
        repositories: row.get(7)?,
        enabled: row.get(8)?,
    })
}

impl ReadQuery for ListRules {
    type Output = Result<Vec<Rule>, PolicyError>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut statement = db.prepare_cached(
            "SELECT id, priority, effect, roles, account_types, subject_uuid, actions, repositories, enabled
               FROM policy_rules ORDER BY id",
        )?;
        let rows = statement.query_map([], stored)?.collect::<Result<Vec<_>, _>>()?;
        Ok(rows.into_iter().map(parse).collect())
    }
}

fn parse(stored: Stored) -> Result<Rule, PolicyError> {
    let id = stored.id;
    parse_fields(stored).map_err(|reason| PolicyError::BadRule { id, reason })
}

fn parse_fields(stored: Stored) -> Result<Rule, String> {
    let words = |json: &str| serde_json::from_str::<Vec<String>>(json).map_err(|error| error.to_string());
    let text = |error: RuleError| error.to_string();
    let account_type =
        |word: String| word.parse::<AccountType>().map_err(|_| text(RuleError::AccountType(word)));
    let action = |word: String| word.parse::<Action>().map_err(|_| text(RuleError::Action(word)));
    let glob = |pattern: String| {
        Glob::parse(&pattern).map_err(|reason| text(RuleError::Repositories { pattern, reason }))
    };
    let roles = words(&stored.roles)?;
    if roles.iter().any(String::is_empty) {
        return Err(text(RuleError::Role));
    }
    if stored.priority < 1 {
        return Err(text(RuleError::Priority(stored.priority)));
    }
    Ok(Rule {
        id: RuleId(stored.id),
        priority: stored.priority,
        effect: match stored.effect.as_str() {
            "allow" => Effect::Allow,
            "deny" => Effect::Deny,
            _ => return Err(text(RuleError::Effect(stored.effect))),
        },
        roles,
        account_types: words(&stored.account_types)?
            .into_iter()
            .map(account_type)
            .collect::<Result<_, _>>()?,
        subject: stored.subject,
        actions: words(&stored.actions)?.into_iter().map(action).collect::<Result<_, _>>()?,
        repositories: words(&stored.repositories)?.into_iter().map(glob).collect::<Result<_, _>>()?,
        enabled: stored.enabled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::queries::testing::database;

    #[test]
    fn stored_rules_are_read_whole_or_refused() {
        let db = database();
        db.execute(
            "INSERT INTO policy_rules (priority, effect, roles, account_types, actions, repositories, enabled)
             VALUES (7, 'deny', '[\"ci\"]', '[\"system\"]', '[\"registry:push\"]', '[\"a/**\"]', 0)",
            [],
        )
        .unwrap();
        let rules = ListRules.run(&db).unwrap().unwrap();
        assert_eq!((rules[0].id, rules[0].priority, rules[0].effect), (RuleId(1), 7, Effect::Deny));
        assert_eq!((rules[0].repositories[0].as_str(), rules[0].enabled), ("a/**", false));
        for bad in
            ["repositories = '[\"A\"]'", "actions = 'x'", "roles = '[\"\"]'", "account_types = '[\"robot\"]'"]
        {
            db.execute_batch("SAVEPOINT s").unwrap();
            db.execute(&format!("UPDATE policy_rules SET {bad}"), []).unwrap();
            assert!(matches!(ListRules.run(&db).unwrap(), Err(PolicyError::BadRule { id: 1, .. })), "{bad}");
            db.execute_batch("ROLLBACK TO s").unwrap();
        }
    }
}

//! The stored rules of policy.

use std::collections::HashMap;

use rusqlite::{Connection, Row};

use crate::db::{DbError, ReadQuery, WriteQuery};
use crate::domain::{AccountType, Action, Timestamp};
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
    description: String,
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
        description: row.get(9)?,
    })
}

impl ReadQuery for ListRules {
    type Output = Result<Vec<Rule>, PolicyError>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut statement = db.prepare_cached(
            "SELECT id, priority, effect, roles, account_types, subject_uuid, actions, repositories, enabled,
                    description
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
        description: stored.description,
    })
}

/// Who wrote a rule, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleHistory {
    /// The name of who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The history of the stored rules, by number.
#[derive(Debug)]
pub struct RuleHistories;

impl ReadQuery for RuleHistories {
    type Output = HashMap<RuleId, RuleHistory>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut statement =
            db.prepare_cached("SELECT id, created_by, created_at, updated_at FROM policy_rules")?;
        let rows = statement.query_map([], |row| {
            let history = RuleHistory {
                created_by: row.get(1)?,
                created_at: Timestamp::from_millis(row.get(2)?),
                updated_at: Timestamp::from_millis(row.get(3)?),
            };
            Ok((RuleId(row.get(0)?), history))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Stores a rule: a new one when its number is 0, else in place of the one with its number. Answers the number, or `None`
/// when there is no rule to replace.
#[derive(Debug)]
pub struct StoreRule {
    /// The rule, which was checked.
    pub rule: Rule,
    /// The name of who stores it.
    pub by: String,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for StoreRule {
    type Output = Option<RuleId>;
    type Error = DbError;

    fn run(self, tx: &Connection) -> Result<Self::Output, DbError> {
        let Self { rule, by, now } = self;
        let words = |words: Vec<&str>| serde_json::to_string(&words).unwrap_or_else(|_| "[]".to_owned());
        let fields = (
            rule.priority,
            rule.effect.as_str(),
            words(rule.roles.iter().map(String::as_str).collect()),
            words(rule.account_types.iter().map(|kind| kind.as_str()).collect()),
            rule.subject.as_str(),
            words(rule.actions.iter().map(|action| action.as_str()).collect()),
            words(rule.repositories.iter().map(Glob::as_str).collect()),
            rule.enabled,
            rule.description.as_str(),
            now.as_millis(),
        );
        let (priority, effect, roles, kinds, subject, actions, globs, enabled, description, now) = fields;
        if rule.id == RuleId(0) {
            tx.prepare_cached(
                "INSERT INTO policy_rules (priority, effect, roles, account_types, subject_uuid, actions, repositories,
                                           enabled, description, created_by, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
            )?
            .execute((priority, effect, roles, kinds, subject, actions, globs, enabled, description, by, now))?;
            return Ok(Some(RuleId(tx.last_insert_rowid())));
        }
        let updated = tx
            .prepare_cached(
                "UPDATE policy_rules SET priority = ?1, effect = ?2, roles = ?3, account_types = ?4, subject_uuid = ?5,
                        actions = ?6, repositories = ?7, enabled = ?8, description = ?9, updated_at = ?10
                  WHERE id = ?11",
            )?
            .execute((
                priority, effect, roles, kinds, subject, actions, globs, enabled, description, now, rule.id.0,
            ))?;
        Ok((updated == 1).then_some(rule.id))
    }
}

/// Deletes a stored rule. Says whether it was there.
#[derive(Debug)]
pub struct DeleteRule(pub RuleId);

impl WriteQuery for DeleteRule {
    type Output = bool;
    type Error = DbError;

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        Ok(tx.prepare_cached("DELETE FROM policy_rules WHERE id = ?1")?.execute([self.0.0])? == 1)
    }
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

    #[test]
    fn a_rule_is_stored_read_back_replaced_and_deleted() {
        use crate::db::queries::testing::NOW;
        let db = database();
        let rule = Rule {
            id: RuleId(0),
            priority: 5,
            effect: Effect::Allow,
            roles: vec!["ci".to_owned()],
            account_types: vec![AccountType::System],
            subject: "s".to_owned(),
            actions: vec![Action::Push],
            repositories: vec![Glob::parse("ci/**").unwrap()],
            enabled: true,
            description: "builds".to_owned(),
        };
        let store = |rule: Rule| StoreRule { rule, by: "ada".to_owned(), now: NOW }.run(&db).unwrap();
        let id = store(rule.clone()).unwrap();
        let rule = Rule { id, ..rule };
        assert_eq!(ListRules.run(&db).unwrap().unwrap(), vec![rule.clone()]);
        let changed = Rule { enabled: false, ..rule };
        assert_eq!(store(changed.clone()), Some(id));
        assert_eq!(ListRules.run(&db).unwrap().unwrap(), vec![changed.clone()]);
        assert_eq!(RuleHistories.run(&db).unwrap()[&id].created_by, "ada");
        assert_eq!(store(Rule { id: RuleId(99), ..changed }), None);
        assert!(DeleteRule(id).run(&db).unwrap() && !DeleteRule(id).run(&db).unwrap());
    }
}

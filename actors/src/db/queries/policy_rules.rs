//! The stored rules of policy.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::db::{ChangeError, DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{AccountType, Action, Digest, Precondition, Timestamp};
use crate::policy::glob::Glob;
use crate::policy::{Effect, PolicyError, Rule, RuleChange, RuleError, RuleId};

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

const COLUMNS: &str =
    "id, priority, effect, roles, account_types, subject_uuid, actions, repositories, enabled, description";

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
        let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM policy_rules ORDER BY id"))?;
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

/// Why a stored rule was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RuleChangeError {
    /// It is not what the request asks for; this is the digest of what it is.
    #[error("the rule was changed meanwhile: read it again")]
    Precondition(Digest),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl ChangeError for RuleChangeError {
    fn of_database(&self) -> Option<&DbError> {
        match self {
            Self::Db(error) => Some(error),
            Self::Precondition(_) => None,
        }
    }
}

impl From<rusqlite::Error> for RuleChangeError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error.into())
    }
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    serde_json::json!(words.into_iter().collect::<Vec<_>>()).to_string()
}

/// The stored rule of this number.
fn find(db: &Connection, id: RuleId) -> Result<Option<Rule>, DbError> {
    let found = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM policy_rules WHERE id = ?1"))?
        .query_row([id.0], stored)
        .optional()?;
    found.map(parse).transpose().map_err(|error| DbError::Corrupt { what: "rule", value: error.to_string() })
}

/// The stored rule of this number, as far as it is what the request asks for.
fn expect(db: &Connection, id: RuleId, precondition: &Precondition) -> Result<Option<Rule>, RuleChangeError> {
    let found = find(db, id)?;
    match found.as_ref().map(Rule::digest) {
        Some(digest) if !precondition.holds(Some(&digest)) => Err(RuleChangeError::Precondition(digest)),
        _ => Ok(found),
    }
}

/// Makes a rule, which was checked; its number is not looked at. Answers the one that it has.
#[derive(Debug, Clone)]
pub struct CreateRule {
    /// The rule.
    pub rule: Rule,
    /// The name of who makes it.
    pub by: String,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for CreateRule {
    type Output = RuleId;
    type Error = RuleChangeError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

    fn run(self, tx: &Connection) -> Result<RuleId, RuleChangeError> {
        let Self { rule, by, now } = self;
        tx.prepare_cached(
            "INSERT INTO policy_rules (priority, effect, roles, account_types, subject_uuid, actions, repositories,
                                       enabled, description, created_by, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
        )?
        .execute((
            rule.priority,
            rule.effect.as_str(),
            words(rule.roles.iter().map(String::as_str)),
            words(rule.account_types.iter().map(|kind| kind.as_str())),
            rule.subject,
            words(rule.actions.iter().map(|action| action.as_str())),
            words(rule.repositories.iter().map(Glob::as_str)),
            rule.enabled,
            rule.description,
            by,
            now.as_millis(),
        ))?;
        Ok(RuleId(tx.last_insert_rowid()))
    }
}

/// Changes what is given of a stored rule, in one statement: what is not given stays whatever it is by then. Answers the
/// rule as it is now, or `None` when there is none.
#[derive(Debug, Clone)]
pub struct UpdateRule {
    /// Which.
    pub id: RuleId,
    /// What is given, which was checked.
    pub change: RuleChange,
    /// What the request asks of the rule as it is.
    pub precondition: Precondition,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for UpdateRule {
    type Output = Option<Rule>;
    type Error = RuleChangeError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<Self::Output, RuleChangeError> {
        let Self { id, change, precondition, now } = self;
        if expect(tx, id, &precondition)?.is_none() {
            return Ok(None);
        }
        tx.prepare_cached(
            "UPDATE policy_rules SET priority = coalesce(?2, priority), effect = coalesce(?3, effect),
                    roles = coalesce(?4, roles), account_types = coalesce(?5, account_types),
                    subject_uuid = coalesce(?6, subject_uuid), actions = coalesce(?7, actions),
                    repositories = coalesce(?8, repositories), enabled = coalesce(?9, enabled),
                    description = coalesce(?10, description), updated_at = ?11
              WHERE id = ?1",
        )?
        .execute((
            id.0,
            change.priority,
            change.effect.map(Effect::as_str),
            change.roles.map(|roles| words(roles.iter().map(String::as_str))),
            change.account_types.map(|kinds| words(kinds.iter().map(|kind| kind.as_str()))),
            change.subject,
            change.actions.map(|actions| words(actions.iter().map(|action| action.as_str()))),
            change.repositories.map(|globs| words(globs.iter().map(Glob::as_str))),
            change.enabled,
            change.description,
            now.as_millis(),
        ))?;
        Ok(find(tx, id)?)
    }
}

/// Deletes a stored rule. Answers what it was, or `None` when there was none.
#[derive(Debug, Clone)]
pub struct DeleteRule {
    /// Which.
    pub id: RuleId,
    /// What the request asks of the rule as it is.
    pub precondition: Precondition,
}

impl WriteQuery for DeleteRule {
    type Output = Option<Rule>;
    type Error = RuleChangeError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<Self::Output, RuleChangeError> {
        let rule = expect(tx, self.id, &self.precondition)?;
        tx.prepare_cached("DELETE FROM policy_rules WHERE id = ?1")?.execute([self.id.0])?;
        Ok(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::queries::testing::{NOW, database};

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

    fn rule() -> Rule {
        Rule {
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
        }
    }

    fn create(db: &Connection) -> RuleId {
        CreateRule { rule: rule(), by: "ada".to_owned(), now: NOW }.run(db).unwrap()
    }

    fn asking(if_match: &Digest) -> Precondition {
        Precondition::read(Some(&format!("\"{if_match}\"")), None)
    }

    #[test]
    fn a_rule_is_stored_read_back_changed_and_deleted_as_long_as_it_is_what_was_asked_for() {
        let db = database();
        let id = create(&db);
        let rule = Rule { id, ..rule() };
        assert_eq!(ListRules.run(&db).unwrap().unwrap(), vec![rule.clone()]);
        assert_eq!(RuleHistories.run(&db).unwrap()[&id].created_by, "ada");
        let change = RuleChange { enabled: Some(false), ..RuleChange::default() };
        let update =
            |id, precondition| UpdateRule { id, change: change.clone(), precondition, now: NOW }.run(&db);
        let changed = update(id, asking(&rule.digest())).unwrap().unwrap();
        assert_eq!(changed, Rule { enabled: false, ..rule.clone() });
        assert!(matches!(update(RuleId(99), Precondition::default()), Ok(None)));
        let delete = |precondition| DeleteRule { id, precondition }.run(&db);
        for refused in [update(id, asking(&rule.digest())), delete(asking(&rule.digest()))] {
            assert!(
                matches!(refused, Err(RuleChangeError::Precondition(found)) if found == changed.digest())
            );
        }
        assert_eq!(delete(asking(&changed.digest())).unwrap(), Some(changed));
        assert_eq!(delete(Precondition::default()).unwrap(), None);
    }

    /// The fields of a change that are given, by bits.
    fn part(bits: u16) -> RuleChange {
        let given = |bit: u16| bits >> bit & 1 == 1;
        RuleChange {
            priority: given(0).then_some(9),
            effect: given(1).then_some(Effect::Deny),
            roles: given(2).then(Vec::new),
            account_types: given(3).then(Vec::new),
            subject: given(4).then(String::new),
            actions: given(5).then(Vec::new),
            repositories: given(6).then(Vec::new),
            enabled: given(7).then_some(false),
            description: given(8).then(String::new),
        }
    }

    proptest::proptest! {
        /// Whatever several people change of one rule in whatever order, nobody undoes what another has done to a field
        /// that they did not name.
        #[test]
        fn a_change_touches_only_what_it_names(changes in proptest::collection::vec(0u16..512, 1..6)) {
            let db = database();
            let id = create(&db);
            for bits in &changes {
                let (change, precondition) = (part(*bits), Precondition::default());
                UpdateRule { id, change, precondition, now: NOW }.run(&db).unwrap();
            }
            let all = part(changes.iter().fold(0, |all, bits| all | bits));
            let mut expected = Rule { id, ..rule() };
            expected.priority = all.priority.unwrap_or(expected.priority);
            expected.effect = all.effect.unwrap_or(expected.effect);
            expected.roles = all.roles.unwrap_or(expected.roles);
            expected.account_types = all.account_types.unwrap_or(expected.account_types);
            expected.subject = all.subject.unwrap_or(expected.subject);
            expected.actions = all.actions.unwrap_or(expected.actions);
            expected.repositories = all.repositories.unwrap_or(expected.repositories);
            expected.enabled = all.enabled.unwrap_or(expected.enabled);
            expected.description = all.description.unwrap_or(expected.description);
            proptest::prop_assert_eq!(find(&db, id).unwrap().unwrap(), expected);
        }
    }
}

//! Changes that are made only while whoever asked for them still may.
//!
//! A caller was judged when its request had come whole; a password may have had to be hashed since, or others may have
//! waited for the writer. What was answered to somebody else in between holds: the caller is asked for once more in the
//! transaction of the change.

use rusqlite::{Connection, OptionalExtension};

use super::identity::{PasswordMark, roles};
use super::policy_rules::ListRules;
use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{Action, Principal, RepositoryName};
use crate::policy::builtin::{self, ADMIN};
use crate::policy::{Question, RuleSet};

/// What a change takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// An account, and no more.
    Account,
    /// A role.
    Role(&'static str),
    /// That policy lets it change the rules.
    Rules,
    /// That policy lets it delete from a repository.
    Delete {
        /// From which.
        repository: RepositoryName,
        /// Whether people may so by a rule that is built in.
        builtin_human_access: bool,
    },
}

/// Who asked for a change, and by what right.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As it was judged.
    pub principal: Principal,
    /// The SHA-256 of the token that was shown; none for a password.
    pub token_hash: Option<[u8; 32]>,
    /// The password that was shown; none for a token, and where accounts are kept elsewhere.
    pub password: Option<PasswordMark>,
    /// What the change takes.
    pub right: Right,
    /// Whether the registry keeps the accounts itself. Those that are kept elsewhere cannot be asked for in a transaction.
    pub kept_here: bool,
}

impl Caller {
    /// Whether its account is there and switched on, its token was not revoked or its password not changed, and it has the
    /// right by what its account has now and by the rules that are stored now.
    fn still_may(self, tx: &Connection) -> Result<bool, DbError> {
        let Self { mut principal, token_hash, password, right, kept_here } = self;
        // Whoever did not log in has no account that could be lost.
        if kept_here && !principal.is_anonymous() {
            let shown = (token_hash, password);
            let Some(present) = present_roles(tx, &principal.subject, shown)? else { return Ok(false) };
            principal = principal.limited_to(&present);
        }
        match right {
            Right::Account => Ok(true),
            Right::Role(role) => Ok(principal.has_role(role)),
            Right::Rules => may_change_rules(tx, &principal),
            Right::Delete { repository, builtin_human_access } => {
                let (action, repository) = (Action::Delete, Some(&repository));
                let question = Question { principal: &principal, action, repository };
                Ok(stored(tx, builtin_human_access)?.decide(question).allowed)
            }
        }
    }
}

/// The roles of an account that is switched on, as long as the token, if there is one, was not revoked, and the password, if that
/// was shown, is still the account's.
fn present_roles(
    tx: &Connection,
    subject: &str,
    (token_hash, password): (Option<[u8; 32]>, Option<PasswordMark>),
) -> Result<Option<Vec<String>>, DbError> {
    let found: Option<(String, Option<String>)> = tx
        .prepare_cached(
            "SELECT roles, password_hash FROM users
              WHERE id = ?1 AND disabled = 0
                AND (?2 IS NULL OR EXISTS (SELECT 1 FROM tokens WHERE hash = ?2 AND revoked_at IS NULL))",
        )?
        .query_row((subject, token_hash), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let found = found.filter(|(_, stored)| password.is_none_or(|password| password.is_of(stored.as_deref())));
    found.map(|(json, _)| roles(json)).transpose()
}

/// What the stored rules say. An administrator is refused by none of them, so they need not be read.
fn may_change_rules(tx: &Connection, principal: &Principal) -> Result<bool, DbError> {
    if principal.has_role(ADMIN) {
        return Ok(true);
    }
    // What people may by themselves is about repositories, so it does not matter here whether that is switched off.
    let question = Question { principal, action: Action::ManagePolicy, repository: None };
    Ok(stored(tx, true)?.decide(question).allowed)
}

/// The rules that are stored now, and those that are built in.
fn stored(tx: &Connection, builtin_human_access: bool) -> Result<RuleSet, DbError> {
    let stored = ListRules.run(tx)?.map_err(|error| DbError::Failed(error.to_string()))?;
    Ok(RuleSet::new(builtin::rules(builtin_human_access).into_iter().chain(stored).collect()))
}

/// A refusal of an actor that may be for the loss of the right.
pub trait MayBeLost {
    /// Whether the caller lost the right before the change was made.
    fn is_lost(&self) -> bool;
}

/// A change by a caller. Answers `None`, and nothing has happened, when the caller may no longer make it.
#[derive(Debug, Clone)]
pub struct Permitted<Q> {
    /// The change.
    pub query: Q,
    /// Who must still be allowed to make it; none where nobody asked, or only about what is their own.
    pub caller: Option<Caller>,
}

impl<Q: WriteQuery> WriteQuery for Permitted<Q> {
    type Output = Option<Q::Output>;
    type Error = Q::Error;

    fn growth(&self) -> Growth {
        self.query.growth()
    }

    fn run(self, tx: &Connection) -> Result<Self::Output, Self::Error> {
        if let Some(caller) = self.caller
            && !caller.still_may(tx)?
        {
            return Ok(None);
        }
        self.query.run(tx).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::queries::testing::{NOW, database};
    use crate::db::queries::users::CreateUser;
    use crate::domain::AccountType;

    fn root() -> Caller {
        let principal = Principal {
            subject: "1".to_owned(),
            name: "root".to_owned(),
            account_type: AccountType::Human,
            roles: vec!["admin".to_owned(), "ops".to_owned()],
        };
        let right = Right::Role("admin");
        Caller { principal, token_hash: Some([0; 32]), password: None, right, kept_here: true }
    }

    /// The same person with the password.
    fn root_by_password() -> Caller {
        Caller { token_hash: None, password: Some(PasswordMark::of("one")), ..root() }
    }

    fn with_root() -> Connection {
        let db = database();
        db.execute_batch(
            "INSERT INTO users (id, name, account_type, password_hash, roles, created_at, updated_at)
             VALUES ('1', 'root', 'human', 'one', '[\"admin\", \"ops\"]', 0, 0);
             INSERT INTO tokens (hash, user_id, created_at, expires_at) VALUES (zeroblob(32), '1', 0, 99);
             INSERT INTO policy_rules (priority, effect, roles, actions)
             VALUES (1, 'allow', '[\"ops\"]', '[\"policy:manage\"]');",
        )
        .unwrap();
        db
    }

    /// Whether this caller can make an account of this name.
    fn makes(db: &Connection, caller: &Caller, name: &str) -> bool {
        let (account, account_type) = (name.parse().unwrap(), AccountType::Human);
        let query = CreateUser { name: account, account_type, password_hash: None, roles: vec![], now: NOW };
        let made = Permitted { query, caller: Some(caller.clone()) }.run(db).unwrap().is_some();
        let there = db.prepare("SELECT 1 FROM users WHERE name = ?1").unwrap().exists([name]).unwrap();
        assert_eq!(made, there, "{name}");
        made
    }

    const LOST: [&str; 5] = [
        "UPDATE users SET disabled = 1",
        "UPDATE users SET roles = '[]'",
        "UPDATE tokens SET revoked_at = 1",
        "DELETE FROM tokens",
        "DELETE FROM users",
    ];

    #[test]
    fn nobody_makes_a_change_who_lost_the_right_before_it() {
        for right in [Right::Role("admin"), Right::Rules] {
            for lost in LOST {
                let (db, caller) = (with_root(), Caller { right: right.clone(), ..root() });
                assert!(makes(&db, &caller, "before"));
                db.execute_batch(lost).unwrap();
                assert!(!makes(&db, &caller, "after"), "{right:?}: {lost}");
            }
        }
    }

    #[test]
    fn whoever_shows_a_password_loses_the_right_with_it_and_with_no_token() {
        let others = ["UPDATE users SET password_hash = 'two'", "UPDATE users SET password_hash = NULL"];
        let of_tokens = ["UPDATE tokens SET revoked_at = 1", "DELETE FROM tokens"];
        for right in [Right::Account, Right::Role("admin"), Right::Rules] {
            let caller = Caller { right: right.clone(), ..root_by_password() };
            for kept in of_tokens {
                let db = with_root();
                db.execute_batch(kept).unwrap();
                assert!(makes(&db, &caller, "before"), "{right:?}: {kept}");
            }
            let lost = LOST.into_iter().filter(|lost| !of_tokens.contains(lost)).chain(others);
            for lost in lost.filter(|lost| caller.right != Right::Account || !lost.contains("roles")) {
                let db = with_root();
                assert!(makes(&db, &caller, "before"));
                db.execute_batch(lost).unwrap();
                assert!(!makes(&db, &caller, "after"), "{right:?}: {lost}");
            }
        }
    }

    #[test]
    fn whoever_may_by_a_rule_loses_it_with_the_rule_and_an_administrator_does_not() {
        let deny = "INSERT INTO policy_rules (priority, effect, roles) VALUES (1, 'deny', '[\"ops\"]')";
        for lost in ["UPDATE policy_rules SET enabled = 0", "DELETE FROM policy_rules", deny] {
            let (db, right) = (with_root(), Right::Rules);
            let admin = Caller { right, ..root() };
            let mut ops = admin.clone();
            ops.principal.roles = vec!["ops".to_owned()];
            assert!(makes(&db, &ops, "before"));
            db.execute_batch(lost).unwrap();
            assert!(!makes(&db, &ops, "after") && makes(&db, &admin, "by-admin"), "{lost}");
        }
    }

    #[test]
    fn whoever_may_delete_from_a_repository_loses_it_with_the_rule_and_people_may_where_that_is_built_in() {
        let deny =
            "INSERT INTO policy_rules (priority, effect, repositories) VALUES (1, 'deny', '[\"a/**\"]')";
        let of = |roles: &[&str], builtin_human_access: bool| {
            let repository = "a/b".parse().unwrap();
            let mut caller = Caller { right: Right::Delete { repository, builtin_human_access }, ..root() };
            caller.principal.roles = roles.iter().map(|role| (*role).to_owned()).collect();
            caller
        };
        let db = with_root();
        assert!(!makes(&db, &of(&["ops"], false), "nothing-says-so") && makes(&db, &of(&[], true), "people"));
        db.execute_batch("UPDATE policy_rules SET actions = '[\"registry:delete\"]'").unwrap();
        assert!(makes(&db, &of(&["ops"], false), "by-rule"));
        db.execute_batch(deny).unwrap();
        for (roles, people) in [(&["ops"][..], false), (&[], true), (&["admin"], true)] {
            assert!(!makes(&db, &of(roles, people), "denied"), "{roles:?}");
        }
    }

    #[test]
    fn accounts_that_are_kept_elsewhere_are_believed_as_they_were_judged() {
        let (db, elsewhere) = (database(), Caller { kept_here: false, ..root() });
        assert!(makes(&db, &elsewhere, "one") && !makes(&db, &root(), "two"));
        assert!(!makes(&db, &Caller { right: Right::Role("other"), ..elsewhere }, "three"));
    }
}

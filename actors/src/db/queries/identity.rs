//! Accounts and tokens of the embedded identity provider, and the installation's secrets.

use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest as _, Sha256};

use super::users::UserError;
use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{AccountName, AccountType, Principal, Timestamp};

/// An account with what verifies its password.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who it is.
    pub principal: Principal,
    /// The password's hash in PHC form; none when it cannot log in with one.
    pub password_hash: Option<String>,
}

/// By which a password's change is noticed: the SHA-256 of its stored hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordMark([u8; 32]);

impl PasswordMark {
    /// Of the hash in PHC form.
    pub fn of(password_hash: &str) -> Self {
        Self(Sha256::digest(password_hash).into())
    }

    /// Whether it is the mark of this stored hash.
    pub(super) fn is_of(self, password_hash: Option<&str>) -> bool {
        password_hash.is_some_and(|hash| Self::of(hash) == self)
    }
}

type Columns = (String, String, String, String);

/// Roles as a row has them.
pub(super) fn roles(json: String) -> Result<Vec<String>, DbError> {
    serde_json::from_str(&json).map_err(|_| DbError::Corrupt { what: "roles", value: json })
}

fn principal((id, name, account_type, roles): Columns) -> Result<Principal, DbError> {
    Ok(Principal {
        subject: id,
        name,
        account_type: crate::db::parse("account type", account_type)?,
        roles: self::roles(roles)?,
    })
}

/// The enabled account of this name.
#[derive(Debug)]
pub struct FindAccount(pub String);

impl ReadQuery for FindAccount {
    type Output = Option<Account>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let found = db
            .prepare_cached(
                "SELECT id, name, account_type, roles, password_hash FROM users WHERE name = ?1 AND disabled = 0",
            )?
            .query_row([self.0], |row| {
                Ok(((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?), row.get(4)?))
            })
            .optional()?;
        let account =
            |(columns, password_hash)| Ok(Account { principal: principal(columns)?, password_hash });
        found.map(account).transpose()
    }
}

/// Whether there is an account, whichever it is.
#[derive(Debug)]
pub struct HasAccounts;

impl ReadQuery for HasAccounts {
    type Output = bool;

    fn run(self, db: &Connection) -> Result<bool, DbError> {
        Ok(db.prepare_cached("SELECT 1 FROM users LIMIT 1")?.exists([])?)
    }
}

/// Whether there is an account of this name, switched off or not.
#[derive(Debug)]
pub struct HasAccount(pub String);

impl ReadQuery for HasAccount {
    type Output = bool;

    fn run(self, db: &Connection) -> Result<bool, DbError> {
        Ok(db.prepare_cached("SELECT 1 FROM users WHERE name = ?1")?.exists([self.0])?)
    }
}

/// Makes an account unless there is one of this name. Says whether it did; one whose name differs only in the case of letters
/// is in its way.
#[derive(Debug, Clone)]
pub struct InsertAccount {
    /// The account.
    pub account: Account,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for InsertAccount {
    type Output = bool;
    type Error = UserError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, UserError> {
        let Account { principal, password_hash } = self.account;
        match taken_by(tx, &principal.name)? {
            Some(name) if name == principal.name => return Ok(false),
            Some(name) => return Err(UserError::Taken(name)),
            None => {}
        }
        insert_account(tx, &Account { principal, password_hash }, self.now)?;
        Ok(true)
    }
}

/// The name of an account that has this one already, but perhaps for the case of letters; the very same one where several do.
pub(super) fn taken_by(tx: &Connection, name: &str) -> Result<Option<String>, DbError> {
    Ok(tx
        .prepare_cached(
            "SELECT name FROM users WHERE name = ?1 COLLATE NOCASE ORDER BY name = ?1 DESC LIMIT 1",
        )?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

/// Makes the row of an account whose name nobody has.
pub(super) fn insert_account(tx: &Connection, account: &Account, now: Timestamp) -> Result<(), DbError> {
    let Account { principal, password_hash } = account;
    let roles =
        serde_json::to_string(&principal.roles).map_err(|error| DbError::Failed(error.to_string()))?;
    tx.prepare_cached(
        "INSERT INTO users (id, name, account_type, password_hash, roles, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?
    .execute((
        &principal.subject,
        &principal.name,
        principal.account_type.as_str(),
        password_hash,
        roles,
        now.as_millis(),
    ))?;
    Ok(())
}

/// A token as the database knows it.
#[derive(Debug, Clone)]
pub struct StoredToken {
    /// Whose it is, with the roles that the account has now, and of those, the token.
    pub principal: Principal,
    /// When its life ends.
    pub expires_at: Timestamp,
    /// Whether it was revoked, or its account disabled.
    pub revoked: bool,
    /// Whether it is a robot's, whose use is noted.
    pub of_robot: bool,
    /// When it was last used, as far as that was noted.
    pub last_used_at: Option<Timestamp>,
}

/// Notes that a robot token was used.
#[derive(Debug, Clone)]
pub struct TouchToken {
    /// Its hash.
    pub hash: [u8; 32],
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for TouchToken {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        tx.prepare_cached("UPDATE tokens SET last_used_at = ?2 WHERE hash = ?1")?
            .execute((self.hash, self.now.as_millis()))?;
        Ok(())
    }
}

/// The token with this SHA-256, also when it has lapsed or was revoked.
#[derive(Debug)]
pub struct FindToken(pub [u8; 32]);

impl ReadQuery for FindToken {
    type Output = Option<StoredToken>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let found = db
            .prepare_cached(
                "SELECT users.id, users.name, users.account_type, users.roles, tokens.expires_at,
                        tokens.revoked_at IS NOT NULL OR users.disabled,
                        tokens.id IS NOT NULL, tokens.last_used_at, tokens.roles
                   FROM tokens CROSS JOIN users ON users.id = tokens.user_id
                  WHERE tokens.hash = ?1",
            )?
            .query_row([self.0], |row| {
                let columns = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                let last_used_at = row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis);
                let own: Option<String> = row.get(8)?;
                let expires_at = Timestamp::from_millis(row.get(4)?);
                Ok((columns, own, expires_at, row.get(5)?, row.get(6)?, last_used_at))
            })
            .optional()?;
        let token = |(columns, own, expires_at, revoked, of_robot, last_used_at)| {
            let account = principal(columns)?;
            let principal = match own {
                Some(own) => account.limited_to(&roles(own)?),
                None => account,
            };
            Ok(StoredToken { principal, expires_at, revoked, of_robot, last_used_at })
        };
        found.map(token).transpose()
    }
}

const TOO_MANY: &str = "DELETE FROM tokens WHERE hash IN
    (SELECT hash FROM tokens WHERE user_id = ?1 AND id IS NULL ORDER BY created_at DESC LIMIT -1 OFFSET ?2)";

/// Remembers a new token by its SHA-256, in the place of the account's oldest when it has as many as it may. Answers whether it
/// did: not when the password that it is given for is no longer the account's.
#[derive(Debug, Clone)]
pub struct InsertToken {
    /// Its hash.
    pub hash: [u8; 32],
    /// The account's id.
    pub user_id: String,
    /// The password that it is given for.
    pub password: PasswordMark,
    /// When its life ends.
    pub expires_at: Timestamp,
    /// How many the account has at most, ended ones included; 1 or more.
    pub most: usize,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for InsertToken {
    type Output = bool;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<bool, DbError> {
        let stored: Option<Option<String>> = tx
            .prepare_cached("SELECT password_hash FROM users WHERE id = ?1 AND disabled = 0")?
            .query_row([&self.user_id], |row| row.get(0))
            .optional()?;
        if !self.password.is_of(stored.flatten().as_deref()) {
            return Ok(false);
        }
        drop_oldest_logins(tx, &self.user_id, self.most)?;
        tx.prepare_cached(
            "INSERT INTO tokens (hash, user_id, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((self.hash, self.user_id, self.now.as_millis(), self.expires_at.as_millis()))?;
        Ok(true)
    }
}

/// Makes room for one more token of an account's logins where there are `most`: the oldest go.
pub(super) fn drop_oldest_logins(tx: &Connection, user_id: &str, most: usize) -> Result<(), DbError> {
    tx.prepare_cached(TOO_MANY)?.execute((user_id, most.saturating_sub(1)))?;
    Ok(())
}

/// Ends a token's life now. It stays known, so that it can be told from one that lapsed.
#[derive(Debug, Clone)]
pub struct RevokeToken {
    /// Its hash.
    pub hash: [u8; 32],
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for RevokeToken {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        tx.prepare_cached("UPDATE tokens SET revoked_at = coalesce(revoked_at, ?2) WHERE hash = ?1")?
            .execute((self.hash, self.now.as_millis()))?;
        Ok(())
    }
}

/// Forgets tokens whose life ended before `before`, the oldest first. Answers how many.
#[derive(Debug, Clone)]
pub struct PurgeTokens {
    /// Ended before this.
    pub before: Timestamp,
    /// At most so many.
    pub limit: usize,
}

impl WriteQuery for PurgeTokens {
    type Output = usize;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<usize, DbError> {
        let purged = tx
            .prepare_cached(
                "DELETE FROM tokens WHERE hash IN
                    (SELECT hash FROM tokens WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
            )?
            .execute((self.before.as_millis(), self.limit))?;
        Ok(purged)
    }
}

/// The secret of this name; `fresh` becomes it when there is none yet.
#[derive(Debug, Clone)]
pub struct EnsureSecret {
    /// Its name.
    pub name: &'static str,
    /// A random value.
    pub fresh: [u8; 32],
}

impl WriteQuery for EnsureSecret {
    type Output = [u8; 32];
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<[u8; 32], DbError> {
        tx.prepare_cached("INSERT OR IGNORE INTO secrets (name, value) VALUES (?1, ?2)")?
            .execute((self.name, self.fresh))?;
        let value = tx
            .prepare_cached("SELECT value FROM secrets WHERE name = ?1")?
            .query_row([self.name], |row| row.get(0))?;
        Ok(value)
    }
}

/// A person's account with these roles, and a new id.
pub fn person(name: &AccountName, roles: &[&str], password_hash: String) -> Account {
    let principal = Principal {
        subject: uuid::Uuid::new_v4().to_string(),
        name: name.to_string(),
        account_type: AccountType::Human,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    Account { principal, password_hash: Some(password_hash) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::db::queries::testing::{NOW, database};

    fn ada() -> AccountName {
        "ada".parse().unwrap()
    }

    #[test]
    fn an_account_is_made_once_and_a_disabled_one_is_not_found() {
        let db = database();
        let insert = || {
            InsertAccount { account: person(&ada(), &["admin"], "x".to_owned()), now: NOW }.run(&db).unwrap()
        };
        assert_eq!((insert(), insert()), (true, false));
        let account = person(&"Ada".parse().unwrap(), &[], "x".to_owned());
        let refused = InsertAccount { account, now: NOW }.run(&db);
        assert!(matches!(refused, Err(UserError::Taken(name)) if name == "ada"));
        let found = FindAccount("ada".to_owned()).run(&db).unwrap().unwrap();
        assert_eq!(
            (found.principal.roles, found.password_hash.as_deref()),
            (vec!["admin".to_owned()], Some("x"))
        );
        db.execute("UPDATE users SET disabled = 1", []).unwrap();
        assert!(FindAccount("ada".to_owned()).run(&db).unwrap().is_none());
    }

    #[test]
    fn a_token_stays_known_after_its_life_until_it_is_purged() {
        let db = database();
        let account = person(&ada(), &[], "x".to_owned());
        let user_id = account.principal.subject.clone();
        InsertAccount { account, now: NOW }.run(&db).unwrap();
        let expires_at = NOW.after(Duration::from_secs(1));
        let password = PasswordMark::of("x");
        assert!(
            InsertToken { hash: [1; 32], user_id, password, expires_at, most: 9, now: NOW }.run(&db).unwrap()
        );
        let found = || FindToken([1; 32]).run(&db).unwrap();
        assert!(!found().unwrap().revoked);
        RevokeToken { hash: [1; 32], now: NOW }.run(&db).unwrap();
        assert!(found().unwrap().revoked);
        let purge = |before| PurgeTokens { before, limit: 9 }.run(&db).unwrap();
        assert_eq!(purge(expires_at), 0);
        assert_eq!(purge(expires_at.after(Duration::from_secs(1))), 1);
        assert!(found().is_none());
    }

    #[test]
    fn no_token_is_given_for_a_password_that_was_changed_meanwhile() {
        let gone = ["password_hash = 'y'", "password_hash = NULL", "disabled = 1", "id = 'other'"];
        for changed in gone {
            let db = database();
            let account = person(&ada(), &[], "x".to_owned());
            let (user_id, password) = (account.principal.subject.clone(), PasswordMark::of("x"));
            InsertAccount { account, now: NOW }.run(&db).unwrap();
            let insert = InsertToken { hash: [1; 32], user_id, password, expires_at: NOW, most: 9, now: NOW };
            assert!(insert.clone().run(&db).unwrap());
            db.execute("DELETE FROM tokens", []).unwrap();
            db.execute(&format!("UPDATE users SET {changed}"), []).unwrap();
            assert!(!insert.run(&db).unwrap(), "{changed}");
            assert!(FindToken([1; 32]).run(&db).unwrap().is_none(), "{changed}");
        }
    }

    #[test]
    fn a_secret_is_made_once() {
        let db = database();
        let ensure = |fresh| EnsureSecret { name: "key", fresh }.run(&db).unwrap();
        assert_eq!((ensure([1; 32]), ensure([2; 32])), ([1; 32], [1; 32]));
    }

    #[test]
    fn of_an_account_that_logs_in_without_end_the_latest_tokens_stay() {
        const MOST: usize = 1000;
        let db = database();
        let ids = ["ada", "bob"].map(|name| {
            let account = person(&name.parse().unwrap(), &[], "x".to_owned());
            let id = account.principal.subject.clone();
            InsertAccount { account, now: NOW }.run(&db).unwrap();
            id
        });
        let hash = |who: u8, index: usize| {
            let mut hash = [who; 32];
            hash[..8].copy_from_slice(&index.to_be_bytes());
            hash
        };
        let log_in = |who: usize, index: usize| {
            let (now, hash) = (NOW.after(Duration::from_millis(index as u64)), hash(who as u8, index));
            let user_id = ids[who].clone();
            let (password, expires_at) = (PasswordMark::of("x"), now.after(Duration::from_secs(9)));
            InsertToken { hash, user_id, password, expires_at, most: MOST, now }.run(&db).unwrap();
        };
        log_in(1, 0);
        for index in 0..MOST + 500 {
            log_in(0, index);
            RevokeToken { hash: hash(0, index), now: NOW }.run(&db).unwrap();
        }
        let is_there = |who, index| FindToken(hash(who, index)).run(&db).unwrap().is_some();
        assert!(is_there(1, 0) && is_there(0, MOST + 499) && is_there(0, 500) && !is_there(0, 499));
        let plan: Vec<String> = db
            .prepare(&format!("EXPLAIN QUERY PLAN {TOO_MANY}"))
            .unwrap()
            .query_map(("x", 1), |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let plan = plan.join("; ");
        assert!(plan.contains("tokens_of_logins") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

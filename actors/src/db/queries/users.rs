//! Administration of the embedded provider's accounts and robot tokens.

mod error;
mod live;
mod renewal;
mod robot_renewal;
mod tokens;

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::json;
use uuid::Uuid;

pub use self::error::UserError;
pub use self::live::{LiveToken, LiveTokens};
pub use self::renewal::{GOES_ON, RENEWED, RenewToken};
pub use self::robot_renewal::RenewRobotToken;
pub use self::tokens::{
    CreateToken, FindOwnToken, ListOwnTokens, ListTokens, RevokeRobotToken, RobotToken, TokenWithRoles,
    TokensWithRoles,
};
use super::identity::{Account, insert_account, roles, taken_by};
use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::{
    ADMIN, AccountName, AccountType, Algorithm, Digest, Event, EventName, Precondition, Principal, Timestamp,
};

/// An account as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its lasting id.
    pub id: String,
    /// The name it logs in with.
    pub name: String,
    /// What kind of account it is.
    pub account_type: AccountType,
    /// Its roles.
    pub roles: Vec<String>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

type Columns = (String, String, String, String, bool, i64, i64);

const COLUMNS: &str = "id, name, account_type, roles, disabled, created_at, updated_at";

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
}

fn user((id, name, account_type, json, disabled, created_at, updated_at): Columns) -> Result<User, DbError> {
    Ok(User {
        id,
        name,
        account_type: crate::db::parse("account type", account_type)?,
        roles: roles(json)?,
        disabled,
        created_at: Timestamp::from_millis(created_at),
        updated_at: Timestamp::from_millis(updated_at),
    })
}

fn as_json(roles: &[String]) -> Result<String, DbError> {
    serde_json::to_string(roles).map_err(|error| DbError::Failed(error.to_string()))
}

/// Accounts by name, and how many there are.
#[derive(Debug)]
pub struct ListUsers {
    /// Only those whose name has this in it, in whatever case; all when it is empty.
    pub part: String,
    /// Accounts to pass over.
    pub offset: usize,
    /// Most accounts.
    pub limit: usize,
}

impl ReadQuery for ListUsers {
    type Output = (Vec<User>, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        // An empty part is in every name.
        let part = self.part.to_ascii_lowercase();
        let some = "instr(lower(name), ?1) > 0";
        let total = db
            .prepare_cached(&format!("SELECT count(*) FROM users WHERE {some}"))?
            .query_row([&part], |row| row.get(0))?;
        let sql = format!("SELECT {COLUMNS} FROM users WHERE {some} ORDER BY name LIMIT ?2 OFFSET ?3");
        let mut statement = db.prepare_cached(&sql)?;
        let rows = statement.query_map((part, self.limit, self.offset), columns)?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        Ok((crate::db::readable(rows.into_iter().map(user)), total))
    }
}

/// The account of this name.
pub(crate) fn find(db: &Connection, name: &str) -> Result<User, UserError> {
    let found = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE name = ?1"))?
        .query_row([name], columns)
        .optional()?;
    Ok(user(found.ok_or_else(|| UserError::Unknown(format!("user {name}")))?)?)
}

/// The account of this name, as far as it is what the request asks for.
fn expect(db: &Connection, name: &str, precondition: &Precondition) -> Result<User, UserError> {
    let user = find(db, name)?;
    match user.digest() {
        digest if precondition.holds(Some(&digest)) => Ok(user),
        digest => Err(UserError::Precondition(digest)),
    }
}

/// The account of this name, if there is one.
#[derive(Debug)]
pub struct ShowUser(pub String);

impl ReadQuery for ShowUser {
    type Output = Option<User>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        match find(db, &self.0) {
            Ok(user) => Ok(Some(user)),
            Err(UserError::Db(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// Makes an account.
#[derive(Debug, Clone)]
pub struct CreateUser {
    /// Its name.
    pub name: AccountName,
    /// What kind of account it is.
    pub account_type: AccountType,
    /// The password's hash; none for an account that has robot tokens only.
    pub password_hash: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for CreateUser {
    type Output = User;
    type Error = UserError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

    fn run(self, tx: &Connection) -> Result<User, UserError> {
        if let Some(taken) = taken_by(tx, self.name.as_str())? {
            return Err(UserError::Taken(taken));
        }
        let principal = Principal {
            subject: Uuid::new_v4().to_string(),
            name: self.name.to_string(),
            account_type: self.account_type,
            roles: self.roles,
        };
        insert_account(tx, &Account { principal, password_hash: self.password_hash }, self.now)?;
        find(tx, self.name.as_str())
    }
}

/// Changes what is given of an account, in one statement; what is not given stays whatever it is by then.
#[derive(Debug, Clone)]
pub struct UpdateUser {
    /// Which.
    pub name: String,
    /// A new password's hash; the account's login tokens end with the old password.
    pub password_hash: Option<String>,
    /// New roles.
    pub roles: Option<Vec<String>>,
    /// Whether it is switched off.
    pub disabled: Option<bool>,
    /// Whether all its tokens end, those of robots too.
    pub end_tokens: bool,
    /// The SHA-256 of the one token that goes on whichever end: that of whoever changes their own account.
    pub keep: Option<[u8; 32]>,
    /// What the request asks of the account as it is.
    pub precondition: Precondition,
    /// The time.
    pub now: Timestamp,
}

/// What a change made of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedUser {
    /// The account as it is now.
    pub user: User,
    /// Whether it has a new password.
    pub new_password: bool,
    /// How many tokens ended.
    pub ended: u64,
    /// Its tokens that go on.
    pub live: LiveTokens,
}

impl User {
    /// The digest of all that administrators see of it: two of them who saw the same one saw the same account.
    pub fn digest(&self) -> Digest {
        let Self { id, name, account_type, roles, disabled, created_at, updated_at } = self;
        let (account_type, times) = (account_type.as_str(), [created_at.as_millis(), updated_at.as_millis()]);
        let fields = json!([id, name, account_type, roles, disabled, times]);
        Digest::of(Algorithm::Sha256, fields.to_string().as_bytes())
    }

    /// What the audit log says of it.
    pub fn event(&self, name: EventName) -> Event {
        let Self { name: user, account_type, roles, disabled, .. } = self;
        let account_type = account_type.as_str();
        Event::new(name)
            .with(json!({"user": user, "account_type": account_type, "roles": roles, "disabled": disabled}))
    }
}

impl ChangedUser {
    /// What the audit log says of the change.
    pub fn event(&self) -> Event {
        let mut event = self.user.event(EventName::UserUpdated);
        event.details["new_password"] = self.new_password.into();
        event.details["ended_tokens"] = self.ended.into();
        event
    }
}

impl UpdateUser {
    /// Changes nothing of this account.
    pub fn of(name: &str, now: Timestamp) -> Self {
        let (name, precondition) = (name.to_owned(), Precondition::default());
        let (password_hash, roles, disabled, keep) = (None, None, None, None);
        Self { name, password_hash, roles, disabled, end_tokens: false, keep, precondition, now }
    }
}

impl WriteQuery for UpdateUser {
    type Output = ChangedUser;
    type Error = UserError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<ChangedUser, UserError> {
        let had = has_administrator(tx)?;
        let id = expect(tx, &self.name, &self.precondition)?.id;
        let roles = self.roles.as_deref().map(as_json).transpose()?;
        tx.prepare_cached(
            "UPDATE users SET password_hash = coalesce(?2, password_hash), roles = coalesce(?3, roles),
                    disabled = coalesce(?4, disabled), updated_at = ?5
              WHERE id = ?1",
        )?
        .execute((&id, &self.password_hash, roles, self.disabled, self.now.as_millis()))?;
        let new_password = self.password_hash.is_some();
        let ended = match new_password || self.end_tokens {
            true => live::end(tx, &id, (self.end_tokens, self.keep), self.now)?,
            false => 0,
        };
        must_keep_administrator(tx, had)?;
        let live = live::live(tx, &id, self.now)?;
        Ok(ChangedUser { user: find(tx, &self.name)?, new_password, ended, live })
    }
}

/// Deletes an account with its tokens.
#[derive(Debug, Clone)]
pub struct DeleteUser {
    /// Which.
    pub name: String,
    /// What the request asks of the account as it is.
    pub precondition: Precondition,
}

impl WriteQuery for DeleteUser {
    type Output = User;
    type Error = UserError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<User, UserError> {
        let had = has_administrator(tx)?;
        let user = expect(tx, &self.name, &self.precondition)?;
        tx.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([&user.id])?;
        must_keep_administrator(tx, had)?;
        Ok(user)
    }
}

/// Ends the tokens of the logins of the account with this id. Answers how many were still good.
pub(crate) fn end_logins(tx: &Connection, id: &str, now: Timestamp) -> Result<u64, DbError> {
    live::end(tx, id, (false, None), now)
}

/// Whether there is an administrator who can log in: switched on, and with a password.
fn has_administrator(tx: &Connection) -> Result<bool, DbError> {
    Ok(tx
        .prepare_cached(
            "SELECT 1 FROM users, json_each(users.roles)
              WHERE users.disabled = 0 AND users.password_hash IS NOT NULL AND json_each.value = ?1",
        )?
        .exists([ADMIN])?)
}

/// Nobody may lock everybody out. Where nobody could administer before, a change may make it no worse.
fn must_keep_administrator(tx: &Connection, had: bool) -> Result<(), UserError> {
    if !had || has_administrator(tx)? { Ok(()) } else { Err(UserError::LastAdministrator) }
}

#[cfg(test)]
mod tests;

//! Administration of the embedded provider's accounts and robot tokens.

use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::identity::roles;
use crate::db::{DbError, ReadQuery, WriteQuery};
use crate::domain::{AccountType, Timestamp};

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

/// Live robot tokens of an account, at most.
pub const ROBOT_TOKENS: usize = 1000;

/// Why an account or token was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is none of this name or id.
    #[error("there is no {0}")]
    Unknown(String),
    /// The name is taken.
    #[error("the name {0} is taken")]
    Taken(String),
    /// Nobody could administer the registry any more.
    #[error("this is the last administrator who can log in; make another one first")]
    LastAdministrator,
    /// The account has as many robot tokens as one may.
    #[error("the account {0} has {ROBOT_TOKENS} live robot tokens, and no more are given: revoke some first")]
    TooManyTokens(String),
    /// A token would have what its account has not.
    #[error("the account {user} does not have the role {role}: give it to the account first")]
    Role {
        /// The account.
        user: String,
        /// What it has not.
        role: String,
    },
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<rusqlite::Error> for UserError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Accounts by name, and how many there are.
#[derive(Debug)]
pub struct ListUsers {
    /// Accounts to pass over.
    pub offset: usize,
    /// Most accounts.
    pub limit: usize,
}

impl ReadQuery for ListUsers {
    type Output = (Vec<User>, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let total = db.prepare_cached("SELECT count(*) FROM users")?.query_row([], |row| row.get(0))?;
        let mut statement =
            db.prepare_cached(&format!("SELECT {COLUMNS} FROM users ORDER BY name LIMIT ?1 OFFSET ?2"))?;
        let rows = statement.query_map((self.limit, self.offset), columns)?.collect::<Result<Vec<_>, _>>()?;
        Ok((crate::db::readable(rows.into_iter().map(user)), total))
    }
}

fn find(db: &Connection, name: &str) -> Result<User, UserError> {
    let found = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE name = ?1"))?
        .query_row([name], columns)
        .optional()?;
    Ok(user(found.ok_or_else(|| UserError::Unknown(format!("user {name}")))?)?)
}

/// Makes an account.
#[derive(Debug)]
pub struct CreateUser {
    /// Its name.
    pub name: String,
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

    fn run(self, tx: &Connection) -> Result<User, UserError> {
        let inserted = tx
            .prepare_cached(
                "INSERT INTO users (id, name, account_type, password_hash, roles, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (name) DO NOTHING",
            )?
            .execute((
                Uuid::new_v4().to_string(),
                &self.name,
                self.account_type.as_str(),
                self.password_hash,
                as_json(&self.roles)?,
                self.now.as_millis(),
            ))?;
        if inserted == 0 {
            return Err(UserError::Taken(self.name));
        }
        find(tx, &self.name)
    }
}

/// Changes what is given of an account.
#[derive(Debug)]
pub struct UpdateUser {
    /// Which.
    pub name: String,
    /// A new password's hash; the account's login tokens end with the old password.
    pub password_hash: Option<String>,
    /// New roles.
    pub roles: Option<Vec<String>>,
    /// Whether it is switched off.
    pub disabled: Option<bool>,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for UpdateUser {
    type Output = User;
    type Error = UserError;

    fn run(self, tx: &Connection) -> Result<User, UserError> {
        let had = has_administrator(tx)?;
        let before = find(tx, &self.name)?;
        let roles = self.roles.unwrap_or(before.roles);
        let now = self.now.as_millis();
        tx.prepare_cached(
            "UPDATE users SET password_hash = coalesce(?2, password_hash), roles = ?3, disabled = ?4, updated_at = ?5
              WHERE id = ?1",
        )?
        .execute((
            &before.id,
            &self.password_hash,
            as_json(&roles)?,
            self.disabled.unwrap_or(before.disabled),
            now,
        ))?;
        if self.password_hash.is_some() {
            tx.prepare_cached(
                "UPDATE tokens SET revoked_at = ?2 WHERE user_id = ?1 AND id IS NULL AND revoked_at IS NULL",
            )?
            .execute((&before.id, now))?;
        }
        must_keep_administrator(tx, had)?;
        find(tx, &self.name)
    }
}

/// Deletes an account with its tokens.
#[derive(Debug)]
pub struct DeleteUser {
    /// Which.
    pub name: String,
}

impl WriteQuery for DeleteUser {
    type Output = User;
    type Error = UserError;

    fn run(self, tx: &Connection) -> Result<User, UserError> {
        let had = has_administrator(tx)?;
        let user = find(tx, &self.name)?;
        tx.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([&user.id])?;
        must_keep_administrator(tx, had)?;
        Ok(user)
    }
}

/// Whether there is an administrator who can log in: switched on, and with a password.
fn has_administrator(tx: &Connection) -> Result<bool, DbError> {
    Ok(tx
        .prepare_cached(
            "SELECT 1 FROM users, json_each(users.roles)
              WHERE users.disabled = 0 AND users.password_hash IS NOT NULL AND json_each.value = ?1",
        )?
        .exists([crate::policy::builtin::ADMIN])?)
}

/// Nobody may lock everybody out. Where nobody could administer before, a change may make it no worse.
fn must_keep_administrator(tx: &Connection, had: bool) -> Result<(), UserError> {
    if !had || has_administrator(tx)? { Ok(()) } else { Err(UserError::LastAdministrator) }
}

/// A robot's token, without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RobotToken {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The name of its account.
    pub user: String,
    /// What of its roles its account has now.
    pub roles: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its life ends.
    pub expires_at: Timestamp,
    /// When it was last used, to a minute.
    pub last_used_at: Option<Timestamp>,
    /// Whether it was revoked.
    pub revoked: bool,
}

type TokenColumns = (String, String, String, String, i64, i64, Option<i64>, bool, Option<String>);

const TOKEN_COLUMNS: &str = "tokens.id, tokens.name, users.name, users.roles, tokens.created_at,
    tokens.expires_at, tokens.last_used_at, tokens.revoked_at IS NOT NULL, tokens.roles";

fn token_columns(row: &Row<'_>) -> rusqlite::Result<TokenColumns> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
        row.get(7)?,
        row.get(8)?,
    ))
}

fn robot_token(columns: TokenColumns) -> Result<RobotToken, DbError> {
    let (id, name, user, json, created_at, expires_at, last_used_at, revoked, own) = columns;
    let own = own.map(roles).transpose()?;
    let mut roles = roles(json)?;
    if let Some(own) = own {
        roles.retain(|role| own.contains(role));
    }
    Ok(RobotToken {
        id,
        name,
        user,
        roles,
        created_at: Timestamp::from_millis(created_at),
        expires_at: Timestamp::from_millis(expires_at),
        last_used_at: last_used_at.map(Timestamp::from_millis),
        revoked,
    })
}

/// Robot tokens, the newest first, and how many there are.
#[derive(Debug)]
pub struct ListTokens {
    /// Tokens to pass over.
    pub offset: usize,
    /// Most tokens.
    pub limit: usize,
}

impl ReadQuery for ListTokens {
    type Output = (Vec<RobotToken>, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let total = db
            .prepare_cached("SELECT count(*) FROM tokens WHERE id IS NOT NULL")?
            .query_row([], |row| row.get(0))?;
        let mut statement = db.prepare_cached(&format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens JOIN users ON users.id = tokens.user_id
              WHERE tokens.id IS NOT NULL ORDER BY tokens.created_at DESC, tokens.id LIMIT ?1 OFFSET ?2"
        ))?;
        let rows =
            statement.query_map((self.limit, self.offset), token_columns)?.collect::<Result<Vec<_>, _>>()?;
        Ok((crate::db::readable(rows.into_iter().map(robot_token)), total))
    }
}

fn find_token(db: &Connection, id: &str) -> Result<RobotToken, UserError> {
    let found = db
        .prepare_cached(&format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens JOIN users ON users.id = tokens.user_id WHERE tokens.id = ?1"
        ))?
        .query_row([id], token_columns)
        .optional()?;
    Ok(robot_token(found.ok_or_else(|| UserError::Unknown(format!("token {id}")))?)?)
}

/// Makes a robot token for an account.
#[derive(Debug)]
pub struct CreateToken {
    /// The SHA-256 of the token.
    pub hash: [u8; 32],
    /// What it is for.
    pub name: String,
    /// The name of its account.
    pub user: String,
    /// Its roles, each one of its account's; those of the account when none are given.
    pub roles: Option<Vec<String>>,
    /// When its life ends.
    pub expires_at: Timestamp,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for CreateToken {
    type Output = RobotToken;
    type Error = UserError;

    fn run(self, tx: &Connection) -> Result<RobotToken, UserError> {
        let user = find(tx, &self.user)?;
        if let Some(role) = self.roles.iter().flatten().find(|role| !user.roles.contains(role)) {
            return Err(UserError::Role { user: self.user, role: role.clone() });
        }
        let live: usize = tx
            .prepare_cached(
                "SELECT count(*) FROM tokens
                  WHERE user_id = ?1 AND id IS NOT NULL AND revoked_at IS NULL AND expires_at > ?2",
            )?
            .query_row((&user.id, self.now.as_millis()), |row| row.get(0))?;
        if live >= ROBOT_TOKENS {
            return Err(UserError::TooManyTokens(self.user));
        }
        let id = Uuid::new_v4().to_string();
        tx.prepare_cached(
            "INSERT INTO tokens (hash, user_id, created_at, expires_at, id, name, roles)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            self.hash,
            user.id,
            self.now.as_millis(),
            self.expires_at.as_millis(),
            &id,
            self.name,
            self.roles.as_deref().map(as_json).transpose()?,
        ))?;
        find_token(tx, &id)
    }
}

/// Ends a robot token's life now.
#[derive(Debug)]
pub struct RevokeRobotToken {
    /// Which.
    pub id: String,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for RevokeRobotToken {
    type Output = RobotToken;
    type Error = UserError;

    fn run(self, tx: &Connection) -> Result<RobotToken, UserError> {
        tx.prepare_cached("UPDATE tokens SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1")?
            .execute((&self.id, self.now.as_millis()))?;
        find_token(tx, &self.id)
    }
}

#[cfg(test)]
mod tests;

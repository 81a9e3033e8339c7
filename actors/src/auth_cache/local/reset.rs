//! A new password for an account whose owner has forgotten it, written beside a server that runs or does not.
//!
//! It is one transaction like any of the server's, and SQLite keeps the two apart. A server sees within a second that
//! somebody else has written, and believes nothing any more that it knew of accounts (`Db::written_by_others`).

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::super::password::{NewPassword, PasswordError, hash_now};
use crate::db::migrate::{MigrateError, must_be_current};
use crate::db::queries::audit::insert;
use crate::db::queries::users::{ChangedUser, UpdateUser, UserError, find};
use crate::db::{DbError, OpenError, WriteQuery, open};
use crate::domain::ADMIN;
use crate::domain::{OPERATOR, Origin, Timestamp};

/// What is done to the account.
#[derive(Debug, Clone)]
pub struct Reset {
    /// Its name.
    pub name: String,
    /// Its new password.
    pub password: NewPassword,
    /// Whether it is switched on.
    pub enable: bool,
    /// Whether it is given the role of administrators.
    pub make_admin: bool,
    /// Whether the tokens of its robots end like those of its logins.
    pub end_tokens: bool,
}

/// Why there is no new password.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is not as this program makes it.
    #[error(transparent)]
    Version(#[from] MigrateError),
    /// The account.
    #[error(transparent)]
    Account(#[from] UserError),
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

impl From<rusqlite::Error> for ResetError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Account(DbError::from(error).into())
    }
}

/// Gives the account a new password, with an entry in the audit log. It blocks for as long as a hash and a commit take.
///
/// # Errors
/// When there is no such account, or the database cannot be written or is not of this version; nothing is changed then.
pub fn reset_password(database: &Path, reset: Reset, now: Timestamp) -> Result<ChangedUser, ResetError> {
    let mut connection = open(database)?;
    must_be_current(&connection)?;
    let password_hash = Some(hash_now(reset.password.secret())?);
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut roles = find(&tx, &reset.name)?.roles;
    if reset.make_admin && !roles.iter().any(|role| role == ADMIN) {
        roles.push(ADMIN.to_owned());
    }
    let disabled = reset.enable.then_some(false);
    let (roles, end_tokens) = (Some(roles), reset.end_tokens);
    let change =
        UpdateUser { password_hash, roles, disabled, end_tokens, ..UpdateUser::of(&reset.name, now) };
    let changed = change.run(&tx)?;
    let origin = Origin { actor_name: OPERATOR.to_owned(), ..Origin::default() };
    insert(&tx, &origin, now, &changed.event()).map_err(UserError::from)?;
    tx.commit()?;
    Ok(changed)
}

/// Ends the tokens that a server gave for the old password before it knew of the new one. Answers how many.
///
/// # Errors
/// When the database cannot be written.
pub fn end_logins(database: &Path, changed: &ChangedUser, now: Timestamp) -> Result<u64, ResetError> {
    let connection: Connection = open(database)?;
    Ok(crate::db::queries::users::end_logins(&connection, &changed.user.id, now).map_err(UserError::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth_cache::Secret;

    fn reset(name: &str) -> Reset {
        let password = NewPassword::try_from(Secret::new("a new password")).unwrap();
        Reset { name: name.to_owned(), password, enable: true, make_admin: true, end_tokens: true }
    }

    #[test]
    fn an_account_is_rescued_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mcr.db");
        let now = Timestamp::from_millis(7);
        assert!(matches!(reset_password(&path, reset("ada"), now), Err(ResetError::Version(_))));
        let database = crate::db::prepare(&path).unwrap();
        let unknown = reset_password(&path, reset("ada"), now);
        assert!(matches!(unknown, Err(ResetError::Account(UserError::Unknown(_)))));
        // As a registry before the rule for names could have it.
        database
            .execute_batch(
                "INSERT INTO users (id, name, account_type, roles, disabled, created_at, updated_at)
                 VALUES ('1', 'GC', 'human', '[\"pull\"]', 1, 0, 0);
                 INSERT INTO tokens (hash, user_id, created_at, expires_at, id, name) VALUES (x'01', '1', 0, 99, 'r', 'robot');
                 INSERT INTO tokens (hash, user_id, created_at, expires_at) VALUES (x'02', '1', 0, 99);",
            )
            .unwrap();
        let kept = reset_password(&path, Reset { end_tokens: false, ..reset("GC") }, now).unwrap();
        assert_eq!((kept.user.disabled, kept.ended, kept.live.total), (false, 1, 1));
        assert_eq!(kept.user.roles, ["pull", "admin"]);
        let changed = reset_password(&path, reset("GC"), now).unwrap();
        assert_eq!((changed.ended, changed.live.total, changed.user.roles.len()), (1, 0, 2));
        let entries: (i64, String) = database
            .query_row(
                "SELECT count(*), max(actor_name) FROM audit_log WHERE event = 'user_updated'",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(entries, (2, OPERATOR.to_owned()));
        database.execute("INSERT INTO schema_migrations (version, name) VALUES (999, 'later')", []).unwrap();
        assert!(matches!(reset_password(&path, reset("GC"), now), Err(ResetError::Version(_))));
    }
}

//! The tokens of an account that are still good: robots' and those of logins.

use rusqlite::Connection;

use crate::db::DbError;
use crate::domain::Timestamp;

/// Tokens that are told of one by one.
const SHOWN: usize = 100;

/// A token of an account that is still good, without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveToken {
    /// The id of a robot's, by which it can be revoked; none for a login's.
    pub id: Option<String>,
    /// What a robot's is for; empty for a login's.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its life ends.
    pub expires_at: Timestamp,
}

/// The tokens of an account that are still good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveTokens {
    /// How many there are.
    pub total: u64,
    /// Those of robots first, and of each kind the newest first; no more than a hundred.
    pub shown: Vec<LiveToken>,
}

const LIVE: &str = "FROM tokens WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2";

/// What is still good of the account with this id.
pub(super) fn live(db: &Connection, user_id: &str, now: Timestamp) -> Result<LiveTokens, DbError> {
    let total = db
        .prepare_cached(&format!("SELECT count(*) {LIVE}"))?
        .query_row((user_id, now.as_millis()), |row| row.get(0))?;
    let mut statement = db.prepare_cached(&format!(
        "SELECT id, coalesce(name, ''), created_at, expires_at {LIVE}
          ORDER BY id IS NULL, created_at DESC, hash LIMIT ?3"
    ))?;
    let rows = statement.query_map((user_id, now.as_millis(), SHOWN), |row| {
        Ok(LiveToken {
            id: row.get(0)?,
            name: row.get(1)?,
            created_at: Timestamp::from_millis(row.get(2)?),
            expires_at: Timestamp::from_millis(row.get(3)?),
        })
    })?;
    Ok(LiveTokens { total, shown: rows.collect::<Result<_, _>>()? })
}

/// Ends tokens of the account with this id: those of its logins, or all, but for the one with the hash to keep. Answers how
/// many of them were still good.
pub(super) fn end(
    tx: &Connection,
    user_id: &str,
    (all, keep): (bool, Option<[u8; 32]>),
    now: Timestamp,
) -> Result<u64, DbError> {
    let ended = tx
        .prepare_cached(
            "UPDATE tokens SET revoked_at = ?2
              WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2 AND (?3 OR id IS NULL) AND hash IS NOT ?4",
        )?
        .execute((user_id, now.as_millis(), all, keep))?;
    Ok(ended as u64)
}

//! Another secret for a robot's token.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::UserError;
use super::tokens::{LONG_OVER, RobotToken, find_token};
use crate::db::{Growth, WriteQuery};
use crate::domain::Timestamp;

/// Gives a robot's token another secret and another end; its id, name and roles stay. The old secret ends at once, or goes on for
/// a while as a token with an id of its own. One that has lapsed can be renewed as long as it is known, one that was revoked cannot.
#[derive(Debug, Clone)]
pub struct RenewRobotToken {
    /// Which.
    pub id: String,
    /// Only as long as this is its SHA-256.
    pub old: Option<[u8; 32]>,
    /// The SHA-256 of the new secret.
    pub new: [u8; 32],
    /// How long it lives from now on; as long as it was made for when it is not said.
    pub life: Option<Duration>,
    /// How long the old secret goes on, within its own life.
    pub old_ends_in: Duration,
    /// How many that are good the account has at most; of those that are over as many stay known.
    pub most: usize,
    /// The time.
    pub now: Timestamp,
}

/// What is known of the token before.
struct Before {
    hash: [u8; 32],
    user_id: String,
    user: String,
    name: String,
    roles: Option<String>,
    created_at: Timestamp,
    expires_at: Timestamp,
    revoked: bool,
}

const FIND: &str = "SELECT hash, user_id, users.name, tokens.name, tokens.roles, tokens.created_at, expires_at, revoked_at IS NOT NULL
  FROM tokens JOIN users ON users.id = user_id WHERE tokens.id = ?1";

fn before(db: &Connection, id: &str) -> rusqlite::Result<Option<Before>> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Before {
            hash: row.get(0)?,
            user_id: row.get(1)?,
            user: row.get(2)?,
            name: row.get(3)?,
            roles: row.get(4)?,
            created_at: Timestamp::from_millis(row.get(5)?),
            expires_at: Timestamp::from_millis(row.get(6)?),
            revoked: row.get(7)?,
        })
    };
    db.prepare_cached(FIND)?.query_row([id], read).optional()
}

impl WriteQuery for RenewRobotToken {
    type Output = RobotToken;
    type Error = UserError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<RobotToken, UserError> {
        let Self { id, old, new, life, old_ends_in, most, now } = self;
        let found = before(tx, &id)?.filter(|found| old.is_none_or(|old| old == found.hash));
        let found = found.ok_or_else(|| UserError::Unknown(format!("token {id}")))?;
        if found.revoked {
            return Err(UserError::Revoked);
        }
        let others: usize = tx
            .prepare_cached(
                "SELECT count(*) FROM tokens WHERE user_id = ?1 AND id IS NOT NULL AND revoked_at IS NULL
                    AND expires_at > ?2 AND hash <> ?3",
            )?
            .query_row((&found.user_id, now.as_millis(), found.hash), |row| row.get(0))?;
        let old_end = found.expires_at.min(now.after(old_ends_in));
        let goes_on = old_end > now;
        if others + 1 + usize::from(goes_on) > most {
            return Err(UserError::TooManyTokens { user: found.user, most });
        }
        let (lapsed, revoked_at) = (found.expires_at <= now, (!goes_on).then(|| now.as_millis()));
        let (end, revoked_at) = if lapsed { (found.expires_at, None) } else { (old_end, revoked_at) };
        tx.prepare_cached("UPDATE tokens SET id = ?2, expires_at = ?3, revoked_at = ?4 WHERE hash = ?1")?
            .execute((found.hash, Uuid::new_v4().to_string(), end.as_millis(), revoked_at))?;
        tx.prepare_cached(LONG_OVER)?.execute((&found.user_id, now.as_millis(), most))?;
        let life = life.unwrap_or_else(|| found.expires_at.since(found.created_at));
        let columns = "hash, user_id, created_at, expires_at, id, name, roles";
        tx.prepare_cached(&format!("INSERT INTO tokens ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"))?
            .execute((
                new,
                found.user_id,
                now.as_millis(),
                now.after(life).as_millis(),
                &id,
                found.name,
                found.roles,
            ))?;
        find_token(tx, &id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::ReadQuery;
    use crate::db::queries::identity::FindToken;
    use crate::db::queries::testing::{NOW, database};

    const HOUR: Duration = Duration::from_secs(3600);

    fn with_token() -> Connection {
        let db = database();
        db.execute_batch(
            "INSERT INTO users (id, name, account_type, roles, created_at, updated_at)
             VALUES ('1', 'ci', 'system', '[\"dev\",\"ops\"]', 0, 0);",
        )
        .unwrap();
        let insert =
            "INSERT INTO tokens (hash, user_id, created_at, expires_at, id, name, roles, last_used_at)
                      VALUES (?1, '1', ?2, ?3, 'a', 'deploy', '[\"ops\"]', 5)";
        db.execute(insert, ([0; 32], NOW.as_millis(), NOW.after(2 * HOUR).as_millis())).unwrap();
        db
    }

    fn renewal(new: u8, now: Timestamp) -> RenewRobotToken {
        let (id, old_ends_in) = ("a".to_owned(), Duration::ZERO);
        RenewRobotToken { id, old: None, new: [new; 32], life: None, old_ends_in, most: 3, now }
    }

    /// When the secret ends, and whether it was revoked.
    fn known(db: &Connection, secret: u8) -> Option<(Timestamp, bool)> {
        FindToken([secret; 32]).run(db).unwrap().map(|found| (found.expires_at, found.revoked))
    }

    #[test]
    fn a_robots_token_is_the_same_with_another_secret_and_another_end() {
        let (db, now) = (with_token(), NOW.after(HOUR));
        let renewed = renewal(1, now).run(&db).unwrap();
        assert_eq!(
            (renewed.id.as_str(), renewed.name.as_str(), renewed.user.as_str()),
            ("a", "deploy", "ci")
        );
        assert_eq!(
            (renewed.roles, renewed.last_used_at, renewed.revoked),
            (vec!["ops".to_owned()], None, false)
        );
        assert_eq!(
            (renewed.created_at, renewed.expires_at),
            (now, now.after(2 * HOUR)),
            "as long as it was made for"
        );
        assert_eq!(known(&db, 0), Some((now, true)), "the old secret goes on");
        let longer = RenewRobotToken { life: Some(9 * HOUR), old: Some([1; 32]), ..renewal(2, now) };
        assert_eq!(longer.run(&db).unwrap().expires_at, now.after(9 * HOUR));
        let moved = RenewRobotToken { old: Some([1; 32]), ..renewal(3, now) };
        assert!(matches!(moved.run(&db), Err(UserError::Unknown(_))), "it is another one by now");
        db.execute("UPDATE tokens SET revoked_at = 1 WHERE id = 'a'", []).unwrap();
        assert!(matches!(renewal(3, now).run(&db), Err(UserError::Revoked)));
    }

    #[test]
    fn the_old_secret_goes_on_for_as_long_as_is_asked_and_never_past_its_end() {
        let (db, now) = (with_token(), NOW.after(HOUR));
        RenewRobotToken { old_ends_in: HOUR / 2, ..renewal(1, now) }.run(&db).unwrap();
        assert_eq!(known(&db, 0), Some((now.after(HOUR / 2), false)));
        RenewRobotToken { old_ends_in: 99 * HOUR, ..renewal(2, now) }.run(&db).unwrap();
        assert_eq!(known(&db, 1), Some((now.after(2 * HOUR), false)));
        // Three are good, as many as there may be; in the place of one there is room for one.
        let more = RenewRobotToken { old_ends_in: HOUR, ..renewal(3, now) };
        assert!(matches!(more.run(&db), Err(UserError::TooManyTokens { most: 3, .. })));
        renewal(3, now).run(&db).unwrap();
    }

    #[test]
    fn one_that_has_lapsed_is_renewed_and_what_is_over_is_bounded() {
        let db = with_token();
        let mut now = NOW;
        for new in 1..20 {
            now = now.after(3 * HOUR);
            assert_eq!(renewal(new, now).run(&db).unwrap().expires_at, now.after(2 * HOUR));
            let (_, revoked) = known(&db, new - 1).unwrap();
            assert!(!revoked, "it lapsed, and nobody revoked it");
        }
        let rows: u64 = db.query_row("SELECT count(*) FROM tokens", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 4);
    }
}

//! A new token for the token of a login, up to a time after the login itself.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::super::audit::Record;
use super::UserError;
use crate::db::{Growth, WriteQuery};
use crate::domain::{Event, EventName, Origin, Timestamp};

/// How long after a login its token can be renewed, and no renewed token lives longer.
pub const RENEWED: Duration = Duration::from_secs(12 * 3600);

/// Puts a new token in the place of a login's, which ends with it. Answers when the life of the new one ends: never before
/// that of the old one, and never later than [`RENEWED`] after the login unless the old one did.
#[derive(Debug, Clone)]
pub struct RenewToken {
    /// The SHA-256 of the old token.
    pub old: [u8; 32],
    /// The SHA-256 of the new one.
    pub new: [u8; 32],
    /// How long a token lives.
    pub life: Duration,
    /// Who asks, for the audit log, where it is one more login.
    pub origin: Origin,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for RenewToken {
    type Output = Timestamp;
    type Error = UserError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<Timestamp, UserError> {
        let Self { old, new, life, origin, now } = self;
        let found: Option<(i64, i64)> = tx
            .prepare_cached(
                "SELECT coalesce(logged_in_at, created_at), expires_at FROM tokens
                  WHERE hash = ?1 AND id IS NULL AND revoked_at IS NULL AND expires_at > ?2",
            )?
            .query_row((old, now.as_millis()), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (login, end) = found.ok_or(UserError::NoLogin)?;
        let (last, end) = (Timestamp::from_millis(login).after(RENEWED), Timestamp::from_millis(end));
        if now >= last {
            return Err(UserError::LoginTooOld);
        }
        let expires_at = now.after(life).min(last).max(end);
        tx.prepare_cached(
            "UPDATE tokens SET hash = ?2, created_at = ?3, expires_at = ?4, logged_in_at = ?5 WHERE hash = ?1",
        )?
        .execute((old, new, now.as_millis(), expires_at.as_millis(), login))?;
        Record { origin, now, event: Event::new(EventName::LoginOk), times: 1 }.run(tx)?;
        Ok(expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::ReadQuery;
    use crate::db::queries::identity::FindToken;
    use crate::db::queries::testing::{NOW, database};

    const HOUR: Duration = Duration::from_secs(3600);

    fn with_login() -> Connection {
        let db = database();
        db.execute_batch(
            "INSERT INTO users (id, name, account_type, roles, created_at, updated_at)
             VALUES ('1', 'ada', 'human', '[]', 0, 0);",
        )
        .unwrap();
        let insert =
            "INSERT INTO tokens (hash, user_id, created_at, expires_at, id) VALUES (?1, '1', ?2, ?3, ?4)";
        for (hash, id) in [([0; 32], None), ([255; 32], Some("robot"))] {
            db.execute(insert, (hash, NOW.as_millis(), NOW.after(HOUR).as_millis(), id)).unwrap();
        }
        db
    }

    fn renew(db: &Connection, old: u8, now: Timestamp) -> Result<Timestamp, UserError> {
        let origin = Origin::default();
        RenewToken { old: [old; 32], new: [old + 1; 32], life: HOUR, origin, now }.run(db)
    }

    #[test]
    fn a_token_that_is_renewed_again_and_again_ends_twelve_hours_after_the_login() {
        let db = with_login();
        let mut now = NOW;
        let mut end = NOW.after(HOUR);
        for renewed in 0..100 {
            now = now.after(HOUR / 4);
            if now >= NOW.after(RENEWED) {
                assert!(now >= end, "it outlives the twelve hours");
                assert!(matches!(renew(&db, renewed, now), Err(UserError::NoLogin)));
                assert_eq!(renewed, 47);
                return;
            }
            end = renew(&db, renewed, now).unwrap();
            assert_eq!(end, now.after(HOUR).min(NOW.after(RENEWED)));
            assert!(FindToken([renewed; 32]).run(&db).unwrap().is_none(), "the old one is still known");
            let found = FindToken([renewed + 1; 32]).run(&db).unwrap().unwrap();
            assert!(found.expires_at == end && !found.revoked && !found.of_robot);
        }
        panic!("it is renewed for ever");
    }

    #[test]
    fn what_is_no_good_token_of_a_login_is_not_renewed() {
        let none: fn(&Result<Timestamp, UserError>) -> bool =
            |renewed| matches!(renewed, Err(UserError::NoLogin));
        let later = NOW.after(HOUR / 2);
        let db = with_login();
        let origin = Origin::default();
        let robot = RenewToken { old: [255; 32], new: [9; 32], life: HOUR, origin, now: later };
        assert!(
            none(&robot.run(&db)) && none(&renew(&db, 7, later)) && none(&renew(&db, 0, NOW.after(HOUR)))
        );
        db.execute("UPDATE tokens SET revoked_at = 1", []).unwrap();
        assert!(none(&renew(&db, 0, later)));
    }

    #[test]
    fn a_token_that_lives_longer_than_a_login_is_renewed_is_not_made_shorter() {
        let db = with_login();
        let end = NOW.after(HOUR * 24);
        db.execute("UPDATE tokens SET expires_at = ?1", [end.as_millis()]).unwrap();
        assert_eq!(renew(&db, 0, NOW.after(HOUR)).unwrap(), end);
        assert!(matches!(renew(&db, 1, NOW.after(RENEWED)), Err(UserError::LoginTooOld)));
    }
}

//! A new token for the token of a login, up to a time after the login itself.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::super::audit::Record;
use super::super::identity::drop_oldest_logins;
use super::UserError;
use crate::db::{Growth, WriteQuery};
use crate::domain::{Event, EventName, Origin, Timestamp};

/// How long after a login its token can be renewed, and no renewed token lives longer.
pub const RENEWED: Duration = Duration::from_secs(12 * 3600);
/// How long a token goes on that was renewed, if its life is not over before: what was asked with it at the same time, or is
/// asked by whoever has not heard of the new one yet, is no stranger's.
pub const GOES_ON: Duration = Duration::from_secs(60);

/// Gives a new token for that of a login, which ends [`GOES_ON`] later and can be renewed once more until then. Answers when the
/// life of the new one ends: never before that of the old one, and never later than [`RENEWED`] after the login unless the
/// old one did.
#[derive(Debug, Clone)]
pub struct RenewToken {
    /// The SHA-256 of the old token.
    pub old: [u8; 32],
    /// The SHA-256 of the new one.
    pub new: [u8; 32],
    /// How long a token lives.
    pub life: Duration,
    /// How many tokens of logins the account has at most, ended ones included; 1 or more.
    pub most: usize,
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
        let Self { old, new, life, most, origin, now } = self;
        let found: Option<(String, i64, i64)> = tx
            .prepare_cached(
                "SELECT user_id, coalesce(logged_in_at, created_at), expires_at FROM tokens
                  WHERE hash = ?1 AND id IS NULL AND revoked_at IS NULL AND expires_at > ?2",
            )?
            .query_row((old, now.as_millis()), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let (user_id, login, end) = found.ok_or(UserError::NoLogin)?;
        let (last, end) = (Timestamp::from_millis(login).after(RENEWED), Timestamp::from_millis(end));
        if now >= last {
            return Err(UserError::LoginTooOld);
        }
        let expires_at = now.after(life).min(last).max(end);
        drop_oldest_logins(tx, &user_id, most)?;
        tx.prepare_cached("UPDATE tokens SET expires_at = min(expires_at, ?2) WHERE hash = ?1")?
            .execute((old, now.after(GOES_ON).as_millis()))?;
        tx.prepare_cached(
            "INSERT INTO tokens (hash, user_id, created_at, expires_at, logged_in_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((new, user_id, now.as_millis(), expires_at.as_millis(), login))?;
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

    fn renewal(old: u8, new: u8, now: Timestamp) -> RenewToken {
        RenewToken { old: [old; 32], new: [new; 32], life: HOUR, most: 1000, origin: Origin::default(), now }
    }

    fn renew(db: &Connection, old: u8, now: Timestamp) -> Result<Timestamp, UserError> {
        renewal(old, old + 1, now).run(db)
    }

    fn end(db: &Connection, token: u8) -> Timestamp {
        FindToken([token; 32]).run(db).unwrap().unwrap().expires_at
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
            assert_eq!(self::end(&db, renewed), now.after(GOES_ON), "the old one goes on");
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
        let robot = renewal(255, 9, later);
        assert!(
            none(&robot.run(&db)) && none(&renew(&db, 7, later)) && none(&renew(&db, 0, NOW.after(HOUR)))
        );
        db.execute("UPDATE tokens SET revoked_at = 1", []).unwrap();
        assert!(none(&renew(&db, 0, later)));
    }

    #[test]
    fn whoever_renews_a_token_twice_within_its_minute_gets_two_and_it_ends_with_the_first_minute() {
        let db = with_login();
        let (first, last) = (NOW.after(HOUR / 2), NOW.after(HOUR / 2 + GOES_ON));
        let just_before = Timestamp::from_millis(last.as_millis() - 1);
        let ends = [(1, first), (2, first), (3, just_before)]
            .map(|(new, now)| (renewal(0, new, now).run(&db).unwrap(), now.after(HOUR)));
        assert!(ends.iter().all(|(end, expected)| end == expected), "{ends:?}");
        assert_eq!((end(&db, 0), end(&db, 1)), (last, first.after(HOUR)), "a later renewal moves an end");
        assert!(matches!(renewal(0, 4, last).run(&db), Err(UserError::NoLogin)));
        // One whose life is shorter than the minute gets no longer life by it.
        let late = NOW.after(HOUR / 2 + HOUR - GOES_ON / 2);
        renewal(1, 5, late).run(&db).unwrap();
        assert_eq!(end(&db, 1), first.after(HOUR));
        for token in [2, 3, 5] {
            assert!(end(&db, token) <= NOW.after(RENEWED));
        }
    }

    #[test]
    fn renewals_without_end_leave_a_bounded_number_of_tokens_of_which_the_last_is_good() {
        let db = with_login();
        for renewed in 0..100 {
            let now = NOW.after(Duration::from_secs(u64::from(renewed)));
            RenewToken { most: 3, ..renewal(renewed, renewed + 1, now) }.run(&db).unwrap();
        }
        let count = "SELECT count(*) FROM tokens WHERE id IS NULL";
        assert_eq!(db.query_row(count, [], |row| row.get::<_, u64>(0)).unwrap(), 3);
        assert!(end(&db, 100) > NOW.after(HOUR));
        assert!(FindToken([255; 32]).run(&db).unwrap().is_some(), "a robot's went");
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

//! Tokens of robots, as administrators see and make them.

use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::super::identity::roles;
use super::{UserError, as_json, find};
use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::Timestamp;

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
    /// Only those of the account of this name.
    pub user: Option<String>,
}

impl ReadQuery for ListTokens {
    type Output = (Vec<RobotToken>, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        if let Some(user) = self.user {
            let find = "SELECT id FROM users WHERE name = ?1";
            let user_id: Option<String> =
                db.prepare_cached(find)?.query_row([user], |row| row.get(0)).optional()?;
            let Some(user_id) = user_id else { return Ok((Vec::new(), 0)) };
            return ListOwnTokens { user_id, offset: self.offset, limit: self.limit }.run(db);
        }
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

/// Robot tokens of one account, the newest first, and how many there are.
#[derive(Debug)]
pub struct ListOwnTokens {
    /// The account's id.
    pub user_id: String,
    /// Tokens to pass over.
    pub offset: usize,
    /// Most tokens.
    pub limit: usize,
}

impl ReadQuery for ListOwnTokens {
    type Output = (Vec<RobotToken>, u64);

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let total = db
            .prepare_cached("SELECT count(*) FROM tokens WHERE user_id = ?1 AND id IS NOT NULL")?
            .query_row([&self.user_id], |row| row.get(0))?;
        let mut statement = db.prepare_cached(&own_tokens())?;
        let rows = statement.query_map((self.user_id, self.limit, self.offset), token_columns)?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        Ok((crate::db::readable(rows.into_iter().map(robot_token)), total))
    }
}

/// An account has no more than a bound, so they are found by it and put in order.
fn own_tokens() -> String {
    format!(
        "SELECT {TOKEN_COLUMNS} FROM users CROSS JOIN tokens ON tokens.user_id = users.id
          WHERE users.id = ?1 AND tokens.id IS NOT NULL
          ORDER BY tokens.created_at DESC, tokens.id LIMIT ?2 OFFSET ?3"
    )
}

/// The SHA-256 of the robot token with this id, as long as it is this account's.
#[derive(Debug)]
pub struct FindOwnToken {
    /// Its id.
    pub id: String,
    /// The account's id.
    pub user_id: String,
}

impl ReadQuery for FindOwnToken {
    type Output = Option<[u8; 32]>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        Ok(db
            .prepare_cached("SELECT hash FROM tokens WHERE id = ?1 AND user_id = ?2")?
            .query_row((self.id, self.user_id), |row| row.get(0))
            .optional()?)
    }
}

/// The robot tokens of some accounts that are good and have roles of their own: for each its account, what it is for, and what of
/// its roles its account has.
#[derive(Debug)]
pub struct TokensWithRoles {
    /// The accounts, each with its roles.
    pub users: Vec<(String, Vec<String>)>,
    /// The time.
    pub now: Timestamp,
}

/// A robot token with roles of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWithRoles {
    /// The account's id.
    pub user_id: String,
    /// What it is for.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
}

const WITH_ROLES: &str = "SELECT name, roles FROM tokens
  WHERE user_id = ?1 AND id IS NOT NULL AND revoked_at IS NULL AND expires_at > ?2 AND roles IS NOT NULL ORDER BY name";

impl ReadQuery for TokensWithRoles {
    type Output = Vec<TokenWithRoles>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let mut statement = db.prepare_cached(WITH_ROLES)?;
        let mut found = Vec::new();
        for (user_id, of_user) in self.users {
            let rows = statement.query_map((&user_id, self.now.as_millis()), |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            for row in rows {
                let (name, own) = row?;
                let own = roles(own)?;
                let roles = of_user.iter().filter(|role| own.contains(role)).cloned().collect();
                found.push(TokenWithRoles { user_id: user_id.clone(), name, roles });
            }
        }
        Ok(found)
    }
}

pub(super) fn find_token(db: &Connection, id: &str) -> Result<RobotToken, UserError> {
    let found = db
        .prepare_cached(&format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens JOIN users ON users.id = tokens.user_id WHERE tokens.id = ?1"
        ))?
        .query_row([id], token_columns)
        .optional()?;
    Ok(robot_token(found.ok_or_else(|| UserError::Unknown(format!("token {id}")))?)?)
}

/// Makes a robot token for an account.
#[derive(Debug, Clone)]
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
    /// How many that are good the account has at most; of those that are over as many stay known.
    pub most: usize,
    /// The time.
    pub now: Timestamp,
}

/// Robot tokens that are over, but for the latest.
pub(super) const LONG_OVER: &str = "DELETE FROM tokens WHERE hash IN
    (SELECT hash FROM tokens WHERE user_id = ?1 AND id IS NOT NULL AND (revoked_at IS NOT NULL OR expires_at <= ?2)
      ORDER BY created_at DESC LIMIT -1 OFFSET ?3)";

impl WriteQuery for CreateToken {
    type Output = RobotToken;
    type Error = UserError;

    fn growth(&self) -> Growth {
        Growth::Adds
    }

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
        if live >= self.most {
            return Err(UserError::TooManyTokens { user: self.user, most: self.most });
        }
        tx.prepare_cached(LONG_OVER)?.execute((&user.id, self.now.as_millis(), self.most))?;
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
#[derive(Debug, Clone)]
pub struct RevokeRobotToken {
    /// Which.
    pub id: String,
    /// Only as long as this is its SHA-256: a renewal gives it another.
    pub hash: Option<[u8; 32]>,
    /// The time.
    pub now: Timestamp,
}

impl WriteQuery for RevokeRobotToken {
    type Output = RobotToken;
    type Error = UserError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<RobotToken, UserError> {
        let revoke = "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?2)
                       WHERE id = ?1 AND hash = coalesce(?3, hash)";
        let revoked = tx.prepare_cached(revoke)?.execute((&self.id, self.now.as_millis(), self.hash))?;
        if revoked == 0 {
            return Err(UserError::Unknown(format!("token {}", self.id)));
        }
        find_token(tx, &self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::queries::testing::{NOW, database};

    #[test]
    fn ones_own_tokens_are_found_without_looking_at_others() {
        let db = database();
        db.execute_batch(
            "INSERT INTO users (id, name, account_type, roles, created_at, updated_at)
             VALUES ('1', 'ada', 'human', '[]', 0, 0), ('2', 'bob', 'human', '[]', 0, 0);
             INSERT INTO tokens (hash, user_id, created_at, expires_at, id, name)
             VALUES (zeroblob(32), '1', 0, 9, 'a', 'one'), (randomblob(32), '2', 0, 9, 'b', 'other');
             INSERT INTO tokens (hash, user_id, created_at, expires_at) VALUES (randomblob(32), '1', 0, 9);",
        )
        .unwrap();
        let list =
            |user: &str| ListOwnTokens { user_id: user.to_owned(), offset: 0, limit: 9 }.run(&db).unwrap();
        let ((ada, one), (_, none)) = (list("1"), list("nobody"));
        assert_eq!((ada[0].id.as_str(), ada.len(), one, none), ("a", 1, 1, 0));
        let find = |id: &str| FindOwnToken { id: id.to_owned(), user_id: "1".to_owned() }.run(&db).unwrap();
        assert_eq!((find("a"), find("b"), find("c")), (Some([0; 32]), None, None));
        let revoke = |hash| RevokeRobotToken { id: "a".to_owned(), hash, now: NOW }.run(&db);
        assert!(matches!(revoke(Some([1; 32])), Err(UserError::Unknown(_))), "it is another one by now");
        assert!(revoke(Some([0; 32])).unwrap().revoked);
        let of = |user: &str| {
            let (found, total) =
                ListTokens { offset: 0, limit: 9, user: Some(user.to_owned()) }.run(&db).unwrap();
            (found.into_iter().map(|token| token.id).collect::<Vec<_>>(), total)
        };
        assert_eq!((of("bob"), of("nobody")), ((vec!["b".to_owned()], 1), (Vec::new(), 0)));
        let plan: Vec<String> = db
            .prepare(&format!("EXPLAIN QUERY PLAN {}", own_tokens()))
            .unwrap()
            .query_map(("1", 9, 0), |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let plan = plan.join("; ");
        assert!(!plan.contains("SCAN"), "{plan}");
    }

    #[test]
    fn tokens_with_roles_of_their_own_are_found_by_their_account_while_they_are_good() {
        let db = database();
        db.execute_batch(
            "INSERT INTO users (id, name, account_type, roles, created_at, updated_at)
             VALUES ('1', 'ada', 'human', '[\"dev\",\"ops\"]', 0, 0), ('2', 'bob', 'human', '[]', 0, 0);
             INSERT INTO tokens (hash, user_id, created_at, expires_at, id, name, roles, revoked_at) VALUES
                (x'01', '1', 0, 9, 'a', 'part', '[\"ops\",\"lost\"]', NULL), (x'02', '1', 0, 9, 'b', 'whole', NULL, NULL),
                (x'03', '1', 0, 9, 'c', 'revoked', '[]', 1), (x'04', '1', 0, 5, 'd', 'lapsed', '[]', NULL),
                (x'05', '2', 0, 9, 'e', 'other', '[\"dev\"]', NULL), (x'06', '1', 0, 9, NULL, NULL, NULL, NULL);",
        )
        .unwrap();
        let roles = ["dev", "ops"].map(str::to_owned).to_vec();
        let users = vec![("1".to_owned(), roles), ("nobody".to_owned(), Vec::new())];
        let found = TokensWithRoles { users, now: Timestamp::from_millis(5) }.run(&db).unwrap();
        let part = TokenWithRoles {
            user_id: "1".to_owned(),
            name: "part".to_owned(),
            roles: vec!["ops".to_owned()],
        };
        assert_eq!(found, [part]);
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {WITH_ROLES}")).unwrap();
        let plan = plan.query_map(("1", 0), |row| row.get::<_, String>(3)).unwrap();
        let plan = plan.collect::<Result<Vec<_>, _>>().unwrap().join("; ");
        assert!(plan.contains("USING INDEX tokens_of_robots (user_id=? AND expires_at>?)"), "{plan}");
    }
}

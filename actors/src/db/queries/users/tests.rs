use super::*;
use crate::db::queries::identity::FindToken;
use crate::db::queries::testing::{NOW, database};

fn create(db: &Connection, name: &str, roles: &[&str]) -> Result<User, UserError> {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let (name, account_type) = (name.parse().unwrap(), AccountType::System);
    let password_hash = Some("x".to_owned());
    CreateUser { name, account_type, password_hash, roles, now: NOW }.run(db)
}

fn change(name: &str) -> UpdateUser {
    UpdateUser::of(name, NOW)
}

fn delete(name: &str) -> DeleteUser {
    DeleteUser { name: name.to_owned(), precondition: Precondition::default() }
}

#[test]
fn an_account_is_changed_only_as_long_as_it_is_what_was_asked_for() {
    let db = database();
    let seen = create(&db, "ada", &["pull"]).unwrap();
    let asking = |user: &User| Precondition::read(Some(&format!("\"{}\"", user.digest())), None);
    let later = NOW.after(std::time::Duration::from_secs(1));
    let update =
        |precondition| UpdateUser { disabled: Some(true), precondition, ..UpdateUser::of("ada", later) };
    let changed = update(asking(&seen)).run(&db).unwrap().user;
    assert_eq!(ShowUser("ada".to_owned()).run(&db).unwrap().as_ref(), Some(&changed));
    let refused = update(asking(&seen)).run(&db);
    assert!(matches!(refused, Err(UserError::Precondition(found)) if found == changed.digest()));
    let refused = DeleteUser { precondition: asking(&seen), ..delete("ada") }.run(&db);
    assert!(matches!(refused, Err(UserError::Precondition(_))));
    DeleteUser { precondition: asking(&changed), ..delete("ada") }.run(&db).unwrap();
    assert_eq!(ShowUser("ada".to_owned()).run(&db).unwrap(), None);
}

#[test]
fn the_last_administrator_cannot_be_lost() {
    let db = database();
    create(&db, "root", &["admin"]).unwrap();
    create(&db, "ci", &[]).unwrap();
    for taken in ["ci", "CI", "cI"] {
        assert!(matches!(create(&db, taken, &[]), Err(UserError::Taken(name)) if name == "ci"), "{taken}");
    }
    let attempts = [
        UpdateUser { disabled: Some(true), ..change("root") },
        UpdateUser { roles: Some(vec![]), ..change("root") },
    ];
    for attempt in attempts {
        db.execute_batch("SAVEPOINT s").unwrap();
        assert!(matches!(attempt.run(&db), Err(UserError::LastAdministrator)));
        db.execute_batch("ROLLBACK TO s").unwrap();
    }
    // One who cannot log in is no administrator, whatever the reason.
    create(&db, "second", &["admin"]).unwrap();
    for cannot in ["password_hash = NULL", "password_hash = 'x', disabled = 1"] {
        db.execute(&format!("UPDATE users SET {cannot} WHERE name = 'second'"), []).unwrap();
        db.execute_batch("SAVEPOINT s").unwrap();
        let deleted = delete("root").run(&db);
        assert!(matches!(deleted, Err(UserError::LastAdministrator)), "{cannot}");
        db.execute_batch("ROLLBACK TO s").unwrap();
    }
    UpdateUser { disabled: Some(false), ..change("second") }.run(&db).unwrap();
    assert!(delete("root").run(&db).is_ok());
    assert!(matches!(delete("root").run(&db), Err(UserError::Unknown(_))));
}

#[test]
fn a_robot_token_has_roles_of_its_own_and_ends_when_it_is_revoked() {
    let db = database();
    create(&db, "root", &["admin"]).unwrap();
    create(&db, "ci", &["builder", "pusher"]).unwrap();
    let (name, user, expires_at) =
        ("deploy".to_owned(), "ci".to_owned(), NOW.after(std::time::Duration::from_secs(9)));
    let roles = Some(vec!["pusher".to_owned()]);
    let token =
        CreateToken { hash: [7; 32], name, user, roles, expires_at, most: 30, now: NOW }.run(&db).unwrap();
    let found = FindToken([7; 32]).run(&db).unwrap().unwrap();
    assert_eq!((found.principal.roles, found.revoked), (vec!["pusher".to_owned()], false));
    assert!(RevokeRobotToken { id: token.id, hash: None, now: NOW }.run(&db).unwrap().revoked);
    assert!(FindToken([7; 32]).run(&db).unwrap().unwrap().revoked);
    let (tokens, total) = ListTokens { offset: 0, limit: 9, user: None }.run(&db).unwrap();
    assert_eq!((tokens.len(), total), (1, 1));
}

#[test]
fn robot_tokens_that_are_made_and_ended_without_end_leave_a_bounded_number_of_rows() {
    let db = database();
    create(&db, "root", &["admin"]).unwrap();
    create(&db, "ci", &[]).unwrap();
    let make = |index: u32, now: Timestamp| {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&index.to_be_bytes());
        let (name, user) = ("t".to_owned(), "ci".to_owned());
        let expires_at = now.after(std::time::Duration::from_secs(10 * 365 * 24 * 3600));
        CreateToken { hash, name, user, roles: None, expires_at, most: 5, now }.run(&db)
    };
    for index in 0..40 {
        let now = NOW.after(std::time::Duration::from_millis(u64::from(index)));
        let made = make(index, now).unwrap();
        RevokeRobotToken { id: made.id, hash: None, now }.run(&db).unwrap();
    }
    let later = NOW.after(std::time::Duration::from_secs(1));
    let live: Vec<_> = (100..105).map(|index| make(index, later).unwrap().id).collect();
    assert!(matches!(make(200, later), Err(UserError::TooManyTokens { most: 5, .. })));
    let (tokens, total) = ListTokens { offset: 0, limit: 99, user: None }.run(&db).unwrap();
    assert!(total <= 2 * 5, "{total} rows");
    assert!(live.iter().all(|id| tokens.iter().any(|token| token.id == *id && !token.revoked)));
}

proptest::proptest! {
    /// Whatever is done to accounts in whatever order, a token gives no role that its account has not, and a dead
    /// account's tokens are nothing.
    #[test]
    fn a_token_is_never_more_than_its_account_is_now(
        steps in proptest::collection::vec((0u8..5, 0usize..8), 1..30),
    ) {
        let db = database();
        create(&db, "root", &["admin"]).unwrap();
        create(&db, "ci", &["admin", "pull"]).unwrap();
        let part = |bits: usize| -> Vec<String> {
            let all = ["admin", "pull", "push"].into_iter().enumerate();
            all.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, role)| role.to_owned()).collect()
        };
        for (index, (step, bits)) in steps.into_iter().enumerate() {
            let name = "ci".to_owned();
            let account = find(&db, &name).ok();
            let done = match step {
                0 => UpdateUser { roles: Some(part(bits)), ..change(&name) }.run(&db).is_ok(),
                1 => UpdateUser { disabled: Some(bits % 2 == 1), ..change(&name) }.run(&db).is_ok(),
                2 => UpdateUser { password_hash: Some("y".to_owned()), ..change(&name) }.run(&db).is_ok(),
                3 if bits == 0 => delete(&name).run(&db).is_ok(),
                _ => {
                    let roles = Some(part(bits)).filter(|_| bits > 0);
                    let asked = roles.clone().unwrap_or_default();
                    let (hash, expires_at) =
                        ([u8::try_from(index).unwrap(); 32], NOW.after(std::time::Duration::from_secs(9)));
                    let token = ("t".to_owned(), name);
                    let (name, user) = token;
                    let made = CreateToken { hash, name, user, roles, expires_at, most: 30, now: NOW }.run(&db).is_ok();
                    let had = account.as_ref().is_some_and(|user| asked.iter().all(|role| user.roles.contains(role)));
                    proptest::prop_assert_eq!(made, had);
                    made
                }
            };
            proptest::prop_assert!(done || account.is_none() || step > 2);
            let account = find(&db, "ci").ok();
            for index in 0..30 {
                let Some(token) = FindToken([index; 32]).run(&db).unwrap() else { continue };
                let account = account.as_ref().unwrap();
                proptest::prop_assert!(token.principal.roles.iter().all(|role| account.roles.contains(role)));
                proptest::prop_assert!(token.revoked || !account.disabled);
            }
        }
    }
}

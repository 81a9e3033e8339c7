use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::local::{Ensured, LocalProvider, ensure_admin};
use super::password::{NewPassword, Passwords};
use super::provider::{ProviderError, Validation, Verdict, Verified};
use super::*;
use crate::ask::{AskError, Handle};
use crate::clock::Clock;
use crate::db::Db;
use crate::db::queries::identity::FindToken;
use crate::db::queries::users::UpdateUser;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// Counts what it is asked; knows the token "good" until it is revoked, and the password "right" of whoever is called ada something. While a gate is
/// closed, answers that are already decided wait behind it.
#[derive(Debug)]
struct Counting {
    validated: AtomicUsize,
    verified: AtomicUsize,
    logged_out: AtomicUsize,
    down: AtomicBool,
    revoked: AtomicBool,
    validations: Semaphore,
    revocations: Semaphore,
}

impl Default for Counting {
    fn default() -> Self {
        Self {
            validated: AtomicUsize::default(),
            verified: AtomicUsize::default(),
            logged_out: AtomicUsize::default(),
            down: AtomicBool::default(),
            revoked: AtomicBool::default(),
            validations: Semaphore::new(1),
            revocations: Semaphore::new(1),
        }
    }
}

impl Counting {
    async fn slowly<T>(&self, counter: &AtomicUsize, answer: T) -> Result<T, ProviderError> {
        counter.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        match self.down.load(Ordering::SeqCst) {
            true => Err(ProviderError::Silent { reason: "down".to_owned() }),
            false => Ok(answer),
        }
    }
}

fn ada() -> Arc<Principal> {
    Arc::new(Principal { name: "ada".to_owned(), ..Principal::anonymous() })
}

impl Provider for Counting {
    fn may_be_token(&self, _: &Secret) -> bool {
        false
    }

    fn validate<'a>(&'a self, token: &'a Secret) -> Verdict<'a, Validation> {
        let expires_at = NOW.after(Duration::from_secs(10));
        let good = Validation::Valid { principal: ada(), expires_at, of_robot: false };
        let is_good = token.expose() == "good" && !self.revoked.load(Ordering::SeqCst);
        let answer = self.slowly(&self.validated, if is_good { good } else { Validation::Invalid });
        Box::pin(async {
            let answer = answer.await;
            drop(self.validations.acquire().await);
            answer
        })
    }

    fn verify<'a>(&'a self, name: &'a str, password: &'a Secret) -> Verdict<'a, Option<Verified>> {
        let right = name.starts_with("ada") && password.expose() == "right";
        let verified = right.then(|| Verified { principal: ada(), password: None });
        Box::pin(self.slowly(&self.verified, verified))
    }

    fn login<'a>(
        &'a self,
        _: &'a str,
        _: &'a Secret,
        Verified { principal, .. }: Verified,
    ) -> Verdict<'a, Option<LoggedIn>> {
        let token = Secret::new("good");
        Box::pin(async move { Ok(Some(LoggedIn { token, principal, expires_at: NOW })) })
    }

    fn logout<'a>(&'a self, token: &'a Secret) -> Verdict<'a, ()> {
        Box::pin(async {
            self.logged_out.fetch_add(1, Ordering::SeqCst);
            self.revoked.fetch_or(token.expose() == "good", Ordering::SeqCst);
            drop(self.revocations.acquire().await);
            Ok(())
        })
    }

    fn check(&self) -> Verdict<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn purge(&self) -> Verdict<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

type Asked = Result<Authenticated, AskError<AuthError>>;

struct World {
    _directory: tempfile::TempDir,
    clock: Clock,
    db: Db,
    provider: Arc<Counting>,
    readers: [Handle<AuthReader>; 2],
}

fn settings(anonymous: bool) -> AuthSettings {
    let (cache_ttl, token_ttl) = (Duration::from_secs(30), Duration::from_secs(3600));
    let login_attempts_per_minute = 30.try_into().unwrap();
    let most_tokens = MostTokens::DEFAULT;
    AuthSettings { cache_ttl, token_ttl, anonymous, login_attempts_per_minute, most_tokens }
}

async fn world(anonymous: bool) -> World {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::start(&directory.path().join("mcr.db"), &actix::Arbiter::current()).unwrap();
    let (clock, provider) = (Clock::test(NOW), Arc::new(Counting::default()));
    let readers = readers(settings(anonymous), provider.clone(), &db, &clock).await;
    World { _directory: directory, clock, db, provider, readers }
}

async fn readers(
    settings: AuthSettings,
    provider: Arc<dyn Provider>,
    db: &Db,
    clock: &Clock,
) -> [Handle<AuthReader>; 2] {
    let owner = AuthCache::start(settings, provider, db.clone(), clock.clone(), &actix::Arbiter::current())
        .await
        .unwrap();
    [AuthReader::start(&owner).await.unwrap(), AuthReader::start(&owner).await.unwrap()]
}

fn token(text: &str) -> Authenticate {
    Authenticate { credentials: Credentials::Token(Secret::new(text)), address: None }
}

fn basic(name: &str, password: &str) -> Authenticate {
    Authenticate {
        credentials: Credentials::Basic { name: name.to_owned(), password: Secret::new(password) },
        address: None,
    }
}

fn login(name: &str, password: &str) -> Login {
    Login { name: name.to_owned(), password: Secret::new(password), code: None, address: None }
}

fn is_invalid<T>(result: &Result<T, AskError<AuthError>>) -> bool {
    matches!(result, Err(AskError::Refused(AuthError::Invalid | AuthError::StillInvalid)))
}

#[actix::test]
async fn the_provider_is_asked_once_however_many_want_to_know() {
    let world = world(false).await;
    let asks = (0..100).map(|index| world.readers[index % 2].ask(token("good")));
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer.unwrap().principal.name, "ada");
    }
    assert_eq!(world.provider.validated.load(Ordering::SeqCst), 1);
    let asks = (0..100).map(|index| world.readers[index % 2].ask(basic("ada", "right")));
    futures_util::future::join_all(asks).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    assert_eq!(world.provider.verified.load(Ordering::SeqCst), 1);
}

#[actix::test]
async fn a_finding_is_believed_for_its_time_and_never_past_the_token() {
    let world = world(false).await;
    let validated = || world.provider.validated.load(Ordering::SeqCst);
    world.readers[0].ask(token("good")).await.unwrap();
    world.clock.advance(Duration::from_secs(9));
    world.readers[0].ask(token("good")).await.unwrap();
    assert_eq!(validated(), 1);
    // The token's own end comes before the 30 s of the cache.
    world.clock.advance(Duration::from_secs(1));
    world.readers[0].ask(token("good")).await.unwrap();
    assert_eq!(validated(), 2);
    assert!(is_invalid(&world.readers[0].ask(token("bad")).await));
    assert!(is_invalid(&world.readers[1].ask(token("bad")).await));
    assert_eq!(validated(), 3);
}

#[actix::test]
async fn a_provider_that_is_down_is_no_verdict_and_cached_answers_serve_until_their_time() {
    let world = world(false).await;
    world.readers[0].ask(basic("ada", "right")).await.unwrap();
    world.provider.down.store(true, Ordering::SeqCst);
    assert!(world.readers[1].ask(basic("ada", "right")).await.is_ok());
    let asked = world.readers[0].ask(token("good")).await;
    assert!(matches!(asked, Err(AskError::Refused(AuthError::Unavailable { .. }))), "{asked:?}");
    world.clock.advance(Duration::from_secs(31));
    let asked = world.readers[0].ask(basic("ada", "right")).await;
    assert!(matches!(asked, Err(AskError::Refused(AuthError::Unavailable { .. }))), "{asked:?}");
    world.provider.down.store(false, Ordering::SeqCst);
    assert!(world.readers[0].ask(token("good")).await.is_ok());
}

fn logout(text: &str) -> Logout {
    Logout { token: Secret::new(text) }
}

/// Lets everybody else go on until `done` says so.
async fn eventually(done: impl Fn() -> bool) {
    let polled = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), polled).await.unwrap();
}

#[actix::test]
async fn a_revocation_is_heard_everywhere_before_it_is_acknowledged() {
    let world = world(false).await;
    for reader in &world.readers {
        reader.ask(token("good")).await.unwrap();
    }
    world.readers[0].ask(logout("good")).await.unwrap();
    for reader in &world.readers {
        assert!(is_invalid(&reader.ask(token("good")).await));
    }
    assert_eq!(world.provider.validated.load(Ordering::SeqCst), 2);
}

#[actix::test]
async fn a_question_after_a_revocation_never_shares_an_answer_from_before_it() {
    let world = world(false).await;
    let closed = world.provider.validations.acquire().await.unwrap();
    let before = world.readers[0].ask(token("good"));
    eventually(|| world.provider.validated.load(Ordering::SeqCst) == 1).await;
    world.readers[0].ask(logout("good")).await.unwrap();
    let after = world.readers.each_ref().map(|reader| reader.ask(token("good")));
    drop(closed);
    assert!(before.await.is_ok(), "it was asked before");
    for answer in futures_util::future::join_all(after).await {
        assert!(is_invalid(&answer), "{answer:?}");
    }
    // Nor is the old answer remembered by anybody.
    for reader in &world.readers {
        assert!(is_invalid(&reader.ask(token("good")).await));
    }
}

#[actix::test]
async fn a_revocation_that_takes_long_holds_up_nobody_else() {
    let world = world(false).await;
    let closed = world.provider.revocations.acquire().await.unwrap();
    let slow = world.readers[0].ask(logout("other"));
    eventually(|| world.provider.logged_out.load(Ordering::SeqCst) == 1).await;
    let asked = tokio::time::timeout(Duration::from_secs(20), world.readers[1].ask(token("good"))).await;
    assert!(asked.unwrap().is_ok());
    drop(closed);
    slow.await.unwrap();
}

#[actix::test]
async fn a_revocation_makes_nobody_else_log_in_again() {
    let world = world(false).await;
    for reader in &world.readers {
        reader.ask(basic("ada", "right")).await.unwrap();
    }
    world.readers[0].ask(logout("good")).await.unwrap();
    for reader in &world.readers {
        reader.ask(basic("ada", "right")).await.unwrap();
    }
    assert_eq!(world.provider.verified.load(Ordering::SeqCst), 1);
}

#[actix::test]
async fn anonymous_tokens_are_given_and_taken_only_where_that_is_configured() {
    let closed = world(false).await;
    assert!(is_invalid(&closed.readers[0].ask(LoginAnonymous).await));
    let open = world(true).await;
    let given = open.readers[0].ask(login("", "")).await.unwrap();
    let found = open.readers[1].ask(token(given.token.expose())).await.unwrap();
    assert!(found.principal.is_anonymous());
    assert!(is_invalid(&closed.readers[0].ask(token(given.token.expose())).await));
    open.clock.advance(Duration::from_secs(3600));
    let lapsed = open.readers[1].ask(token(given.token.expose())).await;
    assert!(matches!(lapsed, Err(AskError::Refused(AuthError::Lapsed { .. }))), "{lapsed:?}");
}

#[actix::test]
async fn an_anonymous_token_outlives_a_restart() {
    let world = world(true).await;
    let given = world.readers[0].ask(LoginAnonymous).await.unwrap();
    let restarted = readers(settings(true), world.provider.clone(), &world.db, &world.clock).await;
    let found = restarted[0].ask(token(given.token.expose())).await.unwrap();
    assert!(found.principal.is_anonymous());
    assert_eq!(found.expires_at, given.expires_at);
    assert_eq!(world.provider.validated.load(Ordering::SeqCst), 0);
}

#[actix::test]
async fn the_embedded_provider_from_password_to_revocation() {
    let world = world(false).await;
    let (right, clock) = (Secret::new("correct horse"), world.clock.clone());
    assert_eq!(ensure_admin(&world.db, &clock, "root", &right).await.unwrap(), Ensured::Created);
    let again = ensure_admin(&world.db, &clock, "root", &Secret::new("other")).await.unwrap();
    assert_eq!(again, Ensured::AlreadyThere);
    let provider =
        Arc::new(LocalProvider::new(world.db.clone(), clock.clone(), Passwords::default(), &settings(false)));
    let readers = readers(settings(false), provider, &world.db, &clock).await;
    for (name, password) in [("root", "other"), ("nobody", "correct horse"), ("root", "")] {
        assert!(is_invalid(&readers[0].ask(basic(name, password)).await), "{name}");
        assert!(is_invalid(&readers[0].ask(login(name, password)).await), "{name}");
    }
    let given = readers[0].ask(login("root", "correct horse")).await.unwrap();
    let found = readers[1].ask(token(given.token.expose())).await.unwrap();
    assert!(found.principal.has_role("admin"));
    // A token in the password's place is a login too, and is given back as it is.
    let same = readers[0].ask(login("anything", given.token.expose())).await.unwrap();
    assert_eq!((same.token, same.expires_at), (given.token.clone(), given.expires_at));
    clock.advance(Duration::from_secs(3600));
    let lapsed = readers[1].ask(token(given.token.expose())).await;
    assert!(matches!(lapsed, Err(AskError::Refused(AuthError::Lapsed { .. }))), "{lapsed:?}");
    let given = readers[0].ask(login("root", "correct horse")).await.unwrap();
    readers[1].ask(token(given.token.expose())).await.unwrap();
    readers[0].ask(Logout { token: given.token.clone() }).await.unwrap();
    assert!(is_invalid(&readers[1].ask(token(given.token.expose())).await));
}

#[actix::test]
async fn after_too_many_wrong_passwords_the_name_waits_and_the_provider_is_left_alone() {
    let world = world(false).await;
    for attempt in 0..30 {
        assert!(
            is_invalid(&world.readers[0].ask(login("ada", &format!("wrong {attempt}"))).await),
            "{attempt}"
        );
    }
    let verified = world.provider.verified.load(Ordering::SeqCst);
    for attempt in [login("ada", "wrong again"), login("ada", "right")] {
        let refused = world.readers[1].ask(attempt).await;
        assert!(matches!(refused, Err(AskError::Refused(AuthError::TooMany { .. }))), "{refused:?}");
    }
    assert_eq!(world.provider.verified.load(Ordering::SeqCst), verified);
    assert!(is_invalid(&world.readers[0].ask(login("bob", "wrong")).await));
}

#[actix::test]
async fn of_passwords_tried_at_once_no_more_wrong_ones_are_judged_and_all_right_ones() {
    let world = world(false).await;
    let tried_from_one_address = |name: fn(usize) -> String, password: fn(usize) -> String| {
        let address = Some("192.0.2.1".parse().unwrap());
        let ask = |index: usize| {
            world.readers[index % 2].ask(Authenticate { address, ..basic(&name(index), &password(index)) })
        };
        futures_util::future::join_all((0..200).map(ask))
    };
    let right = tried_from_one_address(|index| format!("ada{index}"), |_| "right".to_owned()).await;
    assert!(right.iter().all(Result::is_ok));
    let wrong = tried_from_one_address(|_| "ada".to_owned(), |index| format!("wrong {index}")).await;
    let judged = wrong.iter().filter(|answer| is_invalid(answer)).count();
    // A minute's worth, and the places that the right ones gave back.
    assert!((1..=60).contains(&judged), "{judged}");
    let too_many = |answer: &&Asked| matches!(answer, Err(AskError::Refused(AuthError::TooMany { .. })));
    assert_eq!(wrong.iter().filter(too_many).count(), 200 - judged);
}

#[actix::test]
async fn no_token_that_was_made_with_the_old_password_outlives_its_change() {
    let world = world(false).await;
    ensure_admin(&world.db, &world.clock, "root", &Secret::new("password 0")).await.unwrap();
    let (passwords, settings) = (Passwords::default(), settings(false));
    let provider = LocalProvider::new(world.db.clone(), world.clock.clone(), passwords.clone(), &settings);
    let (provider, thread) = (Arc::new(provider), actix::Arbiter::current());
    let owner =
        AuthCache::start(settings, provider, world.db.clone(), world.clock.clone(), &thread).await.unwrap();
    for round in 0..3 {
        let old = format!("password {round}");
        let new = NewPassword::try_from(Secret::new(format!("password {}", round + 1))).unwrap();
        let hash = passwords.hash(new).await.unwrap();
        let now = world.clock.now();
        let change = Administer(UpdateUser { password_hash: Some(hash), ..UpdateUser::of("root", now) });
        // So that the logins beside the change need no hash, and have their tokens made just before and after it.
        owner.ask(login("root", &old)).await.unwrap();
        let before = futures_util::future::join_all((0..40).map(|_| owner.ask(login("root", &old))));
        let (changed, after) = (
            owner.ask(change),
            futures_util::future::join_all((0..40).map(|_| owner.ask(login("root", &old)))),
        );
        let (before, changed, after) = futures_util::join!(before, changed, after);
        changed.unwrap();
        for given in before.into_iter().chain(after).flatten() {
            let found = world.db.read(FindToken(given.token.token_hash())).await.unwrap();
            assert!(found.is_none_or(|token| token.revoked), "a token of {old} is good after the change");
        }
        assert!(is_invalid(&owner.ask(login("root", &old)).await));
    }
}

#[actix::test]
async fn wrong_passwords_of_a_name_do_not_keep_its_token_out() {
    let world = world(false).await;
    ensure_admin(&world.db, &world.clock, "ci", &Secret::new("correct horse")).await.unwrap();
    let passwords = Passwords::default();
    let provider = LocalProvider::new(world.db.clone(), world.clock.clone(), passwords, &settings(false));
    let readers = readers(settings(false), Arc::new(provider), &world.db, &world.clock).await;
    let given = readers[0].ask(login("ci", "correct horse")).await.unwrap();
    let guess = |number: usize| readers[0].ask(basic("ci", &format!("wrong {number}")));
    let guesses = futures_util::future::join_all((0..100).map(guess)).await;
    assert!(guesses.iter().any(|guess| matches!(guess, Err(AskError::Refused(AuthError::TooMany { .. })))));
    readers[0].ask(basic("ci", given.token.expose())).await.unwrap();
    // What looks like a token is judged as nothing else, so it is no way around the limit.
    let made_up = local::new_token().unwrap();
    assert!(is_invalid(&readers[0].ask(basic("ci", made_up.expose())).await));
}

#[actix::test]
async fn made_up_tokens_from_one_address_leave_the_provider_to_others() {
    let world = world(false).await;
    let from = |address: &str, number: usize| {
        let address = Some(address.parse().unwrap());
        world.readers[0].ask(Authenticate { address, ..token(&format!("made up {number}")) })
    };
    let gate = world.provider.validations.acquire().await.unwrap();
    let provider = &world.provider;
    let judging = |count| eventually(move || provider.validated.load(Ordering::SeqCst) == count);
    let asked = futures_util::future::join_all((0..200).map(|number| from("192.0.2.1", number)));
    let others = async {
        judging(64).await;
        let other = from("192.0.2.2", 200);
        let judged = async {
            judging(65).await;
            drop(gate);
        };
        futures_util::join!(other, judged).0
    };
    let (asked, other) = futures_util::join!(asked, others);
    let too_many = |answer: &&Asked| matches!(answer, Err(AskError::Refused(AuthError::TooMany { .. })));
    // Of the 64 that were judged, a minute's worth were told so.
    assert_eq!(asked.iter().filter(too_many).count(), 200 - 30);
    assert!(is_invalid(&other), "{other:?}");
    // Their places come back, and a good one is never kept out.
    assert!(too_many(&&from("192.0.2.1", 201).await));
    let good = Authenticate { address: Some("192.0.2.1".parse().unwrap()), ..token("good") };
    assert!(world.readers[0].ask(good).await.is_ok());
}

#[actix::test]
async fn every_kind_of_attempt_counts_for_its_network() {
    let world = world(false).await;
    let passwords = Passwords::default();
    let provider = LocalProvider::new(world.db.clone(), world.clock.clone(), passwords, &settings(false));
    let local = readers(settings(false), Arc::new(provider), &world.db, &world.clock).await;
    let made_up = || local::new_token().unwrap().expose().to_owned();
    type Attempt<'a> = (&'a str, Box<dyn Fn(usize) -> Credentials + 'a>);
    let basic = |name: String, password: String| Credentials::Basic { name, password: Secret::new(password) };
    let kinds: [Attempt<'_>; 4] = [
        ("a password", Box::new(|index| basic(format!("name{index}"), format!("wrong {}", made_up())))),
        ("a token as password", Box::new(|index| basic(format!("name{index}"), made_up()))),
        ("a token", Box::new(|_| Credentials::Token(Secret::new(made_up())))),
        (
            "an anonymous token",
            Box::new(|index| Credentials::Token(Secret::new(format!("mcr_anonymous_{index}_{}", made_up())))),
        ),
    ];
    for (number, (kind, credentials)) in kinds.iter().enumerate() {
        for door in ["request", "login"] {
            let network = format!("2001:db8:{number}:{}", door.len());
            let mut judged = 0;
            for index in 0..90 {
                let address = Some(format!("{network}::{index:x}").parse().unwrap());
                let refused = match (door, credentials(index)) {
                    ("login", Credentials::Basic { name, password }) => {
                        local[0].ask(Login { name, password, code: None, address }).await.map(drop)
                    }
                    (_, credentials) => local[0].ask(Authenticate { credentials, address }).await.map(drop),
                };
                judged += usize::from(is_invalid(&refused));
                assert!(refused.is_err());
            }
            // A place comes back every two seconds.
            // More only where the machine takes longer than the places do.
            assert!((30..=60).contains(&judged), "{kind} at {door}: {judged} of 90 were judged");
        }
    }
}

use super::*;
use crate::auth_cache::{AuthCache, AuthReader, Authenticate, Credentials, EndToken, Login};
use crate::db::queries::users::{GOES_ON, RenewToken};
use crate::domain::Origin;
use crate::fs::fake::FakeFs;
use crate::registry::Settings;
use crate::testing::Harness;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const SETTINGS: AuthSettings = AuthSettings {
    cache_ttl: Duration::from_secs(30),
    token_ttl: Duration::from_secs(3600),
    anonymous: false,
    login_attempts_per_minute: std::num::NonZeroU32::new(1000).unwrap(),
    most_tokens: MostTokens::DEFAULT,
};

/// The provider with the administrator `root`, whose password is `right one`.
struct World {
    directory: tempfile::TempDir,
    clock: Clock,
    db: Db,
    provider: LocalProvider,
}

async fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::start(&directory.path().join("mcr.db"), &actix::Arbiter::current()).unwrap();
    let clock = Clock::test(NOW);
    ensure_admin(&db, &clock, "root", &Secret::new("right one")).await.unwrap();
    let provider = LocalProvider::new(db.clone(), clock.clone(), Passwords::default(), &SETTINGS);
    World { directory, clock, db, provider }
}

impl World {
    async fn verify(&self, name: &str, password: &str) -> Option<Verified> {
        self.provider.verify(name, &Secret::new(password)).await.unwrap()
    }

    async fn log_in(&self) -> LoggedIn {
        let root = self.verify("root", "right one").await.unwrap();
        self.provider.login("root", &Secret::new("right one"), root).await.unwrap().unwrap()
    }

    async fn validate(&self, token: &Secret) -> Validation {
        self.provider.validate(token).await.unwrap()
    }

    fn change_users(&self, set: &str) {
        let other = rusqlite::Connection::open(self.directory.path().join("mcr.db")).unwrap();
        other.execute(&format!("UPDATE users SET {set}"), []).unwrap();
    }
}

#[actix::test]
async fn every_refusal_costs_one_hash_whatever_its_reason() {
    let world = world().await;
    let hashes = || world.provider.passwords.computed();
    assert!(world.verify("root", "right one").await.is_some());
    assert_eq!(hashes(), 1);
    for (name, password) in [("root", "wrong"), ("nobody", "right one"), ("root", ""), ("", "")] {
        let before = hashes();
        assert_eq!(world.verify(name, password).await, None, "{name}");
        assert_eq!(hashes(), before + 1, "{name}");
    }
    for account in ["disabled = 1", "disabled = 0, password_hash = NULL"] {
        world.change_users(account);
        let before = hashes();
        assert_eq!(world.verify("root", "right one").await, None, "{account}");
        assert_eq!(hashes(), before + 1, "{account}");
    }
}

#[actix::test]
async fn one_hash_serves_everybody_who_shows_the_same_password_at_once() {
    let world = world().await;
    let provider = Arc::new(world.provider.clone());
    let thread = actix::Arbiter::current();
    let cache =
        AuthCache::start(SETTINGS, provider, world.db.clone(), world.clock.clone(), &thread).await.unwrap();
    let readers = [AuthReader::start(&cache).await.unwrap(), AuthReader::start(&cache).await.unwrap()];
    let asks = (0..100).map(|index| {
        let credentials = Credentials::Basic { name: "root".to_owned(), password: Secret::new("right one") };
        readers[index % 2].ask(Authenticate { credentials, address: None })
    });
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer.unwrap().principal.name, "root");
    }
    assert_eq!(world.provider.passwords.computed(), 1);
}

#[actix::test]
async fn a_token_is_random_recognisable_and_not_in_the_database() {
    let world = world().await;
    let (one, other) = (world.log_in().await, world.log_in().await);
    assert_ne!(one.token, other.token);
    let digits = one.token.expose().strip_prefix(PREFIX).unwrap();
    assert_eq!(digits.len(), 64);
    assert!(
        world.provider.may_be_token(&one.token) && !world.provider.may_be_token(&Secret::new("right one"))
    );
    for file in std::fs::read_dir(world.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!has(digits) && !has("right one"));
    }
}

#[actix::test]
async fn a_token_is_valid_then_lapsed_and_after_a_revocation_neither() {
    let world = world().await;
    let (kept, revoked) = (world.log_in().await, world.log_in().await);
    let principal = Arc::clone(&kept.principal);
    let expires_at = NOW.after(SETTINGS.token_ttl);
    let valid = Validation::Valid { principal: Arc::clone(&principal), expires_at, of_robot: false };
    assert_eq!(world.validate(&kept.token).await, valid);
    world.provider.logout(&revoked.token).await.unwrap();
    world.provider.logout(&Secret::new("mcr_unknown")).await.unwrap();
    assert_eq!(world.validate(&revoked.token).await, Validation::Invalid);
    world.clock.advance(SETTINGS.token_ttl);
    assert_eq!(world.validate(&kept.token).await, Validation::Lapsed { principal });
    assert_eq!(world.validate(&revoked.token).await, Validation::Invalid);
    world.provider.logout(&kept.token).await.unwrap();
    assert_eq!(world.validate(&kept.token).await, Validation::Invalid);
}

#[actix::test]
async fn the_tokens_of_a_disabled_account_are_not_valid() {
    let world = world().await;
    let token = world.log_in().await.token;
    world.change_users("disabled = 1");
    assert_eq!(world.validate(&token).await, Validation::Invalid);
}

#[actix::test]
async fn a_token_long_over_is_forgotten_and_no_other() {
    let world = world().await;
    let old = world.log_in().await;
    world.clock.advance(SETTINGS.token_ttl + REMEMBERED);
    let recent = world.log_in().await;
    world.provider.purge().await.unwrap();
    assert!(matches!(world.validate(&old.token).await, Validation::Lapsed { .. }), "not a moment too early");
    world.clock.advance(Duration::from_millis(1));
    world.provider.purge().await.unwrap();
    assert_eq!(world.validate(&old.token).await, Validation::Invalid);
    assert!(matches!(world.validate(&recent.token).await, Validation::Valid { .. }));
}

/// With answers that are believed for longer than the minute.
#[actix::test]
async fn a_renewed_token_is_good_for_one_more_minute_and_no_worker_believes_it_longer() {
    let hour = Duration::from_secs(3600);
    let believing = |settings: &mut Settings| settings.auth.cache_ttl = 2 * hour;
    let harness = Harness::start_with(Arc::new(FakeFs::default()), believing).await;
    harness.registry().ensure_admin("admin", &Secret::new("right one")).await.unwrap();
    let workers = [harness.worker.clone(), harness.registry().worker().await.unwrap()];
    let (name, password) = ("admin".to_owned(), Secret::new("right one"));
    let login = Login { name, password, code: None, address: None };
    let old = workers[0].auth.ask(login).await.unwrap().token;
    let new = new_token().unwrap();
    // Whether each worker takes it, as a token and in a password's place.
    let taken = async |token: &Secret| {
        let mut taken = Vec::new();
        for worker in &workers {
            let basic = Credentials::Basic { name: "admin".to_owned(), password: token.clone() };
            for credentials in [Credentials::Token(token.clone()), basic] {
                taken.push(worker.auth.ask(Authenticate { credentials, address: None }).await.is_ok());
            }
        }
        taken
    };
    assert_eq!(taken(&old).await, [true; 4]);
    let (origin, now) = (Origin::default(), harness.clock.now());
    let change =
        RenewToken { old: old.token_hash(), new: new.token_hash(), life: hour, most: 9, origin, now };
    workers[1].identity.ask(EndToken { change, token: old.token_hash() }).await.unwrap();
    assert_eq!(taken(&old).await, [true; 4], "it ends at once");
    harness.clock.advance(GOES_ON - Duration::from_millis(1));
    assert_eq!((taken(&old).await, taken(&new).await), (vec![true; 4], vec![true; 4]));
    harness.clock.advance(Duration::from_millis(1));
    assert_eq!(taken(&old).await, [false; 4], "it goes on");
    assert_eq!(taken(&new).await, [true; 4]);
    harness.finish().await;
}

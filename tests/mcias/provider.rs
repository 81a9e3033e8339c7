//! The provider under the cache, with a clock that only the test moves.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Arbiter;
use mcr::config::{Config, Mcias};
use mcr::mcias::MciasProvider;
use mcr_actors::ask::{AskError, Handle};
use mcr_actors::auth_cache::{
    AuthCache, AuthError, AuthReader, AuthSettings, Authenticate, Authenticated, Credentials, Login, Logout,
    MostTokens, Provider, Secret,
};
use mcr_actors::clock::Clock;
use mcr_actors::db::Db;
use mcr_actors::domain::Timestamp;
use rustls::version::{TLS12, TLS13};

use crate::stand_in::{ELSEWHERE, LOGIN, LOGOUT, Manner, StandIn, VALIDATE};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
/// How long the cache believes.
const TTL: Duration = Duration::from_secs(30);

type Asked = Result<Authenticated, AskError<AuthError>>;

struct World {
    stand_in: StandIn,
    clock: Clock,
    readers: [Handle<AuthReader>; 2],
    directory: tempfile::TempDir,
}

/// The section as a file with these lines has it.
fn settings(directory: &tempfile::TempDir, stand_in: &StandIn, more: &str) -> Mcias {
    let (path, authority) = (directory.path(), stand_in.authority());
    let file = path.join("mcr.toml");
    let text = format!(
        "server = {{ insecure_http = true, listen_addr = \"127.0.0.1:0\" }}\ndatabase.path = {:?}\n\
         storage.layers_path = {:?}\n[mcias]\nserver_url = {:?}\nca_cert = {authority:?}\ntags = [\"env:test\"]\n{more}\n",
        path.join("config.db"),
        path.join("layers"),
        stand_in.url(),
    );
    std::fs::write(&file, text).unwrap();
    Config::load(&file, []).unwrap().mcias.unwrap()
}

async fn world_with(life: Duration, more: &str) -> World {
    world_of(life, more, NonZeroU32::MAX).await
}

async fn world_of(life: Duration, more: &str, login_attempts_per_minute: NonZeroU32) -> World {
    let stand_in = StandIn::start(NOW.after(life), &TLS13);
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::test(NOW);
    let mcias = settings(&directory, &stand_in, more);
    let provider = Arc::new(MciasProvider::start(&mcias, clock.clone()).unwrap());
    let db = Db::start(&directory.path().join("mcr.db"), &Arbiter::current()).unwrap();
    let (cache_ttl, token_ttl, most_tokens) = (TTL, HOUR, MostTokens::DEFAULT);
    let settings =
        AuthSettings { cache_ttl, token_ttl, anonymous: false, login_attempts_per_minute, most_tokens };
    let owner = AuthCache::start(settings, provider, db, clock.clone(), &Arbiter::current()).await.unwrap();
    let readers = [AuthReader::start(&owner).await.unwrap(), AuthReader::start(&owner).await.unwrap()];
    World { stand_in, clock, readers, directory }
}

async fn world() -> World {
    world_with(HOUR, "").await
}

impl World {
    async fn token(&self, token: &str) -> Asked {
        let credentials = Credentials::Token(Secret::new(token));
        self.readers[0].ask(Authenticate { credentials, address: None }).await
    }

    async fn basic(&self, name: &str, password: &str) -> Asked {
        let credentials = Credentials::Basic { name: name.to_owned(), password: Secret::new(password) };
        self.readers[1].ask(Authenticate { credentials, address: None }).await
    }

    async fn login(&self, name: &str, password: &str) -> Result<String, AskError<AuthError>> {
        self.login_with(name, password, None).await
    }

    async fn login_with(
        &self,
        name: &str,
        password: &str,
        code: Option<&str>,
    ) -> Result<String, AskError<AuthError>> {
        let (password, code) = (Secret::new(password), code.map(Secret::new));
        let login = Login { name: name.to_owned(), password, code, address: None };
        self.readers[0].ask(login).await.map(|given| given.token.expose().to_owned())
    }
}

/// Polls until it is so, and fails when it never is.
async fn until(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < 30 * SECOND, "never {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_invalid<T: std::fmt::Debug>(asked: &Result<T, AskError<AuthError>>) {
    let invalid = matches!(asked, Err(AskError::Refused(AuthError::Invalid | AuthError::StillInvalid)));
    assert!(invalid, "{asked:?}");
}

fn is_unavailable<T: std::fmt::Debug>(asked: &Result<T, AskError<AuthError>>) {
    assert!(matches!(asked, Err(AskError::Refused(AuthError::Unavailable { .. }))), "{asked:?}");
}

#[actix::test]
async fn a_slow_answer_is_waited_for_once_by_all_and_believed_for_30_seconds() {
    let world = world().await;
    let token = world.stand_in.token("ada");
    world.stand_in.behave(Manner::Held);
    let asks = (0..100).map(|index| {
        let credentials = Credentials::Token(Secret::new(token.as_str()));
        world.readers[index % 2].ask(Authenticate { credentials, address: None })
    });
    let released = async {
        until("asked", || world.stand_in.asked(VALIDATE) > 0).await;
        world.stand_in.behave(Manner::Honest);
    };
    let (answers, ()) = futures_util::future::join(futures_util::future::join_all(asks), released).await;
    for answer in answers {
        let principal = answer.unwrap().principal;
        assert_eq!((principal.subject.as_str(), principal.name.as_str()), ("id-of-ada", "ada"));
        assert!(principal.has_role("dev"));
    }
    world.clock.advance(TTL - SECOND);
    world.token(&token).await.unwrap();
    assert_eq!(world.stand_in.asked(VALIDATE), 1);
    world.clock.advance(SECOND);
    world.token(&token).await.unwrap();
    assert_eq!(world.stand_in.asked(VALIDATE), 2);
}

#[actix::test]
async fn a_login_with_a_code_is_one_question_since_a_code_is_good_once() {
    let world = world().await;
    world.stand_in.want_codes("ada", &["123456", "654321"]);
    is_invalid(&world.login("ada", "right").await);
    is_invalid(&world.login_with("ada", "right", Some("000000")).await);
    is_invalid(&world.login_with("ada", "wrong", Some("123456")).await);
    let before = world.stand_in.asked(LOGIN);
    let token = world.login_with("ada", "right", Some("123456")).await.unwrap();
    assert_eq!(world.stand_in.asked(LOGIN), before + 1);
    assert_eq!(world.token(&token).await.unwrap().principal.name, "ada");
    is_invalid(&world.login_with("ada", "right", Some("123456")).await);
    world.login_with("ada", "right", Some("654321")).await.unwrap();
    // Nothing of it is remembered as the password's own verdict.
    is_invalid(&world.basic("ada", "right").await);
    world.stand_in.behave(Manner::Say(500, String::new()));
    is_unavailable(&world.login_with("ada", "right", Some("654321")).await);
}

#[actix::test]
async fn whoever_guesses_codes_has_to_wait_like_whoever_guesses_passwords() {
    let world = world_of(HOUR, "", NonZeroU32::new(30).unwrap()).await;
    world.stand_in.want_codes("ada", &["123456"]);
    let mut refused = 0;
    loop {
        match world.login_with("ada", "right", Some("000000")).await {
            Err(AskError::Refused(AuthError::TooMany { .. })) => break,
            other => is_invalid(&other),
        }
        refused += 1;
        assert!(refused <= 100, "guesses are never held up");
    }
    let right = world.login_with("ada", "right", Some("123456")).await;
    assert!(matches!(right, Err(AskError::Refused(AuthError::TooMany { .. }))), "{right:?}");
}

#[actix::test]
async fn nothing_is_believed_past_the_tokens_end() {
    let world = world_with(10 * SECOND, "").await;
    let token = world.stand_in.token("ada");
    world.token(&token).await.unwrap();
    world.clock.advance(10 * SECOND);
    let asked = world.token(&token).await;
    assert!(matches!(asked, Err(AskError::Refused(AuthError::Lapsed { .. }))), "{asked:?}");
    is_unavailable(&world.login("ada", "right").await);
}

#[actix::test]
async fn a_revocation_is_seen_when_the_caches_time_is_over() {
    let world = world().await;
    let token = world.stand_in.token("ada");
    world.token(&token).await.unwrap();
    world.stand_in.revoke(&token);
    world.token(&token).await.unwrap();
    world.clock.advance(TTL);
    is_invalid(&world.token(&token).await);
}

#[actix::test]
async fn from_password_to_logout() {
    let world = world().await;
    for (name, password) in
        [("ada", "wrong"), ("nobody", "right"), ("ada", ""), ("", "right"), ("ada", "ä b\n")]
    {
        is_invalid(&world.basic(name, password).await);
        is_invalid(&world.login(name, password).await);
    }
    is_invalid(&world.token("nonsense").await);
    world.basic("ada", "right").await.unwrap();
    until("revoked", || world.stand_in.asked(LOGOUT) == 1).await;
    let logins = world.stand_in.asked(LOGIN);
    world.basic("ada", "right").await.unwrap();
    assert_eq!(world.stand_in.asked(LOGIN), logins, "a password is remembered too");
    let given = world.login("ada", "right").await.unwrap();
    assert_eq!(world.token(&given).await.unwrap().principal.name, "ada");
    assert_eq!(
        world.basic("anything", &given).await.unwrap().principal.name,
        "ada",
        "in the password's place"
    );
    assert_eq!(world.login("anything", &given).await.unwrap(), given);
    for _ in 0..2 {
        world.readers[1].ask(Logout { token: Secret::new(given.as_str()) }).await.unwrap();
        is_invalid(&world.token(&given).await);
    }
    // The cache knows the old password; MCIAS has the last word on a login.
    world.basic("ada", "right").await.unwrap();
    world.stand_in.set_password("ada", "another");
    is_invalid(&world.login("ada", "right").await);
}

#[actix::test]
async fn while_it_is_down_cached_answers_serve_until_their_time_and_then_nobody_is_judged() {
    let mut world = world().await;
    let token = world.stand_in.token("ada");
    world.token(&token).await.unwrap();
    world.basic("ada", "right").await.unwrap();
    world.stand_in.die();
    world.clock.advance(TTL - SECOND);
    world.token(&token).await.unwrap();
    world.basic("ada", "right").await.unwrap();
    is_unavailable(&world.login("ada", "right").await);
    is_unavailable(&world.token("never seen").await);
    world.clock.advance(SECOND);
    is_unavailable(&world.token(&token).await);
    is_unavailable(&world.basic("ada", "right").await);
    is_unavailable(&world.basic("ada", "wrong").await);
    is_unavailable(&world.readers[0].ask(Logout { token: Secret::new(token.as_str()) }).await);
    world.stand_in.come_back();
    world.token(&token).await.unwrap();
    world.login("ada", "right").await.unwrap();
    // Connections that were kept are dead now; the first question is asked again on a new one.
    world.stand_in.die();
    world.stand_in.come_back();
    is_invalid(&world.token("never seen before").await);
}

#[actix::test]
async fn nonsense_is_no_verdict() {
    let world = world().await;
    let valid =
        r#"{"valid":true,"subject":"x","username":"x","roles":["admin"],"expires_at":"2100-01-01T00:00:00Z""#;
    let say = |status, body: &str| Manner::Say(status, body.to_owned());
    let manners = [
        say(200, ""),
        say(200, "<html>welcome</html>"),
        say(200, "{}"),
        say(200, r#"{"valid":"true","token":1,"expires_at":2}"#),
        say(200, r#"{"valid":null,"token":"x","expires_at":"tomorrow"}"#),
        say(200, &format!("{valid}}}")),
        say(200, &format!(r#"{valid},"account_type":"anonymous"}}"#)),
        say(200, &format!(r#"{valid},"account_type":"human","padding":"{}"}}"#, "x".repeat(70_000))),
        say(204, ""),
        say(302, ""),
        say(307, ""),
        say(400, r#"{"valid":false}"#),
        say(403, r#"{"valid":false}"#),
        say(429, ""),
        say(500, r#"{"valid":false}"#),
        say(503, ""),
        Manner::BreakOff,
    ];
    for (index, manner) in manners.into_iter().enumerate() {
        println!("{manner:.80?}");
        world.stand_in.behave(manner);
        is_unavailable(&world.token(&format!("token-{index}")).await);
        is_unavailable(&world.basic("ada", "right").await);
        is_unavailable(&world.basic("ada", "not a token").await);
        is_unavailable(&world.login("ada", "right").await);
    }
    // 401 judges logins alone.
    world.stand_in.behave(say(401, r#"{"valid":false}"#));
    is_unavailable(&world.token("token").await);
    is_invalid(&world.basic("ada", "not a token").await);
    assert_eq!(world.stand_in.asked(ELSEWHERE), 0, "a redirect was followed");
    world.stand_in.behave(Manner::Honest);
    is_unavailable(&world.basic("odd", "right").await);
    world.basic("ada", "right").await.unwrap();
}

#[actix::test]
async fn one_that_hangs_is_given_its_time() {
    let world = world_with(HOUR, "timeout = \"300ms\"").await;
    let token = world.stand_in.token("ada");
    world.stand_in.behave(Manner::Held);
    let began = Instant::now();
    is_unavailable(&world.token(&token).await);
    assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < 10 * SECOND);
    world.stand_in.behave(Manner::Honest);
    world.token(&token).await.unwrap();
}

#[actix::test]
async fn only_the_right_server_is_asked_and_only_by_tls_1_3() {
    let World { stand_in, directory, clock, .. } = world().await;
    let (old, other) = (StandIn::start(NOW.after(HOUR), &TLS12), StandIn::start(NOW.after(HOUR), &TLS13));
    let mut forged = settings(&directory, &stand_in, "");
    forged.ca_cert = Some(other.authority());
    let mut foreign = settings(&directory, &stand_in, "");
    foreign.ca_cert = None;
    for (case, settings) in
        [("old", settings(&directory, &old, "")), ("forged", forged), ("foreign", foreign)]
    {
        let provider = match MciasProvider::start(&settings, clock.clone()) {
            Ok(provider) => provider,
            // A system without authorities trusts nobody either.
            Err(error) => {
                assert_eq!(case, "foreign", "{error}");
                continue;
            }
        };
        let (name, secret) = ("ada", Secret::new("secret"));
        let error = provider.verify(name, &secret).await.unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        println!("{case}: {error}");
    }
    assert_eq!((old.asked(LOGIN), stand_in.asked(LOGIN)), (0, 0));
}

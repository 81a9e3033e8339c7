//! The owner of what is known of identities: one question to the provider at a time for each set of credentials.

mod login;
mod upkeep;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, ArbiterHandle, AsyncContext, Context, Handler, Message, MessageResult, Recipient,
    ResponseFuture, WrapFuture,
};
use tokio::sync::oneshot;

pub use self::upkeep::{Administer, CacheState, EndToken, ObserveCache, Purge};
use super::anonymous::{self, keyed_hash};
use super::cache::{Cache, Finding, Key};
use super::limiter::{Admission, Attempt, Judged, Limiter};
use super::provider::{Provider, ProviderError, Validation, Verified};
use super::{AuthError, AuthSettings, Authenticated, Credentials, Secret, TokenHash};
use crate::ask::{AskError, Handle};
use crate::clock::Clock;
use crate::db::failure::Trouble;
use crate::db::queries::identity::EnsureSecret;
use crate::db::{Db, DbError};
use crate::domain::{Principal, Timestamp};

const LIMIT: usize = 20_000;
const DEADLINE: Duration = Duration::from_secs(60);
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How many passwords may wait to be judged, beyond those that are.
const PARKED: usize = 1024;

/// Tokens from one address that the provider is asked about at once: questions about made up ones would keep those of
/// everybody else waiting. A good token is never kept out by bad ones; a bad one counts for its address once it was judged.
const TOKENS_AT_ONCE: usize = 64;

/// Somebody who waits for the provider's verdict.
type Waiting = oneshot::Sender<Result<Found, AuthError>>;

/// Credentials that nothing is known of.
struct Question {
    key: Key,
    credentials: Credentials,
    address: Option<IpAddr>,
    reply: Waiting,
}

impl Question {
    /// What is counted, when it is a password that is tried.
    fn attempt(&self, provider: &dyn Provider) -> Option<Attempt> {
        match &self.credentials {
            Credentials::Basic { name, password } if !provider.is_token(password) => {
                Some(Attempt::new(self.address, name))
            }
            Credentials::Basic { .. } | Credentials::Token(_) => None,
        }
    }

    fn answer(self, answer: Result<Found, AuthError>) {
        // Whoever asked may be gone.
        let _unheard = self.reply.send(answer);
    }
}

/// Owns what is known.
pub struct AuthCache {
    settings: AuthSettings,
    provider: Arc<dyn Provider>,
    anonymous_key: [u8; 32],
    introduction: Introduction,
    cache: Cache,
    /// Who waits for which question to the provider, by the epoch in which it was put: one that is put after a
    /// revocation does not share the answer to one from before it.
    asking: HashMap<(Key, u64), Vec<Waiting>>,
    limiter: Limiter,
    /// How many tokens from an address the provider is being asked about.
    tokens: HashMap<IpAddr, usize>,
    /// Passwords that are not judged before others were.
    parked: Vec<Question>,
    db: Db,
    readers: Vec<Recipient<Forget>>,
    /// Counts revocations, from 1.
    epoch: u64,
    changes: Changes,
}

/// Changes of accounts and tokens, as a login that is under way at the same time sees them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Changes {
    begun: u64,
    done: u64,
}

impl std::fmt::Debug for AuthCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthCache").field("asking", &self.asking.len()).finish_non_exhaustive()
    }
}

/// What a reader must know.
#[derive(Debug, Clone)]
pub(super) struct Introduction {
    pub(super) clock: Clock,
    /// Passwords are remembered by a hash that nobody outside of this process can compute.
    basic_key: Arc<[u8; 32]>,
    pub(super) answers: Arc<Answers>,
}

/// How often somebody was known already, and how often not, over all workers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Answers {
    /// Counts one.
    pub(super) fn count(&self, was_known: bool) {
        let counter = if was_known { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Introduction {
    /// What these credentials are remembered by.
    pub(super) fn key(&self, credentials: &Credentials) -> Key {
        match credentials {
            Credentials::Token(token) => token.token_hash(),
            Credentials::Basic { name, password } => {
                keyed_hash(&self.basic_key, &[name.as_bytes(), password.expose().as_bytes()])
            }
        }
    }
}

#[derive(Debug, Message)]
#[rtype(result = "Result<Introduction, AuthError>")]
pub(super) struct Introduce;

#[derive(Debug, Message)]
#[rtype(result = "Result<(), AuthError>")]
pub(super) struct Subscribe(pub(super) Recipient<Forget>);

/// Something was revoked: what is known of it goes, and answers from before this epoch are not remembered.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(super) struct Forget {
    pub(super) what: Revoked,
    pub(super) epoch: u64,
}

/// What was revoked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Revoked {
    /// One token.
    Token(TokenHash),
    /// Anything: an administrator changed accounts or tokens.
    Anything,
}

impl Revoked {
    /// Makes a memory forget it.
    pub(super) fn forget(self, cache: &mut Cache) {
        match self {
            Self::Token(token) => cache.forget(&token),
            Self::Anything => cache.clear(),
        }
    }
}

/// A reader does not know.
#[derive(Debug, Message)]
#[rtype(result = "Result<Found, AuthError>")]
pub(super) struct Find {
    pub(super) key: Key,
    pub(super) credentials: Credentials,
    pub(super) address: Option<IpAddr>,
}

/// What was found, until when it may be believed, and in which epoch the question was asked.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) finding: Finding,
    pub(super) believed_until: Timestamp,
    pub(super) epoch: u64,
    /// Whether it was in memory.
    pub(super) remembered: bool,
}

impl Found {
    /// As the answer to who asked.
    pub(super) fn answer(self) -> Result<Authenticated, AuthError> {
        let answer = self.finding.answer();
        if self.remembered { answer.map_err(AuthError::remembered) } else { answer }
    }
}

fn unavailable(error: &ProviderError) -> AuthError {
    log::warn!("{error}");
    match error {
        ProviderError::Silent { .. } => AuthError::Unavailable { retry_after: RETRY_AFTER },
        ProviderError::Own { trouble, .. } => AuthError::Own(*trouble),
    }
}

impl AuthCache {
    /// Starts on `thread`.
    ///
    /// # Errors
    /// When the database fails or there is no randomness.
    pub async fn start(
        settings: AuthSettings,
        provider: Arc<dyn Provider>,
        db: Db,
        clock: Clock,
        thread: &ArbiterHandle,
    ) -> Result<Handle<Self>, AskError<DbError>> {
        let random = || {
            let mut random = [0; 32];
            let filled = getrandom::fill(&mut random);
            filled.map(|()| random).map_err(|error| AskError::Refused(DbError::Failed(error.to_string())))
        };
        let anonymous_key = db.write(EnsureSecret { name: "anonymous_tokens", fresh: random()? }).await?;
        let introduction = Introduction { clock, basic_key: Arc::new(random()?), answers: Arc::default() };
        let limiter = Limiter::new(settings.login_attempts_per_minute);
        let addr = Self::start_in_arbiter(thread, move |_| Self {
            settings,
            provider,
            anonymous_key,
            introduction,
            cache: Cache::default(),
            asking: HashMap::new(),
            limiter,
            tokens: HashMap::new(),
            parked: Vec::new(),
            db,
            readers: Vec::new(),
            epoch: 1,
            changes: Changes::default(),
        });
        Ok(Handle::new("auth cache", addr, LIMIT, DEADLINE))
    }

    fn now(&self) -> Timestamp {
        self.introduction.clock.now()
    }

    /// Whose anonymous token this is, if it is one and they are in use.
    fn anonymous(&self, credentials: &Credentials) -> Option<Finding> {
        let token = match credentials {
            Credentials::Token(token) => token,
            Credentials::Basic { password, .. } => password,
        };
        let expires_at =
            anonymous::verify(&self.anonymous_key, token, self.now()).filter(|_| self.settings.anonymous)?;
        let (principal, token_hash) = (Arc::new(Principal::anonymous()), token.token_hash());
        Some(if expires_at <= self.now() {
            Finding::Lapsed(principal, token_hash)
        } else {
            Finding::Known(Authenticated {
                principal,
                token_hash: Some(token_hash),
                password: None,
                expires_at,
                of_robot: false,
            })
        })
    }

    fn found(&self, finding: Finding, epoch: u64) -> Found {
        let believed_until = finding.believed_until(self.now(), self.settings.cache_ttl);
        Found { finding, believed_until, epoch, remembered: false }
    }

    /// Answers everybody who waits for these credentials.
    fn conclude(&mut self, key: Key, epoch: u64, finding: Result<Finding, AuthError>) {
        let answer = match finding {
            Ok(finding) => {
                let found = self.found(finding, epoch);
                // What was asked before a revocation is an answer, but nothing to remember.
                if epoch == self.epoch {
                    self.cache.put(key, found.finding.clone(), self.now(), found.believed_until);
                }
                Ok(found)
            }
            Err(error) => Err(error),
        };
        for waiting in self.asking.remove(&(key, epoch)).unwrap_or_default() {
            // Whoever asked may be gone.
            let _unheard = waiting.send(answer.clone());
        }
    }

    /// Forgets what was revoked, here and in every reader, and waits until they have.
    fn forget(&mut self, what: Revoked) -> ResponseFuture<()> {
        self.epoch += 1;
        what.forget(&mut self.cache);
        self.readers.retain(Recipient::connected);
        let forget = Forget { what, epoch: self.epoch };
        let told: Vec<_> = self.readers.iter().map(|reader| reader.send(forget)).collect();
        Box::pin(async move {
            for reader in told {
                // One that stopped meanwhile believes nothing any more.
                let _gone = reader.await;
            }
        })
    }

    /// Who these are, from memory or from the provider, asked once however many want to know.
    fn find(
        &mut self,
        key: Key,
        credentials: Credentials,
        address: Option<IpAddr>,
        context: &mut Context<Self>,
    ) -> ResponseFuture<Result<Found, AuthError>> {
        let (reply, answer) = oneshot::channel();
        self.put(Question { key, credentials, address, reply }, context);
        Box::pin(async move { answer.await.unwrap_or(Err(AuthError::Own(Trouble::Busy))) })
    }

    fn token_judged(&mut self, from: IpAddr) {
        if let Some(asked) = self.tokens.get_mut(&from) {
            *asked -= 1;
            if *asked == 0 {
                self.tokens.remove(&from);
            }
        }
    }

    /// What is known without the provider.
    fn known(&mut self, key: Key, credentials: &Credentials) -> Option<Found> {
        if let Some((finding, believed_until)) = self.cache.get(&key, self.now()) {
            return Some(Found { finding, believed_until, epoch: self.epoch, remembered: true });
        }
        self.anonymous(credentials).map(|finding| self.found(finding, self.epoch))
    }

    /// Answers at once, joins whoever asks the same, asks the provider, or parks a password that may not be judged yet.
    fn put(&mut self, question: Question, context: &mut Context<Self>) {
        let (key, epoch) = (question.key, self.epoch);
        if let Some(found) = self.known(key, &question.credentials) {
            return question.answer(Ok(found));
        }
        if let Some(waiting) = self.asking.get_mut(&(key, epoch)) {
            return waiting.push(question.reply);
        }
        let attempt = question.attempt(self.provider.as_ref());
        let attempt = attempt.map(|attempt| self.limiter.recognised(attempt));
        let from = question.address.filter(|_| attempt.is_none());
        if from.is_some_and(|from| self.tokens.get(&from).is_some_and(|asked| *asked >= TOKENS_AT_ONCE)) {
            return question.answer(Err(AuthError::TooMany { retry_after: RETRY_AFTER }));
        }
        match attempt.map_or(Admission::Now, |attempt| self.limiter.admit(attempt)) {
            Admission::Now => {}
            Admission::Later if self.parked.len() < PARKED => return self.parked.push(question),
            Admission::Later => return question.answer(Err(AuthError::TooMany { retry_after: RETRY_AFTER })),
            Admission::After(retry_after) => return question.answer(Err(AuthError::TooMany { retry_after })),
        }
        self.asking.insert((key, epoch), vec![question.reply]);
        if let Some(from) = from {
            *self.tokens.entry(from).or_default() += 1;
        }
        let (provider, credentials) = (Arc::clone(&self.provider), question.credentials);
        let until = self.now().after(self.settings.cache_ttl);
        let asked = async move { ask_provider(provider.as_ref(), &credentials, until).await };
        context.spawn(asked.into_actor(self).map(move |finding, cache, context| {
            let judged = match finding {
                Ok(Finding::Nobody) => Judged::Wrong,
                Ok(_) => Judged::Right,
                Err(_) => Judged::Not,
            };
            let over = match from {
                Some(from) if judged == Judged::Wrong => cache.limiter.fail(from).err(),
                _ => None,
            };
            cache.conclude(
                key,
                epoch,
                match over {
                    Some(retry_after) => Err(AuthError::TooMany { retry_after }),
                    None => finding.map_err(|error| unavailable(&error)),
                },
            );
            if let Some(from) = from {
                cache.token_judged(from);
            }
            if let Some(attempt) = attempt {
                cache.settle(attempt, judged, context);
            }
        }));
    }

    /// An attempt was judged: its place may be somebody else's now.
    fn settle(&mut self, attempt: Attempt, judged: Judged, context: &mut Context<Self>) {
        self.limiter.settle(attempt, judged);
        for parked in std::mem::take(&mut self.parked) {
            self.put(parked, context);
        }
    }
}

fn of_token(token: &Secret, validation: Validation) -> Finding {
    let token_hash = token.token_hash();
    match validation {
        Validation::Valid { principal, expires_at, of_robot } => Finding::Known(Authenticated {
            principal,
            token_hash: Some(token_hash),
            password: None,
            expires_at,
            of_robot,
        }),
        Validation::Lapsed { principal } => Finding::Lapsed(principal, token_hash),
        Validation::Invalid => Finding::Nobody,
    }
}

/// A password's verdict holds until `until`.
async fn ask_provider(
    provider: &dyn Provider,
    credentials: &Credentials,
    until: Timestamp,
) -> Result<Finding, ProviderError> {
    match credentials {
        Credentials::Token(token) => Ok(of_token(token, provider.validate(token).await?)),
        Credentials::Basic { name, password } => {
            if provider.may_be_token(password) {
                let found = of_token(password, provider.validate(password).await?);
                if provider.is_token(password) || !matches!(found, Finding::Nobody) {
                    return Ok(found);
                }
            }
            Ok(match provider.verify(name, password).await? {
                Some(Verified { principal, password }) => Finding::Known(Authenticated {
                    principal,
                    token_hash: None,
                    password,
                    expires_at: until,
                    of_robot: false,
                }),
                None => Finding::Nobody,
            })
        }
    }
}

impl Actor for AuthCache {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
        self.watch_others(context);
    }
}

impl Handler<Introduce> for AuthCache {
    type Result = MessageResult<Introduce>;

    fn handle(&mut self, _: Introduce, _: &mut Self::Context) -> Self::Result {
        MessageResult(Ok(self.introduction.clone()))
    }
}

impl Handler<Subscribe> for AuthCache {
    type Result = Result<(), AuthError>;

    fn handle(&mut self, Subscribe(reader): Subscribe, _: &mut Self::Context) -> Self::Result {
        self.readers.push(reader);
        Ok(())
    }
}

impl Handler<Find> for AuthCache {
    type Result = ResponseFuture<Result<Found, AuthError>>;

    fn handle(
        &mut self,
        Find { key, credentials, address }: Find,
        context: &mut Self::Context,
    ) -> Self::Result {
        self.find(key, credentials, address, context)
    }
}

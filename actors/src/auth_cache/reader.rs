//! Answers on a worker's own thread from a copy of what is known; asks the owner for the rest.

use std::time::Duration;

use actix::{Actor, ActorFutureExt, ActorResponse, Context, Handler, ResponseFuture, WrapFuture};

use super::actor::{AuthCache, Find, Forget, Found, Introduce, Introduction, Subscribe};
use super::cache::Cache;
use super::{AuthError, Authenticate, Authenticated, LoggedIn, Login, LoginAnonymous, Logout};
use crate::ask::{AskError, Handle};
use crate::db::failure::Trouble;

const LIMIT: usize = 20_000;
const DEADLINE: Duration = Duration::from_secs(60);

/// One worker's copy.
#[derive(Debug)]
pub struct AuthReader {
    owner: Handle<AuthCache>,
    introduction: Introduction,
    cache: Cache,
    /// Findings from before are not remembered: something was revoked since.
    epoch: u64,
}

/// An owner that does not answer is no verdict.
fn asked(error: AskError<AuthError>) -> AuthError {
    match error {
        AskError::Refused(error) => error,
        AskError::Overloaded(_) | AskError::Deadline(_) | AskError::Down(_) => AuthError::Own(Trouble::Busy),
    }
}

impl AuthReader {
    /// Starts on the present thread. It hears of every revocation from before its first answer on.
    ///
    /// # Errors
    /// When the owner does not answer.
    pub async fn start(owner: &Handle<AuthCache>) -> Result<Handle<Self>, AskError<AuthError>> {
        let introduction = owner.ask(Introduce).await?;
        let reader = Self { owner: owner.clone(), introduction, cache: Cache::default(), epoch: 0 };
        let addr = Actor::start(reader);
        owner.ask(Subscribe(addr.clone().recipient())).await?;
        Ok(Handle::new("auth reader", addr, LIMIT, DEADLINE))
    }
}

impl Actor for AuthReader {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
    }
}

impl Handler<Forget> for AuthReader {
    type Result = ();

    fn handle(&mut self, Forget { what, epoch }: Forget, _: &mut Self::Context) {
        self.epoch = epoch;
        what.forget(&mut self.cache);
    }
}

impl Handler<Authenticate> for AuthReader {
    type Result = ActorResponse<Self, Result<Authenticated, AuthError>>;

    fn handle(
        &mut self,
        Authenticate { credentials, address }: Authenticate,
        _: &mut Self::Context,
    ) -> Self::Result {
        let key = self.introduction.key(&credentials);
        let known = self.cache.get(&key, self.introduction.clock.now());
        self.introduction.answers.count(known.is_some());
        if let Some((finding, _)) = known {
            return ActorResponse::reply(finding.answer().map_err(AuthError::remembered));
        }
        let found = self.owner.ask(Find { key, credentials, address }).into_actor(self);
        ActorResponse::r#async(found.map(move |found, reader, _| {
            let found: Found = found.map_err(asked)?;
            let Found { finding, believed_until, epoch, .. } = found.clone();
            if epoch >= reader.epoch {
                let now = reader.introduction.clock.now();
                reader.cache.put(key, finding.clone(), now, believed_until);
            }
            found.answer()
        }))
    }
}

impl Handler<Login> for AuthReader {
    type Result = ResponseFuture<Result<LoggedIn, AuthError>>;

    fn handle(&mut self, login: Login, _: &mut Self::Context) -> Self::Result {
        let answer = self.owner.ask(login);
        Box::pin(async move { answer.await.map_err(asked) })
    }
}

impl Handler<LoginAnonymous> for AuthReader {
    type Result = ResponseFuture<Result<LoggedIn, AuthError>>;

    fn handle(&mut self, login: LoginAnonymous, _: &mut Self::Context) -> Self::Result {
        let answer = self.owner.ask(login);
        Box::pin(async move { answer.await.map_err(asked) })
    }
}

impl Handler<Logout> for AuthReader {
    type Result = ResponseFuture<Result<(), AuthError>>;

    fn handle(&mut self, logout: Logout, _: &mut Self::Context) -> Self::Result {
        let answer = self.owner.ask(logout);
        Box::pin(async move { answer.await.map_err(asked) })
    }
}

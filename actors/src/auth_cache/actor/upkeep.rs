//! What administrators and the clock ask of the cache: changes of accounts, purges, figures.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{
    ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseActFuture, ResponseFuture, WrapFuture,
};

use super::{Answers, AuthCache, Revoked, unavailable};
use crate::ask::AskError;
use crate::auth_cache::{AuthError, TokenHash};
use crate::db::WriteQuery;

/// How often it is looked whether another program has written to the database.
const OTHERS: Duration = Duration::from_secs(1);

impl AuthCache {
    /// Looks again and again whether another program has written, such as `mcrsrv admin reset-password`: then nothing that
    /// was known before may be believed.
    pub(super) fn watch_others(&mut self, context: &mut Context<Self>) {
        let looked = self.db.written_by_others().into_actor(self);
        context.spawn(looked.then(|written, cache, context| {
            context.run_later(OTHERS, Self::watch_others);
            let forgotten = match written {
                Ok(true) => {
                    log::info!(
                        "another program has written to the database: accounts and tokens are looked up again"
                    );
                    cache.changes.begun += 1;
                    cache.changes.done += 1;
                    Some(cache.forget(Revoked::Anything))
                }
                Ok(false) => None,
                Err(error) => {
                    log::warn!(
                        "it is not known whether another program has written to the database: {error}"
                    );
                    None
                }
            };
            async move {
                if let Some(forgotten) = forgotten {
                    forgotten.await;
                }
            }
            .into_actor(cache)
        }));
    }
}

/// What the workers found in their copies since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheState {
    /// Requests whose credentials were known.
    pub hits: u64,
    /// Requests whose credentials were not.
    pub misses: u64,
}

/// Asks for the [`CacheState`].
#[derive(Debug, Message)]
#[rtype(result = "Result<CacheState, AuthError>")]
pub struct ObserveCache;

impl Handler<ObserveCache> for AuthCache {
    type Result = Result<CacheState, AuthError>;

    fn handle(&mut self, _: ObserveCache, _: &mut Self::Context) -> Self::Result {
        let Answers { hits, misses } = &*self.introduction.answers;
        Ok(CacheState { hits: hits.load(Ordering::Relaxed), misses: misses.load(Ordering::Relaxed) })
    }
}

/// Lets the provider forget what is long over.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), AuthError>")]
pub struct Purge;

impl Handler<Purge> for AuthCache {
    type Result = ResponseFuture<Result<(), AuthError>>;

    fn handle(&mut self, _: Purge, _: &mut Self::Context) -> Self::Result {
        self.limiter.purge();
        let provider = Arc::clone(&self.provider);
        Box::pin(async move { provider.purge().await.map_err(|error| unavailable(&error)) })
    }
}

/// A change of accounts or tokens, after which nothing that was known before may be believed. When the answer comes, no
/// worker does.
#[derive(Debug)]
pub struct Administer<Q>(pub Q);

impl<Q: WriteQuery> Message for Administer<Q> {
    type Result = Result<Q::Output, Q::Error>;
}

impl<Q: WriteQuery> Handler<Administer<Q>> for AuthCache {
    type Result = ResponseActFuture<Self, Result<Q::Output, Q::Error>>;

    fn handle(&mut self, Administer(change): Administer<Q>, _: &mut Self::Context) -> Self::Result {
        self.changes.begun += 1;
        let written = self.db.write(change);
        Box::pin(written.into_actor(self).then(|written, cache, _| {
            cache.changes.done += 1;
            let forgotten = cache.forget(Revoked::Anything);
            async move {
                forgotten.await;
                written.map_err(AskError::into_db)
            }
            .into_actor(cache)
        }))
    }
}

/// A change after which one token is not good any more, or ends before long, and which changes nothing else that was known: the
/// end of it, or a new one for it. When the answer comes, no worker believes what it knew of it.
#[derive(Debug)]
pub struct EndToken<Q> {
    /// The change.
    pub change: Q,
    /// The SHA-256 of the token.
    pub token: TokenHash,
}

impl<Q: WriteQuery> Message for EndToken<Q> {
    type Result = Result<Q::Output, Q::Error>;
}

impl<Q: WriteQuery> Handler<EndToken<Q>> for AuthCache {
    type Result = ResponseActFuture<Self, Result<Q::Output, Q::Error>>;

    fn handle(&mut self, EndToken { change, token }: EndToken<Q>, _: &mut Self::Context) -> Self::Result {
        let written = self.db.write(change);
        Box::pin(written.into_actor(self).then(move |written, cache, _| {
            // Also after a failure, as at a logout.
            let forgotten = cache.forget(Revoked::Token(token));
            async move {
                forgotten.await;
                written.map_err(AskError::into_db)
            }
            .into_actor(cache)
        }))
    }
}

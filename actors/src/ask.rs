//! [`Handle::ask`]: the one way to put a question to an actor.
//!
//! `Addr::send` is not bounded by the mailbox and waits for ever, so a handle adds what it lacks: a limit of
//! requests in flight, a deadline, and the name of who did not answer. Only this file calls `Addr::send`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, MailboxError, Message};

/// Why an actor did not give the answer that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskError<E> {
    /// The actor understood and said no.
    #[error(transparent)]
    Refused(E),
    /// Too many requests are in flight; the message was not sent.
    #[error("{0} is overloaded")]
    Overloaded(&'static str),
    /// No answer in time. The work may still be done, so callers must be able to repeat it.
    #[error("{0} did not answer in time")]
    Deadline(&'static str),
    /// The actor is gone: it panicked, or the process is stopping.
    #[error("{0} is down")]
    Down(&'static str),
}

impl<E> AskError<E> {
    /// Who did not answer; nobody when it was a refusal.
    pub(crate) fn name_of_silent(&self) -> &'static str {
        match self {
            Self::Refused(_) => "nobody",
            Self::Overloaded(name) | Self::Deadline(name) | Self::Down(name) => name,
        }
    }

    /// The failure of who asked: the refusal as one of theirs, or what `silent` makes of the name of who did not answer.
    pub fn of_asker<F: From<E>>(self, silent: impl FnOnce(&'static str) -> F) -> F {
        match self {
            Self::Refused(refusal) => refusal.into(),
            Self::Overloaded(name) | Self::Deadline(name) | Self::Down(name) => silent(name),
        }
    }

    /// The same failure with the actor's own refusal translated.
    pub fn map<F>(self, translate: impl FnOnce(E) -> F) -> AskError<F> {
        match self {
            Self::Refused(refusal) => AskError::Refused(translate(refusal)),
            Self::Overloaded(name) => AskError::Overloaded(name),
            Self::Deadline(name) => AskError::Deadline(name),
            Self::Down(name) => AskError::Down(name),
        }
    }
}

/// What became of the requests of a handle and its clones.
#[derive(Debug, Default)]
struct Counters {
    in_flight: AtomicUsize,
    messages: AtomicU64,
    nanoseconds: AtomicU64,
    refused: AtomicU64,
}

/// What an actor was asked since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait for it now.
    pub in_flight: usize,
    /// Requests that were answered, whatever the answer was.
    pub messages: u64,
    /// How long those took, from the question to the answer.
    pub time: Duration,
    /// Requests that were turned away, since too many waited.
    pub refused: u64,
}

/// An actor's address with a name, a bound and a deadline. Clones share the bound.
pub struct Handle<A: Actor> {
    addr: Addr<A>,
    name: &'static str,
    counters: Arc<Counters>,
    limit: usize,
    deadline: Duration,
}

impl<A: Actor> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self { addr: self.addr.clone(), counters: Arc::clone(&self.counters), ..*self }
    }
}

impl<A: Actor> std::fmt::Debug for Handle<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("name", &self.name).field("in_flight", &self.in_flight()).finish()
    }
}

/// Holds one place among the requests in flight until the actor has really answered.
struct Place {
    counters: Arc<Counters>,
    since: Instant,
}

impl Place {
    /// Takes one of `limit` places; none is given when all are taken.
    fn take(counters: &Arc<Counters>, limit: usize) -> Option<Self> {
        if counters.in_flight.fetch_add(1, Ordering::Relaxed) < limit {
            return Some(Self { counters: Arc::clone(counters), since: Instant::now() });
        }
        counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        counters.refused.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let took = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.counters.messages.fetch_add(1, Ordering::Relaxed);
        self.counters.nanoseconds.fetch_add(took, Ordering::Relaxed);
    }
}

type Answer<T, E> = Pin<Box<dyn Future<Output = Result<Result<T, E>, MailboxError>> + Send>>;

/// The answer on its way. When the asker goes away first, what was asked is still done and its place stays
/// taken until then, so the bound limits the work and not merely the waiting.
struct Pending<T: Send + 'static, E: Send + 'static> {
    answer: Option<(Answer<T, E>, Place)>,
}

impl<T: Send + 'static, E: Send + 'static> Future for Pending<T, E> {
    type Output = Result<Result<T, E>, MailboxError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((answer, _)) = self.answer.as_mut() else { return Poll::Ready(Err(MailboxError::Closed)) };
        let result = std::task::ready!(answer.as_mut().poll(context));
        self.answer = None;
        Poll::Ready(result)
    }
}

impl<T: Send + 'static, E: Send + 'static> Drop for Pending<T, E> {
    fn drop(&mut self) {
        if let (Some((answer, place)), Ok(runtime)) =
            (self.answer.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move {
                // The asker is gone; only the place matters now.
                let _unheard = answer.await;
                drop(place);
            });
        }
    }
}

impl<A: Actor> Handle<A> {
    /// Names an actor; at most `limit` requests may be in flight, each waits at most `deadline`.
    pub fn new(name: &'static str, addr: Addr<A>, limit: usize, deadline: Duration) -> Self {
        Self { addr, name, counters: Arc::default(), limit, deadline }
    }

    /// The same actor, asked with another deadline.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The actor's name, for messages and metrics.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many requests wait for this actor now.
    pub fn in_flight(&self) -> usize {
        self.counters.in_flight.load(Ordering::Relaxed)
    }

    /// What this actor was asked since the start.
    pub fn load(&self) -> Load {
        Load {
            in_flight: self.in_flight(),
            messages: self.counters.messages.load(Ordering::Relaxed),
            time: Duration::from_nanos(self.counters.nanoseconds.load(Ordering::Relaxed)),
            refused: self.counters.refused.load(Ordering::Relaxed),
        }
    }

    /// Whether the actor still runs.
    pub fn is_alive(&self) -> bool {
        self.addr.connected()
    }

    /// Sends `message` at once and gives the reply when awaited. Messages sent through one handle by one task
    /// arrive in the order of the calls, also when the futures are awaited later.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that sends")]
    pub fn ask<M, T, E>(&self, message: M) -> impl Future<Output = Result<T, AskError<E>>> + use<A, M, T, E>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let (name, deadline) = (self.name, self.deadline);
        let pending = Place::take(&self.counters, self.limit)
            .map(|place| Pending { answer: Some((Box::pin(self.addr.send(message)), place)) });
        async move {
            let Some(pending) = pending else { return Err(AskError::Overloaded(name)) };
            match tokio::time::timeout(deadline, pending).await {
                Err(_elapsed) => Err(AskError::Deadline(name)),
                Ok(Err(MailboxError::Closed | MailboxError::Timeout)) => Err(AskError::Down(name)),
                Ok(Ok(answer)) => answer.map_err(AskError::Refused),
            }
        }
    }
}

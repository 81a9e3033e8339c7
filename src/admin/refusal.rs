//! Why a use case did not do what was asked: one type for every API, which says it in its own way.
//!
//! What actors refuse is translated here, without a wildcard, so that a new error does not compile until somebody decides what
//! a client is told. Causes that are ours go to the log only.

mod actors;
mod reason;

use std::fmt::Display;
use std::io;
use std::time::Duration;

use mcr_actors::domain::Digest;
use mcr_actors::policy::RuleId;
use rustix::io::Errno;

pub use self::reason::{Kind, Reason};
use crate::model::DeletionsModel;

/// What was denied, for who records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// What the caller may not.
    pub action: &'static str,
    /// The rule that decided; none when nothing matched, or no rule was asked.
    pub rule: Option<RuleId>,
}

/// A refusal.
#[derive(Debug)]
pub struct Refusal {
    /// Why, as a word for programs.
    pub reason: Reason,
    /// Which argument is at fault, where it is one.
    pub field: Option<&'static str>,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// After which time it makes sense to ask again.
    pub retry_after: Option<Duration>,
    /// What is there instead of what the caller saw.
    pub found: Option<Box<Digest>>,
    /// What was denied.
    pub denied: Option<Denied>,
    /// What of a deletion cannot be done.
    pub deletions: Option<Box<DeletionsModel>>,
}

impl Refusal {
    /// A refusal for this reason.
    pub fn new(reason: Reason, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { reason, field: None, message, retry_after: None, found: None, denied: None, deletions: None }
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.reason.kind()
    }

    /// Names the argument at fault.
    #[must_use]
    pub fn at(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    /// Says when it makes sense to ask again.
    #[must_use]
    pub fn again_in(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// An argument is not as it must be.
    pub fn invalid(field: &'static str, message: impl ToString) -> Self {
        Self::new(Reason::Invalid, message).at(field)
    }

    /// Something that is named is not there.
    pub fn not_found(what: impl Display) -> Self {
        Self::new(Reason::NotFound, format!("there is no {what}"))
    }

    /// Nothing says who asks.
    pub fn nobody() -> Self {
        Self::new(Reason::NoCredentials, "log in to use this registry")
    }

    /// The caller was let in, and had lost the right when the change was to be made.
    pub fn lost() -> Self {
        Self::new(Reason::RightLost, "the right to this was lost meanwhile; try again")
    }

    /// What the caller saw is not there any more.
    fn stale(error: &dyn Display, found: Digest) -> Self {
        Self { found: Some(Box::new(found)), ..Self::new(Reason::PreconditionFailed, error) }
    }

    /// Something of ours failed; the cause is for the log, not for the client.
    pub fn internal(cause: &dyn Display) -> Self {
        log::error!("a request failed: {cause}");
        Self::new(Reason::Internal, "the registry failed; its log has the cause")
    }

    /// Something that is needed does not answer now.
    pub fn unavailable(cause: &dyn Display) -> Self {
        log::warn!("a request could not be served: {cause}");
        let message = "the registry is busy or stopping; try again";
        Self::new(Reason::Unavailable, message).again_in(Duration::from_secs(5))
    }

    /// An actor has too many requests in flight.
    pub fn overloaded(name: &str) -> Self {
        log::warn!("{name} has too many requests in flight");
        Self::new(Reason::TooManyRequests, "the registry is busy; try again").again_in(Duration::from_secs(1))
    }

    /// An actor did not answer in time.
    pub fn late(name: &str) -> Self {
        Self::unavailable(&format_args!("{name} did not answer in time"))
    }

    /// An actor is gone.
    pub fn down(name: &str) -> Self {
        Self::unavailable(&format_args!("{name} is down"))
    }

    /// The disk is full.
    pub fn no_space() -> Self {
        let message = "the registry's disk is full; free some space or delete images and try again";
        Self::new(Reason::NoSpace, message)
    }

    /// A file could not be used. Too many that are open is nothing broken, and passes.
    pub fn file(error: &io::Error) -> Self {
        match (error.kind(), Errno::from_io_error(error)) {
            (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => Self::no_space(),
            (_, Some(Errno::MFILE | Errno::NFILE)) => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

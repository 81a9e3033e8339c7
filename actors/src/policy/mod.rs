//! Policy: who may do what.
//!
//! The decision is pure ([`rules`]). [`Policy`] owns the rules; a [`PolicyReader`] on each worker's thread has a copy to
//! decide with, which is replaced before a change is acknowledged.

pub mod access;
mod actor;
pub mod builtin;
pub mod draft;
pub mod glob;
pub mod rules;

use std::sync::Arc;

use actix::Message;

pub use actor::{Policy, PolicyReader};
pub use rules::{Decision, Effect, Question, Rule, RuleChange, RuleError, RuleId, RuleSet};

use crate::db::{DbError, WriteQuery};
use crate::domain::{Action, Principal, RepositoryName};

/// Why policy did not answer or did not change.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A stored rule is not valid; the rules that held before still hold.
    #[error("rule {id} in the database is not valid: {reason}")]
    BadRule {
        /// Which.
        id: i64,
        /// Why.
        reason: String,
    },
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Somebody who is needed does not answer.
    #[error("{0} does not answer")]
    Unavailable(&'static str),
}

/// Decides one question.
#[derive(Debug, Message)]
#[rtype(result = "Result<Decision, PolicyError>")]
pub struct Decide {
    /// Who asks.
    pub principal: Arc<Principal>,
    /// What it wants to do.
    pub action: Action,
    /// Where; nothing for global actions.
    pub repository: Option<RepositoryName>,
}

/// The present rules, for who has many questions.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<RuleSet>, PolicyError>")]
pub struct Rules;

/// Reads the stored rules again. When the answer comes, every worker decides by them.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), PolicyError>")]
pub struct Reload;

/// Makes a change of the stored rules and reads them again. When the answer comes, every worker decides by them.
#[derive(Debug)]
pub struct Change<Q>(pub Q);

impl<Q: WriteQuery> Message for Change<Q> {
    type Result = Result<Q::Output, Q::Error>;
}

//! What an administrator can do, by whatever API: one function for each use case, in files by noun.
//!
//! A use case takes a [`Call`](call::Call) and typed arguments, and answers what came of it or a
//! [`Refusal`](refusal::Refusal). Arguments that people write are those of [`model`](crate::model): their words are checked
//! here, so that a refusal can name the field at fault. Which use cases there are, and what each asks of its caller, stands in
//! [`use_case`]. Nothing here knows of HTTP: an API finds out who asks, lets [`access`] judge it, calls the use case, and
//! says the answer or the refusal in its own way.

pub mod access;
pub mod audit;
pub mod call;
pub mod collection;
pub mod deletions;
pub mod door;
pub mod login;
pub mod manifests;
pub mod oneself;
pub mod page;
pub mod principal;
pub mod refusal;
pub mod repositories;
pub mod rights;
pub mod rules;
pub mod session;
pub mod settings;
pub mod sight;
pub mod snapshots;
pub mod system;
pub mod tags;
pub mod tokens;
pub mod uploads;
pub mod use_case;
pub mod users;
mod words;

//! HTTP: everything here translates, and keeps nothing.
//!
//! A request comes in by [`entrance`]: its path is read into a target, its caller is found and must be allowed, then one
//! handler parses, asks and answers. Every refusal is made in [`error`].

pub mod accept;
pub mod admin;
pub mod api;
pub mod auth;
pub mod body;
pub mod budget;
pub mod call;
pub mod cursor;
pub mod denials;
pub mod entrance;
pub mod error;
mod forwarded;
mod limits;
pub mod listen;
pub mod metrics;
pub mod multipart;
pub mod note;
pub mod oci;
pub mod origin;
pub mod path;
pub mod precondition;
pub mod query;
pub mod range;
pub mod readers;
pub mod router;
pub mod server;
pub mod small_body;
pub mod state;

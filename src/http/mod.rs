//! HTTP: everything here translates, and keeps nothing.
//!
//! A request goes through [`routes`]: its path is read into a target, its caller is found and must be allowed, then one
//! handler parses, asks and answers. Every refusal is made in [`error`].

pub mod admin;
pub mod auth;
pub mod body;
pub mod cursor;
pub mod denials;
pub mod error;
pub mod listen;
pub mod metrics;
pub mod oci;
pub mod origin;
pub mod path;
pub mod query;
pub mod range;
pub mod routes;
pub mod server;
pub mod state;

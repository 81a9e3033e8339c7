//! MCR over HTTP: configuration, programs, and the translation between requests and actors. It keeps no state.

pub mod config;
pub mod durable_file;
pub mod http;
pub mod tls;

//! MCR over HTTP: configuration, programs, and the translation between requests and actors. It keeps no state.

pub mod admin;
pub mod caller;
pub mod config;
pub mod data_lock;
pub mod durable_file;
pub mod http;
pub mod logging;
pub mod mcias;
pub mod real_path;
pub mod said_once;
pub mod signals;
pub mod tls;
pub mod web;

pub use mcr_api as model;
pub use mcr_api::escape;

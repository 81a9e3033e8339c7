//! What a worker's handlers can reach: handles to actors, and the settings that shape answers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use mcr_actors::registry::{Registry, Worker};

use super::cursor::Cursors;
use super::denials::Denials;
use super::metrics::WorkerMetrics;
use crate::admin::settings::Settings;

/// The settings that shape answers.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Whether the listener speaks TLS.
    pub tls: bool,
    /// The URL that clients reach the registry by, without a slash at its end.
    pub public_url: Option<String>,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The longest wait between two reads of a body.
    pub read_timeout: Duration,
    /// Whether tags can be deleted.
    pub allow_tag_delete: bool,
    /// Whether a manifest may refer to what is not there.
    pub allow_sparse: bool,
    /// The most bytes of a manifest.
    pub max_manifest_size: u64,
    /// Whether pulls are recorded in the audit log.
    pub audit_pulls: bool,
    /// The settings of use cases.
    pub admin: Arc<Settings>,
}

/// One worker's reach.
#[derive(Debug, Clone)]
pub struct State {
    /// The actors.
    pub worker: Worker,
    /// All of them, for who wants to know how they are.
    pub registry: Registry,
    /// The settings.
    pub options: Rc<HttpOptions>,
    /// What is counted.
    pub metrics: Rc<WorkerMetrics>,
    /// Seals what a page begins with.
    pub cursors: Cursors,
    /// Which denials it has recorded of late.
    pub denials: Rc<Denials>,
}

//! What a worker has: its settings, the way to the registry, the key of sessions, and who is signed in.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use rustls::ClientConfig;

use crate::people::People;
use crate::registry::Registry;
use crate::session::Sealer;

/// Tells from whose machine a request comes; nothing when nobody can tell.
pub type Address = Arc<dyn Fn(&HttpRequest) -> Option<IpAddr> + Send + Sync>;

/// What the pages need to know.
#[derive(Clone)]
pub struct Settings {
    /// The registry's URL, as this program reaches it.
    pub server_url: String,
    /// How clients name the registry in a reference: `host` or `host:port`.
    pub registry_host: String,
    /// Whose certificate the registry shows.
    pub tls: Arc<ClientConfig>,
    /// Whether these pages are served over TLS, or by a proxy that speaks it: the cookie is for such connections only.
    pub secure: bool,
    /// Where people reach these pages, when that is not the host that they ask.
    pub public_url: Option<String>,
    /// The key of the cookie.
    pub session_key: [u8; 32],
    /// Whose address a request comes from.
    pub address: Address,
}

/// What a worker has.
pub(crate) struct Site {
    pub(crate) settings: Settings,
    pub(crate) registry: Registry,
    pub(crate) sealer: Sealer,
    pub(crate) people: People,
}

impl Site {
    /// With these settings; nothing when the key is none.
    pub(crate) fn new(settings: Settings) -> Option<Self> {
        let sealer = Sealer::new(&settings.session_key)?;
        let registry = Registry::new(&settings.server_url, Arc::clone(&settings.tls));
        Some(Self { settings, registry, sealer, people: People::default() })
    }
}

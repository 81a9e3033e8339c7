//! The pages, brought to a listener: by `mcr-web`, and by `mcrsrv dev` beside the registry. What is on them is the library's.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_server::Server;
use actix_web::HttpRequest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mcr_web::Settings;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use crate::config::{PublicUrl, Web};
use crate::durable_file::{self, Readers};
use crate::http::listen::{self, ListenOptions};
use crate::http::origin;
use crate::tls::trust::{self, TrustError};
use crate::tls::{self, Certificate, TlsError};

/// How long a browser may take for a handshake, for the head of a request, and to read on.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may stay without a request.
const IDLE: Duration = Duration::from_secs(120);
/// The most connections at once.
const CONNECTIONS: usize = 1000;

/// Why the pages cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Nobody vouches for the registry.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS to the registry cannot be set up.
    #[error("TLS to the registry cannot be set up: {0}")]
    Client(#[from] rustls::Error),
    /// The key of sessions cannot be read or made.
    #[error("the key of sessions cannot be read or made: {0}")]
    Key(io::Error),
    /// The listener cannot be used.
    #[error("cannot serve pages: {0}")]
    Serve(io::Error),
}

/// The key of sessions that is in a file of its owner's; made when there is none.
///
/// # Errors
/// When the file cannot be read or written, or holds something else.
pub fn session_key(path: &Path) -> Result<[u8; 32], WebError> {
    let of_path = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| WebError::Key(io::Error::other(error)))?;
            let line = format!("{}\n", BASE64_STANDARD.encode(key));
            let written = durable_file::write(path, line.as_bytes(), Readers::Owner);
            written.map_err(|error| WebError::Key(of_path(error)))?;
            return Ok(key);
        }
        Err(error) => return Err(WebError::Key(of_path(error))),
    };
    let key = BASE64_STANDARD.decode(text.trim_end()).ok().and_then(|key| key.try_into().ok());
    let what = "it holds no key: remove it, and everybody signs in again";
    key.ok_or_else(|| WebError::Key(of_path(io::Error::other(what))))
}

/// TLS towards a registry whose certificate is of this authority, or of those that the system trusts.
fn client_config(authority: Option<&Path>) -> Result<Arc<ClientConfig>, WebError> {
    let trusted: Vec<CertificateDer<'static>> = match authority {
        Some(path) => trust::of_file(path)?,
        None => trust::of_the_system()?.0,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// TLS that believes nobody, for a registry that is asked over plain HTTP on this machine.
fn no_tls() -> Result<Arc<ClientConfig>, WebError> {
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Serves the pages on a socket; nothing happens until the server is polled.
///
/// # Errors
/// When the key, the certificates or the socket cannot be used.
pub fn serve(
    web: &Web,
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
) -> Result<Server, WebError> {
    let is_secure = web.server_url.as_str().starts_with("https://");
    let proxies = web.trusted_proxies.clone();
    let public = web.public_url.as_ref().map(PublicUrl::as_str);
    let settings = Settings {
        server_url: web.server_url.as_str().to_owned(),
        registry_host: web.registry_host.clone(),
        tls: if is_secure { client_config(web.ca_cert.as_deref())? } else { no_tls()? },
        // Behind a proxy that speaks TLS browsers are on a secure connection, too.
        secure: certificate.is_some() || public.is_some_and(|url| url.starts_with("https://")),
        public_url: public.map(str::to_owned),
        session_key: session_key(&web.session_key)?,
        address: Arc::new(move |request: &HttpRequest| origin::client_behind(request, &proxies)),
    };
    let tls = certificate.map(|certificate| tls::server_config(certificate, true)).transpose()?;
    let options = ListenOptions {
        workers: web.workers,
        max_connections: CONNECTIONS,
        trusted_proxies: web.trusted_proxies.clone(),
        handshake_timeout: PATIENCE,
        head_timeout: PATIENCE,
        idle_timeout: IDLE,
        write_timeout: PATIENCE,
        shutdown_timeout: web.shutdown_timeout,
    };
    listen::serve(listener, tls, &options, move || mcr_web::app(settings.clone())).map_err(WebError::Serve)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_its_owners() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("web.key");
        let key = session_key(&file).unwrap();
        assert_eq!(session_key(&file).unwrap(), key);
        assert_ne!(key, [0; 32]);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        for text in ["", "short", "AAAA\n"] {
            fs::write(&file, text).unwrap();
            let error = session_key(&file).unwrap_err().to_string();
            assert!(error.contains("web.key: it holds no key"), "{error}");
        }
    }
}

//! `[server]`: where the registry listens, and how long it is patient.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use ipnet::IpNet;

use super::reader::Section;
use super::setting::PublicUrl;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What the HTTP library can run.
const MOST_WORKERS: usize = 512;

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where to listen.
    pub listen_addr: SocketAddr,
    /// The certificate to show; without it, plain HTTP is spoken.
    pub tls: Option<TlsFiles>,
    /// The URL that clients reach the registry by, where it is not the address they connect to.
    pub public_url: Option<PublicUrl>,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The longest wait between two reads of a body.
    pub read_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a write may make no progress; zero for as long as it likes.
    pub write_timeout: Duration,
    /// How long a connection may stay without a request.
    pub idle_timeout: Duration,
    /// How long requests in flight may take when the server stops.
    pub shutdown_timeout: Duration,
    /// Threads that serve.
    pub workers: usize,
    /// Whether HTTP/2 is offered over TLS.
    pub http2: bool,
    /// The most connections at once.
    pub max_connections: usize,
    /// Where metrics are served to whoever asks, besides `/metrics` for administrators.
    pub metrics_addr: Option<SocketAddr>,
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate with its chain, in PEM form.
    pub certificate: PathBuf,
    /// Its key, in PEM form.
    pub key: PathBuf,
}

impl Server {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let listen_addr = section.required("listen_addr");
        let tls = read_tls(section);
        Some(Self {
            tls,
            public_url: section.optional("public_url"),
            trusted_proxies: section.or("trusted_proxies", Vec::new()),
            read_timeout: section.bounded("read_timeout", 30 * SECOND, SECOND..=HOUR),
            handshake_timeout: section.bounded("handshake_timeout", 30 * SECOND, SECOND..=HOUR),
            write_timeout: section.bounded("write_timeout", 300 * SECOND, Duration::ZERO..=24 * HOUR),
            idle_timeout: section.bounded("idle_timeout", 120 * SECOND, SECOND..=HOUR),
            shutdown_timeout: section.bounded("shutdown_timeout", 60 * SECOND, Duration::ZERO..=HOUR),
            workers: section.bounded("workers", cores(), 1..=MOST_WORKERS),
            http2: section.or("http2", false),
            max_connections: section.bounded("max_connections", 25_000, 1..=1_000_000),
            metrics_addr: section.optional("metrics_addr"),
            // Last: every key must have been asked for by then.
            listen_addr: listen_addr?,
        })
    }
}

impl Server {
    /// What an operator should know who lets strangers in over plain HTTP.
    pub fn warning(&self) -> Option<&'static str> {
        let is_open = self.tls.is_none() && !self.listen_addr.ip().is_loopback();
        (is_open && self.trusted_proxies.is_empty() && self.public_url.is_none()).then_some(
            "server.insecure_http is set on an address that others reach: passwords and tokens cross the network in clear; \
             behind a proxy that speaks TLS, set server.trusted_proxies to its address and server.public_url to what \
             clients use",
        )
    }
}

/// The certificate's files, which are required unless plain HTTP is asked for, and then contradict it.
pub(super) fn read_tls(section: &mut Section<'_>) -> Option<TlsFiles> {
    let certificate = section.optional("tls_cert");
    let key = section.optional("tls_key");
    let insecure_http = section.or("insecure_http", false);
    for (key, what) in [("tls_cert", "a certificate"), ("tls_key", "its key")] {
        if insecure_http && section.is_given(key) {
            section.problem(key, "contradicts insecure_http = true: give one or the other");
        }
        if !insecure_http && !section.is_given(key) {
            let accepts = format!("a path to {what} in PEM form, unless insecure_http = true");
            section.missing(key, &accepts);
        }
    }
    Some(TlsFiles { certificate: certificate?, key: key? })
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(MOST_WORKERS)
}

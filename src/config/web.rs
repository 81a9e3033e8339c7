//! `[web]`: where people find the pages, and where the pages find the registry.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::log::Log;
use super::problem::ConfigError;
use super::reader::{Reader, Section};
use super::server::{TlsFiles, read_tls};
use super::setting::PublicUrl;
use super::source::Sources;

/// Where pages are by default.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5001);

/// `[web]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// Where to listen.
    pub listen_addr: SocketAddr,
    /// The certificate to show; without it, plain HTTP is spoken, on a loopback address.
    pub tls: Option<TlsFiles>,
    /// The registry, as this program reaches it.
    pub server_url: PublicUrl,
    /// The certificate of the authority that vouches for the registry, in PEM form; none for those that the system trusts.
    pub ca_cert: Option<PathBuf>,
    /// How clients name the registry.
    pub registry_host: String,
    /// Where people reach the pages, where it is not the host that they ask.
    pub public_url: Option<PublicUrl>,
    /// The file of the key that sessions are encrypted with.
    pub session_key: PathBuf,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Threads that serve.
    pub workers: usize,
    /// How long requests in flight may take when the program stops.
    pub shutdown_timeout: Duration,
}

/// The configuration of `mcr-web`: two sections of a file that may hold the registry's too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebConfig {
    /// `[web]`.
    pub web: Web,
    /// `[log]`.
    pub log: Log,
}

impl WebConfig {
    /// Reads a file, and variables `MCR_WEB_<KEY>` and `MCR_LOG_<KEY>`, which win.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or anything in these sections is unknown, of the wrong kind, missing or contradictory.
    pub fn load(
        file: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Sources::default();
        sources.file(file);
        sources.environment(environment);
        if sources.broken {
            return Err(ConfigError { problems: sources.problems });
        }
        let mut reader = Reader::new(sources);
        let web = Web::read(&mut reader.section("web"));
        let log = Log::read(&mut reader.section("log"));
        let problems = reader.finish();
        match (web, log) {
            (Some(web), Some(log)) if problems.is_empty() => Ok(Self { web, log }),
            _ => Err(ConfigError { problems }),
        }
    }
}

impl Web {
    /// The pages beside a registry on this machine that `mcrsrv dev` runs: its certificate, its authority, and a key in its
    /// directory.
    pub fn of_dev(
        listen_addr: SocketAddr,
        tls: Option<TlsFiles>,
        server_url: PublicUrl,
        ca_cert: Option<PathBuf>,
        registry_host: String,
        data: &Path,
    ) -> Self {
        Self {
            listen_addr,
            tls,
            server_url,
            ca_cert,
            registry_host,
            public_url: None,
            session_key: data.join("web.key"),
            trusted_proxies: Vec::new(),
            workers: 1,
            shutdown_timeout: Duration::from_secs(1),
        }
    }

    fn read(section: &mut Section<'_>) -> Option<Self> {
        let listen_addr = section.or("listen_addr", LISTEN);
        let tls = read_tls(section);
        if tls.is_none() && section.is_given("insecure_http") && !listen_addr.ip().is_loopback() {
            let what = format!(
                "{listen_addr} is reached by others: pages are served over plain HTTP on a loopback address only, to this machine or \
                 to a proxy on it"
            );
            section.problem("listen_addr", &what);
        }
        let server_url: Option<PublicUrl> = section.required("server_url");
        let registry_host = section.optional("registry_host");
        let session_key = section.required("session_key");
        let (ca_cert, public_url) = (section.optional("ca_cert"), section.optional("public_url"));
        let trusted_proxies = section.or("trusted_proxies", Vec::new());
        let workers = section.bounded("workers", 1, 1..=64);
        let shutdown_timeout = section.bounded(
            "shutdown_timeout",
            Duration::from_secs(10),
            Duration::ZERO..=Duration::from_secs(3600),
        );
        // Last: every key must have been asked for by then.
        let server_url = server_url?;
        if server_url.is_open() {
            section.problem(
                "server_url",
                "takes passwords and tokens over the network in clear: give a URL with https",
            );
        }
        let host = registry_host.unwrap_or_else(|| server_url.authority().to_owned());
        let session_key = session_key?;
        Some(Self {
            listen_addr,
            tls,
            registry_host: host,
            server_url,
            ca_cert,
            public_url,
            session_key,
            trusted_proxies,
            workers,
            shutdown_timeout,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/mcr-web.toml");

    fn load(text: &str) -> Result<WebConfig, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("web.toml");
        fs::write(&file, text).unwrap();
        WebConfig::load(&file, []).map_err(|error| error.to_string())
    }

    /// The example with every key, as if its comments were settings.
    fn example_in_full() -> String {
        let uncommented = |line: &str| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
            _ => line.to_owned(),
        };
        fs::read_to_string(EXAMPLE).unwrap().lines().map(uncommented).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_example_has_every_key_with_its_default() {
        let table: toml::Table = example_in_full().parse().unwrap();
        let in_example: BTreeSet<String> =
            table["web"].as_table().unwrap().keys().map(|key| format!("web.{key}")).collect();
        let mut reader = Reader::new(Sources::default());
        Web::read(&mut reader.section("web"));
        assert_eq!(in_example, reader.asked().into_iter().collect());
        let as_it_is = load(&fs::read_to_string(EXAMPLE).unwrap()).unwrap();
        let mut in_full = load(&example_in_full()).unwrap();
        // Those without a default that could be written down.
        assert!(in_full.web.ca_cert.take().is_some() && in_full.web.public_url.take().is_some());
        assert_eq!(in_full, as_it_is);
    }

    #[test]
    fn a_file_may_be_of_both_programs() {
        let web = fs::read_to_string(EXAMPLE).unwrap();
        let registry = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/mcr.toml")).unwrap();
        assert_eq!(load(&format!("{registry}\n{web}")).unwrap().web, load(&web).unwrap().web);
    }

    #[test]
    fn nothing_secret_crosses_a_network_in_clear() {
        let with = |line: &str| load(&format!("[web]\ninsecure_http = true\nsession_key = \"k\"\n{line}\n"));
        for good in
            ["http://127.0.0.1:5000", "http://localhost:5000", "http://[::1]:5000", "https://mcr.example.com"]
        {
            assert!(with(&format!("server_url = \"{good}\"")).is_ok(), "{good}");
        }
        for bad in ["http://mcr.example.com", "http://10.0.0.1:5000", "http://localhost.example.com"] {
            assert!(with(&format!("server_url = \"{bad}\"")).unwrap_err().contains("https"), "{bad}");
        }
        let open = "server_url = \"https://mcr.example.com\"\nlisten_addr = \"0.0.0.0:5001\"";
        assert!(with(open).unwrap_err().contains("on a loopback address only"));
    }
}

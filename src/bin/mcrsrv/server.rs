//! `mcrsrv server`, and what a server of either kind does from its first request to its last.

use std::future::{self, Future};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_server::Server;
use anyhow::{Context, anyhow, bail};
use mcr::admin::settings::Settings;
use mcr::config::{Config, ConfigError, PublicUrl};
use mcr::http::listen::{self, ListenOptions};
use mcr::http::metrics::Metrics;
use mcr::http::server::{app, metrics_app};
use mcr::http::state::HttpOptions;
use mcr::logging;
use mcr::signals::{Signal, Signals};
use mcr::tls::{self, Certificate};
use mcr_actors::clock::Clock;
use mcr_actors::mend;
use mcr_actors::registry::Registry;

use crate::telling::{Failure, say};
use crate::{open_files, setup};

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the certificate is looked at.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The command line of `mcrsrv server`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE", value_parser = mcr::config::path_argument)]
    config: PathBuf,
}

/// Runs the registry until it is told to stop.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.config.clone();
    let read = move || Config::load(&file, std::env::vars_os());
    let config = read()?;
    setup::log(&config)?;
    let certificate = setup::certificate(&config)?;
    let _lock = setup::lock(&config, "mcrsrv server")?;
    let served = actix_rt::System::new().block_on(async move {
        let signals = Signals::listen().context("cannot listen to signals")?;
        let registry = setup::registry(&config).await?;
        let running = Running::start(config, certificate, registry, Box::new(read)).await?;
        running.announce();
        running.until_stopped(signals).await
    });
    Ok(served?)
}

/// Reads the configuration again.
pub(crate) type Reread = Box<dyn Fn() -> Result<Config, ConfigError>>;

/// A server that accepts requests.
pub(crate) struct Running {
    config: Config,
    certificate: Option<Arc<Certificate>>,
    registry: Registry,
    reread: Reread,
    address: SocketAddr,
    server: Server,
    /// Serves metrics only, where that is configured.
    metrics: Option<actix_rt::task::JoinHandle<io::Result<()>>>,
}

/// Listens on the address that a key names.
fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen::bind(address).map_err(|error| {
        let mend = mend::of_address(address, &error);
        anyhow!("cannot listen on {key} {address}: {error}{mend}")
    })
}

/// Serves metrics on an address of their own, where that is configured.
fn serve_metrics(
    config: &Config,
    registry: Registry,
    metrics: Metrics,
) -> anyhow::Result<Option<actix_rt::task::JoinHandle<io::Result<()>>>> {
    let Some(address) = config.server.metrics_addr else { return Ok(None) };
    let listener = bind("server.metrics_addr", address)?;
    let options = ListenOptions { workers: 1, ..listen_options(config) };
    let app = move || metrics_app(registry.clone(), metrics.clone());
    let server = listen::serve(listener, None, &options, app).context("cannot serve metrics")?;
    Ok(Some(actix_rt::spawn(server)))
}

impl Running {
    /// Listens. When this returns, requests are accepted.
    pub(crate) async fn start(
        config: Config,
        certificate: Option<Arc<Certificate>>,
        registry: Registry,
        reread: Reread,
    ) -> anyhow::Result<Self> {
        let server = &config.server;
        open_files::allow(server.max_connections);
        if let Some(warning) = server.warning() {
            log::warn!("{warning}");
        }
        let tls = certificate
            .clone()
            .map(|certificate| tls::server_config(certificate, server.http2))
            .transpose()?;
        let listener = bind("server.listen_addr", server.listen_addr)?;
        let address = listener.local_addr().context("the listening socket has no address")?;
        let options = http_options(&config);
        let actors = registry.clone();
        let metrics = Metrics::default();
        let counted = metrics.clone();
        let app = move || app(actors.clone(), options.clone(), counted.clone());
        let mut server =
            listen::serve(listener, tls, &listen_options(&config), app).context("cannot serve")?;
        let metrics = serve_metrics(&config, registry.clone(), metrics)?;
        // The first poll starts the workers; a server that did not start is ready at once.
        match future::poll_fn(|cx| Poll::Ready(Pin::new(&mut server).poll(cx))).await {
            Poll::Pending => Ok(Self { config, certificate, registry, reread, address, server, metrics }),
            Poll::Ready(Err(error)) => Err(error).context("the workers did not start"),
            Poll::Ready(Ok(())) => bail!("the server ended before it began"),
        }
    }

    /// Where it listens, as a URL.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells whoever started the program that requests are accepted.
    pub(crate) fn announce(&self) {
        log::info!("mcrsrv {} listens on {}", env!("CARGO_PKG_VERSION"), self.url());
        say(&format!("listening on {}", self.url()));
    }

    /// Serves until a signal says stop, and then until requests in flight are answered or their time is over. Another
    /// such signal stops at once.
    pub(crate) async fn until_stopped(mut self, mut signals: Signals) -> anyhow::Result<()> {
        let mut day = tokio::time::interval(DAY);
        loop {
            tokio::select! {
                _ = day.tick() => self.judge_certificate(),
                signal = signals.next() => match signal {
                    Signal::Reload => self.reload().await,
                    Signal::Stop => break,
                },
                name = self.registry.died() => return Err(died(name)),
                ended = &mut self.server => {
                    ended.context("the server failed")?;
                    bail!("the server ended by itself");
                }
            }
        }
        let timeout = humantime::format_duration(self.config.server.shutdown_timeout);
        log::info!("stopping: requests in flight have {timeout}; another signal stops at once");
        drop(self.server.handle().stop(true));
        if let Some(metrics) = &self.metrics {
            metrics.abort();
        }
        tokio::select! {
            ended = &mut self.server => ended.context("the server failed while it stopped")?,
            name = self.registry.died() => return Err(died(name)),
            () = signals.stop() => log::warn!("stopped at once: requests in flight are cut off"),
        }
        // Only now: requests in flight needed the actors. A server that was cut off ends with the process.
        self.registry.stop().await;
        log::info!("stopped");
        Ok(())
    }

    /// Says when clients refuse the certificate for its time, or will before long.
    fn judge_certificate(&self) {
        let now = Clock::system().now();
        if let Some(warning) = self.certificate.as_ref().and_then(|certificate| certificate.warning(now)) {
            log::warn!("{warning}");
        }
    }

    /// Reads again what can be read again. What is bad keeps its old value.
    async fn reload(&self) {
        match (self.reread)() {
            Ok(config) => {
                logging::set_level(config.log.level);
                log::info!("log.level is {}", config.log.level.as_str().to_ascii_lowercase());
                let sections = self.config.needs_restart(&config);
                if !sections.is_empty() {
                    log::warn!("what changed in {} takes effect at the next start", sections.join(", "));
                }
            }
            Err(error) => log::error!("log.level stays as it is: {error}"),
        }
        match self.certificate.as_ref().map(|certificate| certificate.reload()) {
            Some(Ok(())) => {
                log::info!("the certificate was read again");
                self.judge_certificate();
            }
            Some(Err(error)) => log::error!("the certificate stays as it is: {error}"),
            None => {}
        }
        match self.registry.reload_policy().await {
            Ok(()) => log::info!("the policy was read again"),
            Err(error) => log::error!("the policy stays as it is: {error}"),
        }
    }
}

fn died(name: &str) -> anyhow::Error {
    // Its state is on disk, and whole; the service manager starts the program again.
    anyhow!("the actor {name:?} has died: start the registry again; the log says why it died")
}

fn listen_options(config: &Config) -> ListenOptions {
    let server = &config.server;
    ListenOptions {
        workers: server.workers,
        max_connections: server.max_connections,
        trusted_proxies: server.trusted_proxies.clone(),
        handshake_timeout: server.handshake_timeout,
        head_timeout: HEAD_TIMEOUT,
        idle_timeout: server.idle_timeout,
        write_timeout: server.write_timeout,
        shutdown_timeout: server.shutdown_timeout,
    }
}

fn http_options(config: &Config) -> HttpOptions {
    let Config { server, registry, auth, audit, .. } = config;
    let public_url = server.public_url.as_ref().map(PublicUrl::as_str).map(str::to_owned);
    let admin = Settings {
        public_url: public_url.clone(),
        allow_tag_delete: registry.allow_tag_delete,
        allow_sparse: registry.allow_sparse,
        audit_pulls: audit.pulls,
        max_robot_tokens: auth.max_robot_tokens,
    };
    HttpOptions {
        tls: server.tls.is_some(),
        public_url,
        trusted_proxies: server.trusted_proxies.clone(),
        read_timeout: server.read_timeout,
        allow_tag_delete: registry.allow_tag_delete,
        allow_sparse: registry.allow_sparse,
        max_manifest_size: registry.max_manifest_size.bytes(),
        audit_pulls: audit.pulls,
        admin: Arc::new(admin),
    }
}

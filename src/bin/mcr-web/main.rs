//! The pages as a program of their own: it holds no right and no database, and can stand on another machine.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use mcr::config::{ConfigError, WebConfig};
use mcr::http::listen;
use mcr::said_once::said_once;
use mcr::signals::{Signal, Signals};
use mcr::tls::{self, Certificate};
use mcr::{logging, web};
use mcr_actors::mend;
use mimalloc::MiMalloc;

/// What the exit codes mean.
const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 it failed, 2 the command line was wrong, 64 the configuration is invalid.
Every key of [web] and [log] can be set by a variable MCR_WEB_<KEY> or MCR_LOG_<KEY>, which wins.";

/// The registry as a person sees it: pages over its API.
#[derive(Debug, Parser)]
#[command(name = "mcr-web", version, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve the pages
    #[command(after_help = EXIT_CODES)]
    Server {
        /// The configuration; its sections [web] and [log] are read
        #[arg(long, value_name = "FILE", value_parser = mcr::config::path_argument)]
        config: PathBuf,
    },
}

/// As the registry has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Why the program ends before it is done.
enum Failure {
    Config(ConfigError),
    Failed(anyhow::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Failed(error) => f.write_str(&said_once(error)),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        error.downcast().map_or_else(Self::Failed, Self::Config)
    }
}

fn main() -> ExitCode {
    let Verb::Server { config } = CommandLine::parse().verb;
    let done = run(&config);
    log::logger().flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to do when nobody reads standard error.
            let _ = writeln!(std::io::stderr(), "mcr-web: {failure}");
            ExitCode::from(if matches!(failure, Failure::Config(_)) { 64 } else { 1 })
        }
    }
}

fn run(file: &Path) -> Result<(), Failure> {
    let config = WebConfig::load(file, std::env::vars_os())?;
    logging::start(&config.log).context("cannot begin to log")?;
    let certificate = certificate(&config)?;
    Ok(actix_rt::System::new().block_on(serve(file, &config, certificate))?)
}

/// The certificate that the configuration names. That it cannot be used is an error of the configuration.
fn certificate(config: &WebConfig) -> Result<Option<Arc<Certificate>>, ConfigError> {
    let Some(files) = &config.web.tls else { return Ok(None) };
    let certificate = Certificate::load(&files.certificate, &files.key)
        .map_err(|error| ConfigError::new("web.tls_cert, web.tls_key", error))?;
    if let Some(warning) = tls::loose_permissions(&files.key) {
        log::warn!("{warning}");
    }
    Ok(Some(certificate))
}

async fn serve(file: &Path, config: &WebConfig, certificate: Option<Arc<Certificate>>) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    let listener = listen::bind(config.web.listen_addr).map_err(|error| {
        let (address, mend) = (config.web.listen_addr, mend::of_address(config.web.listen_addr, &error));
        anyhow!("cannot listen on web.listen_addr {address}: {error}{mend}")
    })?;
    let address = listener.local_addr().context("the listening socket has no address")?;
    let mut server = web::serve(&config.web, listener, certificate.clone())?;
    let handle = server.handle();
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let text = format!("listening on {scheme}://{address}");
    log::info!("mcr-web {} is {text}", env!("CARGO_PKG_VERSION"));
    // That nobody reads it is no failure.
    let _ = writeln!(std::io::stdout(), "{text}");
    loop {
        tokio::select! {
            ended = &mut server => return ended.context("the server failed"),
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => reload(file, certificate.as_deref()),
            },
        }
    }
    drop(handle.stop(true));
    tokio::select! {
        ended = server => ended.context("the server failed while it stopped"),
        () = signals.stop() => Ok(()),
    }
}

/// Reads again what can be read again: certificate and log level.
fn reload(file: &Path, certificate: Option<&Certificate>) {
    match WebConfig::load(file, std::env::vars_os()) {
        Ok(config) => logging::set_level(config.log.level),
        Err(error) => log::error!("log.level stays as it is: {error}"),
    }
    match certificate.map(Certificate::reload) {
        Some(Ok(())) => log::info!("the certificate was read again"),
        Some(Err(error)) => log::error!("the certificate stays as it is: {error}"),
        None => {}
    }
}

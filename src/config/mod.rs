//! The configuration: one struct for each section, read from a file and the environment, valid when it exists.
//!
//! A key is named once, beside its default, in its section's file. Everything that is wrong is said at once, with the
//! key, where it was given, and what is accepted. Only the files named in it are looked at, never made.

mod audit;
mod auth;
mod database;
mod gc;
mod log;
mod mcias;
mod orchestrator;
mod paths;
mod problem;
mod reader;
mod registry;
mod server;
mod setting;
mod source;
mod storage;
mod web;

use std::ffi::OsString;
use std::path::Path;

pub use self::audit::Audit;
pub use self::auth::{Auth, Provider};
pub use self::database::Database;
pub use self::gc::Gc;
pub use self::log::{Log, LogFormat};
pub use self::mcias::Mcias;
pub use self::problem::ConfigError;
pub use self::registry::Registry;
pub use self::server::{Server, TlsFiles};
pub use self::setting::{PublicUrl, ServiceUrl, Size, path_argument};
pub use self::source::Dev;
pub use self::storage::Storage;
pub use self::web::{Web, WebConfig};

use self::problem::Problem;
use self::reader::Reader;
use self::source::{SECTIONS, Sources};

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// `[database]`.
    pub database: Database,
    /// `[storage]`.
    pub storage: Storage,
    /// `[auth]`.
    pub auth: Auth,
    /// `[mcias]`, where that is the provider.
    pub mcias: Option<Mcias>,
    /// `[registry]`.
    pub registry: Registry,
    /// `[gc]`.
    pub gc: Gc,
    /// `[audit]`.
    pub audit: Audit,
    /// `[log]`.
    pub log: Log,
    /// Variables of the environment that look like settings and are of an orchestrator's services.
    pub passed_over: Vec<String>,
}

impl Config {
    /// Reads a file, and variables `MCR_<SECTION>_<KEY>`, which win.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or anything in either is unknown, of the wrong kind, missing or contradictory.
    pub fn load(
        file: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Sources::default();
        sources.file(file);
        sources.environment(environment);
        Self::from_sources(sources)
    }

    /// The configuration of `mcrsrv dev`: what it sets itself, then the environment, then its command line.
    ///
    /// # Errors
    ///
    /// As [`Config::load`]; also when plain HTTP would be spoken on an address that other machines reach.
    pub fn dev(
        dev: &Dev,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let config = Self::from_sources(dev.sources(environment))?;
        let address = config.server.listen_addr;
        if config.server.tls.is_none() && !address.ip().is_loopback() {
            let message = format!(
                "server.listen_addr: {address} is not a loopback address, and mcrsrv dev speaks plain HTTP only to \
                 this machine: leave TLS on, or listen on 127.0.0.1 or [::1]"
            );
            return Err(ConfigError { problems: vec![Problem::new(None, message)] });
        }
        if config.auth.provider != Provider::Local {
            let what = r#"mcrsrv dev makes an administrator of its own, so it takes "local" only"#;
            return Err(ConfigError::new("auth.provider", what));
        }
        Ok(config)
    }

    fn from_sources(sources: Sources) -> Result<Self, ConfigError> {
        if sources.broken {
            return Err(ConfigError { problems: sources.problems });
        }
        let mut passed_over = sources.passed_over.clone();
        passed_over.sort();
        let mut reader = Reader::new(sources);
        let config = Self::read(&mut reader).map(|config| Self { passed_over, ..config });
        let problems = reader.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError { problems }),
        }
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        // All of them are read before the first is asked for, so that problems of all are told.
        let server = Server::read(&mut reader.section("server"));
        let database = Database::read(&mut reader.section("database"));
        let storage = Storage::read(&mut reader.section("storage"));
        let auth = Auth::read(&mut reader.section("auth"));
        let is_mcias = auth.as_ref().is_some_and(|auth| auth.provider == Provider::Mcias);
        let mcias = Mcias::read(&mut reader.section("mcias"), is_mcias);
        let registry = Registry::read(&mut reader.section("registry"));
        let gc = Gc::read(&mut reader.section("gc"));
        let audit = Audit::read(&mut reader.section("audit"));
        let log = Log::read(&mut reader.section("log"));
        let mut config = Self {
            server: server?,
            database: database?,
            storage: storage?,
            auth: auth?,
            mcias: if is_mcias { Some(mcias?) } else { None },
            registry: registry?,
            gc: gc?,
            audit: audit?,
            log: log?,
            passed_over: Vec::new(),
        };
        config.settle_paths(reader);
        Some(config)
    }

    /// The sections in which `other` differs and which are read only at start: all but the log level.
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            self.server != other.server,
            self.database != other.database,
            self.storage != other.storage,
            self.auth != other.auth,
            self.mcias != other.mcias,
            self.registry != other.registry,
            self.gc != other.gc,
            self.audit != other.audit,
            self.log.format != other.log.format,
        ];
        SECTIONS
            .into_iter()
            .zip(differs)
            .filter_map(|(section, differs)| differs.then_some(section))
            .collect()
    }
}

#[cfg(test)]
mod tests;

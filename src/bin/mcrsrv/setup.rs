//! What every verb does before it works: log, lock the data, read the certificate, start the actors.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcr::config::{Config, ConfigError};
use mcr::data_lock::{Data, DataLock, LockError};
use mcr::logging;
use mcr::mcias::MciasProvider;
use mcr::tls::{self, Certificate};
use mcr_actors::auth_cache::{AuthSettings, MostTokens, Provider, Secret};
use mcr_actors::clock::Clock;
use mcr_actors::fs::real::RealFs;
use mcr_actors::gc::Pace;
use mcr_actors::identity::{self, Places};
use mcr_actors::mend::{self, Use};
use mcr_actors::registry::{Registry, Settings};
use mcr_actors::snapshot::restoring;

/// Bytes of a password that is made up.
const PASSWORD_BYTES: usize = 18;

/// The longest password that is read, in bytes.
const LONGEST_PASSWORD: u64 = 1024;

/// Begins to log.
pub(crate) fn log(config: &Config) -> anyhow::Result<()> {
    logging::start(&config.log).context("cannot begin to log")?;
    if let Some(one) = config.passed_over.first() {
        let all = config.passed_over.len();
        log::info!("{all} variables of an orchestrator's services are passed over, such as {one}");
    }
    Ok(())
}

/// Takes the data for this process; `verb` is told to whoever comes second. What does not belong together is refused before
/// anything is made or changed.
pub(crate) fn lock(config: &Config, verb: &str) -> anyhow::Result<DataLock> {
    look(config)?;
    lock_as_it_is(config, verb)
}

/// Refuses data that another program has, that does not belong together, or that a restore has left half way: a server
/// would begin with an empty database, and sweep the blobs. Makes nothing and changes nothing.
fn look(config: &Config) -> anyhow::Result<()> {
    DataLock::look(data(config))?;
    let (database, half) = (&config.database.path, restoring(&config.database.path));
    if is_there(&half)? && !is_there(database)? {
        let (database, half) = (database.display(), half.display());
        bail!(
            "the restore of {database} was cut: repeat `mcrsrv restore`, or remove {half} to begin with nothing"
        );
    }
    Ok(identity::enter(&places(config), &RealFs)?)
}

/// Whether there is something at a path.
pub(crate) fn is_there(path: &Path) -> anyhow::Result<bool> {
    path.try_exists().map_err(|error| failed("look at", path, Use::Read, &error))
}

/// What could not be done with a path, and what to do about it.
pub(crate) fn failed(what: &str, path: &Path, wanted: Use<'_>, error: &io::Error) -> anyhow::Error {
    anyhow!("cannot {what} {}: {error}{}", path.display(), mend::of_file(path, wanted, error))
}

/// Takes the data whatever it is: for a restore, which can be repeated, and to settle what does not belong together.
pub(crate) fn lock_as_it_is(config: &Config, verb: &str) -> anyhow::Result<DataLock> {
    Ok(DataLock::take(data(config), verb)?)
}

fn data(config: &Config) -> Data<'_> {
    let Config { database, storage, .. } = config;
    let directories = [&*storage.layers_path, &*storage.uploads_path, &*storage.snapshots_path];
    Data { database: &database.path, directories }
}

/// Where everything is.
pub(crate) fn places(config: &Config) -> Places {
    let Config { database, storage, .. } = config;
    Places {
        database: database.path.clone(),
        layers: storage.layers_path.clone(),
        uploads: storage.uploads_path.clone(),
        uploads_before: storage.uploads_before.clone(),
        snapshots: storage.snapshots_path.clone(),
    }
}

/// Advises whoever was refused since another program has the data.
pub(crate) fn advise(error: anyhow::Error, advice: &'static str) -> anyhow::Error {
    match error.downcast_ref() {
        Some(LockError::Held { .. }) => error.context(advice),
        _ => error,
    }
}

/// The certificate that the configuration names. That it cannot be used is an error of the configuration.
pub(crate) fn certificate(config: &Config) -> Result<Option<Arc<Certificate>>, ConfigError> {
    let Some(files) = &config.server.tls else { return Ok(None) };
    let certificate = Certificate::load(&files.certificate, &files.key)
        .map_err(|error| ConfigError::new("server.tls_cert, server.tls_key", error))?;
    if let Some(warning) = tls::loose_permissions(&files.key) {
        log::warn!("{warning}");
    }
    Ok(Some(certificate))
}

/// Who knows accounts, where it is not the registry itself. That it cannot be used is an error of the configuration;
/// that it does not answer is none.
fn provider(config: &Config) -> Result<Option<Arc<dyn Provider>>, ConfigError> {
    let Some(mcias) = &config.mcias else { return Ok(None) };
    let provider = MciasProvider::start(mcias, Clock::system())
        .map_err(|error| ConfigError::new("mcias.ca_cert", error))?;
    Ok(Some(Arc::new(provider)))
}

/// Starts the actors: opens and migrates the database, and finishes what a crash left.
pub(crate) async fn registry(config: &Config) -> anyhow::Result<Registry> {
    let Config { server, database, storage, auth, registry, gc, audit, .. } = config;
    let provider = provider(config)?;
    let settings = Settings {
        database: database.path.clone(),
        write_deadline: mcr_actors::db::DEADLINE,
        store_deadline: mcr_actors::blob_store::DEADLINE,
        layers: storage.layers_path.clone(),
        uploads: storage.uploads_path.clone(),
        uploads_before: storage.uploads_before.clone(),
        snapshots: storage.snapshots_path.clone(),
        min_free: storage.min_free.bytes(),
        reserve: mcr_actors::db::RESERVE,
        max_blob_size: registry.max_blob_size.map(mcr::config::Size::bytes),
        verify_on_push: storage.verify_on_push,
        max_uploads: registry.max_uploads,
        upload_expiry: registry.upload_expiry,
        grace: gc.grace,
        gc_interval: gc.interval,
        untagged_after: gc.untagged_after,
        gc_pace: Pace::default(),
        upload_threads: server.workers,
        auth: AuthSettings {
            cache_ttl: auth.cache_ttl,
            token_ttl: auth.token_ttl,
            anonymous: auth.anonymous,
            login_attempts_per_minute: auth.login_attempts_per_minute,
            most_tokens: MostTokens { logins: auth.max_login_tokens, robots: auth.max_robot_tokens },
        },
        audit_keep: audit.keep,
        provider,
        builtin_human_access: auth.builtin_human_access,
    };
    Registry::start(settings, Arc::new(RealFs), Clock::system()).await.context("the registry cannot start")
}

/// A password that nobody can guess.
pub(crate) fn new_password() -> anyhow::Result<Secret> {
    let mut bytes = [0; PASSWORD_BYTES];
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// The first line of the input.
pub(crate) fn read_password(input: impl Read) -> anyhow::Result<Secret> {
    let mut text = String::new();
    input.take(LONGEST_PASSWORD + 1).read_to_string(&mut text).context("cannot read the password")?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() || text.len() as u64 > LONGEST_PASSWORD {
        bail!("the password on standard input must have 1 to {LONGEST_PASSWORD} bytes");
    }
    Ok(Secret::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line() {
        assert_eq!(read_password("secret word\r\n".as_bytes()).unwrap().expose(), "secret word");
        assert!(read_password("\n".as_bytes()).is_err());
        assert!(read_password([b'x'; 1025].as_slice()).is_err());
    }
}

//! What the verbs have in common that work on a registry's data while no server does: whose data it is, and how far they
//! have come.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use mcr::config::{Config, Dev};
use mcr_actors::blob_store::Layout;
use mcr_actors::fs::real::RealFs;
use mcr_actors::snapshot::{Data, Progress};

use crate::setup;
use crate::telling::Failure;

/// How often progress is shown.
const EVERY: Duration = Duration::from_millis(300);

/// Whose data: one of the two.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whose {
    /// The configuration
    #[arg(long, value_name = "FILE", value_parser = mcr::config::path_argument)]
    pub(crate) config: Option<PathBuf>,
    /// The directory of everything, as of `mcrsrv dev`
    #[arg(long, value_name = "DIR", value_parser = mcr::config::path_argument)]
    pub(crate) data: Option<PathBuf>,
}

impl Whose {
    /// The configuration that says where the data is.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let environment = std::env::vars_os();
        if let Some(file) = &self.config {
            return Ok(Config::load(file, environment)?);
        }
        let data = self.data.clone().unwrap_or_default();
        let data = std::path::absolute(data).context("the data directory's path cannot be made absolute")?;
        Ok(Config::dev(&Dev { data, listen: None, http: false }, environment)?)
    }
}

/// Where the data of that configuration is.
pub(crate) fn data(config: &Config) -> Data {
    let (database, layout) = (config.database.path.clone(), Layout::new(&config.storage.layers_path));
    Data { database, layout, fs: Arc::new(RealFs) }
}

/// Refuses where there is no database, before anything is made.
pub(crate) fn must_have_database(config: &Config) -> anyhow::Result<()> {
    let database = &config.database.path;
    if !setup::is_there(database)? {
        bail!("there is no database {}: is this the right configuration?", database.display());
    }
    Ok(())
}

/// Works, and shows progress meanwhile where a person looks.
pub(crate) fn watched<T>(work: impl FnOnce(&Progress) -> T) -> T {
    let progress = Progress::default();
    if !std::io::stderr().is_terminal() {
        return work(&progress);
    }
    let (done, is_done) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let is_done = is_done;
            while is_done.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                show(&progress);
            }
            clear_line();
        });
        let worked = work(&progress);
        drop(done);
        worked
    })
}

fn show(progress: &Progress) {
    let reached = progress.look();
    let (bytes, all_bytes) = (ByteSize(reached.bytes), ByteSize(reached.all_bytes));
    let line = match reached.all_blobs {
        0 => "the database".to_owned(),
        all => format!("{} of {all} blobs, {bytes} of {all_bytes}", reached.blobs),
    };
    // Progress that cannot be shown is no reason to stop.
    let _unseen = write!(std::io::stderr(), "\r\x1b[K{line}");
}

/// Makes room for a line where progress is shown.
pub(crate) fn clear_line() {
    if std::io::stderr().is_terminal() {
        let _unseen = write!(std::io::stderr(), "\r\x1b[K");
    }
}

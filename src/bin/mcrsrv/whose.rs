//! What the verbs have in common that work on a registry's data while no server does: whose data it is, and how far they
//! have come.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};
use mcr::config::{Config, Dev};
use mcr_actors::blob_store::Layout;
use mcr_actors::fs::real::RealFs;
use mcr_actors::snapshot::{Data, Progress, Reached};

use crate::setup;
use crate::telling::Failure;

/// How often a bar is drawn.
const EVERY: Duration = Duration::from_millis(300);
/// How often a line is written where nobody sees a bar.
const EVERY_LINE: Duration = Duration::from_secs(30);

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

/// Works, and tells meanwhile how far it is: by a bar with rate and time left on a terminal, elsewhere by a line now and then.
pub(crate) fn watched<T>(work: impl FnOnce(&Progress) -> T) -> T {
    let progress = Progress::default();
    let bar = std::io::stderr().is_terminal().then(bar);
    let every = if bar.is_some() { EVERY } else { EVERY_LINE };
    let (done, is_done) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let is_done = is_done;
            while is_done.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                match &bar {
                    Some(bar) => show(bar, progress.look()),
                    // Progress that cannot be told is no reason to stop.
                    None => drop(writeln!(std::io::stderr(), "{}", told(progress.look()))),
                }
            }
            if let Some(bar) = &bar {
                bar.finish_and_clear();
            }
        });
        let worked = work(&progress);
        drop(done);
        worked
    })
}

fn bar() -> ProgressBar {
    let form = "{bar:30} {binary_bytes} of {binary_total_bytes}, {msg}; {binary_bytes_per_sec}, {eta} left";
    let bar = ProgressBar::new(0);
    // A form that is not understood leaves the library's own.
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, reached: Reached) {
    bar.set_length(reached.all_bytes);
    bar.set_message(blobs(reached));
    bar.set_position(reached.bytes);
}

fn blobs(reached: Reached) -> String {
    match reached.all_blobs {
        0 => "the database".to_owned(),
        all => format!("{} of {all} blobs", reached.blobs),
    }
}

fn told(reached: Reached) -> String {
    let (bytes, all) = (ByteSize(reached.bytes), ByteSize(reached.all_bytes));
    format!("{}, {bytes} of {all}", blobs(reached))
}

/// Makes room for a line where progress is shown.
pub(crate) fn clear_line() {
    if std::io::stderr().is_terminal() {
        let _unseen = write!(std::io::stderr(), "\r\x1b[K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_before_there_is_a_goal_and_after() {
        let mut reached = Reached::default();
        assert_eq!(told(reached), "the database, 0 B of 0 B");
        (reached.blobs, reached.all_blobs, reached.bytes, reached.all_bytes) = (1, 2, 1024, 4096);
        assert_eq!(told(reached), "1 of 2 blobs, 1.0 KiB of 4.0 KiB");
        show(&bar(), reached);
    }
}

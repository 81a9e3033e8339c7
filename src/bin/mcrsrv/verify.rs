//! `mcrsrv verify`: reads everything that is kept, and says what is wrong with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use mcr::config::Config;
use mcr::data_lock::DataLock;
use mcr_actors::fs::Fs;
use mcr_actors::fs::real::RealFs;
use mcr_actors::identity::{self, IdentityError};
use mcr_actors::snapshot::verify::{Summary, verify, verify_snapshot};

use crate::setup;
use crate::telling::{Failure, say};
use crate::whose::{self, Whose};

/// What to use while a server runs.
const ADVICE: &str = "while a server runs, `mcrsrv verify` works without --repair and --adopt only";

/// What to verify: one of the three.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The configuration
    #[arg(long, value_name = "FILE", value_parser = mcr::config::path_argument)]
    config: Option<PathBuf>,
    /// The directory of everything, as of `mcrsrv dev`
    #[arg(long, value_name = "DIR", value_parser = mcr::config::path_argument)]
    data: Option<PathBuf>,
    /// A snapshot
    #[arg(long, value_name = "DIR", value_parser = mcr::config::path_argument)]
    snapshot: Option<PathBuf>,
}

/// The command line of `mcrsrv verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    what: What,
    /// Move bad files aside, so that the next push of them heals them; no server may run
    #[arg(long, conflicts_with = "snapshot")]
    repair: bool,
    /// Take the directories for those of the database, whatever their markers say; no server may run
    #[arg(long, conflicts_with = "snapshot")]
    adopt: bool,
}

/// Tells of every problem in a line, and fails when there are any.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut tell = |line: &str| {
        whose::clear_line();
        say(line);
    };
    let What { config, data, snapshot } = &arguments.what;
    let summary = match snapshot {
        Some(directory) => of_snapshot(directory, &mut tell)?,
        None => {
            let whose = Whose { config: config.clone(), data: data.clone() };
            of_registry(&whose, arguments, &mut tell)?
        }
    };
    let Summary { blobs, bytes, manifests, problems, mended, unread } = summary;
    say(&format!(
        "{blobs} blobs with {bytes} bytes and {manifests} manifests are read, {problems} problems found"
    ));
    if unread > 0 {
        say(&format!(
            "{unread} files could not be read and stay as they are: see to the disk, and verify again"
        ));
    }
    match (problems, arguments.repair) {
        (0, _) => Ok(()),
        (_, false) if snapshot.is_some() => Err(anyhow!("the snapshot is not good").into()),
        (_, false) => {
            let mend = "with --repair, bad files are moved aside, and the next push of them heals them";
            Err(anyhow!("{problems} problems were found: {mend}").into())
        }
        (_, true) => {
            let mend =
                "push again what is marked bad; the files are in the directory \"quarantine\" of the blobs";
            Err(anyhow!("{problems} problems were found, {mended} mended: {mend}").into())
        }
    }
}

fn of_snapshot(directory: &Path, tell: &mut dyn FnMut(&str)) -> anyhow::Result<Summary> {
    let directory = std::path::absolute(directory).context("the path cannot be made absolute")?;
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let verified = whose::watched(|progress| verify_snapshot(&directory, &fs, progress, tell));
    verified.context("the snapshot cannot be verified")
}

fn of_registry(whose: &Whose, arguments: &Arguments, tell: &mut dyn FnMut(&str)) -> Result<Summary, Failure> {
    let config = whose.config()?;
    setup::log(&config)?;
    whose::must_have_database(&config)?;
    let (places, repair) = (setup::places(&config), arguments.repair);
    let lock = if arguments.adopt { Some(adopt(&config, tell)?) } else { None };
    let _lock = match lock {
        None if repair => Some(setup::lock(&config, "mcrsrv verify").map_err(advise)?),
        None => {
            match identity::enter(&places, &RealFs) {
                // Why it cannot be read, whoever reads it says better.
                Ok(()) | Err(IdentityError::Database { .. }) => None,
                Err(error) => return Err(anyhow::Error::from(error).into()),
            }
        }
        lock => lock,
    };
    if repair {
        // What is moved aside or brought back is not so in a copy of the database from before: that one is older from now on.
        identity::begin(&places, &RealFs).map_err(anyhow::Error::from)?;
    }
    let data = whose::data(&config);
    let verified = whose::watched(|progress| verify(&data, repair, progress, tell));
    Ok(verified.context("not everything could be verified")?)
}

/// Settles what does not belong together, and says what it was.
fn adopt(config: &Config, tell: &mut dyn FnMut(&str)) -> anyhow::Result<DataLock> {
    let lock = setup::lock_as_it_is(config, "mcrsrv verify").map_err(advise)?;
    match identity::adopt(&setup::places(config), &RealFs)? {
        Some(settled) => tell(&format!("settled: {settled}")),
        None => tell("nothing was to be settled: database and directories belong together"),
    }
    Ok(lock)
}

fn advise(error: anyhow::Error) -> anyhow::Error {
    setup::advise(error, ADVICE)
}

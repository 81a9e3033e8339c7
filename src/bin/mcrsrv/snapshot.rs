//! `mcrsrv snapshot`: a copy of a registry that does not run.

use std::path::PathBuf;

use anyhow::Context;
use mcr_actors::clock::Clock;
use mcr_actors::snapshot::take::Take;

use crate::setup;
use crate::telling::{Failure, say};
use crate::whose::{self, Whose};

/// What to use while a server runs.
const ADVICE: &str = "while a server runs, `mcrctl snapshot create` takes snapshots";

/// The command line of `mcrsrv snapshot`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    whose: Whose,
    /// The directory to make; on another file system than the blobs they are copied
    #[arg(long, value_name = "DIR", value_parser = mcr::config::path_argument)]
    to: PathBuf,
}

/// Takes a snapshot, and reads all of it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.whose.config()?;
    setup::log(&config)?;
    whose::must_have_database(&config)?;
    let directory = std::path::absolute(&arguments.to).context("the path of --to cannot be made absolute")?;
    let _lock = setup::lock(&config, "mcrsrv snapshot").map_err(|error| setup::advise(error, ADVICE))?;
    let now = Clock::system().now();
    let take = Take { data: whose::data(&config), directory: directory.clone(), now, row: None };
    let manifest = whose::watched(|progress| take.run(progress, &mut |_, _, _| {}));
    let manifest = manifest.context("no snapshot was taken")?;
    for error in &manifest.errors {
        log::error!("not in the snapshot: {error}");
    }
    say(&format!(
        "the snapshot {} is whole: {} blobs, {} bytes; {} were missing or bad",
        directory.display(),
        manifest.blobs,
        manifest.bytes,
        manifest.error_count
    ));
    Ok(())
}

//! `mcrsrv restore`: makes a registry from a snapshot, where there is none.

use std::path::PathBuf;

use anyhow::Context;
use mcr_actors::snapshot;

use crate::setup;
use crate::telling::{Failure, say};
use crate::whose::{self, Whose};

/// The command line of `mcrsrv restore`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    whose: Whose,
    /// The snapshot
    #[arg(long, value_name = "DIR", value_parser = mcr::config::path_argument)]
    from: PathBuf,
}

/// Restores, and reads all that was restored.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.whose.config()?;
    setup::log(&config)?;
    let from = std::path::absolute(&arguments.from).context("the path of --from cannot be made absolute")?;
    let _lock = setup::lock_as_it_is(&config, "mcrsrv restore")?;
    let data = whose::data(&config);
    let others = [&*config.storage.uploads_path, &*config.storage.snapshots_path];
    let manifest = whose::watched(|progress| snapshot::restore(&from, &data, &others, progress));
    let manifest = manifest.context("nothing was restored")?;
    say(&format!(
        "restored the snapshot of {}: {} blobs, {} bytes; {} were missing or bad when it was taken",
        manifest.taken_at, manifest.blobs, manifest.bytes, manifest.error_count
    ));
    say(
        "accounts, passwords, robot tokens and rules are those of that time: revoke again what was revoked since",
    );
    Ok(())
}

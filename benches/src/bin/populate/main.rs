//! Makes a large registry on disk, through the real schema and in the real layout, in minutes instead of days.
//!
//! Rows come from the same queries that pushes use, so triggers and counts are right; only the commits are large, and
//! nothing is synced before the end. Files are made by threads of their own meanwhile.

mod arguments;
mod files;
mod rows;

use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use mcr_actors::blob_store::Layout;

use self::arguments::Arguments;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.repositories > 0, "--repositories is at least 1");
    ensure!(arguments.threads > 0, "--threads is at least 1");
    let database = arguments.data.join("mcr.db");
    if database.try_exists()? {
        bail!("{} is there already: name an empty directory", database.display());
    }
    let layout = Layout::new(arguments.data.join("layers"));
    std::fs::create_dir_all(layout.root()).context("cannot make the directory of blobs")?;
    let began = Instant::now();
    let makers = files::start(&arguments, &layout)?;
    rows::insert(&arguments, &database)?;
    for maker in makers {
        maker.join().map_err(|_| anyhow::anyhow!("a thread that makes files panicked"))??;
    }
    eprintln!("syncing");
    let directory = std::fs::File::open(&arguments.data)?;
    rustix::fs::syncfs(&directory).context("cannot sync")?;
    eprintln!("done in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

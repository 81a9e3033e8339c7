//! Makes a large registry on disk, through the real schema and in the real layout, in minutes instead of days.
//!
//! Rows come from the same queries that pushes use, so triggers and counts are right; only the commits are large, and
//! nothing is synced before the end. Files are made by threads of their own meanwhile.

mod files;
mod rows;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use mcr_actors::blob_store::Layout;

/// Makes a large registry for `mcrsrv dev --data DIR`.
#[derive(Debug, Clone, Parser)]
#[command(version)]
struct Arguments {
    /// The data directory; it must not have a registry yet
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Blobs of 64 to 200 bytes, shared evenly among the manifests
    #[arg(long, default_value_t = 1_000_000)]
    blobs: u64,
    /// Image manifests, each with a tag
    #[arg(long, default_value_t = 100_000)]
    manifests: u64,
    /// Repositories; the manifests are dealt out to them, and those left over get one that all share
    #[arg(long, default_value_t = 100)]
    repositories: u64,
    /// How many of a hundred manifests are deleted again; a sweep then takes their blobs at once
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    garbage: u64,
    /// A repository populated/tags-N with so many tags; may be given again
    #[arg(long, value_name = "N")]
    tags: Vec<u64>,
    /// A repository populated/referrers-N where one manifest has so many referrers; may be given again
    #[arg(long, value_name = "N")]
    referrers: Vec<u64>,
    /// Another seed makes other content
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads that make files
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

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

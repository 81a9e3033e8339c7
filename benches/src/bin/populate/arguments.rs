//! What is asked for.

use std::path::PathBuf;

use clap::Parser;

/// Makes a large registry for `mcrsrv dev --data DIR`.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// The data directory; it must not have a registry yet
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Blobs of 64 to 200 bytes, shared evenly among the manifests
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) blobs: u64,
    /// Image manifests, each with a tag
    #[arg(long, default_value_t = 100_000)]
    pub(crate) manifests: u64,
    /// Repositories; the manifests are dealt out to them, and those left over get one that all share
    #[arg(long, default_value_t = 100)]
    pub(crate) repositories: u64,
    /// How many of a hundred manifests are deleted again; a sweep then takes their blobs at once
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub(crate) garbage: u64,
    /// A repository populated/tags-N with so many tags; may be given again
    #[arg(long, value_name = "N")]
    pub(crate) tags: Vec<u64>,
    /// A repository populated/referrers-N where one manifest has so many referrers; may be given again
    #[arg(long, value_name = "N")]
    pub(crate) referrers: Vec<u64>,
    /// Another seed makes other content
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads that make files
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
}

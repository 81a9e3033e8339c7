//! What a registry is, how it is set and what it has.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a registry is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SystemModel {
    /// What it is called: the host of its public URL, with the port where one is written there; `mcr` where it has none.
    pub name: String,
    /// Who knows its accounts: `embedded`, which is the registry itself, or `mcias`.
    pub provider: String,
    /// How it is set and what it has; only administrators are told.
    #[serde(flatten)]
    pub details: Option<SystemDetails>,
}

/// How a registry is set and what it has.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SystemDetails {
    /// The version of the program.
    pub version: String,
    /// The commit that the program was built from, where the build knew it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it began to serve.
    pub started_at: String,
    /// For how many seconds it has served.
    pub uptime_seconds: u64,
    /// The URL that clients reach it by, where one is set.
    pub public_url: Option<String>,
    /// Whether the registry itself keeps accounts and robot tokens.
    pub accounts_here: bool,
    /// What is switched on.
    pub switches: SwitchesModel,
    /// How the collector is set.
    pub gc: GcSettingsModel,
    /// What the registry has.
    pub totals: TotalsModel,
    /// The disk that blobs are on.
    pub disk: DiskModel,
}

/// What is switched on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SwitchesModel {
    /// Whether tags can be deleted under `/v2`.
    pub tag_delete: bool,
    /// Whether a manifest may refer to what is not there.
    pub sparse_manifests: bool,
    /// Whether whoever does not log in gets a token, with which policy may let them pull.
    pub anonymous: bool,
    /// Whether the built-in rule for human accounts holds.
    pub builtin_human_access: bool,
    /// Whether pulls are recorded in the audit log.
    pub audit_pulls: bool,
    /// Whether the stored file is read when a blob is pushed that is there already.
    pub verify_on_push: bool,
}

/// How the collector is set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GcSettingsModel {
    /// So many seconds lie between sweeps that begin by themselves; none when they never do.
    pub interval_seconds: Option<u64>,
    /// When the next one begins by itself.
    pub next_at: Option<String>,
    /// For so many seconds a blob is kept that nothing refers to.
    pub grace_seconds: u64,
    /// After so many seconds without a tag a manifest goes; none when it stays.
    pub untagged_after_seconds: Option<u64>,
}

/// What the registry has, uploads in progress left out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TotalsModel {
    /// Repositories.
    pub repositories: u64,
    /// Tags of all repositories.
    pub tags: u64,
    /// Manifests of all repositories.
    pub manifests: u64,
    /// Blobs, each once.
    pub blobs: u64,
    /// Manifests and each blob once.
    pub stored_bytes: u64,
    /// Of each repository its manifests and every blob it shows.
    pub logical_bytes: u64,
    /// What would be stored once more if repositories did not share blobs.
    pub saved_bytes: u64,
    /// Blobs that no repository shows, which wait for a sweep.
    pub unlinked_bytes: u64,
}

/// A disk.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DiskModel {
    /// What is free; none when it does not say.
    pub free_bytes: Option<u64>,
    /// What must stay free: below it, whatever adds is refused.
    pub min_free_bytes: u64,
}

//! Snapshots: what they are told, how they are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a snapshot is told.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewSnapshot {
    /// A word to know it by: lower-case letters, digits, dots, underscores, hyphens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A snapshot that began.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SnapshotStarted {
    /// Its number.
    pub id: i64,
}

/// A snapshot.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SnapshotModel {
    /// Its number.
    pub id: i64,
    /// The name of its directory: when it began, and the word that was given.
    pub name: String,
    /// Its directory, on the machine of the registry.
    pub path: String,
    /// `running`, `done`, `failed` or `interrupted`.
    pub state: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Blobs that it has, or that were looked at so far.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that the database names.
    pub all_blobs: u64,
    /// Their bytes.
    pub all_bytes: u64,
    /// Why there is none.
    pub error: Option<String>,
    /// How many blobs were missing or bad; they are marked so in the snapshot.
    pub error_count: u64,
    /// Which, the first twenty.
    pub errors: Vec<String>,
}

//! Sweeps: what they are told, what they report.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a sweep is told.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewSweep {
    /// Only find what would go.
    pub dry_run: bool,
    /// Take files without a row also when they are more than a tenth of all files; those only that two sweeps found, an
    /// hour apart or more.
    pub take_strays: bool,
}

/// A sweep that began, or that ends.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SweepStarted {
    /// Its number.
    pub id: i64,
}

/// What went, or would go, from one repository.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ShareModel {
    /// Manifests, blobs and uploads.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A sweep's report. In a dry run the figures say what would go.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SweepModel {
    /// Its number.
    pub id: i64,
    /// `request` or `interval`.
    pub trigger: String,
    /// Whether it only looked.
    pub dry_run: bool,
    /// `references`, `uploads`, `manifests`, `links`, `blobs`, `strays`, `listing` or `finished`.
    pub phase: String,
    /// `running`, `done`, `stopped`, `failed` or `interrupted`.
    pub outcome: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Links and blobs that were looked at.
    pub examined: u64,
    /// Expired uploads that went.
    pub uploads: u64,
    /// Untagged manifests that went.
    pub manifests: u64,
    /// Links that went.
    pub links: u64,
    /// Blobs that were condemned.
    pub condemned: u64,
    /// Blobs whose files are gone.
    pub removed: u64,
    /// Bytes of files that went.
    pub freed_bytes: u64,
    /// Files without a row that went.
    pub strays: u64,
    /// Files without a row that stay for now.
    pub strays_waiting: u64,
    /// Blobs passed over, since somebody was pushing them.
    pub busy: u64,
    /// Links and blobs that are left to look at.
    pub left: u64,
    /// The longest that it held the database's writer, in microseconds.
    pub longest_write_us: u64,
    /// How much went wrong.
    pub error_count: u64,
    /// What went wrong, the first twenty.
    pub errors: Vec<String>,
    /// By the repository that had it last, those with the most bytes.
    pub repositories: BTreeMap<String, ShareModel>,
}

/// What the collector does and did last.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GcStatusModel {
    /// `idle` or `running`.
    pub state: Cow<'static, str>,
    /// The sweep that runs.
    pub running: Option<SweepModel>,
    /// The last one that ended.
    pub last: Option<SweepModel>,
}

/// Something that a dry run found.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SweepItemModel {
    /// `manifest`, `blob`, `upload`, `stray`, or `waiting_stray` for a file without a row that stays for now.
    pub kind: String,
    /// Where it is, or was last; empty for a stray file.
    pub repository: String,
    /// Its digest, or the upload's id.
    pub name: String,
    /// What it would free.
    pub bytes: u64,
}

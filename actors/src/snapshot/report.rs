//! What a snapshot says of itself, while it is taken and afterwards.

use serde::{Deserialize, Serialize};

use super::progress::Reached;
use super::{Manifest, WorkError};
use crate::domain::Timestamp;

/// Errors whose text is kept in the row; the snapshot's own manifest has more.
const ERRORS: usize = 20;

/// How a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    /// It is being taken.
    Running,
    /// It is whole. Blobs that were bad already are not in it, and are among its errors.
    Done,
    /// There is none; the error says why.
    Failed,
    /// The program ended first; it is not stored, but seen from there being no end.
    Interrupted,
}

impl SnapshotState {
    /// Its name, as in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A snapshot's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotReport {
    /// How it is.
    pub state: SnapshotState,
    /// Its directory.
    pub path: String,
    /// When it began, in milliseconds since the epoch.
    pub started_at: i64,
    /// When it ended.
    pub finished_at: Option<i64>,
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
    /// How many blobs were missing or bad.
    pub error_count: u64,
    /// Which, the first twenty.
    pub errors: Vec<String>,
}

impl SnapshotReport {
    pub(super) fn new(path: String, started_at: Timestamp) -> Self {
        Self {
            state: SnapshotState::Running,
            path,
            started_at: started_at.as_millis(),
            finished_at: None,
            blobs: 0,
            bytes: 0,
            all_blobs: 0,
            all_bytes: 0,
            error: None,
            error_count: 0,
            errors: Vec::new(),
        }
    }

    pub(super) fn absorb(&mut self, reached: Reached) {
        (self.blobs, self.bytes) = (reached.blobs, reached.bytes);
        (self.all_blobs, self.all_bytes) = (reached.all_blobs, reached.all_bytes);
    }

    pub(super) fn finish(&mut self, taken: Result<Manifest, WorkError>, at: Timestamp) {
        self.finished_at = Some(at.as_millis());
        match taken {
            Ok(manifest) => {
                self.state = SnapshotState::Done;
                (self.blobs, self.bytes) = (manifest.blobs, manifest.bytes);
                self.error_count = manifest.error_count;
                self.errors = manifest.errors.into_iter().take(ERRORS).collect();
            }
            Err(error) => {
                self.state = SnapshotState::Failed;
                self.error = Some(error.to_string());
            }
        }
    }
}

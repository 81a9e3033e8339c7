//! What a registry is told when it starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::auth_cache::{AuthSettings, Provider};
use crate::db::queries::times::Lifetimes;
use crate::gc::Pace;
use crate::gc::strays_wait;
use crate::identity;

/// How long a blob is kept without a reference.
#[derive(Debug, Clone, Copy)]
pub struct Grace(pub Duration);

impl Grace {
    /// What somebody who may push can rely on.
    pub fn promised(self) -> Duration {
        self.0
    }

    /// By how much more is written than was promised. Where nothing is promised, nothing can be too short.
    pub fn spare(self) -> Duration {
        match self.promised() {
            Duration::ZERO => Duration::MAX,
            promised => self.kept().saturating_sub(promised),
        }
    }

    /// What is written: half as much again, so that most looks need not write.
    pub fn kept(self) -> Duration {
        self.0.saturating_add(self.0 / 2)
    }
}

/// All that the actors need to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database's file.
    pub database: PathBuf,
    /// How long a change of it is waited for.
    pub write_deadline: Duration,
    /// How long the owner of the blobs' files is waited for.
    pub store_deadline: Duration,
    /// The directory of blobs.
    pub layers: PathBuf,
    /// The directory of uploads, on the same file system.
    pub uploads: PathBuf,
    /// Where uploads were when an earlier version of the program chose, if that is another directory.
    pub uploads_before: Option<PathBuf>,
    /// The directory of snapshots.
    pub snapshots: PathBuf,
    /// Bytes that what adds leaves free on the disks of the database and of the blobs.
    pub min_free: u64,
    /// Bytes beside the database that are kept for what must go on when the disk is full; none when it is 0.
    pub reserve: u64,
    /// The most bytes of a blob.
    pub max_blob_size: Option<u64>,
    /// Whether the stored file is read when a blob is pushed that is there already.
    pub verify_on_push: bool,
    /// The most uploads at once.
    pub max_uploads: usize,
    /// How long an upload may rest.
    pub upload_expiry: Duration,
    /// How long a blob is kept without a reference.
    pub grace: Duration,
    /// How often the collector sweeps by itself; never when there is none.
    pub gc_interval: Option<Duration>,
    /// How long a manifest may be untagged; for ever when there is none.
    pub untagged_after: Option<Duration>,
    /// How fast a sweep goes on.
    pub gc_pace: Pace,
    /// Threads for uploads.
    pub upload_threads: usize,
    /// Identity.
    pub auth: AuthSettings,
    /// How long audit entries are kept; for ever when there is none.
    pub audit_keep: Option<Duration>,
    /// Who knows accounts; `None` for the registry's own database.
    pub provider: Option<Arc<dyn Provider>>,
    /// Whether the built-in rule for human accounts holds.
    pub builtin_human_access: bool,
}

/// How a registry is set, as far as its administrators are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetUp {
    /// Bytes that what adds leaves free.
    pub min_free: u64,
    /// How often the collector sweeps by itself; never when there is none.
    pub gc_interval: Option<Duration>,
    /// How long a blob is kept without a reference.
    pub grace: Duration,
    /// How long a manifest may be untagged; for ever when there is none.
    pub untagged_after: Option<Duration>,
    /// Whether whoever does not log in is the anonymous principal.
    pub anonymous: bool,
    /// Whether the built-in rule for human accounts holds.
    pub builtin_human_access: bool,
    /// Whether the stored file is read when a blob is pushed that is there already.
    pub verify_on_push: bool,
}

impl From<&Settings> for SetUp {
    fn from(settings: &Settings) -> Self {
        Self {
            min_free: settings.min_free,
            gc_interval: settings.gc_interval,
            grace: settings.grace,
            untagged_after: settings.untagged_after,
            anonymous: settings.auth.anonymous,
            builtin_human_access: settings.builtin_human_access,
            verify_on_push: settings.verify_on_push,
        }
    }
}

impl Settings {
    /// For how long things are kept.
    pub(super) fn lifetimes(&self) -> Lifetimes {
        let grace = Grace(self.grace);
        let (upload_expiry, untagged_after) = (self.upload_expiry, self.untagged_after);
        let stray = strays_wait(grace.kept());
        Lifetimes { grace: grace.promised(), kept: grace.kept(), upload_expiry, untagged_after, stray }
    }

    /// Where everything is.
    pub fn places(&self) -> identity::Places {
        identity::Places {
            database: self.database.clone(),
            layers: self.layers.clone(),
            uploads: self.uploads.clone(),
            uploads_before: self.uploads_before.clone(),
            snapshots: self.snapshots.clone(),
        }
    }
}

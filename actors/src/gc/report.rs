//! What a sweep says of itself, while it runs and afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

/// Errors whose text is kept; all are counted.
const ERRORS: usize = 20;
/// Repositories named in a finished report, those with the most bytes; the others are added up.
const REPOSITORIES: usize = 1000;
/// Under which name.
const OTHERS: &str = "(others)";

/// Why a sweep began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Somebody asked for it.
    Request,
    /// It was time.
    Interval,
}

/// What a sweep is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reads manifests again that were stored when fewer things counted as references.
    References,
    /// Ends uploads that expired.
    Uploads,
    /// Takes untagged manifests.
    Manifests,
    /// Takes links that nothing needs.
    Links,
    /// Takes blobs that no repository shows.
    Blobs,
    /// Takes files without a row.
    Strays,
    /// Lists what would go.
    Listing,
    /// It is over.
    Finished,
}

/// How a sweep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not.
    Running,
    /// It went through all phases.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// It could not go on; the last error says why.
    Failed,
    /// The program ended first; it is not stored, but seen from there being no end.
    Interrupted,
}

macro_rules! names {
    ($kind:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $kind {
            /// Its name, as in the report.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

names!(Trigger { Request = "request", Interval = "interval" });
names!(Phase {
    References = "references",
    Uploads = "uploads",
    Manifests = "manifests",
    Links = "links",
    Blobs = "blobs",
    Strays = "strays",
    Listing = "listing",
    Finished = "finished",
});
names!(Outcome {
    Running = "running",
    Done = "done",
    Stopped = "stopped",
    Failed = "failed",
    Interrupted = "interrupted",
});

/// What went, or would go, from one repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Manifests, blobs and uploads.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A sweep's report. In a dry run the figures say what would have happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The sweep's number.
    #[serde(default)]
    pub id: i64,
    /// Why it began.
    pub trigger: Trigger,
    /// Whether it only looked.
    pub dry_run: bool,
    /// What it is at.
    pub phase: Phase,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began, in milliseconds since the epoch.
    pub started_at: i64,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// What was counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Links and blobs that are due and not yet looked at, as far as is known.
    pub left: u64,
    /// What went wrong, the first twenty.
    pub errors: Vec<String>,
    /// By the repository that had it last.
    pub repositories: BTreeMap<String, Share>,
}

/// What a sweep counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Links and blobs that were looked at.
    pub examined: u64,
    /// Uploads that had expired.
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
    /// Blobs that somebody was pushing at that moment.
    pub busy: u64,
    /// All that went wrong.
    pub error_count: u64,
    /// The longest write, in microseconds.
    pub longest_write_us: u64,
}

/// What one step adds to the report.
#[derive(Debug, Default)]
pub(super) struct Gain {
    pub(super) counts: Counts,
    pub(super) errors: Vec<String>,
    pub(super) shares: Vec<(String, u64)>,
    /// Files that were counted as staying, and went.
    pub(super) taken_strays: u64,
}

impl Gain {
    pub(super) fn error(&mut self, error: impl std::fmt::Display) {
        self.errors.push(error.to_string());
    }

    /// Something of this repository went.
    pub(super) fn share(&mut self, repository: String, bytes: u64) {
        self.shares.push((repository, bytes));
    }

    /// A write took that long.
    pub(super) fn wrote(&mut self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts.longest_write_us = self.counts.longest_write_us.max(took);
    }
}

impl Report {
    pub(super) fn new(trigger: Trigger, dry_run: bool, started_at: Timestamp) -> Self {
        Self {
            id: 0,
            trigger,
            dry_run,
            phase: Phase::References,
            outcome: Outcome::Running,
            started_at: started_at.as_millis(),
            finished_at: None,
            counts: Counts::default(),
            left: 0,
            errors: Vec::new(),
            repositories: BTreeMap::new(),
        }
    }

    pub(super) fn absorb(&mut self, gain: Gain) {
        let (counts, more) = (&mut self.counts, gain.counts);
        counts.examined += more.examined;
        counts.uploads += more.uploads;
        counts.manifests += more.manifests;
        counts.links += more.links;
        counts.condemned += more.condemned;
        counts.removed += more.removed;
        counts.freed_bytes += more.freed_bytes;
        counts.strays += more.strays;
        counts.strays_waiting =
            (counts.strays_waiting + more.strays_waiting).saturating_sub(gain.taken_strays);
        counts.busy += more.busy;
        counts.error_count += gain.errors.len() as u64;
        counts.longest_write_us = counts.longest_write_us.max(more.longest_write_us);
        self.left = self.left.saturating_sub(more.examined);
        let room = ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(gain.errors.into_iter().take(room));
        for (repository, bytes) in gain.shares {
            let share = self.repositories.entry(repository).or_default();
            (share.items, share.bytes) = (share.items + 1, share.bytes + bytes);
        }
    }

    pub(super) fn finish(&mut self, outcome: Outcome, at: Timestamp) {
        (self.outcome, self.phase) = (outcome, Phase::Finished);
        self.finished_at = Some(at.as_millis());
        if self.repositories.len() > REPOSITORIES {
            let mut shares: Vec<_> = std::mem::take(&mut self.repositories).into_iter().collect();
            shares.sort_by_key(|(_, share)| std::cmp::Reverse(share.bytes));
            let mut others = Share::default();
            for (_, share) in shares.drain(REPOSITORIES..) {
                (others.items, others.bytes) = (others.items + share.items, others.bytes + share.bytes);
            }
            self.repositories = shares.into_iter().collect();
            self.repositories.insert(OTHERS.to_owned(), others);
        }
    }
}

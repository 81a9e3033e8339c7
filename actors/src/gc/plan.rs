//! What a sweep does next: pure, from what the last step found.

use super::report::Phase;
use crate::db::queries::collection::{BlobCursor, LinkCursor};
use crate::db::queries::sweeps::Item;

/// One step of a sweep; it is short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// End uploads that expired.
    Uploads,
    /// Take some untagged manifests.
    Manifests,
    /// Take some links, from here on.
    Links(LinkCursor),
    /// Take some blobs, from here on; forget those whose files are gone.
    Blobs(BlobCursor, Vec<i64>),
    /// Take the files without a row in one directory.
    Strays(usize),
    /// Find what would go.
    Foresee,
    /// Find the files without a row in one directory; what was found so far.
    ForeseeStrays(usize, Vec<Item>),
    /// Keep what was found, from this one on.
    Save(Vec<Item>, usize),
}

impl Step {
    /// The phase it belongs to.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Uploads => Phase::Uploads,
            Self::Manifests => Phase::Manifests,
            Self::Links(_) => Phase::Links,
            Self::Blobs(..) => Phase::Blobs,
            Self::Strays(_) => Phase::Strays,
            Self::Foresee | Self::ForeseeStrays(..) | Self::Save(..) => Phase::Listing,
        }
    }
}

/// What a sweep was told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Only look.
    pub dry_run: bool,
    /// Whether untagged manifests go.
    pub untagged: bool,
    /// How many directories of files to compare with rows; none when that was done lately.
    pub directories: usize,
}

/// What a step found, as far as it decides what comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing that matters for what comes next.
    Nothing,
    /// There may be more untagged manifests.
    MoreManifests,
    /// There may be more links, from here on.
    MoreLinks(LinkCursor),
    /// Rows to forget, and where to go on, if there may be more blobs.
    Blobs {
        /// Condemned blobs whose files are gone.
        forget: Vec<i64>,
        /// Where to go on.
        next: Option<BlobCursor>,
    },
    /// What would go.
    Items(Vec<Item>),
    /// Findings were kept; the next to keep is this one.
    Saved(Vec<Item>, usize),
}

impl Scope {
    /// The first step.
    pub fn first(self) -> Step {
        if self.dry_run { Step::Foresee } else { Step::Uploads }
    }

    /// The step after `step`; nothing when the sweep is through.
    pub fn after(self, step: &Step, found: Found) -> Option<Step> {
        match (step, found) {
            (Step::Uploads, _) if self.untagged => Some(Step::Manifests),
            (Step::Manifests, Found::MoreManifests) => Some(Step::Manifests),
            (Step::Uploads | Step::Manifests, _) => Some(Step::Links(LinkCursor::default())),
            (Step::Links(_), Found::MoreLinks(next)) => Some(Step::Links(next)),
            (Step::Links(_), _) => Some(Step::Blobs(BlobCursor::default(), Vec::new())),
            (Step::Blobs(..), Found::Blobs { forget, next: Some(next) }) => Some(Step::Blobs(next, forget)),
            (Step::Blobs(at, _), Found::Blobs { forget, next: None }) if !forget.is_empty() => {
                Some(Step::Blobs(*at, forget))
            }
            (Step::Blobs(..), _) => (self.directories > 0).then_some(Step::Strays(0)),
            (Step::Strays(done), _) => {
                let next = done.saturating_add(1);
                (next < self.directories).then_some(Step::Strays(next))
            }
            (Step::Foresee, Found::Items(items)) => Some(match self.directories {
                0 => Step::Save(items, 0),
                _ => Step::ForeseeStrays(0, items),
            }),
            (Step::ForeseeStrays(done, _), Found::Items(items)) => {
                let next = done.saturating_add(1);
                Some(match next < self.directories {
                    true => Step::ForeseeStrays(next, items),
                    false => Step::Save(items, 0),
                })
            }
            (Step::Save(..), Found::Saved(items, next)) if next < items.len() => {
                Some(Step::Save(items, next))
            }
            (Step::Foresee | Step::ForeseeStrays(..) | Step::Save(..), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(scope: Scope, found: impl Fn(&Step) -> Found) -> Vec<Phase> {
        let mut phases = Vec::new();
        let mut step = Some(scope.first());
        while let Some(now) = step {
            phases.push(now.phase());
            assert!(phases.len() < 100, "it never ends: {now:?}");
            step = scope.after(&now, found(&now));
        }
        phases
    }

    #[test]
    fn a_sweep_with_nothing_to_find_goes_through_every_phase_once() {
        let scope = Scope { dry_run: false, untagged: true, directories: 2 };
        use Phase::{Blobs, Links, Manifests, Strays, Uploads};
        assert_eq!(phases(scope, |_| Found::Nothing), [Uploads, Manifests, Links, Blobs, Strays, Strays]);
        let scope = Scope { untagged: false, directories: 0, ..scope };
        assert_eq!(phases(scope, |_| Found::Nothing), [Uploads, Links, Blobs]);
    }

    #[test]
    fn the_last_rows_are_forgotten_before_blobs_are_done() {
        let scope = Scope { dry_run: false, untagged: false, directories: 0 };
        let at = Step::Blobs(BlobCursor::default(), vec![]);
        let found = Found::Blobs { forget: vec![7], next: None };
        assert_eq!(scope.after(&at, found), Some(Step::Blobs(BlobCursor::default(), vec![7])));
        assert_eq!(scope.after(&at, Found::Blobs { forget: vec![], next: None }), None);
    }

    #[test]
    fn a_dry_run_only_looks_and_saves() {
        let scope = Scope { dry_run: true, untagged: true, directories: 1 };
        let item = Item { kind: "blob", repository: String::new(), name: String::new(), bytes: 1 };
        let found = |step: &Step| match step {
            Step::Foresee => Found::Items(vec![item.clone()]),
            Step::ForeseeStrays(_, items) => Found::Items(items.clone()),
            Step::Save(items, next) => Found::Saved(items.clone(), next + 1),
            other => panic!("{other:?} in a dry run"),
        };
        assert_eq!(phases(scope, found), [Phase::Listing; 3]);
    }
}

//! What a sweep does next: pure, from what the last step found.

use std::time::Duration;

use super::report::Phase;
use crate::db::queries::collection::{BlobCursor, LinkCursor};
use crate::db::queries::sweeps::Item;

/// The least time between the two looks that find a file without a row before it goes.
const APART: Duration = Duration::from_secs(3600);

/// How long a file without a row stays after it was found first, where content is kept for so long without a reference.
pub(crate) fn strays_wait(keep: Duration) -> Duration {
    keep.max(APART)
}

/// One step of a sweep; it is short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read some manifests again that were stored when fewer things counted as references.
    References,
    /// End uploads that expired.
    Uploads,
    /// Take some untagged manifests.
    Manifests,
    /// Take some links, from here on.
    Links(LinkCursor),
    /// Take some blobs, from here on; forget those whose files are gone.
    Blobs(BlobCursor, Vec<i64>),
    /// Look for files without a row in one directory; what was found so far.
    Look(usize, Looked),
    /// Take those of them that may go, after this one.
    Strays(String),
    /// Find what would go.
    Foresee,
    /// Find the files without a row in one directory; what was found so far.
    ForeseeStrays(usize, Vec<Item>, Looked),
    /// Keep what was found, from this one on.
    Save(Vec<Item>, usize),
}

impl Step {
    /// The phase it belongs to.
    pub fn phase(&self) -> Phase {
        match self {
            Self::References => Phase::References,
            Self::Uploads => Phase::Uploads,
            Self::Manifests => Phase::Manifests,
            Self::Links(_) => Phase::Links,
            Self::Blobs(..) => Phase::Blobs,
            Self::Look(..) | Self::Strays(_) => Phase::Strays,
            Self::Foresee | Self::ForeseeStrays(..) | Self::Save(..) => Phase::Listing,
        }
    }
}

/// What a look at all files has found so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// All files.
    pub files: u64,
    /// Those without a row.
    pub strays: u64,
}

impl Looked {
    /// With what one directory has.
    pub fn and(self, files: u64, strays: u64) -> Self {
        Self { files: self.files + files, strays: self.strays + strays }
    }

    /// Whether so many files have no row that rather the rows are missing: more than a tenth.
    pub fn is_doubtful(self) -> bool {
        self.strays.saturating_mul(10) > self.files
    }
}

/// What a sweep was told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Only look.
    pub dry_run: bool,
    /// Whether files without a row go however many they are.
    pub take_strays: bool,
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
    /// There may be more manifests to read again.
    MoreReferences,
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
    /// What all files looked at so far are.
    Looked(Looked),
    /// There may be more files without a row that may go, after this one.
    MoreStrays(String),
    /// What would go, and what all files looked at so far are.
    Items(Vec<Item>, Looked),
    /// Findings were kept; the next to keep is this one.
    Saved(Vec<Item>, usize),
}

impl Scope {
    /// The first step: nothing goes, or is said to go, before all references are known.
    pub fn first(self) -> Step {
        Step::References
    }

    /// The step after `step`; nothing when the sweep is through.
    pub fn after(self, step: &Step, found: Found) -> Option<Step> {
        match (step, found) {
            (Step::References, Found::MoreReferences) => Some(Step::References),
            (Step::References, _) => Some(if self.dry_run { Step::Foresee } else { Step::Uploads }),
            (Step::Uploads, _) if self.untagged => Some(Step::Manifests),
            (Step::Manifests, Found::MoreManifests) => Some(Step::Manifests),
            (Step::Uploads | Step::Manifests, _) => Some(Step::Links(LinkCursor::default())),
            (Step::Links(_), Found::MoreLinks(next)) => Some(Step::Links(next)),
            (Step::Links(_), _) => Some(Step::Blobs(BlobCursor::default(), Vec::new())),
            (Step::Blobs(..), Found::Blobs { forget, next: Some(next) }) => Some(Step::Blobs(next, forget)),
            (Step::Blobs(at, _), Found::Blobs { forget, next: None }) if !forget.is_empty() => {
                Some(Step::Blobs(*at, forget))
            }
            (Step::Blobs(..), _) => (self.directories > 0).then_some(Step::Look(0, Looked::default())),
            (Step::Look(done, _), Found::Looked(looked)) => match self.next(*done) {
                Some(next) => Some(Step::Look(next, looked)),
                None => self.may_take(looked).then(|| Step::Strays(String::new())),
            },
            (Step::Strays(_), Found::MoreStrays(after)) => Some(Step::Strays(after)),
            (Step::Foresee, Found::Items(items, looked)) => Some(match self.directories {
                0 => Step::Save(items, 0),
                _ => Step::ForeseeStrays(0, items, looked),
            }),
            (Step::ForeseeStrays(done, ..), Found::Items(mut items, looked)) => {
                Some(match self.next(*done) {
                    Some(next) => Step::ForeseeStrays(next, items, looked),
                    None => {
                        if !self.may_take(looked) {
                            items.iter_mut().for_each(Item::stays);
                        }
                        Step::Save(items, 0)
                    }
                })
            }
            (Step::Save(..), Found::Saved(items, next)) if next < items.len() => {
                Some(Step::Save(items, next))
            }
            (Step::Look(..) | Step::Strays(_), _) => None,
            (Step::Foresee | Step::ForeseeStrays(..) | Step::Save(..), _) => None,
        }
    }

    /// The directory after this one, if there is one.
    fn next(self, done: usize) -> Option<usize> {
        let next = done.saturating_add(1);
        (next < self.directories).then_some(next)
    }

    /// Whether files without a row go: none does while it looks as if the rows were missing, unless somebody said so.
    pub fn may_take(self, looked: Looked) -> bool {
        looked.strays > 0 && (self.take_strays || !looked.is_doubtful())
    }

    /// Whether this was the last look, and found so many files without a row that none of them goes.
    pub fn is_refused(self, step: &Step, looked: Looked) -> bool {
        let (Step::Look(done, _) | Step::ForeseeStrays(done, ..)) = step else { return false };
        self.next(*done).is_none() && looked.strays > 0 && !self.may_take(looked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::queries::sweeps::{STRAY, WAITING_STRAY};

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
        let scope = Scope { dry_run: false, take_strays: false, untagged: true, directories: 2 };
        use Phase::{Blobs, Links, Manifests, References, Strays, Uploads};
        let found = |strays| {
            move |step: &Step| match step {
                Step::Look(..) => Found::Looked(Looked { files: 10, strays }),
                _ => Found::Nothing,
            }
        };
        let all = [References, Uploads, Manifests, Links, Blobs, Strays, Strays];
        assert_eq!(phases(scope, found(0)), all);
        assert_eq!(phases(scope, found(1)), [all.as_slice(), &[Strays]].concat());
        let scope = Scope { untagged: false, directories: 0, ..scope };
        assert_eq!(phases(scope, found(0)), [References, Uploads, Links, Blobs]);
    }

    #[test]
    fn the_last_rows_are_forgotten_before_blobs_are_done() {
        let scope = Scope { dry_run: false, take_strays: false, untagged: false, directories: 0 };
        let at = Step::Blobs(BlobCursor::default(), vec![]);
        let found = Found::Blobs { forget: vec![7], next: None };
        assert_eq!(scope.after(&at, found), Some(Step::Blobs(BlobCursor::default(), vec![7])));
        assert_eq!(scope.after(&at, Found::Blobs { forget: vec![], next: None }), None);
    }

    #[test]
    fn a_dry_run_only_looks_and_saves() {
        let scope = Scope { dry_run: true, take_strays: false, untagged: true, directories: 1 };
        let item = Item { kind: "blob", repository: String::new(), name: String::new(), bytes: 1 };
        let found = |step: &Step| match step {
            Step::References => Found::Nothing,
            Step::Foresee => Found::Items(vec![item.clone()], Looked::default()),
            Step::ForeseeStrays(_, items, looked) => Found::Items(items.clone(), *looked),
            Step::Save(items, next) => Found::Saved(items.clone(), next + 1),
            other => panic!("{other:?} in a dry run"),
        };
        assert_eq!(phases(scope, found), [&[Phase::References][..], &[Phase::Listing; 3]].concat());
    }

    #[test]
    fn no_more_than_a_tenth_of_all_files_goes_unless_somebody_says_so() {
        let scope = Scope { dry_run: false, take_strays: false, untagged: false, directories: 1 };
        let at = Step::Look(0, Looked::default());
        let stray = Item { kind: STRAY, repository: String::new(), name: String::new(), bytes: 1 };
        for (files, strays, goes) in
            [(10, 1, true), (9, 1, false), (10, 2, false), (1, 1, false), (1000, 100, true)]
        {
            let looked = Looked { files, strays };
            let told = Scope { take_strays: true, ..scope };
            for (scope, goes) in [(scope, goes), (told, true)] {
                let next = scope.after(&at, Found::Looked(looked));
                assert_eq!(next, goes.then(|| Step::Strays(String::new())), "{looked:?}");
                assert_eq!(scope.is_refused(&at, looked), !goes, "{looked:?}");
                let foreseen = Step::ForeseeStrays(0, Vec::new(), Looked::default());
                let Some(Step::Save(items, 0)) =
                    scope.after(&foreseen, Found::Items(vec![stray.clone()], looked))
                else {
                    panic!("findings are lost")
                };
                assert_eq!(items[0].kind, if goes { STRAY } else { WAITING_STRAY }, "{looked:?}");
            }
        }
        assert_eq!(scope.after(&at, Found::Looked(Looked { files: 10, strays: 0 })), None);
    }
}

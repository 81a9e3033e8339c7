//! `[audit]`: what is recorded, and for how long.

use std::time::Duration;

use super::reader::Section;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `[audit]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// How long entries are kept; for ever when there is none.
    pub keep: Option<Duration>,
    /// Whether pulls are recorded too.
    pub pulls: bool,
}

impl Audit {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let keep = section.bounded("keep", Duration::ZERO, Duration::ZERO..=36_500 * DAY);
        Some(Self { keep: Some(keep).filter(|keep| !keep.is_zero()), pulls: section.or("pulls", false) })
    }
}

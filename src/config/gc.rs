//! `[gc]`: how long what nothing refers to is kept.

use std::time::Duration;

use super::reader::Section;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// `[gc]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gc {
    /// How long a blob is kept that nothing refers to: at least this, and at most half as long again.
    pub grace: Duration,
}

impl Gc {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        Some(Self { grace: section.bounded("grace", HOUR, Duration::ZERO..=365 * 24 * HOUR) })
    }
}

//! `[gc]`: when what nothing refers to is removed.

use std::time::Duration;

use super::reader::Section;
use super::setting::Setting;

const HOUR: Duration = Duration::from_secs(60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// `[gc]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gc {
    /// How often a sweep begins by itself; never when there is none.
    pub interval: Option<Duration>,
    /// How long a blob is kept that nothing refers to: at least this, and at most half as long again.
    pub grace: Duration,
    /// How long a manifest may be without a tag; for ever when there is none.
    pub untagged_after: Option<Duration>,
}

/// A duration, or for ever.
#[derive(Debug, Clone, Copy)]
struct Span(Option<Duration>);

impl Setting for Span {
    const ACCEPTS: &'static str = r#""never" or a duration such as "168h""#;

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "never" => Some(Self(None)),
            text => Some(Self(Some(humantime::parse_duration(text).ok()?))),
        }
    }
}

impl Gc {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let interval = section.bounded("interval", Duration::ZERO, Duration::ZERO..=YEAR);
        Some(Self {
            interval: Some(interval).filter(|interval| !interval.is_zero()),
            grace: section.bounded("grace", HOUR, Duration::ZERO..=YEAR),
            untagged_after: section.or("untagged_after", Span(None)).0,
        })
    }
}

//! A moment in time.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

/// The last moment that RFC 3339 can write.
const LAST: i64 = 253_402_300_799_999;

/// Whole milliseconds since the Unix epoch, UTC. Written as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Reads RFC 3339 in UTC, such as `2026-01-31T12:00:00Z`.
    pub fn parse(text: &str) -> Option<Self> {
        let time = humantime::parse_rfc3339(text).ok()?;
        let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
        Some(Self(i64::try_from(since_epoch.as_millis()).ok()?))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment and `by` more; stays at the end of time rather than wrap.
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment less `by`.
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_epoch = Duration::from_millis(u64::try_from(self.0.clamp(0, LAST)).unwrap_or(0));
        match UNIX_EPOCH.checked_add(since_epoch) {
            Some(time) => write!(f, "{}", humantime::format_rfc3339_seconds(time)),
            None => f.write_str("9999-12-31T23:59:59Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_moment_can_be_written_and_read_again(millis: i64) {
            let written = Timestamp::from_millis(millis).to_string();
            let read = Timestamp::parse(&written);
            prop_assert_eq!(read.map(Timestamp::as_millis), Some(millis.clamp(0, LAST) / 1000 * 1000));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9TZ:.+-]{0,30}|\\PC{0,30}") {
            if let Some(read) = Timestamp::parse(&text) {
                prop_assert!((0..=LAST).contains(&read.as_millis()));
            }
        }
    }
}

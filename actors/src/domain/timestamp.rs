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

    /// Reads RFC 3339, such as `2026-01-31T12:00:00Z` or `2026-01-31T14:00:00+02:00`; a moment before 1970, there or in
    /// UTC, is refused.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_uppercase();
        // The text ends in Z, or in an offset of six characters (RFC 3339 §5.6).
        let (local, east) = match text.strip_suffix('Z') {
            Some(local) => (local, 0),
            None => {
                let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
                (local, millis_east(offset)?)
            }
        };
        let is_local = |byte: u8| byte.is_ascii_digit() || b"-T:.".contains(&byte);
        if !local.bytes().all(is_local) {
            return None;
        }
        let since_epoch =
            humantime::parse_rfc3339(&format!("{local}Z")).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let utc = i64::try_from(since_epoch.as_millis()).ok()?.checked_sub(east)?;
        (0..=LAST).contains(&utc).then_some(Self(utc))
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

/// How many milliseconds a clock with this offset (`+02:00`) is ahead of UTC.
fn millis_east(offset: &str) -> Option<i64> {
    let (sign, time) = match offset.split_at_checked(1)? {
        ("+", time) => (1, time),
        ("-", time) => (-1, time),
        _ => return None,
    };
    let (hours, minutes) = time.split_once(':')?;
    let number = |text: &str, below: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| digits && *number < below)
    };
    Some(sign * (number(hours, 24)? * 60 + number(minutes, 60)?) * 60_000)
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
        fn a_moment_is_the_same_on_every_clock(
            minutes in (24 * 60..LAST / 60_000 - 24 * 60),
            (hours, more) in (0..24_i64, 0..60_i64),
            sign in prop::sample::select(vec![1, -1]),
        ) {
            let east = sign * (hours * 60 + more);
            let there = Timestamp::from_millis((minutes + east) * 60_000).to_string();
            let there = there.trim_end_matches('Z');
            let text = format!("{there}{}{hours:02}:{more:02}", if sign == 1 { '+' } else { '-' });
            for text in [text.clone(), text.to_lowercase()] {
                prop_assert_eq!(Timestamp::parse(&text).map(Timestamp::as_millis), Some(minutes * 60_000), "{}", text);
            }
            let exact = format!("{there}.25{}", &text[there.len()..]);
            prop_assert_eq!(Timestamp::parse(&exact).map(Timestamp::as_millis), Some(minutes * 60_000 + 250));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9TZ:.+-]{0,30}|\\PC{0,30}|2026-01-31T12:00:00\\PC{0,8}") {
            if let Some(read) = Timestamp::parse(&text) {
                prop_assert!((0..=LAST).contains(&read.as_millis()));
            }
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let day = "2026-01-31T12:00:00";
        for offset in [
            "", "+", "+2", "+02", "+0200", "+2:00", "+24:00", "+02:60", " 02:00", "*02:00", "Z+02:00",
            "+02:00Z", "+é:00",
        ] {
            assert_eq!(Timestamp::parse(&format!("{day}{offset}")), None, "{offset}");
        }
        for text in ["1970-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2026-02-30T00:00:00+01:00"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}

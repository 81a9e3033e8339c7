//! How things are shown: sizes, times, digests, and what strangers wrote. Pure.

use std::fmt::Write as _;

use time::format_description::well_known::Rfc3339;
use time::{Month, OffsetDateTime};

/// Bytes in words, in powers of 1024 (IEC 80000-13).
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths, so that no bit is lost to a fraction.
    let (mut divisor, mut unit) = (1024_u128, 0);
    while u128::from(bytes) * 10 >= divisor * 10_235 {
        divisor *= 1024;
        unit += 1;
    }
    let tenths = (u128::from(bytes) * 10 + divisor / 2) / divisor;
    let whole = tenths / 10;
    if whole >= 100 {
        format!("{whole} {}", UNITS[unit])
    } else {
        format!("{whole}.{} {}", tenths % 10, UNITS[unit])
    }
}

/// A size that may not be known.
pub(crate) fn maybe_size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "—".to_owned(), size)
}

/// The first twelve digits of a digest.
pub(crate) fn short(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}

/// What a stranger wrote, on one line and in the order in which it is read.
pub(crate) fn plain(text: &str) -> String {
    mcr_api::escape::Escaped(text).to_string()
}

/// A point in time: how long ago for the eye, the moment itself at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// As the registry says it (RFC 3339), for `datetime`.
    pub(crate) exact: String,
    /// `4 min ago`.
    pub(crate) relative: String,
    /// `28 Nov 2026, 06:24 UTC`.
    pub(crate) absolute: String,
    /// Whether it has been.
    pub(crate) is_past: bool,
}

/// A moment as the registry said it.
pub(crate) fn moment(exact: &str, now: OffsetDateTime) -> Moment {
    let Ok(then) = OffsetDateTime::parse(exact, &Rfc3339) else {
        let text = plain(exact);
        return Moment { exact: String::new(), relative: text.clone(), absolute: text, is_past: false };
    };
    Moment {
        exact: exact.to_owned(),
        relative: relative(then, now),
        absolute: absolute(then),
        is_past: then <= now,
    }
}

/// One that may not have come.
pub(crate) fn maybe_moment(exact: Option<&str>, now: OffsetDateTime) -> Option<Moment> {
    // Builders that make the same image twice say that it was made at the beginning of time.
    let is_said = |exact: &&str| {
        !exact.is_empty() && !exact.starts_with("0001-") && !exact.starts_with("1970-01-01T00:00:00")
    };
    exact.filter(is_said).map(|exact| moment(exact, now))
}

fn relative(then: OffsetDateTime, now: OffsetDateTime) -> String {
    let seconds = (now - then).whole_seconds();
    let (is_past, seconds) = (seconds >= 0, seconds.unsigned_abs());
    let text = match seconds {
        0..60 => return if is_past { "just now".to_owned() } else { "in a moment".to_owned() },
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        86_400..5_184_000 => format!("{} d", seconds / 86_400),
        5_184_000..63_072_000 => format!("{} months", seconds / 2_592_000),
        _ => format!("{} years", seconds / 31_536_000),
    };
    if is_past { format!("{text} ago") } else { format!("in {text}") }
}

fn absolute(then: OffsetDateTime) -> String {
    let then = then.to_offset(time::UtcOffset::UTC);
    let month = match then.month() {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    };
    format!("{} {month} {}, {:02}:{:02} UTC", then.day(), then.year(), then.hour(), then.minute())
}

/// A number with thin spaces between its thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{digit}");
    }
    text
}

/// A link that somebody pushed, where it is one that a browser may follow.
pub(crate) fn link(text: &str) -> Option<&str> {
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    (is_web && !text.contains(mcr_api::escape::is_hostile)).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (102_400, "100 KiB"),
            (1_048_064, "1.0 MiB"),
            (56_728_780, "54.1 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn times_are_as_long_ago_as_they_are() {
        let now = OffsetDateTime::parse("2026-11-28T12:00:00Z", &Rfc3339).unwrap();
        for (then, text) in [
            ("2026-11-28T11:59:59.999Z", "just now"),
            ("2026-11-28T11:56:00Z", "4 min ago"),
            ("2026-11-28T14:00:00+02:00", "just now"),
            ("2026-11-25T12:00:00Z", "3 d ago"),
            ("2026-08-25T12:00:00Z", "3 months ago"),
            ("2016-08-25T12:00:00Z", "10 years ago"),
            ("2026-11-28T15:30:00Z", "in 3 h"),
        ] {
            assert_eq!(moment(then, now).relative, text, "{then}");
        }
        assert_eq!(moment("2026-11-26T04:41:07Z", now).absolute, "26 Nov 2026, 04:41 UTC");
        assert!(
            maybe_moment(Some("0001-01-01T00:00:00Z"), now).is_none()
                && maybe_moment(Some(""), now).is_none()
        );
        assert_eq!(moment("yesterday\u{202e}", now).relative, "yesterday\\u{202e}");
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!((thousands(7), thousands(1000)), ("7".to_owned(), "1\u{202f}000".to_owned()));
        assert_eq!(thousands(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn only_the_web_is_linked_to() {
        assert!(link("https://git.example.com/a").is_some());
        for text in ["javascript:alert(1)", "data:text/html,x", " https://a", "https://a\u{202e}b", "//a", ""]
        {
            assert!(link(text).is_none(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_shown_on_a_line_of_its_own(text in any::<String>()) {
            let shown = plain(&text);
            prop_assert!(!shown.contains(mcr_api::escape::is_hostile));
            let _ = (short(&text), moment(&text, OffsetDateTime::UNIX_EPOCH), link(&text));
        }

        #[test]
        fn a_size_has_at_most_eight_characters(bytes in any::<u64>()) {
            prop_assert!(size(bytes).len() <= 9, "{}", size(bytes));
        }
    }
}

//! `Range`, `Content-Range`, `If-None-Match`, `If-Range`: read from what clients really send. Pure.

/// Which part of a blob to answer with (RFC 9110 §14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it, with 200.
    Whole,
    /// The bytes `start..=end`, with 206.
    Part {
        /// The first byte.
        start: u64,
        /// The last byte.
        end: u64,
    },
    /// Nothing that there is: 416.
    Unsatisfiable,
}

/// What a `Range` header asks of `size` bytes. Several ranges, other units and nonsense are ignored, as RFC 9110 allows;
/// an end before the start is not satisfiable, as the conformance suite wants; an end past the last byte is clamped.
pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = header
        .and_then(|header| header.trim().strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (Some(start), Some(end)) if start <= end && start < size => {
            Wanted::Part { start, end: end.min(size - 1) }
        }
        (Some(start), None) if last.trim().is_empty() && start < size => {
            Wanted::Part { start, end: size - 1 }
        }
        (None, Some(length)) if first.trim().is_empty() && length > 0 && size > 0 => {
            Wanted::Part { start: size.saturating_sub(length), end: size - 1 }
        }
        (Some(_), Some(_)) => Wanted::Unsatisfiable,
        (Some(_), None) if last.trim().is_empty() => Wanted::Unsatisfiable,
        (None, Some(_)) if first.trim().is_empty() => Wanted::Unsatisfiable,
        _ => Wanted::Whole,
    }
}

/// Digits only; a number past the end of `u64` is as good as its end.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The bytes that an upload's request says it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Where they begin.
    pub start: u64,
    /// How many they are.
    pub length: u64,
}

/// Reads an upload's `Content-Range`: `<first>-<last>`, as the distribution specification writes it, or the form of
/// RFC 9110, `bytes <first>-<last>/<size>`. `None` when it is neither.
pub fn chunk(header: &str) -> Option<Chunk> {
    let range = header.trim();
    let range = range.strip_prefix("bytes ").unwrap_or(range);
    let range = range.split_once('/').map_or(range, |(range, _size)| range);
    let (first, last) = range.split_once('-')?;
    let (start, last) = (number(first)?, number(last)?);
    let length = last.checked_sub(start)?.checked_add(1)?;
    Some(Chunk { start, length })
}

/// Whether an `If-None-Match` header names `etag` (weak comparison, RFC 9110 §13.1.2).
pub fn matches_etag(header: &str, etag: &str) -> bool {
    header.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_as_clients_send_them() {
        let part = |start, end| Wanted::Part { start, end };
        let cases = [
            (None, 2048, Wanted::Whole),
            (Some("bytes=500-1499"), 2048, part(500, 1499)),
            (Some("bytes=500-"), 2048, part(500, 2047)),
            (Some("bytes=-500"), 2048, part(1548, 2047)),
            (Some("bytes=2000-5000"), 2048, part(2000, 2047)),
            (Some("bytes=0-2048"), 2048, part(0, 2047)),
            (Some("bytes=-5000"), 2048, part(0, 2047)),
            (Some("bytes=0-99999999999999999999999"), 2048, part(0, 2047)),
            (Some("bytes=500-0"), 2048, Wanted::Unsatisfiable),
            (Some("bytes=5000-10000"), 2048, Wanted::Unsatisfiable),
            (Some("bytes=2048-"), 2048, Wanted::Unsatisfiable),
            (Some("bytes=-0"), 2048, Wanted::Unsatisfiable),
            (Some("bytes=0-"), 0, Wanted::Unsatisfiable),
            (Some("bytes=0-1,5-9"), 2048, Wanted::Whole),
            (Some("items=0-1"), 2048, Wanted::Whole),
            (Some("bytes=a-b"), 2048, Wanted::Whole),
            (Some("bytes=-"), 2048, Wanted::Whole),
            (Some("bytes"), 2048, Wanted::Whole),
        ];
        for (header, size, expected) in cases {
            assert_eq!(wanted(header, size), expected, "{header:?} of {size}");
        }
    }

    #[test]
    fn content_ranges_as_clients_send_them() {
        let some = |start, length| Some(Chunk { start, length });
        assert_eq!(chunk("0-1023"), some(0, 1024));
        assert_eq!(chunk("bytes 1024-2047/*"), some(1024, 1024));
        assert_eq!(chunk("bytes 5-5/6"), some(5, 1));
        for bad in ["", "-", "1-0", "a-b", "0-18446744073709551615", "0", "bytes=0-1", "0--1"] {
            assert_eq!(chunk(bad), None, "{bad}");
        }
    }

    #[test]
    fn etags_match_weakly() {
        assert!(matches_etag(r#""a", W/"b""#, r#""b""#));
        assert!(matches_etag("*", r#""b""#));
        assert!(!matches_etag(r#""a""#, r#""b""#));
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_blob(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in 0u64..5000) {
            if let Wanted::Part { start, end } = wanted(Some(&header), size) {
                prop_assert!(start <= end && end < size);
            }
        }

        #[test]
        fn any_header_is_read_or_ignored(header in "\\PC{0,40}", size: u64) {
            let _ = (wanted(Some(&header), size), chunk(&header), matches_etag(&header, "x"));
        }
    }
}

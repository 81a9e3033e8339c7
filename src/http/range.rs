//! `Range`, `Content-Range`, `If-None-Match`, `If-Range`: read from what clients really send. Pure.

/// Most ranges that are answered to in one request; where more are asked for the whole blob is sent (RFC 9110 §14.2).
const MAX_PARTS: usize = 32;

/// The bytes `start..=end` of a blob, which has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The first byte.
    pub start: u64,
    /// The last byte.
    pub end: u64,
}

impl Part {
    /// How many bytes it has: at least one.
    pub fn length(&self) -> u64 {
        self.end - self.start + 1
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    fn join(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// Which parts of a blob to answer with (RFC 9110 §14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it, with 200.
    Whole,
    /// One part, with 206.
    Part(Part),
    /// Two parts or more, which share no byte, with 206 and `multipart/byteranges`.
    Parts(Vec<Part>),
    /// Nothing that there is: 416.
    Unsatisfiable,
}

/// What a `Range` header asks of `size` bytes. Other units and nonsense are ignored, as RFC 9110 allows, and so are more
/// than 32 ranges. An end before the start is not satisfiable, as the conformance suite wants; an end past the last byte
/// is clamped. Of several ranges those that are not satisfiable are left out and those that overlap are joined; the
/// others come in the order in which they were asked for, since podman takes the parts by their order.
pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(ranges) = header.and_then(byte_ranges) else { return Wanted::Whole };
    let mut asked = 0;
    let mut parts: Vec<Part> = Vec::new();
    for range in ranges.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        asked += 1;
        match one(range, size) {
            _ if asked > MAX_PARTS => return Wanted::Whole,
            None => return Wanted::Whole,
            Some(None) => {}
            Some(Some(part)) => add(&mut parts, part),
        }
    }
    match (asked, parts.as_slice()) {
        (0, _) => Wanted::Whole,
        (_, []) => Wanted::Unsatisfiable,
        (_, [part]) => Wanted::Part(*part),
        _ => Wanted::Parts(parts),
    }
}

/// What follows `bytes=`, in any letter case (RFC 9110 §14.1).
fn byte_ranges(header: &str) -> Option<&str> {
    let (unit, ranges) = header.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(ranges)
}

/// One range: the part that it names, `Some(None)` where the blob has none of it, `None` where it is no range.
fn one(range: &str, size: u64) -> Option<Option<Part>> {
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let (start, end) = match (number(first), number(last)) {
        (Some(start), Some(end)) => (start, end.min(size.saturating_sub(1))),
        (Some(start), None) if last.is_empty() => (start, size.saturating_sub(1)),
        (None, Some(0)) if first.is_empty() => return Some(None),
        (None, Some(length)) if first.is_empty() => (size.saturating_sub(length), size.saturating_sub(1)),
        _ => return None,
    };
    Some((start < size && start <= end).then_some(Part { start, end }))
}

/// Adds a part, joined with all that it overlaps, in the place of the first of them.
fn add(parts: &mut Vec<Part>, part: Part) {
    let mut whole = part;
    let mut place = parts.len();
    while let Some(at) = parts.iter().position(|other| other.overlaps(&whole)) {
        whole = whole.join(parts.remove(at));
        place = place.min(at);
    }
    parts.insert(place.min(parts.len()), whole);
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
        let part = |start, end| Wanted::Part(Part { start, end });
        let parts = |parts: &[(u64, u64)]| {
            Wanted::Parts(parts.iter().map(|&(start, end)| Part { start, end }).collect())
        };
        let many = |count: u64| {
            let ranges: Vec<String> = (0..count).map(|number| format!("{0}-{0}", number * 2)).collect();
            format!("bytes={}", ranges.join(","))
        };
        let (most, too_many) = (many(32), many(33));
        let each: Vec<(u64, u64)> = (0..32).map(|number| (number * 2, number * 2)).collect();
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
            (Some("bytes=0-1,5-9"), 2048, parts(&[(0, 1), (5, 9)])),
            (Some("bytes=5-9, 0-1"), 2048, parts(&[(5, 9), (0, 1)])),
            (Some("bytes=0-1,2-3"), 2048, parts(&[(0, 1), (2, 3)])),
            (Some("bytes=0-5,3-9"), 2048, part(0, 9)),
            (Some("bytes=0-1,8-9,20-29,1-8,-1"), 2048, parts(&[(0, 9), (20, 29), (2047, 2047)])),
            (Some("bytes=0-0,5000-,-0"), 2048, part(0, 0)),
            (Some("bytes=5000-,6000-"), 2048, Wanted::Unsatisfiable),
            (Some("bytes=0-9,"), 2048, part(0, 9)),
            (Some("BYTES=0-9"), 2048, part(0, 9)),
            (Some("bytes=,"), 2048, Wanted::Whole),
            (Some("bytes=0-1,x"), 2048, Wanted::Whole),
            (Some(&most), 2048, parts(&each)),
            (Some(&too_many), 2048, Wanted::Whole),
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
        fn parts_lie_within_the_blob_and_share_no_byte(
            ranges in prop::collection::vec("[0-9]{0,4}-[0-9]{0,4}", 1..40), size in 0u64..5000
        ) {
            let parts = match wanted(Some(&format!("bytes={}", ranges.join(","))), size) {
                Wanted::Part(part) => vec![part],
                Wanted::Parts(parts) => parts,
                Wanted::Whole | Wanted::Unsatisfiable => Vec::new(),
            };
            prop_assert!(parts.len() <= MAX_PARTS);
            prop_assert!(parts.iter().all(|part| part.start <= part.end && part.end < size));
            prop_assert!(parts.iter().map(Part::length).sum::<u64>() <= size);
            for (at, part) in parts.iter().enumerate() {
                prop_assert!(parts[at + 1..].iter().all(|other| !other.overlaps(part)));
            }
        }

        #[test]
        fn several_ranges_give_the_bytes_that_each_gives_alone(
            ranges in prop::collection::vec("[0-9]{1,2}-[0-9]{1,2}", 1..32), size in 1u64..120
        ) {
            let bytes = |header: &str| {
                let parts = match wanted(Some(header), size) {
                    Wanted::Part(part) => vec![part],
                    Wanted::Parts(parts) => parts,
                    Wanted::Unsatisfiable => Vec::new(),
                    Wanted::Whole => panic!("{header} was ignored"),
                };
                parts.iter().flat_map(|part| part.start..=part.end).collect::<std::collections::BTreeSet<u64>>()
            };
            let alone = ranges.iter().flat_map(|range| bytes(&format!("bytes={range}"))).collect();
            prop_assert_eq!(bytes(&format!("bytes={}", ranges.join(","))), alone);
        }

        #[test]
        fn any_header_is_read_or_ignored(header in "\\PC{0,40}", size: u64) {
            let _ = (wanted(Some(&header), size), chunk(&header), matches_etag(&header, "x"));
        }
    }
}

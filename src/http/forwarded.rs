//! What proxies say of a request that they pass on: `X-Forwarded-For`, and `Forwarded` (RFC 7239).
//!
//! Anybody can send these fields, and a proxy adds to what was sent. So a line is read from its end: whatever stands before what the
//! nearest proxy wrote, an open quotation mark or bytes that are no text, changes nothing in it.

use std::net::IpAddr;

/// The parts of a line between separators that stand in no quotation, the last first.
fn split_from_the_end(line: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut parts, mut end, mut quoted) = (Vec::new(), line.len(), false);
    for (at, byte) in line.iter().enumerate().rev() {
        let backslashes = || line[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        if *byte == b'"' && backslashes() % 2 == 0 {
            quoted = !quoted;
        } else if *byte == separator && !quoted {
            parts.push(line[at + 1..end].trim_ascii());
            end = at;
        }
    }
    parts.push(line[..end].trim_ascii());
    parts
}

/// The elements of all lines of a field, the last first, but for empty ones (RFC 9110 §5.6.1).
pub(super) fn elements<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = &'a [u8]> {
    lines.rev().flat_map(|line| split_from_the_end(line, b',')).filter(|element| !element.is_empty())
}

/// The value of a parameter of one element of `Forwarded`; `None` where it is not there, or there twice.
pub(super) fn parameter(element: &[u8], name: &str) -> Option<String> {
    let mut values = split_from_the_end(element, b';').into_iter().filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (found, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        found.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    });
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    unquoted(std::str::from_utf8(value).ok()?)
}

/// The text of a token or of a quoted string (RFC 9110 §5.6.4).
fn unquoted(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let (mut text, mut characters) = (String::new(), inner.strip_suffix('"')?.chars());
    while let Some(character) = characters.next() {
        text.push(if character == '\\' { characters.next()? } else { character });
    }
    Some(text)
}

/// The address of a hop: bare, with a port, in brackets, with a zone. `unknown` and names that hide it are none.
pub(super) fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim().trim_matches('"').trim();
    let bare = match hop.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None if hop.matches(':').count() == 1 => hop.split(':').next().unwrap_or_default(),
        None => hop,
    };
    // What follows is the name of an interface of the proxy's (RFC 4007 §11).
    let bare = bare.split('%').next().unwrap_or_default();
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Who passed the request on, the nearest first: `X-Forwarded-For`, and where that says nothing at all, the `for` of `Forwarded`. A
/// hop that cannot be read is `None`.
pub(super) fn hops<'a>(
    forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> Vec<Option<IpAddr>> {
    let read = |element: &[u8]| std::str::from_utf8(element).ok().and_then(address);
    let hops: Vec<_> = elements(forwarded_for).map(read).collect();
    if !hops.is_empty() {
        return hops;
    }
    elements(forwarded).map(|element| address(&parameter(element, "for")?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hops_of(name: &str, lines: &[&[u8]]) -> Vec<Option<IpAddr>> {
        let lines = || lines.iter().copied();
        match name {
            "forwarded" => hops(std::iter::empty(), lines()),
            _ => hops(lines(), std::iter::empty()),
        }
    }

    #[test]
    fn a_line_is_split_where_nothing_is_quoted() {
        let split = |line: &'static str| split_from_the_end(line.as_bytes(), b',');
        assert_eq!(split(r#"a, "b,\"c" ,d"#), [&b"d"[..], br#""b,\"c""#, b"a"]);
        assert_eq!(split(r#"open " quote, "x\\", d"#), [&b"d"[..], br#""x\\""#, br#"open " quote"#]);
    }

    #[test]
    fn a_parameter_is_found_by_its_name_and_not_inside_another() {
        let of = |element: &str| parameter(element.as_bytes(), "for");
        assert_eq!(of(r#"proto=http;host="x;for=6.6.6.6";FOR=192.0.2.7"#).as_deref(), Some("192.0.2.7"));
        assert_eq!(of(r#"for="\1\9\2.0.2.22""#).as_deref(), Some("192.0.2.22"));
        assert_eq!((of("for=a;for=b"), of("proto=http"), of(r#"for="a"#), of("")), (None, None, None, None));
    }

    proptest! {
        /// Whatever a client sends, the hop that its proxy adds is read.
        #[test]
        fn what_a_client_sends_hides_nothing_of_what_its_proxy_adds(
            sent in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                "[a-z0-9.=;,\"\\\\ ]{0,40}".prop_map(String::into_bytes),
            ],
            own_line: bool,
            quoted: bool,
        ) {
            let real: IpAddr = "2001:db8::7".parse().unwrap();
            for (name, plain, in_quotes) in [
                ("x-forwarded-for", "2001:db8::7", "[2001:db8::7]:4711"),
                ("forwarded", "proto=https;for=\"[2001:db8::7]\"", "for=\"[2001:db8::7]:1\";host=\"a;b,for=6.6.6.6\""),
            ] {
                let added = if quoted { in_quotes } else { plain }.as_bytes();
                let joined = [&sent[..], b", ", added].concat();
                let lines: Vec<&[u8]> = if own_line { vec![&sent, added] } else { vec![&joined] };
                prop_assert_eq!(hops_of(name, &lines).first().copied().flatten(), Some(real));
            }
        }
    }
}

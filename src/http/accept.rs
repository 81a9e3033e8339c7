//! Which of several forms an answer has, as its client asks (RFC 9110 §12.5.1). Pure.

/// How well a range of media types fits: not at all, by all types, by one type, exactly.
fn fit(range: &str, (kind, subtype): (&str, &str)) -> Option<u8> {
    match range.split_once('/')? {
        ("*", "*") => Some(0),
        (of, "*") if of.eq_ignore_ascii_case(kind) => Some(1),
        (of, exact) if of.eq_ignore_ascii_case(kind) && exact.eq_ignore_ascii_case(subtype) => Some(2),
        _ => None,
    }
}

/// The range of an element, and its weight in thousandths; 1000 where it says none, or nothing that is a weight.
fn element(text: &str) -> (&str, u16) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let weight =
        weight.and_then(|weight| weight.parse::<f32>().ok()).filter(|weight| (0.0..=1.0).contains(weight));
    // It is between 0 and 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    let thousandths = weight.map_or(1000, |weight| (weight * 1000.0) as u16);
    (range, thousandths)
}

/// The one of `offered` media types that `accept` likes best: the first of those that it likes the same, and of all when it likes none
/// or says nothing.
pub fn best<'a>(accept: &str, offered: &[&'a str]) -> Option<&'a str> {
    let weight = |offered: &str| {
        let parts = offered.split_once('/')?;
        let fitting =
            accept.split(',').map(element).filter_map(|(range, weight)| Some((fit(range, parts)?, weight)));
        fitting.max().map(|(_, weight)| weight)
    };
    let mut best = (offered.first().copied(), 0);
    for one in offered {
        match weight(one) {
            Some(weight) if weight > best.1 => best = (Some(*one), weight),
            _ => {}
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_form_is_found() {
        let offered = ["application/json", "text/csv", "application/x-ndjson"];
        for (accept, expected) in [
            ("", 0),
            ("*/*", 0),
            ("text/html,application/xhtml+xml,*/*;q=0.8", 0),
            ("text/csv", 1),
            ("TEXT/CSV; charset=utf-8", 1),
            ("text/*", 1),
            ("application/x-ndjson", 2),
            ("application/json;q=0.5, application/x-ndjson", 2),
            ("text/csv;q=0.9,application/json;q=0.5", 1),
            ("text/csv;q=0,*/*", 0),
            ("application/*;q=0.2, text/csv;q=0.1", 0),
            ("*/*;q=0.1,text/csv", 1),
            ("image/png", 0),
            ("text/csv;q=x", 1),
            ("text", 0),
            (",;,", 0),
        ] {
            assert_eq!(best(accept, &offered), Some(offered[expected]), "{accept}");
        }
        assert_eq!(best("text/csv", &[]), None);
    }
}

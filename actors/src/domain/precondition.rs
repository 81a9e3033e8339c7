//! What a push may ask of what its reference names now (RFC 9110 §13.1). Pure.

use super::Digest;

/// The two conditions of a request; both hold where nothing is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

/// Entity tags. That of a manifest is its digest in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    Of(Vec<String>),
}

impl Tags {
    fn read(header: &str) -> Self {
        match header.trim() {
            "*" => Self::Any,
            list => Self::Of(list.split(',').map(|tag| tag.trim().to_owned()).collect()),
        }
    }

    /// Whether they name what is there: exactly, or also as a weak tag.
    fn name(&self, current: Option<&Digest>, weakly: bool) -> bool {
        let Some(current) = current else { return false };
        let current = format!("\"{current}\"");
        let strong = |tag: &String| {
            if weakly { tag.strip_prefix("W/").unwrap_or(tag) == current } else { *tag == current }
        };
        match self {
            Self::Any => true,
            Self::Of(tags) => tags.iter().any(strong),
        }
    }
}

impl Precondition {
    /// Reads `If-Match` and `If-None-Match`. What is no entity tag names nothing.
    pub fn read(if_match: Option<&str>, if_none_match: Option<&str>) -> Self {
        Self { if_match: if_match.map(Tags::read), if_none_match: if_none_match.map(Tags::read) }
    }

    /// Whether it asks nothing.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Whether it holds where the reference names the manifest of this digest now, or nothing.
    pub fn holds(&self, current: Option<&Digest>) -> bool {
        self.if_match.as_ref().is_none_or(|tags| tags.name(current, false))
            && self.if_none_match.as_ref().is_none_or(|tags| !tags.name(current, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Algorithm;

    #[test]
    fn conditions_as_rfc_9110_has_them() {
        let (here, other) = (Digest::of(Algorithm::Sha256, b"here"), Digest::of(Algorithm::Sha256, b"other"));
        let tag = |digest: &Digest| format!("\"{digest}\"");
        let both = format!("{}, {}", tag(&other), tag(&here));
        let (weak, bare) = (format!("W/{}", tag(&here)), here.to_string());
        // The header's value, and whether it holds as If-Match and as If-None-Match: with the manifest there, and with none.
        let cases = [
            ("*", (true, false), (false, true)),
            (&tag(&here), (true, false), (false, true)),
            (&tag(&other), (false, false), (true, true)),
            (&both, (true, false), (false, true)),
            (&weak, (false, false), (false, true)),
            (&bare, (false, false), (true, true)),
            ("", (false, false), (true, true)),
        ];
        for (value, if_match, if_none_match) in cases {
            let (matching, none) =
                (Precondition::read(Some(value), None), Precondition::read(None, Some(value)));
            assert_eq!((matching.holds(Some(&here)), matching.holds(None)), if_match, "If-Match: {value}");
            assert_eq!((none.holds(Some(&here)), none.holds(None)), if_none_match, "If-None-Match: {value}");
            assert!(!matching.is_empty() && !none.is_empty());
        }
        let nothing = Precondition::read(None, None);
        assert!(nothing.is_empty() && nothing.holds(None) && nothing.holds(Some(&here)));
    }
}

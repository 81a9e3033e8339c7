//! What a manifest is asked for by: a tag or a digest.

use std::fmt;
use std::str::FromStr;

use super::{Digest, DigestError};

/// The longest tag in bytes.
const MAX_TAG_LEN: usize = 128;

/// Why a text is neither a tag nor a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
    #[error(
        "a tag has 1 to {MAX_TAG_LEN} characters: letters, digits, '_', '.' and '-', and does not begin with '.' or '-'"
    )]
    Tag,
    /// It has a colon, so it must be a digest, and is not.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// A valid tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let valid = text.len() <= MAX_TAG_LEN
            && text.as_bytes().first().is_some_and(word)
            && text.bytes().all(|byte| word(&byte) || byte == b'.' || byte == b'-');
        if valid { Ok(Self(text.to_owned())) } else { Err(ReferenceError::Tag) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag or a digest; which of the two is decided once, by the colon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A name that can move.
    Tag(Tag),
    /// The content itself.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_colon_makes_a_digest() {
        assert!(matches!("v1".parse(), Ok(Reference::Tag(_))));
        assert_eq!(
            "sha256:baddigeststring".parse::<Reference>(),
            Err(ReferenceError::Digest(DigestError::Encoded(crate::domain::Algorithm::Sha256)))
        );
    }

    #[test]
    fn bad_tags() {
        for tag in ["", ".a", "-a", "a/b", "a b", "ü", "a\0", &"x".repeat(129)] {
            assert_eq!(tag.parse::<Tag>(), Err(ReferenceError::Tag), "{tag}");
        }
        assert!("x".repeat(128).parse::<Tag>().is_ok());
    }

    proptest! {
        #[test]
        fn the_grammar_of_the_specification_is_accepted(tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
            prop_assert_eq!(tag.parse::<Tag>().map(|parsed| parsed.to_string()), Ok(tag));
        }

        #[test]
        fn any_text_is_parsed_or_refused_and_round_trips(text in "\\PC{0,140}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}

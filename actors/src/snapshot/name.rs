//! What a snapshot is called: the moment at which it was begun, and a word of whoever asked for it.

use std::fmt;
use std::str::FromStr;

use crate::domain::Timestamp;

/// What a snapshot is called, at its end, that is not whole.
pub(super) const PARTIAL: &str = ".partial";
/// The longest word, in bytes.
const LONGEST: usize = 64;

/// A word to know a snapshot by: lower-case letters, digits, and `.`, `_`, `-` after the first character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotName(String);

/// The text is no such word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a snapshot's name has 1 to {LONGEST} lower-case letters, digits, dots, underscores and hyphens, begins with a letter \
     or digit, and does not end with {PARTIAL}"
)]
pub struct SnapshotNameError;

impl FromStr for SnapshotName {
    type Err = SnapshotNameError;

    fn from_str(text: &str) -> Result<Self, SnapshotNameError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = text.len() <= LONGEST
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || b"._-".contains(&byte))
            && !text.ends_with(PARTIAL);
        if fits { Ok(Self(text.to_owned())) } else { Err(SnapshotNameError) }
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of the directory of a snapshot that begins now. Names sort by time.
pub(super) fn directory_name(now: Timestamp, name: Option<&SnapshotName>) -> String {
    let seconds = now.to_string().replace(':', "-");
    let time = format!("{}.{:03}Z", seconds.trim_end_matches('Z'), now.as_millis().rem_euclid(1000));
    match name {
        Some(name) => format!("{time}-{name}"),
        None => time,
    }
}

/// Whether [`directory_name`] makes such names: nothing else is taken for a snapshot of ours.
pub(super) fn is_directory_name(text: &str) -> bool {
    const TIME: &str = "0000-00-00T00-00-00.000Z";
    let Some((time, rest)) = text.split_at_checked(TIME.len()) else { return false };
    let fits = time.bytes().zip(TIME.bytes()).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == form,
    });
    fits && (rest.is_empty()
        || rest.strip_prefix('-').is_some_and(|name| name.parse::<SnapshotName>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_that_stays_in_its_directory() {
        for name in ["nightly", "before-1.2", "0_a"] {
            assert_eq!(name.parse::<SnapshotName>().map(|name| name.to_string()).as_deref(), Ok(name));
        }
        let long = "a".repeat(65);
        for name in ["", ".", "..", "a/b", "-a", "A", "a b", "a\0", "a.partial", "ä", &long] {
            assert_eq!(name.parse::<SnapshotName>(), Err(SnapshotNameError), "{name:?}");
        }
    }

    #[test]
    fn directories_are_named_by_time() {
        let now = Timestamp::from_millis(1_000_000_000_007);
        assert_eq!(directory_name(now, None), "2001-09-09T01-46-40.007Z");
        let name = "nightly".parse().unwrap();
        assert_eq!(directory_name(now, Some(&name)), "2001-09-09T01-46-40.007Z-nightly");
        assert!(is_directory_name(&directory_name(now, None)));
        assert!(is_directory_name(&directory_name(now, Some(&name))));
        for stranger in
            ["", "backup", "2001-09-09T01-46-40.007Z-", "2001-09-09T01-46-40.007Z.old", "2001-09-09"]
        {
            assert!(!is_directory_name(stranger), "{stranger}");
        }
    }
}

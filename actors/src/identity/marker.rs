//! The marker: a small file in each directory of a registry that says whose it is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use uuid::Uuid;

use crate::fs::Fs;

/// What the marker is called.
pub const NAME: &str = ".mcr-registry";
/// What it is called until it is whole.
const NEW: &str = ".mcr-registry.new";
/// How everything begins that is the registry's own and neither blob, upload nor snapshot.
const OWN: &str = ".mcr-";
/// How the text begins.
const FORM: &str = "mcr registry 1";
/// The longest marker, in bytes.
const LONGEST: usize = 256;

/// Whose a directory is, and since which start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The registry.
    pub id: Uuid,
    /// The start that wrote the marker.
    pub starts: u64,
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM}\nid {}\nstart {}\n", self.id, self.starts)
    }
}

/// The text is no marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMarker;

impl FromStr for Marker {
    type Err = NoMarker;

    fn from_str(text: &str) -> Result<Self, NoMarker> {
        let mut lines = text.lines();
        if lines.next() != Some(FORM) {
            return Err(NoMarker);
        }
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        let id = value("id").and_then(|id| id.parse().ok()).ok_or(NoMarker)?;
        let starts = value("start").and_then(|starts| starts.parse().ok()).ok_or(NoMarker)?;
        Ok(Self { id, starts })
    }
}

/// Whether a name in a directory of the registry's is of its marks and locks.
pub fn is_mark(name: &Path) -> bool {
    name.as_os_str().as_encoded_bytes().starts_with(OWN.as_bytes())
}

/// Where the marker of a directory is.
pub fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// The marker in a directory; none where there is none, or no directory.
///
/// # Errors
/// When it cannot be read. What is no marker is the inner error.
pub fn read(fs: &dyn Fs, directory: &Path) -> io::Result<Option<Result<Marker, NoMarker>>> {
    let file = match fs.open_to_read(&path(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let (mut text, mut end) = (vec![0; LONGEST], 0);
    loop {
        match file.read_at(&mut text[end..], end as u64)? {
            0 => break,
            read => end += read,
        }
    }
    let text = std::str::from_utf8(&text[..end]).map_err(|_| NoMarker);
    Ok(Some(text.and_then(str::parse)))
}

/// Puts a marker into a directory that is there, whole or not at all, and returns when it lasts.
///
/// # Errors
/// When a call fails; the marker that was there is then still there.
pub fn write(fs: &dyn Fs, directory: &Path, marker: Marker) -> io::Result<()> {
    let new = directory.join(NEW);
    // Left by a start that was cut short.
    fs.remove(&new)?;
    let mut file = fs.create(&new)?;
    file.append(&[Bytes::from(marker.to_string())])?;
    file.sync()?;
    drop(file);
    fs.rename(&new, &path(directory))?;
    fs.sync_dir(directory)
}

/// Takes the marker of a directory away, whole or half written.
pub(crate) fn take_away(fs: &dyn Fs, directory: &Path) -> io::Result<()> {
    fs.remove(&directory.join(NEW))?;
    fs.remove(&path(directory))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_marker_is_read_as_it_was_written(id: u128, starts: u64) {
            let marker = Marker { id: Uuid::from_u128(id), starts };
            prop_assert_eq!(marker.to_string().parse(), Ok(marker));
        }

        #[test]
        fn nothing_else_is_a_marker(text in "\\PC{0,80}|mcr registry [02]\nid x\nstart 1\n") {
            prop_assert_eq!(text.parse::<Marker>(), Err(NoMarker));
        }
    }
}

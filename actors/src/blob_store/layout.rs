//! Where a blob's file is: `<root>/<algorithm>/<first two hex digits>/<all hex digits>`.

use std::path::{Path, PathBuf};

use crate::domain::{Algorithm, Digest};

/// The directory of all blobs.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Blobs under `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory of all blobs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The place of a digest's file.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join(digest.algorithm().as_str()).join(&hex[..2]).join(hex)
    }

    /// How many directories hold files.
    pub const DIRECTORIES: usize = 512;

    /// One of the directories that hold files; `index` is less than [`Layout::DIRECTORIES`].
    pub fn directory(&self, index: usize) -> PathBuf {
        let algorithm = if index < 256 { Algorithm::Sha256 } else { Algorithm::Sha512 };
        self.root.join(algorithm.as_str()).join(format!("{:02x}", index % 256))
    }

    /// The digest whose place `path` is; `None` for a stranger.
    pub fn digest(&self, path: &Path) -> Option<Digest> {
        let mut names = path.strip_prefix(&self.root).ok()?.iter().map(|name| name.to_str());
        let (algorithm, _prefix, hex) = (names.next()??, names.next()??, names.next()??);
        let digest: Digest = format!("{algorithm}:{hex}").parse().ok()?;
        (self.path(&digest) == path).then_some(digest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strangers_are_told_from_blobs() {
        let layout = Layout::new("/r");
        let path = layout.path(&Digest::of(Algorithm::Sha256, b""));
        assert_eq!(
            path,
            Path::new("/r/sha256/e3/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        );
        for stranger in ["/r", "/r/sha256", "/r/sha256/e3/x", "/other/sha256/e3/e3"] {
            assert_eq!(layout.digest(Path::new(stranger)), None, "{stranger}");
        }
        assert_eq!(layout.digest(&path.with_file_name(format!("{}x", path.display()))), None);
        assert_eq!(layout.digest(&path.join("deeper")), None);
    }

    proptest! {
        #[test]
        fn a_place_names_its_digest(content: Vec<u8>, long: bool) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let digest = Digest::of(algorithm, &content);
            let layout = Layout::new("/var/lib/mcr");
            let path = layout.path(&digest);
            prop_assert_eq!(layout.digest(&path), Some(digest));
            let directories = (0..Layout::DIRECTORIES).map(|index| layout.directory(index));
            prop_assert_eq!(directories.filter(|directory| path.parent() == Some(directory)).count(), 1);
        }
    }
}

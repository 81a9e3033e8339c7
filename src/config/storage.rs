//! `[storage]`: where blobs are, and how much room is kept.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mcr_actors::mend::{self, Use};

use super::reader::Section;
use super::setting::Size;

/// `[storage]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// The directory of the blobs.
    pub layers_path: PathBuf,
    /// The directory of the uploads, on the same file system, since a finished upload is renamed into place.
    pub uploads_path: PathBuf,
    /// Where uploads were when an earlier version chose: beside the blobs, whoever else had blobs there. None where the
    /// operator chose.
    pub uploads_before: Option<PathBuf>,
    /// The directory of snapshots; on the same file system they share the files of blobs.
    pub snapshots_path: PathBuf,
    /// Below this much free space what adds is refused.
    pub min_free: Size,
    /// Whether the stored file is read when a blob is pushed that is there already.
    pub verify_on_push: bool,
}

impl Storage {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let layers_path: Option<PathBuf> = section.required("layers_path");
        let uploads_path: Option<PathBuf> = section.optional("uploads_path");
        let snapshots_path: Option<PathBuf> = section.optional("snapshots_path");
        let min_free = section.or("min_free", Size::from_bytes(1 << 30));
        let verify_on_push = section.or("verify_on_push", false);
        let layers_path = layers_path?;
        let before = layers_path.with_file_name("uploads");
        let uploads_before = (uploads_path.is_none() && before != layers_path).then_some(before);
        let uploads_path = uploads_path.unwrap_or_else(|| beside(&layers_path, "-uploads"));
        let snapshots_path = snapshots_path.unwrap_or_else(|| beside(&layers_path, "-snapshots"));
        check_file_system(section, &layers_path, &uploads_path);
        Some(Self { layers_path, uploads_path, uploads_before, snapshots_path, min_free, verify_on_push })
    }
}

/// A directory that carries the name of the directory of blobs, so that nobody else takes it for theirs.
fn beside(layers: &Path, end: &str) -> PathBuf {
    let mut name = layers.file_name().unwrap_or_default().to_owned();
    name.push(end);
    layers.with_file_name(name)
}

fn check_file_system(section: &mut Section<'_>, layers: &Path, uploads: &Path) {
    let mut device = |key, path: &Path| match device(path) {
        Ok(device) => Some(device),
        Err(error) => {
            let mend = mend::of_file(path, Use::Directory(path), &error);
            section.problem(key, &format!("{} cannot be a directory here: {error}{mend}", path.display()));
            None
        }
    };
    // What keeps the one from being seen mostly keeps the other, too, and is said once.
    let Some(one) = device("layers_path", layers) else { return };
    if device("uploads_path", uploads).is_some_and(|other| one != other) {
        let (uploads, layers) = (uploads.display(), layers.display());
        let message = format!(
            "{uploads} is on another file system than storage.layers_path {layers}: a finished upload is renamed \
             into place, so both must be on one"
        );
        section.problem("uploads_path", &message);
    }
}

/// The file system that the directory is on, or will be on: that of the nearest parent that exists.
fn device(path: &Path) -> io::Result<u64> {
    for path in path.ancestors() {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Ok(metadata.dev()),
            Ok(_) => return Err(io::Error::other(format!("{} is not a directory", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

//! `[storage]`: where blobs are, and how much room is kept.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
    /// Below this much free space uploads are refused.
    pub min_free: Size,
}

impl Storage {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let layers_path: Option<PathBuf> = section.required("layers_path");
        let uploads_path: Option<PathBuf> = section.optional("uploads_path");
        let snapshots_path: Option<PathBuf> = section.optional("snapshots_path");
        let min_free = section.or("min_free", Size::from_bytes(1 << 30));
        let layers_path = layers_path?;
        let before = layers_path.with_file_name("uploads");
        let uploads_before = (uploads_path.is_none() && before != layers_path).then_some(before);
        let uploads_path = uploads_path.unwrap_or_else(|| beside(&layers_path, "-uploads"));
        let snapshots_path = snapshots_path.unwrap_or_else(|| beside(&layers_path, "-snapshots"));
        check_file_system(section, &layers_path, &uploads_path);
        Some(Self { layers_path, uploads_path, uploads_before, snapshots_path, min_free })
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
            section.problem(key, &format!("{} cannot be a directory here: {error}", path.display()));
            None
        }
    };
    let devices = (device("layers_path", layers), device("uploads_path", uploads));
    if let (Some(one), Some(other)) = devices
        && one != other
    {
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

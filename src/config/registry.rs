//! `[registry]`: what is taken, and what may be deleted.

use std::time::Duration;

use super::reader::Section;
use super::setting::Size;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// `[registry]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Whether a tag can be deleted.
    pub allow_tag_delete: bool,
    /// Whether a manifest may refer to what is not there.
    pub allow_sparse: bool,
    /// The largest manifest.
    pub max_manifest_size: Size,
    /// The largest blob; none for any size.
    pub max_blob_size: Option<Size>,
    /// How long an upload is kept without activity.
    pub upload_expiry: Duration,
    /// The most uploads at once.
    pub max_uploads: usize,
}

impl Registry {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let max_blob_size = section.or("max_blob_size", Size::from_bytes(0));
        let manifest_sizes = Size::from_bytes(KIB)..=Size::from_bytes(64 * MIB);
        Some(Self {
            allow_tag_delete: section.or("allow_tag_delete", false),
            allow_sparse: section.or("allow_sparse", false),
            max_manifest_size: section.bounded(
                "max_manifest_size",
                Size::from_bytes(4 * MIB),
                manifest_sizes,
            ),
            max_blob_size: Some(max_blob_size).filter(|size| size.bytes() > 0),
            upload_expiry: section.bounded("upload_expiry", DAY, Duration::from_secs(1)..=365 * DAY),
            max_uploads: section.bounded("max_uploads", 1024, 1..=1_000_000),
        })
    }
}

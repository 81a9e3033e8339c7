//! What a manifest consists of, in its own order.

use super::document::{Descriptor, Document};
use super::text;
use crate::domain::Digest;

/// What a descriptor says of something; what cannot be read of it is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Its digest.
    pub digest: Option<Digest>,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// What it is for, if it is for a platform that is known.
    pub platform: Option<String>,
}

/// What a manifest consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its config.
    pub config: Option<Part>,
    /// Its layers, or the blobs of an artifact, the lowest first; one that is there twice is here twice.
    pub layers: Vec<Part>,
    /// The manifests of an index.
    pub children: Vec<Part>,
}

impl Part {
    fn of(descriptor: &Descriptor<'_>) -> Self {
        Self {
            digest: descriptor.digest,
            media_type: descriptor.media_type.as_deref().map(text),
            size: descriptor.size,
            platform: descriptor.platform(),
        }
    }
}

impl Contents {
    /// Reads a document, whatever its type; of one that is of another shape nothing is said.
    pub fn of(body: &[u8]) -> Self {
        let document = Document::read(body).unwrap_or_default();
        Self {
            config: document.config.as_ref().map(Part::of),
            layers: document.layers.iter().chain(&document.blobs).map(Part::of).collect(),
            children: document.manifests.iter().map(Part::of).collect(),
        }
    }
}

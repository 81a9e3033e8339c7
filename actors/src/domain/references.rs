//! What a reference is. This is the one place that says it; the door, the counts, the protection and the collector go by it.
//!
//! Whatever is a whole digest, in any text of the document, a key too, at any depth, refers to the blob or the manifest of
//! that name and keeps it. Where the document's media type has a descriptor, that is well-formed or the document is refused with
//! the place, and what it names must be there when the document is pushed. A type that nobody here knows has no such places;
//! what is a well-formed descriptor under `config`, `layers`, `manifests` or `blobs` is taken for one, and anything else there
//! keeps what it names and need not be there.
//!
//! The document is read as a stream: nothing is held of it but what is found.
//! <https://github.com/opencontainers/image-spec/blob/main/descriptor.md>

mod document;
mod walk;

use document::Form;
pub use document::Referenced;
pub(super) use document::{Annotations, Document};

use super::{Digest, MediaType};

/// Most digests in one document. Each is a row that the only writer inserts; images have hundreds.
pub(in crate::domain) const MAX_REFERENCES: usize = 4096;

impl Document {
    /// Reads a document of this media type.
    ///
    /// # Errors
    /// When it is no JSON object, or malformed where the type has a descriptor: the place, and why.
    pub(super) fn read(media_type: &MediaType, body: &[u8]) -> Result<Self, String> {
        let mut document = Self::new(Form::of(media_type), MAX_REFERENCES);
        walk::object(&mut document, body).map_err(|error| error.to_string())?;
        Ok(document)
    }
}

/// Every digest in a document that is stored, of whatever type. What can no longer be read as JSON is searched for digests as
/// it is, since it keeps what it needs all the same.
pub fn digests_in(body: &[u8]) -> Vec<Digest> {
    let mut document = Document::new(Form::Unknown, usize::MAX);
    if walk::anything(&mut document, body).is_err() {
        let text = String::from_utf8_lossy(body);
        for (prefix, length) in [("sha256:", 71), ("sha512:", 135)] {
            let texts = text.match_indices(prefix).filter_map(|(at, _)| text.get(at..at + length));
            // Without a bound on their number nothing is refused.
            texts.for_each(|text| drop(document.text(text)));
        }
    }
    document.found.into_iter().map(|found| found.digest).collect()
}

#[cfg(test)]
mod tests;

//! Blobs and manifests that are the same for the same numbers, so that two threads need not tell each other.

use std::fmt::Write;

use mcr_actors::domain::{Algorithm, Digest, MediaType};

/// Bytes that look random and are the same for the same seed.
#[derive(Debug, Clone)]
pub struct Noise(u64);

impl Noise {
    /// Begins with `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Fills the buffer.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }

    /// So many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes
    }
}

/// The content of the small blob `index`: 64 to 200 bytes that no other index has.
pub fn small_blob(seed: u64, index: u64) -> Vec<u8> {
    let mut content = format!("blob {index} of {seed} ").into_bytes();
    let length = 64 + usize::try_from(index % 137).unwrap_or(0);
    let rest = length.saturating_sub(content.len());
    content.extend_from_slice(&Noise::new(seed ^ index).bytes(rest));
    content
}

/// The SHA-256 digest.
pub fn digest(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

/// What a manifest says of a blob.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Part {
    /// Of this content.
    pub fn of(content: &[u8]) -> Self {
        Self { digest: digest(content), size: content.len() as u64 }
    }
}

/// An image manifest over these blobs. `about` makes it a referrer of a manifest; `note` tells it from others.
pub fn image(config: Part, layers: &[Part], about: Option<Part>, note: &str) -> String {
    let mut text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":["#,
        MediaType::OCI_MANIFEST,
        descriptor("application/vnd.oci.image.config.v1+json", config)
    );
    for (index, layer) in layers.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip", *layer);
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}{layer}");
    }
    text.push(']');
    if let Some(subject) = about {
        let _ = write!(
            text,
            r#","artifactType":"application/vnd.mcr.bench","subject":{}"#,
            descriptor(MediaType::OCI_MANIFEST, subject)
        );
    }
    if !note.is_empty() {
        let _ = write!(text, r#","annotations":{{"note":"{note}"}}"#);
    }
    text.push('}');
    text
}

fn descriptor(media_type: &str, Part { digest, size }: Part) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_blobs_differ_and_have_their_lengths() {
        let digests: std::collections::HashSet<_> =
            (0..1000).map(|index| digest(&small_blob(7, index))).collect();
        assert_eq!(digests.len(), 1000);
        assert!((0..1000).all(|index| (64..=200).contains(&small_blob(7, index).len())));
    }

    #[test]
    fn an_image_is_a_manifest() {
        let part = Part::of(b"content");
        let text = image(part, &[part, Part::of(b"layer")], Some(part), "one");
        let media_type = MediaType::parse(MediaType::OCI_MANIFEST).unwrap();
        let parsed =
            mcr_actors::domain::Manifest::parse(Algorithm::Sha256, media_type, text.into_bytes().into())
                .unwrap();
        assert_eq!(parsed.references.len(), 2);
        assert_eq!(parsed.subject.unwrap(), part.digest);
    }
}

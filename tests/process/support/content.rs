//! Blobs and images to push.

use mcr_actors::domain::{Algorithm, Digest};
use serde_json::json;

use super::http::{Client, Response};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Bytes that look random and are the same for the same seed.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes
    }
}

pub(crate) fn digest(content: &[u8]) -> String {
    Digest::of(Algorithm::Sha256, content).to_string()
}

/// An image manifest over these blobs, the first of which is its config.
pub(crate) fn manifest(blobs: &[Vec<u8>]) -> Vec<u8> {
    let descriptor = |blob: &Vec<u8>| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(blob), "size": blob.len()});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(&blobs[0]),
        "layers": blobs[1..].iter().map(descriptor).collect::<Vec<_>>(),
    });
    manifest.to_string().into_bytes()
}

/// POST, then PUT with the whole body, as containerd and oras do.
pub(crate) fn push_blob(client: &mut Client, repository: &str, content: &[u8]) -> std::io::Result<Response> {
    let begun = client.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"")?;
    if begun.status != 202 {
        return Ok(begun);
    }
    let url = format!("{}?digest={}", begun.location(), digest(content));
    client.send("PUT", &url, &[("Content-Type", "application/octet-stream")], content)
}

/// POST, PATCH, PUT, as docker and crane do.
pub(crate) fn push_blob_by_patch(
    client: &mut Client,
    repository: &str,
    content: &[u8],
) -> std::io::Result<Response> {
    let begun = client.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"")?;
    if begun.status != 202 {
        return Ok(begun);
    }
    let patched = client.send("PATCH", &begun.location(), &[], content)?;
    if patched.status != 202 {
        return Ok(patched);
    }
    client.send("PUT", &format!("{}?digest={}", patched.location(), digest(content)), &[], b"")
}

pub(crate) fn push_manifest(
    client: &mut Client,
    repository: &str,
    reference: &str,
    manifest: &[u8],
) -> std::io::Result<Response> {
    let path = format!("/v2/{repository}/manifests/{reference}");
    client.send("PUT", &path, &[("Content-Type", MANIFEST)], manifest)
}

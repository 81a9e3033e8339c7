//! Media types of manifests. <https://github.com/opencontainers/image-spec/blob/main/media-types.md>

use std::fmt;

/// A media type without parameters, as it is stored and served.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaType(String);

impl MediaType {
    /// OCI image index.
    pub const OCI_INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// OCI image manifest.
    pub const OCI_MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// Docker image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: &'static str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &'static str = "application/vnd.docker.distribution.manifest.list.v2+json";

    /// Reads a `Content-Type`, leaving its parameters out; `None` when it is no `type/subtype`
    /// (RFC 6838 §4.2, at most 255 bytes).
    pub fn parse(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let (kind, subtype) = essence.split_once('/')?;
        let restricted = |name: &str| {
            let mut bytes = name.bytes();
            bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        (essence.len() <= 255 && restricted(kind) && restricted(subtype)).then(|| Self(essence.to_owned()))
    }

    /// The type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of Docker's schema 1 manifests, which are refused.
    pub fn is_docker_schema_1(&self) -> bool {
        self.0.starts_with("application/vnd.docker.distribution.manifest.v1+")
    }

    /// Whether layers of this type may stay with whoever published them (the deprecated non-distributable ones).
    pub fn is_non_distributable(media_type: &str) -> bool {
        media_type.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
            || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.diff.tar")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_read_can_stand_in_a_header_and_is_read_again(text in "[a-z0-9/+.;= \"\r\n-]{0,60}|\\PC{0,60}") {
            if let Some(read) = MediaType::parse(&text) {
                prop_assert!(read.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b';'));
                prop_assert_eq!(MediaType::parse(read.as_str()), Some(read));
            }
        }

        #[test]
        fn parameters_are_left_out(kind in "[a-z]{1,8}", subtype in "[a-z0-9+.-]{1,20}", more in "\\PC{0,20}") {
            let read = MediaType::parse(&format!("{kind}/a{subtype}; {more}"));
            prop_assert_eq!(read.map(|read| read.to_string()), Some(format!("{kind}/a{subtype}")));
        }
    }
}

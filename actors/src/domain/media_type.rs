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

    /// OCI artifact manifest, which was in release candidates of the image specification 1.1 only, and is pushed all the same.
    pub const OCI_ARTIFACT: &'static str = "application/vnd.oci.artifact.manifest.v1+json";

    /// The types whose documents the registry understands.
    const KNOWN: [&'static str; 5] =
        [Self::OCI_INDEX, Self::OCI_MANIFEST, Self::DOCKER_MANIFEST, Self::DOCKER_LIST, Self::OCI_ARTIFACT];
    /// What the fields of a form are sent as, and what curl says of any body when it is not told: never a manifest.
    const FORM: &'static str = "application/x-www-form-urlencoded";
    /// A body in several parts, as forms with files are (RFC 2046 §5.1): never a manifest.
    const PARTS: &'static str = "multipart/";

    /// Reads a `Content-Type`, leaving its parameters out; `None` when it is no `type/subtype`
    /// (RFC 6838 §4.2, at most 255 bytes). Letter case means nothing there, so a type that is known has the letters that
    /// its specification writes; any other keeps its own.
    pub fn parse(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let (kind, subtype) = essence.split_once('/')?;
        let restricted = |name: &str| {
            let mut bytes = name.bytes();
            bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        let known = Self::KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(essence));
        (essence.len() <= 255 && restricted(kind) && restricted(subtype))
            .then(|| Self(known.unwrap_or(essence).to_owned()))
    }

    /// Whether this text names the same type, in whatever letter case (RFC 9110 §8.3.1).
    pub fn is(&self, text: &str) -> bool {
        self.0.eq_ignore_ascii_case(text)
    }

    /// Whether it is the type of a form, or of anything else in several parts.
    pub fn is_form(&self) -> bool {
        let start = self.0.get(..Self::PARTS.len());
        self.is(Self::FORM) || start.is_some_and(|start| start.eq_ignore_ascii_case(Self::PARTS))
    }

    /// The type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of Docker's schema 1 manifests, which are refused.
    pub fn is_docker_schema_1(&self) -> bool {
        self.0.to_ascii_lowercase().starts_with("application/vnd.docker.distribution.manifest.v1+")
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

    #[test]
    fn letter_case_makes_no_other_type() {
        for known in MediaType::KNOWN {
            let read = MediaType::parse(&known.to_ascii_uppercase()).expect("a media type");
            assert_eq!(read.as_str(), known);
        }
        let own = MediaType::parse("Application/VND.Example+JSON").expect("a media type");
        assert_eq!(own.as_str(), "Application/VND.Example+JSON");
        assert!(own.is("application/vnd.example+json") && !own.is("application/vnd.example"));
        let old =
            MediaType::parse("Application/vnd.docker.distribution.Manifest.v1+json").expect("a media type");
        assert!(old.is_docker_schema_1());
        let form =
            MediaType::parse("Application/X-WWW-Form-Urlencoded; charset=utf-8").expect("a media type");
        assert!(form.is_form() && !own.is_form());
        for parts in ["multipart/form-data; boundary=x", "Multipart/Mixed", "multipart/byteranges"] {
            assert!(MediaType::parse(parts).expect("a media type").is_form(), "{parts}");
        }
    }

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

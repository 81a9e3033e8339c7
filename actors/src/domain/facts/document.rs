//! The few fields of a manifest that people look at. Everything else in it is passed over without being kept.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::domain::Digest;
use crate::domain::references::MAX_REFERENCES;

/// The annotation in which a Sigstore bundle says what it holds.
const BUNDLE_CONTENT: &str = "dev.sigstore.bundle.content";
/// Most bytes of a platform's words.
const MAX_PLATFORM: usize = 100;

/// A document, as far as it is of the shape that its type prescribes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Document<'d> {
    #[serde(rename = "artifactType", borrow)]
    pub(super) artifact_type: Option<Cow<'d, str>>,
    #[serde(borrow)]
    pub(super) config: Option<Descriptor<'d>>,
    #[serde(borrow, deserialize_with = "list")]
    pub(super) layers: Vec<Descriptor<'d>>,
    #[serde(borrow, deserialize_with = "list")]
    pub(super) manifests: Vec<Descriptor<'d>>,
    #[serde(borrow, deserialize_with = "list")]
    pub(super) blobs: Vec<Descriptor<'d>>,
    annotations: Option<Annotations>,
}

/// A descriptor, as far as it is one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Descriptor<'d> {
    #[serde(rename = "mediaType", borrow)]
    pub(super) media_type: Option<Cow<'d, str>>,
    #[serde(deserialize_with = "digest")]
    pub(super) digest: Option<Digest>,
    pub(super) size: Option<u64>,
    #[serde(borrow)]
    platform: Option<Platform<'d>>,
}

/// For what a child of an index is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Platform<'d> {
    #[serde(borrow)]
    os: Cow<'d, str>,
    #[serde(borrow)]
    architecture: Cow<'d, str>,
    #[serde(borrow)]
    variant: Option<Cow<'d, str>>,
}

/// The one annotation that says what a manifest is.
#[derive(Debug, Default)]
struct Annotations {
    bundle_content: Option<String>,
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Annotations;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("annotations")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let mut found = Annotations::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if key == BUNDLE_CONTENT {
                        found.bundle_content = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(found)
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// The first items of a list, however long it is. Go writes null for a list that it never filled.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Descriptor<'de>>, D::Error> {
    struct Visitor;

    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Vec<Descriptor<'de>>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of descriptors")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut first = Vec::new();
            while first.len() < MAX_REFERENCES {
                match items.next_element()? {
                    Some(item) => first.push(item),
                    None => return Ok(first),
                }
            }
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok(first)
        }
    }

    deserializer.deserialize_any(Visitor)
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// The words of a platform: `os/architecture`, and the variant where there is one. `None` where it is not known.
pub(super) fn platform(os: &str, architecture: &str, variant: Option<&str>) -> Option<String> {
    let is_word = |word: &str| !matches!(word, "" | "unknown");
    let mut words = format!("{os}/{architecture}");
    if let Some(variant) = variant.filter(|variant| !variant.is_empty()) {
        words = format!("{words}/{variant}");
    }
    let is_plain = words.len() <= MAX_PLATFORM && words.bytes().all(|byte| byte.is_ascii_graphic());
    (is_word(os) && is_word(architecture) && is_plain).then_some(words)
}

impl<'d> Document<'d> {
    /// Reads it; `None` when it is of another shape.
    pub(super) fn read(body: &'d [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Whether it is a Sigstore bundle that holds a statement and no bare signature.
    pub(super) fn is_statement(&self) -> bool {
        let said = self.annotations.as_ref().and_then(|annotations| annotations.bundle_content.as_deref());
        said == Some("dsse-envelope")
    }
}

impl Descriptor<'_> {
    /// The platform that it says it is for.
    pub(super) fn platform(&self) -> Option<String> {
        let of = self.platform.as_ref()?;
        platform(&of.os, &of.architecture, of.variant.as_deref())
    }
}

//! What a manifest refers to. <https://github.com/opencontainers/image-spec/blob/main/manifest.md>
//!
//! A manifest is stored and served byte for byte; this reads from it only what the registry must know.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Algorithm, Digest, MediaType};

/// Most descriptors in one list. Each is a row that the only writer inserts; images have hundreds.
const MAX_DESCRIPTORS: usize = 4096;
/// Most bytes of an artifact type, as of any media type (RFC 6838 §4.2).
const MAX_ARTIFACT_TYPE: usize = 255;

/// Why a document is no manifest that can be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the shape that its media type prescribes.
    #[error("the manifest is not valid: {0}")]
    Malformed(String),
    /// The body says another media type than the request.
    #[error("the manifest's mediaType is {body} but its Content-Type is {header}")]
    MediaTypeMismatch {
        /// What the document says.
        body: String,
        /// What the request says.
        header: String,
    },
    /// Docker's schema 1.
    #[error("Docker image manifest schema 1 is not supported; push the image again with a current client")]
    Schema1,
}

/// A reference to content: its digest and its size in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The content's digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type; empty when the document does not say.
    pub media_type: String,
    /// Whether the content may be missing here: a non-distributable layer with `urls`.
    pub may_be_missing: bool,
}

/// A manifest that was read and found well-formed. It says nothing about whether its references exist.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The digest it is stored under.
    pub digest: Digest,
    /// The media type it is served with.
    pub media_type: MediaType,
    /// What a referrers list says of its type: `artifactType`, or the config's media type.
    pub artifact_type: Option<String>,
    /// Its annotations as a JSON object, when it has any.
    pub annotations: Option<String>,
    /// The manifest that this one is about.
    pub subject: Option<Descriptor>,
    /// The blobs it needs: config and layers, each once.
    pub blobs: Vec<Descriptor>,
    /// The manifests it needs: the children of an index, each once.
    pub manifests: Vec<Descriptor>,
    /// The document, byte for byte.
    pub body: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDescriptor {
    digest: String,
    size: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireImage {
    config: WireDescriptor,
    #[serde(deserialize_with = "null_as_empty")]
    layers: Vec<WireDescriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireIndex {
    #[serde(deserialize_with = "null_as_empty")]
    manifests: Vec<WireDescriptor>,
}

/// Go writes null for a list that it never filled. The key must be there all the same.
fn null_as_empty<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<WireDescriptor>, D::Error> {
    Ok(Option::deserialize(list)?.unwrap_or_default())
}

/// What every document may say of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireHead {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<serde_json::Map<String, Value>>,
    #[serde(default)]
    subject: Option<WireDescriptor>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
}

fn malformed(reason: impl ToString) -> ManifestError {
    ManifestError::Malformed(reason.to_string())
}

fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(body).map_err(malformed)
}

impl TryFrom<WireDescriptor> for Descriptor {
    type Error = ManifestError;

    fn try_from(wire: WireDescriptor) -> Result<Self, ManifestError> {
        let digest =
            wire.digest.parse().map_err(|error| malformed(format!("digest {:?}: {error}", wire.digest)))?;
        if i64::try_from(wire.size).is_err() {
            return Err(malformed(format!("the size of {digest} is out of range")));
        }
        let media_type = wire.media_type.unwrap_or_default();
        let may_be_missing =
            wire.urls.is_some_and(|urls| !urls.is_empty()) && MediaType::is_non_distributable(&media_type);
        Ok(Self { digest, size: wire.size, media_type, may_be_missing })
    }
}

/// Each digest once, in the order of the document.
fn descriptors(wire: Vec<WireDescriptor>) -> Result<Vec<Descriptor>, ManifestError> {
    if wire.len() > MAX_DESCRIPTORS {
        let found = wire.len();
        return Err(malformed(format!("it refers to {found} things; at most {MAX_DESCRIPTORS} are taken")));
    }
    let mut seen = std::collections::HashSet::new();
    let mut descriptors = Vec::with_capacity(wire.len());
    for descriptor in wire {
        let descriptor = Descriptor::try_from(descriptor)?;
        if seen.insert(descriptor.digest) {
            descriptors.push(descriptor);
        }
    }
    Ok(descriptors)
}

/// The blobs and manifests that a document of one shape refers to, and its config's media type.
struct References {
    blobs: Vec<Descriptor>,
    manifests: Vec<Descriptor>,
    config_type: Option<String>,
}

impl References {
    fn of_image(body: &[u8]) -> Result<Self, ManifestError> {
        let image: WireImage = from_json(body)?;
        let config_type = image.config.media_type.clone();
        let blobs = std::iter::once(image.config).chain(image.layers).collect();
        Ok(Self { blobs: descriptors(blobs)?, manifests: Vec::new(), config_type })
    }

    fn of_index(body: &[u8]) -> Result<Self, ManifestError> {
        let index: WireIndex = from_json(body)?;
        Ok(Self { blobs: Vec::new(), manifests: descriptors(index.manifests)?, config_type: None })
    }

    /// A type that nobody here knows: whatever looks like a descriptor in the usual places is a reference, so
    /// that what it needs is kept.
    fn of_unknown(body: &[u8]) -> Result<Self, ManifestError> {
        let document: serde_json::Map<String, Value> = from_json(body)?;
        let found = |keys: &[&str]| -> Vec<WireDescriptor> {
            keys.iter()
                .filter_map(|key| document.get(*key))
                .flat_map(|value| match value {
                    Value::Array(items) => items.clone(),
                    other => vec![other.clone()],
                })
                .filter_map(|value| serde_json::from_value(value).ok())
                .collect()
        };
        Ok(Self {
            blobs: descriptors(found(&["config", "layers", "blobs"]))?,
            manifests: descriptors(found(&["manifests"]))?,
            config_type: None,
        })
    }
}

/// The annotations as they stand in a referrers list, where Go reads texts only and refuses the whole list for
/// anything else. The OCI types allow nothing else; of the other types' annotations only the texts are kept.
fn annotations(
    media_type: &MediaType,
    mut annotations: serde_json::Map<String, Value>,
) -> Result<Option<String>, ManifestError> {
    if matches!(media_type.as_str(), MediaType::OCI_MANIFEST | MediaType::OCI_INDEX)
        && let Some((key, _)) = annotations.iter().find(|(_, value)| !value.is_string())
    {
        let key: String = key.chars().take(64).collect();
        return Err(malformed(format!("the annotation {key:?} is not a string")));
    }
    annotations.retain(|_, value| value.is_string());
    Ok((!annotations.is_empty()).then(|| Value::Object(annotations).to_string()))
}

/// What a referrers list says of the type: `artifactType`, or else the config's media type.
fn artifact_type(said: Option<String>, config: Option<String>) -> Result<Option<String>, ManifestError> {
    let kind = said.filter(|kind| !kind.is_empty()).or(config);
    if kind.as_ref().is_some_and(|kind| kind.len() > MAX_ARTIFACT_TYPE) {
        let reason =
            format!("artifactType or the config's mediaType has more than {MAX_ARTIFACT_TYPE} bytes");
        return Err(malformed(reason));
    }
    Ok(kind)
}

impl Manifest {
    /// Reads the document `body`, pushed with the media type `media_type`, named by `algorithm`.
    pub fn parse(algorithm: Algorithm, media_type: MediaType, body: Bytes) -> Result<Self, ManifestError> {
        if media_type.is_docker_schema_1() {
            return Err(ManifestError::Schema1);
        }
        let head: WireHead = from_json(&body)?;
        if head.schema_version == Some(1) {
            return Err(ManifestError::Schema1);
        }
        if let Some(said) = head.media_type.as_deref().filter(|said| *said != media_type.as_str()) {
            return Err(ManifestError::MediaTypeMismatch {
                body: said.to_owned(),
                header: media_type.to_string(),
            });
        }
        let references = match media_type.as_str() {
            MediaType::OCI_MANIFEST | MediaType::DOCKER_MANIFEST if head.manifests.is_some() => {
                // Two readers could take it for two different things (CVE-2021-41190).
                return Err(malformed("an image manifest has no \"manifests\""));
            }
            MediaType::OCI_INDEX | MediaType::DOCKER_LIST
                if head.layers.is_some() || head.config.is_some() =>
            {
                return Err(malformed("an image index has no \"layers\" and no \"config\""));
            }
            MediaType::OCI_MANIFEST | MediaType::DOCKER_MANIFEST => References::of_image(&body)?,
            MediaType::OCI_INDEX | MediaType::DOCKER_LIST => References::of_index(&body)?,
            _ => References::of_unknown(&body)?,
        };
        let subject = head.subject.map(Descriptor::try_from).transpose()?;
        Ok(Self {
            artifact_type: artifact_type(head.artifact_type, references.config_type)?,
            annotations: annotations(&media_type, head.annotations.unwrap_or_default())?,
            digest: Digest::of(algorithm, &body),
            media_type,
            subject,
            blobs: references.blobs,
            manifests: references.manifests,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn media_type(text: &str) -> MediaType {
        MediaType::parse(text).expect("a media type")
    }

    fn parse(kind: &str, body: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(Algorithm::Sha256, media_type(kind), Bytes::copy_from_slice(body.as_bytes()))
    }

    fn descriptor(content: &str) -> String {
        let digest = Digest::of(Algorithm::Sha256, content.as_bytes());
        format!(r#"{{"mediaType":"x/y","digest":"{digest}","size":{}}}"#, content.len())
    }

    #[test]
    fn an_image_refers_to_its_config_and_each_layer_once() {
        let (config, layer) = (descriptor("c"), descriptor("l"));
        let body = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer},{layer}],"new":[1]}}"#);
        let manifest = parse(MediaType::OCI_MANIFEST, &body).expect("valid");
        assert_eq!(manifest.blobs.len(), 2);
        assert_eq!(manifest.artifact_type.as_deref(), Some("x/y"));
        assert_eq!(manifest.digest, Digest::of(Algorithm::Sha256, body.as_bytes()));
    }

    #[test]
    fn an_index_may_be_empty() {
        let manifest = parse(MediaType::OCI_INDEX, r#"{"schemaVersion":2,"manifests":[]}"#).expect("valid");
        assert!(manifest.manifests.is_empty() && manifest.blobs.is_empty());
    }

    #[test]
    fn an_unknown_type_keeps_what_it_seems_to_need() {
        let body =
            format!(r#"{{"blobs":[{}],"layers":"none","subject":{}}}"#, descriptor("b"), descriptor("s"));
        let manifest = parse("application/vnd.example+json", &body).expect("valid");
        assert_eq!((manifest.blobs.len(), manifest.subject.is_some()), (1, true));
    }

    #[test]
    fn a_list_that_go_never_filled_is_empty_and_one_that_is_not_there_is_refused() {
        let config = descriptor("c");
        let image = format!(r#"{{"config":{config},"layers":null,"manifests":null}}"#);
        assert_eq!(parse(MediaType::OCI_MANIFEST, &image).expect("valid").blobs.len(), 1);
        let index = r#"{"schemaVersion":2,"manifests":null,"layers":null}"#;
        assert!(parse(MediaType::OCI_INDEX, index).expect("valid").manifests.is_empty());
        assert!(parse(MediaType::OCI_MANIFEST, &format!(r#"{{"config":{config}}}"#)).is_err());
        assert!(parse(MediaType::OCI_MANIFEST, r#"{"config":null,"layers":[]}"#).is_err());
        assert!(parse(MediaType::OCI_INDEX, r#"{"schemaVersion":2}"#).is_err());
    }

    #[test]
    fn annotations_are_texts_or_nothing() {
        let kept = |kind: &str, annotations: &str| {
            let config = descriptor("c");
            let rest = match kind {
                MediaType::OCI_INDEX | MediaType::DOCKER_LIST => r#""manifests":[]"#.to_owned(),
                _ => format!(r#""config":{config},"layers":[]"#),
            };
            let body = format!(r#"{{{rest},"annotations":{annotations}}}"#);
            parse(kind, &body).map(|manifest| manifest.annotations)
        };
        for kind in [MediaType::OCI_MANIFEST, MediaType::OCI_INDEX] {
            assert_eq!(kept(kind, r#"{"a":"b"}"#), Ok(Some(r#"{"a":"b"}"#.to_owned())));
            assert_eq!((kept(kind, "{}"), kept(kind, "null")), (Ok(None), Ok(None)));
            for bad in [r#"{"a":1}"#, r#"{"a":"b","c":{}}"#, r#"{"a":null}"#, r#"["a"]"#] {
                assert!(matches!(kept(kind, bad), Err(ManifestError::Malformed(_))), "{kind} {bad}");
            }
        }
        for kind in [MediaType::DOCKER_MANIFEST, MediaType::DOCKER_LIST, "application/vnd.example+json"] {
            assert_eq!(kept(kind, r#"{"a":"b","c":1}"#), Ok(Some(r#"{"a":"b"}"#.to_owned())), "{kind}");
            assert_eq!(kept(kind, r#"{"c":1}"#), Ok(None), "{kind}");
        }
    }

    #[test]
    fn what_a_referrers_list_repeats_is_not_long() {
        let image = |artifact: usize, config: usize| {
            let config = descriptor("c").replace("x/y", &"c".repeat(config));
            let artifact = "a".repeat(artifact);
            let body = format!(r#"{{"artifactType":"{artifact}","config":{config},"layers":[]}}"#);
            let parsed = parse(MediaType::OCI_MANIFEST, &body);
            parsed.map(|manifest| manifest.artifact_type.map(|kind| kind.len()))
        };
        assert_eq!((image(255, 3), image(0, 255)), (Ok(Some(255)), Ok(Some(255))));
        assert!(image(256, 3).is_err() && image(0, 256).is_err());
    }

    #[test]
    fn the_writer_is_not_asked_for_more_rows_than_an_image_has() {
        let list = |count: usize| {
            let children: Vec<String> = (0..count).map(|child| descriptor(&child.to_string())).collect();
            children.join(",")
        };
        for (kind, key) in [(MediaType::OCI_INDEX, "manifests"), ("application/vnd.example+json", "blobs")] {
            let parse = |count: usize| parse(kind, &format!(r#"{{"{key}":[{}]}}"#, list(count)));
            assert!(parse(MAX_DESCRIPTORS).is_ok(), "{kind}");
            assert!(matches!(parse(MAX_DESCRIPTORS + 1), Err(ManifestError::Malformed(_))), "{kind}");
        }
        let image = format!(r#"{{"config":{},"layers":[{}]}}"#, descriptor("c"), list(MAX_DESCRIPTORS));
        assert!(parse(MediaType::OCI_MANIFEST, &image).is_err());
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        let image = format!(r#"{{"config":{c},"layers":[],"manifests":[]}}"#, c = descriptor("c"));
        let cases = [
            (MediaType::OCI_MANIFEST, "[]"),
            (MediaType::OCI_MANIFEST, "{}"),
            (MediaType::OCI_MANIFEST, "\u{0}"),
            (MediaType::OCI_MANIFEST, image.as_str()),
            (MediaType::OCI_INDEX, r#"{"manifests":[],"layers":[]}"#),
            (MediaType::OCI_INDEX, r#"{"manifests":[{"digest":"sha256:00","size":1}]}"#),
            (MediaType::OCI_INDEX, r#"{"manifests":[],"manifests":[]}"#),
            (MediaType::OCI_INDEX, r#"{"manifests":[],"mediaType":"other/type"}"#),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", "{}"),
            ("application/json", r#"{"schemaVersion":1}"#),
            ("application/json", "no"),
        ];
        for (kind, body) in cases {
            assert!(parse(kind, body).is_err(), "{kind} {body}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse("application/json", &format!(r#"{{"a":{deep}}}"#)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(body: Vec<u8>, index: bool) {
            let kind = if index { MediaType::OCI_INDEX } else { MediaType::OCI_MANIFEST };
            let _ = Manifest::parse(Algorithm::Sha256, media_type(kind), body.into());
        }
    }
}

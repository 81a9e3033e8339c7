//! What a manifest refers to. <https://github.com/opencontainers/image-spec/blob/main/manifest.md>
//!
//! A manifest is stored and served byte for byte; this reads from it only what the registry must know.

use bytes::Bytes;

use super::references::{Annotations, Document, Referenced};
use super::{Algorithm, Digest, Facts, MediaType};

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
    pub subject: Option<Digest>,
    /// What it refers to, each digest once, its subject too.
    pub references: Vec<Referenced>,
    /// What people look for in it.
    pub facts: Facts,
    /// The document, byte for byte.
    pub body: Bytes,
}

fn malformed(reason: impl ToString) -> ManifestError {
    ManifestError::Malformed(reason.to_string())
}

/// The annotations as they stand in a referrers list, where Go reads texts only and refuses the whole list for
/// anything else. The OCI types allow nothing else; of the other types' annotations only the texts are kept.
fn annotations(media_type: &MediaType, found: Annotations) -> Result<Option<String>, ManifestError> {
    if matches!(media_type.as_str(), MediaType::OCI_MANIFEST | MediaType::OCI_INDEX)
        && let Some(key) = found.no_text
    {
        let key: String = key.chars().take(64).collect();
        return Err(malformed(format!("the annotation {key:?} is not a string")));
    }
    if found.texts.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(&found.texts).map(Some).map_err(malformed)
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
        let document = Document::read(&media_type, &body).map_err(malformed)?;
        if document.schema_version == Some(1) {
            return Err(ManifestError::Schema1);
        }
        if let Some(said) = document.media_type.as_deref().filter(|said| !media_type.is(said)) {
            return Err(ManifestError::MediaTypeMismatch {
                body: said.to_owned(),
                header: media_type.to_string(),
            });
        }
        document.check().map_err(malformed)?;
        Ok(Self {
            references: document.references(),
            subject: document.subject,
            artifact_type: artifact_type(document.artifact_type, document.config_type)?,
            annotations: annotations(&media_type, document.annotations)?,
            digest: Digest::of(algorithm, &body),
            facts: Facts::of(&media_type, &body),
            media_type,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::references::MAX_REFERENCES;

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
        assert_eq!(manifest.references.len(), 2);
        assert_eq!(manifest.artifact_type.as_deref(), Some("x/y"));
        assert_eq!(manifest.digest, Digest::of(Algorithm::Sha256, body.as_bytes()));
    }

    #[test]
    fn an_index_may_be_empty() {
        let manifest = parse(MediaType::OCI_INDEX, r#"{"schemaVersion":2,"manifests":[]}"#).expect("valid");
        assert!(manifest.references.is_empty());
    }

    #[test]
    fn an_unknown_type_keeps_what_it_seems_to_need() {
        let body =
            format!(r#"{{"blobs":[{}],"layers":"none","subject":{}}}"#, descriptor("b"), descriptor("s"));
        let manifest = parse("application/vnd.example+json", &body).expect("valid");
        assert_eq!((manifest.references.len(), manifest.subject.is_some()), (2, true));
    }

    #[test]
    fn a_list_that_go_never_filled_is_empty_and_so_are_layers_that_are_not_there() {
        let config = descriptor("c");
        let image = format!(r#"{{"config":{config},"layers":null,"manifests":null}}"#);
        assert_eq!(parse(MediaType::OCI_MANIFEST, &image).expect("valid").references.len(), 1);
        let index = r#"{"schemaVersion":2,"manifests":null,"layers":null}"#;
        assert!(parse(MediaType::OCI_INDEX, index).expect("valid").references.is_empty());
        let without = format!(r#"{{"config":{config}}}"#);
        assert_eq!(parse(MediaType::OCI_MANIFEST, &without).expect("valid").references.len(), 1);
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
            assert_eq!(kept(kind, r#"{"a":"b","c":null}"#), Ok(Some(r#"{"a":"b"}"#.to_owned())));
            for bad in [r#"{"a":1}"#, r#"{"a":"b","c":{}}"#, r#"["a"]"#] {
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
            assert!(parse(MAX_REFERENCES).is_ok(), "{kind}");
            assert!(matches!(parse(MAX_REFERENCES + 1), Err(ManifestError::Malformed(_))), "{kind}");
        }
        let image = format!(r#"{{"config":{},"layers":[{}]}}"#, descriptor("c"), list(MAX_REFERENCES));
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

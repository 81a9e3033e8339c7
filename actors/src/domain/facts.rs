//! What people look for in a manifest: what kind of thing it is, how much is pulled, for which platforms.
//!
//! Nothing here decides anything: what it says is shown, and whatever cannot be read is left out. What a manifest needs, `references`
//! says, which refuses what is malformed; so that what is shown can be read from anything that was ever stored, it is read apart.

mod config;
mod contents;
mod document;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{Digest, MediaType};
pub use config::ConfigFacts;
pub(crate) use config::looked_for;
pub use contents::{Contents, Part};
use document::{Descriptor, Document};

/// Most platforms that are noted of an index.
const MAX_PLATFORMS: usize = 64;
/// Most bytes of a text that is noted.
const MAX_TEXT: usize = 255;

/// What a manifest is for the people who look for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// One that can be run.
    Image,
    /// Images of several platforms.
    Index,
    /// A Helm chart.
    Chart,
    /// A signature of another manifest.
    Signature,
    /// The list of what is in another manifest.
    Sbom,
    /// A statement about another manifest: provenance, test results.
    Attestation,
    /// The cache of a builder.
    Cache,
    /// Anything else.
    Artifact,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Image,
        Self::Index,
        Self::Chart,
        Self::Signature,
        Self::Sbom,
        Self::Attestation,
        Self::Cache,
        Self::Artifact,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Index => "index",
            Self::Chart => "chart",
            Self::Signature => "signature",
            Self::Sbom => "sbom",
            Self::Attestation => "attestation",
            Self::Cache => "cache",
            Self::Artifact => "artifact",
        }
    }

    /// By the types that a manifest names: its artifact type, its config's, its layers'.
    fn of_types<'a>(types: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        // The first row that has one decides: an attestation's config may be that of an image.
        let rows: [(Self, &[&str]); 5] = [
            (Self::Cache, &["application/vnd.buildkit.cacheconfig."]),
            (Self::Chart, &["application/vnd.cncf.helm.config."]),
            (
                Self::Signature,
                &[
                    "application/vnd.dev.cosign.simplesigning.",
                    "application/vnd.dev.cosign.artifact.sig.",
                    "application/vnd.cncf.notary.signature",
                    "application/vnd.dev.sigstore.bundle",
                ],
            ),
            (
                Self::Attestation,
                &[
                    "application/vnd.in-toto",
                    "application/vnd.dsse.envelope.",
                    "application/vnd.dev.cosign.artifact.att.",
                ],
            ),
            (
                Self::Sbom,
                &["application/spdx", "text/spdx", "application/vnd.cyclonedx", "application/vnd.syft"],
            ),
        ];
        let has = |prefixes: &[&str]| {
            types.clone().any(|kind| prefixes.iter().any(|prefix| begins_with(kind, prefix)))
        };
        rows.into_iter().find(|(_, prefixes)| has(prefixes)).map(|(kind, _)| kind)
    }
}

/// Letter case means nothing in a media type.
fn begins_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// It is none of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such kind of manifest")]
pub struct NoKind;

impl FromStr for Kind {
    type Err = NoKind;

    fn from_str(word: &str) -> Result<Self, NoKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or(NoKind)
    }
}

/// What is said of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub kind: Kind,
    /// The media type of its config.
    pub config_type: Option<String>,
    /// The bytes of its config and layers, each digest once; none of an index, whose children have theirs.
    pub pull_bytes: Option<u64>,
    /// The config that says its platform, where there is one to read.
    pub config: Option<Digest>,
    /// The children of an index by platform, in its order; what has none, such as an attestation, is not among them.
    pub platforms: Vec<(Digest, String)>,
}

impl Default for Facts {
    /// Those of what says nothing.
    fn default() -> Self {
        Self {
            kind: Kind::Artifact,
            config_type: None,
            pull_bytes: None,
            config: None,
            platforms: Vec::new(),
        }
    }
}

/// The configs that say a platform.
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

impl Facts {
    /// What a document of this media type says; what cannot be read is left out.
    pub fn of(media_type: &MediaType, body: &[u8]) -> Self {
        let document = Document::read(body).unwrap_or_default();
        match media_type.as_str() {
            MediaType::OCI_INDEX | MediaType::DOCKER_LIST => Self::of_index(&document),
            _ => Self::of_image(&document),
        }
    }

    fn of_index(document: &Document<'_>) -> Self {
        let children = &document.manifests;
        let types = children.iter().filter_map(|child| child.media_type.as_deref());
        let cache = Kind::of_types(types) == Some(Kind::Cache);
        let platforms = children.iter().filter_map(|child| Some((child.digest?, child.platform()?)));
        Self {
            kind: if cache { Kind::Cache } else { Kind::Index },
            config_type: None,
            pull_bytes: cache.then(|| bytes(children.iter())),
            config: None,
            platforms: platforms.take(MAX_PLATFORMS).collect(),
        }
    }

    fn of_image(document: &Document<'_>) -> Self {
        let content = || document.config.iter().chain(&document.layers).chain(&document.blobs);
        let types = content().filter_map(|part| part.media_type.as_deref());
        let said = document.artifact_type.as_deref().filter(|kind| !kind.is_empty());
        let config = document.config.as_ref();
        let config_type = config.and_then(|config| config.media_type.as_deref());
        let is_image = said.is_none()
            && config_type.is_some_and(|kind| CONFIGS.iter().any(|known| known.eq_ignore_ascii_case(kind)));
        let kind = match Kind::of_types(said.into_iter().chain(types)) {
            Some(Kind::Signature) if document.is_statement() => Kind::Attestation,
            Some(kind) => kind,
            None if is_image => Kind::Image,
            None => Kind::Artifact,
        };
        Self {
            kind,
            config_type: config_type.map(text),
            pull_bytes: Some(bytes(content())),
            config: config.filter(|_| kind == Kind::Image).and_then(|config| config.digest),
            platforms: Vec::new(),
        }
    }
}

/// So much of a text as is noted.
fn text(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The sizes of what is described, each digest once.
fn bytes<'a, 'd: 'a>(parts: impl Iterator<Item = &'a Descriptor<'d>>) -> u64 {
    let sizes: BTreeMap<Digest, u64> =
        parts.filter_map(|part| Some((part.digest?, part.size.unwrap_or_default()))).collect();
    sizes.into_values().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;

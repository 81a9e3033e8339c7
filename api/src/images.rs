//! Tags and what they point at, as they go over the wire.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A tag.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TagModel {
    /// Its name.
    pub name: String,
    /// What it points at.
    pub digest: String,
    /// The manifest's media type.
    pub media_type: String,
    /// What the manifest is for, as it says itself: `artifactType`, or the config's media type.
    pub artifact_type: Option<String>,
    /// When the tag was set.
    pub updated_at: String,
    /// When the manifest was pushed last.
    pub pushed_at: String,
    /// What people look for in the manifest; nothing for the moment in which it was not read yet.
    #[serde(flatten)]
    pub facts: Option<FactsModel>,
}

/// A page of a repository's tags.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TagList {
    /// How many the repository has, unless `q` asks for some of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Those of this page.
    pub items: Vec<TagModel>,
    /// Where the next page begins, unless this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What people look for in a manifest.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FactsModel {
    /// `image`, `index`, `chart`, `signature`, `sbom`, `attestation`, `cache`, or `artifact` for anything else.
    pub kind: Cow<'static, str>,
    /// The media type of the config.
    pub config_type: Option<String>,
    /// The bytes of its config and layers, each once; nothing of an index, which has them for each platform.
    pub pull_bytes: Option<u64>,
    /// What it can be pulled for.
    pub platforms: Vec<PlatformModel>,
    /// When it was made, as its builder says.
    pub created_at: Option<String>,
    /// Who pushed it last; nothing where that was before it was noted.
    pub pushed_by: Option<String>,
    /// Of its annotations, and of its config's labels, those that people look for, without `org.opencontainers.image.`.
    pub annotations: BTreeMap<String, String>,
}

/// A platform that something can be pulled for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PlatformModel {
    /// `os/architecture`, and the variant where there is one.
    pub platform: String,
    /// The image for it.
    pub digest: String,
    /// The bytes of its config and layers, each once; nothing when it is not here.
    pub pull_bytes: Option<u64>,
}

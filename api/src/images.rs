//! Tags and what they point at, as they go over the wire.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::List;

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

/// A tag, and when it was set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SetTagModel {
    /// Its name.
    pub name: String,
    /// When it was set.
    pub updated_at: String,
}

/// A manifest.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ManifestModel {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// What it is for, as it says itself: `artifactType`, or the config's media type.
    pub artifact_type: Option<String>,
    /// The manifest that it is about.
    pub subject: Option<String>,
    /// What holds it, the first that does: `tagged` by a tag, `child` by another manifest, `referrer` by its subject, which is here or
    /// has never been, `untagged` by nothing.
    pub state: Cow<'static, str>,
    /// The bytes of the manifest alone.
    pub manifest_bytes: u64,
    /// When it was pushed last.
    pub pushed_at: String,
    /// The first of its tags by name, ten in a list; no more than 10 000 are counted.
    pub tags: List<SetTagModel>,
    /// What people look for in it; nothing for the moment in which it was not read yet.
    #[serde(flatten)]
    pub facts: Option<FactsModel>,
}

/// A page of a repository's manifests.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ManifestList {
    /// How many there are; of one state no more than 10 000 are counted.
    pub total: u64,
    /// Those of this page.
    pub items: Vec<ManifestModel>,
    /// Where the next page begins, unless this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A config or a layer, as its manifest describes it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LayerModel {
    /// Its digest.
    pub digest: Option<String>,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its size.
    pub bytes: Option<u64>,
    /// Whether the repository shows it.
    pub is_here: bool,
    /// In how many repositories it is; only administrators are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repositories: Option<u64>,
}

/// A manifest that an index names.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ChildModel {
    /// Its digest.
    pub digest: Option<String>,
    /// Its media type.
    pub media_type: Option<String>,
    /// What the index says that it is for.
    pub platform: Option<String>,
    /// The bytes of the manifest alone.
    pub manifest_bytes: Option<u64>,
    /// Whether the repository has it.
    pub is_here: bool,
    /// What it is, where it is here.
    pub kind: Option<Cow<'static, str>>,
    /// The bytes of its config and layers, each once; nothing when it is not here.
    pub pull_bytes: Option<u64>,
}

/// Another manifest of the repository.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct NeighbourModel {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// What it is for, as it says itself.
    pub artifact_type: Option<String>,
    /// What it is.
    pub kind: Option<Cow<'static, str>>,
}

/// The manifests that are about a manifest.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ReferrersModel {
    /// The first by digest, and how many there are.
    #[serde(flatten)]
    pub list: List<NeighbourModel>,
    /// How many of them are of each kind.
    pub kinds: BTreeMap<String, u64>,
}

/// A manifest with what is around it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ManifestDetail {
    /// The manifest.
    #[serde(flatten)]
    pub manifest: ManifestModel,
    /// Its config.
    pub config: Option<LayerModel>,
    /// Its layers, or the blobs of an artifact, in its order.
    pub layers: List<LayerModel>,
    /// The manifests that it names, if it is an index, in its order.
    pub children: List<ChildModel>,
    /// The manifests that name it.
    pub parents: List<NeighbourModel>,
    /// The manifests whose subject it is.
    pub referrers: ReferrersModel,
}

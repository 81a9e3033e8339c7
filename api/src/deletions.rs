//! Several things deleted at once, as it goes over the wire.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::List;

/// What shall be deleted from a repository.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewDeletions {
    /// Tags; their manifests stay.
    pub tags: Vec<String>,
    /// Digests of manifests, which go with all their tags.
    pub manifests: Vec<String>,
    /// Whether each manifest goes along that nothing holds any more when those are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_untagged: Option<bool>,
    /// Whether nothing is done, and only told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// One thing that is deleted, or cannot be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeletionItemModel {
    /// The tag; nothing for a manifest.
    pub tag: Option<String>,
    /// The manifest, or what the tag points at.
    pub digest: Option<String>,
    /// Whether it was named, and does not go along with something else.
    pub is_named: bool,
    /// `tag_removed`, `manifest_deleted` or `refused`.
    pub outcome: Cow<'static, str>,
    /// Why it cannot be deleted: `not_found`; `tags_are_kept`, for a tag whose manifest stays, where tags alone are not deleted;
    /// `child`, for a manifest that one of `parents` needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of a tag: whether its manifest stays without any.
    pub leaves_untagged: bool,
    /// Of a tag: the others of its manifest, which stay. Of a manifest: those that go with it. Ten are named.
    pub tags: List<String>,
    /// The manifests that stay and hold the manifest. Ten are named.
    pub parents: List<String>,
}

/// What a deletion does, or did.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeletionsModel {
    /// Whether it was only to be told.
    pub dry_run: bool,
    /// Whether it was done.
    pub is_done: bool,
    /// Whether something of it cannot be done, so that nothing is.
    pub is_refused: bool,
    /// How many tags were named that go.
    pub tags_removed: u64,
    /// How many manifests go.
    pub manifests_deleted: u64,
    /// Blobs that nothing needs any more in any repository.
    pub freed_blobs: u64,
    /// Their bytes, which a sweep frees when `grace` is over.
    pub freed_bytes: u64,
    /// Each thing: what was named first, in that order, tags before manifests.
    pub items: Vec<DeletionItemModel>,
    /// The manifests that stay and that nothing holds any more. A hundred are named.
    pub left_untagged: List<String>,
}

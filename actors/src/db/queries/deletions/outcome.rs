//! What is asked of a deletion, and what it does.

use crate::db::queries::manifest_pages::Beginning;
use crate::domain::{Digest, RepositoryName, Tag};

/// What is to be deleted.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// Where.
    pub repository: RepositoryName,
    /// These tags. Their manifests stay.
    pub tags: Vec<Tag>,
    /// These manifests with all their tags.
    pub manifests: Vec<Digest>,
    /// And each manifest that nothing holds any more when those are gone: that of a tag, a child of an index, a referrer.
    pub with_untagged: bool,
    /// Whether a tag may go whose manifest stays.
    pub may_untag: bool,
}

/// Why something cannot be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// It is not there.
    NotFound,
    /// A tag of a manifest that stays, where tags alone are not deleted.
    TagsAreKept,
    /// A manifest that stays needs it.
    Child,
}

impl Obstacle {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::TagsAreKept => "tags_are_kept",
            Self::Child => "child",
        }
    }
}

/// What happens to one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The tag goes.
    TagRemoved,
    /// The manifest goes with all its tags.
    ManifestDeleted,
    /// It cannot be deleted.
    Refused(Obstacle),
}

/// One thing that is deleted, or cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The tag; none of a manifest.
    pub tag: Option<Tag>,
    /// The manifest, or what the tag points at; none of a tag that is not there.
    pub digest: Option<String>,
    /// Whether it was named, and does not go with something else.
    pub is_named: bool,
    /// What happens to it.
    pub outcome: Outcome,
    /// Of a tag: whether its manifest stays without any.
    pub leaves_untagged: bool,
    /// Of a tag: the others of its manifest, which stay. Of a manifest: those that go with it.
    pub tags: Beginning<String>,
    /// The manifests that stay and hold the manifest.
    pub parents: Beginning<String>,
}

/// What a deletion does, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletions {
    /// Whether it was done.
    pub is_done: bool,
    /// Each thing: what was named first, in that order, tags before manifests.
    pub items: Vec<Item>,
    /// The manifests that stay and that nothing holds any more.
    pub left: Beginning<String>,
    /// Blobs that nothing needs any more in any repository.
    pub freed_blobs: u64,
    /// Their bytes, which a sweep frees when their `grace` is over.
    pub freed_bytes: u64,
}

impl Deletions {
    /// Whether something cannot be deleted, so that nothing is.
    pub fn is_refused(&self) -> bool {
        self.items.iter().any(|item| matches!(item.outcome, Outcome::Refused(_)))
    }
}

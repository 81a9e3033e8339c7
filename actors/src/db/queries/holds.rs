//! What holds what. The one place that says it: the collector takes what nothing of this holds, a dry run and a preview foresee by
//! it, and whoever asks why something is kept is answered from it.
//!
//! `?1` is the row of the manifest, or of the blob.

/// The tags that point at a manifest.
pub(super) const TAGS: &str = "SELECT name FROM tags
  WHERE manifest_id = ?1 AND repository_id = (SELECT repository_id FROM manifests WHERE id = ?1)";

/// The manifests that hold a manifest.
pub(super) const PARENTS: &str = "SELECT manifest_references.manifest_id FROM manifests
  CROSS JOIN manifest_references ON manifest_references.repository_id = manifests.repository_id
                                AND manifest_references.digest = manifests.digest
  WHERE manifests.id = ?1 AND holds = 1";

/// The subject of a manifest, if it is here.
pub(super) const SUBJECT: &str = "SELECT subjects.id FROM manifests
  CROSS JOIN manifests AS subjects ON subjects.repository_id = manifests.repository_id
                                  AND subjects.digest = manifests.subject
  WHERE manifests.id = ?1";

/// The manifests that a manifest holds and that are here.
pub(super) const CHILDREN: &str = "SELECT manifests.id FROM manifest_references
  CROSS JOIN manifests ON manifests.repository_id = manifest_references.repository_id
                      AND manifests.digest = manifest_references.digest
  WHERE manifest_references.manifest_id = ?1 AND holds = 1";

/// The manifests whose subject a manifest is.
pub(super) const REFERRERS: &str = "SELECT referrers.id FROM manifests
  CROSS JOIN manifests AS referrers ON referrers.repository_id = manifests.repository_id
                                   AND referrers.subject = manifests.digest
  WHERE manifests.id = ?1";

/// The blobs that a manifest refers to, each with its repository.
pub(super) const REFERENCES: &str =
    "SELECT manifest_references.repository_id, blobs.id FROM manifest_references
  CROSS JOIN blobs ON blobs.digest = manifest_references.digest
  WHERE manifest_references.manifest_id = ?1 AND manifest_references.dropped = 0";

/// The manifests of a repository, `?2`, that refer to a blob.
pub(super) const REFERRING: &str = "SELECT manifest_id FROM manifest_references
  WHERE manifest_references.repository_id = ?2 AND dropped = 0
    AND digest = (SELECT digest FROM blobs WHERE id = ?1)";

/// The repositories that show a blob.
pub(super) const LINKS: &str = "SELECT repository_id FROM repository_blobs WHERE blob_id = ?1";

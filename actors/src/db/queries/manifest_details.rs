//! One manifest with all that people ask of it: what it consists of, what points at it, what is about it.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::manifest_pages::{Beginning, COUNTED, ManifestState, ManifestSummary, summary};
use super::repositories::{self, RepositoryId};
use crate::db::{DbError, ReadQuery};
use crate::domain::{Contents, Digest, Kind, Part, RepositoryName};

/// Most tags, parents and referrers that are named.
const NAMED: usize = 100;
/// Most layers and children that are described.
const PARTS: usize = 1000;

/// Describes a manifest; `None` when it is not there.
#[derive(Debug)]
pub struct DescribeManifest {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub digest: Digest,
}

/// Another manifest of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// What its type is for.
    pub artifact_type: Option<String>,
    /// What it is; nothing until it was read.
    pub kind: Option<Kind>,
}

/// A manifest that an index names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// What the index says of it.
    pub part: Part,
    /// Whether the repository has it.
    pub is_here: bool,
    /// What it is; nothing when it is not here, or was not read yet.
    pub kind: Option<Kind>,
    /// The bytes of its config and layers; nothing when it is not here, or an index itself.
    pub pull_bytes: Option<u64>,
}

/// A config or a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What the manifest says of it.
    pub part: Part,
    /// Whether the repository shows it.
    pub is_here: bool,
    /// In how many repositories it is; none when there is no such blob.
    pub repositories: u64,
}

/// The manifests whose subject a manifest is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Referrers {
    /// The first by digest, and how many there are.
    pub list: Beginning<Neighbour>,
    /// How many of them are of each kind.
    pub kinds: BTreeMap<Kind, u64>,
}

/// A manifest with what is around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestDetails {
    /// What a list says of it, with more of its tags.
    pub summary: ManifestSummary,
    /// The manifests that it is a child of.
    pub parents: Beginning<Neighbour>,
    /// The manifests of an index, in its order.
    pub children: Beginning<Child>,
    /// The manifests that are about it.
    pub referrers: Referrers,
    /// Its config.
    pub config: Option<Layer>,
    /// Its layers, in its order.
    pub layers: Beginning<Layer>,
}

const FIND: &str = "SELECT manifests.id, state, body FROM manifests
  CROSS JOIN manifest_ties ON manifest_id = manifests.id
  WHERE manifests.repository_id = ?1 AND digest = ?2";

/// The manifests that hold this one. `?3`: the most.
const PARENTS: &str = "SELECT manifests.digest, media_type, artifact_type,
        (SELECT kind FROM manifest_facts WHERE manifest_facts.manifest_id = manifests.id)
   FROM manifest_references CROSS JOIN manifests ON manifests.id = manifest_references.manifest_id
  WHERE manifest_references.repository_id = ?1 AND manifest_references.digest = ?2 AND holds = 1 LIMIT ?3";

/// The manifests that are about this one. `?3`: the most.
const REFERRERS: &str = "SELECT digest, media_type, artifact_type,
        (SELECT kind FROM manifest_facts WHERE manifest_facts.manifest_id = manifests.id)
   FROM manifests WHERE repository_id = ?1 AND subject = ?2 ORDER BY digest LIMIT ?3";

const CHILD: &str = "SELECT kind, pull_bytes FROM manifests
   LEFT JOIN manifest_facts ON manifest_id = manifests.id
  WHERE manifests.repository_id = ?1 AND digest = ?2";

const LAYER: &str = "SELECT link_count,
        EXISTS (SELECT 1 FROM repository_blobs WHERE repository_id = ?1 AND blob_id = blobs.id)
   FROM blobs WHERE digest = ?2 AND state = 0";

impl ReadQuery for DescribeManifest {
    type Output = Option<ManifestDetails>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let Some(repository) = repositories::find(db, &self.repository)? else { return Ok(None) };
        let digest = self.digest.to_string();
        let found: Option<(i64, usize, Vec<u8>)> = db
            .prepare_cached(FIND)?
            .query_row((repository.0, &digest), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((id, state, body)) = found else { return Ok(None) };
        let Contents { config, layers, children } = Contents::of(&body);
        let around = Around { db, repository };
        Ok(Some(ManifestDetails {
            summary: summary(db, repository, (id, ManifestState::of(state)?), NAMED)?,
            parents: around.neighbours(PARENTS, &digest)?.list,
            referrers: around.neighbours(REFERRERS, &digest)?,
            children: first(children, |child| around.child(child))?,
            config: config.map(|config| around.layer(config)).transpose()?,
            layers: first(layers, |layer| around.layer(layer))?,
        }))
    }
}

/// Describes the first of the parts.
fn first<T>(
    parts: Vec<Part>,
    describe: impl Fn(Part) -> Result<T, DbError>,
) -> Result<Beginning<T>, DbError> {
    let total = parts.len() as u64;
    let items = parts.into_iter().take(PARTS).map(describe).collect::<Result<_, _>>()?;
    Ok(Beginning { items, total })
}

/// What is around a manifest of a repository.
struct Around<'a> {
    db: &'a Connection,
    repository: RepositoryId,
}

impl Around<'_> {
    /// The manifests that `sql` finds for a digest: the first, and how many of each kind.
    fn neighbours(&self, sql: &str, digest: &str) -> Result<Referrers, DbError> {
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query((self.repository.0, digest, COUNTED))?;
        let mut found = Referrers::default();
        while let Some(row) = rows.next()? {
            let kind = row.get::<_, Option<String>>(3)?.map(|kind| kind.parse().unwrap_or(Kind::Artifact));
            found.list.total += 1;
            *found.kinds.entry(kind.unwrap_or(Kind::Artifact)).or_default() += 1;
            if found.list.items.len() < NAMED {
                let (digest, media_type, artifact_type) = (row.get(0)?, row.get(1)?, row.get(2)?);
                found.list.items.push(Neighbour { digest, media_type, artifact_type, kind });
            }
        }
        Ok(found)
    }

    fn child(&self, part: Part) -> Result<Child, DbError> {
        let found: Option<(Option<String>, Option<u64>)> = self
            .db
            .prepare_cached(CHILD)?
            .query_row((self.repository.0, written(&part)), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let is_here = found.is_some();
        let (kind, pull_bytes) = found.unwrap_or_default();
        let kind = kind.map(|kind| kind.parse().unwrap_or(Kind::Artifact));
        Ok(Child { part, is_here, kind, pull_bytes })
    }

    fn layer(&self, part: Part) -> Result<Layer, DbError> {
        let found: Option<(u64, bool)> = self
            .db
            .prepare_cached(LAYER)?
            .query_row((self.repository.0, written(&part)), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (repositories, is_here) = found.unwrap_or_default();
        Ok(Layer { part, is_here, repositories })
    }
}

/// The digest as it is stored; no row has an empty one.
fn written(part: &Part) -> String {
    part.digest.map(|digest| digest.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! What a deletion does, found out before it is done.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension};

use super::outcome::{Deletion, Deletions, Item, Obstacle, Outcome};
use crate::db::DbError;
use crate::db::queries::holds::{CHILDREN, PARENTS, REFERENCES, REFERRERS, SUBJECT, TAGS};
use crate::db::queries::manifest_pages::Beginning;
use crate::db::queries::repositories::RepositoryId;
use crate::domain::{Digest, Tag};

/// Most rows that are looked at: tags, manifests, references. They are as many as the writer has to change, which keeps all others
/// waiting meanwhile.
const MOST: usize = 20_000;
/// Most tags and parents that are named of one thing.
const NAMED: usize = 10;
/// Most manifests that are named of those that are left.
const LEFT: usize = 100;

/// What a deletion does.
pub(super) struct Plan {
    /// As it is told.
    pub(super) deletions: Deletions,
    /// The rows of the manifests that go.
    pub(super) gone: Vec<i64>,
}

/// Why there is no plan.
enum Stop {
    TooMuch,
    Db(DbError),
}

impl<E: Into<DbError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Db(error.into())
    }
}

impl Plan {
    /// Finds out what happens; nothing is told when that is too much for one transaction.
    pub(super) fn make(
        db: &Connection,
        repository: RepositoryId,
        deletion: &Deletion,
    ) -> Result<Option<Self>, DbError> {
        let planner = Planner {
            db,
            repository,
            looked: 0,
            tags: HashMap::new(),
            gone: Vec::new(),
            going: HashSet::new(),
        };
        match planner.plan(deletion) {
            Ok(plan) => Ok(Some(plan)),
            Err(Stop::TooMuch) => Ok(None),
            Err(Stop::Db(error)) => Err(error),
        }
    }
}

/// The tags of a manifest.
#[derive(Default)]
struct TagsOf {
    /// Those that stay, as long as the manifest does.
    staying: HashSet<String>,
    /// All of them, by name.
    all: Vec<String>,
}

struct Planner<'a> {
    db: &'a Connection,
    repository: RepositoryId,
    /// How many rows were looked at.
    looked: usize,
    tags: HashMap<i64, TagsOf>,
    /// The manifests that go, in order, and the same as a set.
    gone: Vec<i64>,
    going: HashSet<i64>,
}

impl Planner<'_> {
    fn plan(mut self, deletion: &Deletion) -> Result<Plan, Stop> {
        let tags = distinct(&deletion.tags).map(|tag| {
            let manifest = self.tagged(&tag)?;
            Ok((tag, manifest))
        });
        let tags = tags.collect::<Result<Vec<_>, Stop>>()?;
        let named = distinct(&deletion.manifests).map(|digest| Ok((digest, self.manifest(&digest)?)));
        let named = named.collect::<Result<Vec<_>, Stop>>()?;
        for (tag, manifest) in &tags {
            if let Some(manifest) = manifest {
                self.tags_of(*manifest)?.staying.remove(tag.as_str());
            }
        }
        let mut loose = Vec::new();
        for manifest in named.iter().filter_map(|(_, manifest)| *manifest) {
            loose.extend(self.go(manifest)?);
        }
        loose.extend(tags.iter().filter_map(|(_, manifest)| *manifest));
        let left = self.untagged(loose, deletion.with_untagged)?;
        let mut items = Vec::new();
        for (tag, manifest) in tags {
            items.push(self.tag_item(tag, manifest, deletion.may_untag)?);
        }
        for (digest, manifest) in &named {
            items.push(self.manifest_item(digest.to_string(), *manifest, true)?);
        }
        let named: HashSet<i64> = named.into_iter().filter_map(|(_, manifest)| manifest).collect();
        for manifest in self.gone.clone().into_iter().filter(|manifest| !named.contains(manifest)) {
            items.push(self.manifest_item(self.digest(manifest)?, Some(manifest), false)?);
        }
        let (freed_blobs, freed_bytes) = self.freed()?;
        let left = self.beginning(&left, LEFT)?;
        let deletions = Deletions { is_done: false, items, left, freed_blobs, freed_bytes };
        Ok(Plan { deletions, gone: self.gone })
    }

    /// Counts rows that were looked at.
    fn look(&mut self, rows: usize) -> Result<(), Stop> {
        self.looked += rows;
        if self.looked > MOST { Err(Stop::TooMuch) } else { Ok(()) }
    }

    /// What `sql` finds for a row, which is at most as much as may be looked at.
    fn ids(&mut self, sql: &str, id: i64) -> Result<Vec<i64>, Stop> {
        let mut statement = self.db.prepare_cached(&format!("{sql} LIMIT ?2"))?;
        let found = statement.query_map((id, MOST), |row| row.get(0))?;
        let found = found.collect::<Result<Vec<i64>, _>>()?;
        self.look(found.len())?;
        Ok(found)
    }

    /// What a tag points at.
    fn tagged(&mut self, tag: &Tag) -> Result<Option<i64>, Stop> {
        self.look(1)?;
        let sql = "SELECT manifest_id FROM tags WHERE repository_id = ?1 AND name = ?2";
        let of = (self.repository.0, tag.as_str());
        Ok(self.db.prepare_cached(sql)?.query_row(of, |row| row.get(0)).optional()?)
    }

    fn manifest(&mut self, digest: &Digest) -> Result<Option<i64>, Stop> {
        self.look(1)?;
        let sql = "SELECT id FROM manifests WHERE repository_id = ?1 AND digest = ?2";
        let of = (self.repository.0, digest.to_string());
        Ok(self.db.prepare_cached(sql)?.query_row(of, |row| row.get(0)).optional()?)
    }

    fn digest(&self, manifest: i64) -> Result<String, Stop> {
        let sql = "SELECT digest FROM manifests WHERE id = ?1";
        Ok(self.db.prepare_cached(sql)?.query_row([manifest], |row| row.get(0))?)
    }

    fn tags_of(&mut self, manifest: i64) -> Result<&mut TagsOf, Stop> {
        if !self.tags.contains_key(&manifest) {
            let mut statement = self.db.prepare_cached(&format!("{TAGS} ORDER BY name LIMIT ?2"))?;
            let all = statement.query_map((manifest, MOST), |row| row.get(0))?;
            let all = all.collect::<Result<Vec<String>, _>>()?;
            self.look(all.len())?;
            self.tags.insert(manifest, TagsOf { staying: all.iter().cloned().collect(), all });
        }
        Ok(self.tags.entry(manifest).or_default())
    }

    /// Lets a manifest go; answers those that it held.
    fn go(&mut self, manifest: i64) -> Result<Vec<i64>, Stop> {
        self.gone.push(manifest);
        self.going.insert(manifest);
        let mut held = self.ids(CHILDREN, manifest)?;
        held.extend(self.ids(REFERRERS, manifest)?);
        Ok(held)
    }

    /// Of manifests that lost something that held them, those that nothing holds any more and that stay. Where they go too, none
    /// stays, and those go that they held, and so on.
    fn untagged(&mut self, mut lost: Vec<i64>, they_go: bool) -> Result<Vec<i64>, Stop> {
        let (mut left, mut seen) = (Vec::new(), HashSet::new());
        while let Some(manifest) = lost.pop() {
            if self.going.contains(&manifest) || self.is_held(manifest)? {
                continue;
            }
            if they_go {
                lost.extend(self.go(manifest)?);
            } else if seen.insert(manifest) {
                left.push(manifest);
            }
        }
        left.sort_unstable();
        Ok(left)
    }

    /// Whether something holds a manifest that stays. A subject that has never been is waited for.
    fn is_held(&mut self, manifest: i64) -> Result<bool, Stop> {
        if !self.tags_of(manifest)?.staying.is_empty() || !self.parents(manifest)?.is_empty() {
            return Ok(true);
        }
        let sql = "SELECT subject_state = 1 FROM manifest_ties WHERE manifest_id = ?1";
        let waits = self.db.prepare_cached(sql)?.query_row([manifest], |row| row.get(0))?;
        let subject = self.ids(SUBJECT, manifest)?;
        Ok(waits || subject.iter().any(|subject| !self.going.contains(subject)))
    }

    /// The manifests that stay and hold this one.
    fn parents(&mut self, manifest: i64) -> Result<Vec<i64>, Stop> {
        let parents = self.ids(PARENTS, manifest)?;
        Ok(parents.into_iter().filter(|parent| !self.going.contains(parent)).collect())
    }

    /// The digests of the first of these.
    fn beginning(&self, manifests: &[i64], most: usize) -> Result<Beginning<String>, Stop> {
        let items = manifests.iter().take(most).map(|manifest| self.digest(*manifest));
        Ok(Beginning { items: items.collect::<Result<_, _>>()?, total: manifests.len() as u64 })
    }

    fn tag_item(&mut self, tag: Tag, manifest: Option<i64>, may_untag: bool) -> Result<Item, Stop> {
        let Some(manifest) = manifest else { return Ok(missing(Some(tag), None)) };
        let stays = !self.going.contains(&manifest);
        let parents = if stays { self.parents(manifest)? } else { Vec::new() };
        let of = self.tags_of(manifest)?;
        let others = of.all.iter().filter(|name| stays && of.staying.contains(*name));
        let tags = first(others.cloned().collect());
        let outcome = match stays && !may_untag {
            true => Outcome::Refused(Obstacle::TagsAreKept),
            false => Outcome::TagRemoved,
        };
        Ok(Item {
            digest: Some(self.digest(manifest)?),
            is_named: true,
            outcome,
            leaves_untagged: stays && tags.total == 0,
            tags,
            parents: self.beginning(&parents, NAMED)?,
            tag: Some(tag),
        })
    }

    fn manifest_item(&mut self, digest: String, manifest: Option<i64>, is_named: bool) -> Result<Item, Stop> {
        let Some(manifest) = manifest else { return Ok(missing(None, Some(digest))) };
        let parents = self.parents(manifest)?;
        let outcome = match parents.is_empty() {
            true => Outcome::ManifestDeleted,
            false => Outcome::Refused(Obstacle::Child),
        };
        Ok(Item {
            tag: None,
            digest: Some(digest),
            is_named,
            outcome,
            leaves_untagged: false,
            tags: first(self.tags_of(manifest)?.all.clone()),
            parents: self.beginning(&parents, NAMED)?,
        })
    }

    /// The blobs that no manifest of any repository refers to any more, and their bytes.
    fn freed(&mut self) -> Result<(u64, u64), Stop> {
        let mut lost: HashMap<i64, u64> = HashMap::new();
        for manifest in self.gone.clone() {
            let mut references = self.db.prepare_cached(REFERENCES)?;
            let blobs = references.query_map([manifest], |row| row.get(1))?;
            let blobs = blobs.collect::<Result<Vec<i64>, _>>()?;
            self.look(blobs.len() + 1)?;
            blobs.into_iter().for_each(|blob| *lost.entry(blob).or_default() += 1);
        }
        let mut size = self.db.prepare_cached(FREED)?;
        let (mut blobs, mut bytes) = (0, 0_u64);
        for (blob, lost) in lost {
            let of = (blob, self.repository.0, lost);
            if let Some(size) = size.query_row(of, |row| row.get::<_, u64>(0)).optional()? {
                (blobs, bytes) = (blobs + 1, bytes.saturating_add(size));
            }
        }
        Ok((blobs, bytes))
    }
}

/// The size of a blob, `?1`, that is here and that nothing needs any more when the repository `?2` loses `?3` references to it.
pub(super) const FREED: &str = "SELECT size FROM blobs WHERE id = ?1 AND state = 0
  AND EXISTS (SELECT 1 FROM repository_blobs
               WHERE blob_id = ?1 AND repository_id = ?2 AND reference_count <= ?3)
  AND NOT EXISTS (SELECT 1 FROM repository_blobs
                   WHERE blob_id = ?1 AND repository_id <> ?2 AND reference_count > 0)";

/// What is not there.
fn missing(tag: Option<Tag>, digest: Option<String>) -> Item {
    Item {
        tag,
        digest,
        is_named: true,
        outcome: Outcome::Refused(Obstacle::NotFound),
        leaves_untagged: false,
        tags: Beginning::default(),
        parents: Beginning::default(),
    }
}

/// The first of some names.
fn first(mut names: Vec<String>) -> Beginning<String> {
    let total = names.len() as u64;
    names.truncate(NAMED);
    Beginning { items: names, total }
}

/// Each once, in the order of their first places.
fn distinct<T: Clone + Eq + std::hash::Hash>(all: &[T]) -> impl Iterator<Item = T> {
    let mut seen = HashSet::new();
    all.iter().filter(move |one| seen.insert((*one).clone())).cloned().collect::<Vec<_>>().into_iter()
}

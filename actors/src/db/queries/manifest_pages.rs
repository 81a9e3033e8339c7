//! A repository's manifests by what holds them, newest first, page by page: those without a tag are found, too.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, Row};

use super::facts::{self, Summary};
use super::repositories::{self, RepositoryId};
use crate::db::{DbError, ReadQuery};
use crate::domain::{RepositoryName, Timestamp};

/// Most of anything that are counted; a list that is longer has at least so many.
pub const COUNTED: u64 = 10_000;
/// Most tags that a list names of each manifest.
const TAGS: usize = 10;

/// What holds a manifest, the first that does. Each manifest has one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestState {
    /// A tag.
    Tagged,
    /// Another manifest, such as an index.
    Child,
    /// Its subject, which is here or has never been.
    Referrer,
    /// Nothing: a sweep takes it where sweeps take untagged manifests.
    Untagged,
}

impl ManifestState {
    /// All of them, in the order of their numbers in the database.
    pub const ALL: [Self; 4] = [Self::Tagged, Self::Child, Self::Referrer, Self::Untagged];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tagged => "tagged",
            Self::Child => "child",
            Self::Referrer => "referrer",
            Self::Untagged => "untagged",
        }
    }

    /// That of a number in the database.
    pub(super) fn of(number: usize) -> Result<Self, DbError> {
        let corrupt = || DbError::Corrupt { what: "state of a manifest", value: number.to_string() };
        Self::ALL.get(number).copied().ok_or_else(corrupt)
    }

    fn number(self) -> Option<usize> {
        Self::ALL.iter().position(|state| *state == self)
    }
}

impl fmt::Display for ManifestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// It is none of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such state of a manifest")]
pub struct NoState;

impl FromStr for ManifestState {
    type Err = NoState;

    fn from_str(word: &str) -> Result<Self, NoState> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or(NoState)
    }
}

/// The first of a list, and how many it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning<T> {
    /// The first.
    pub items: Vec<T>,
    /// How many there are; no more than [`COUNTED`] are counted.
    pub total: u64,
}

impl<T> Default for Beginning<T> {
    /// That of a list of nothing.
    fn default() -> Self {
        Self { items: Vec::new(), total: 0 }
    }
}

/// A tag, and when it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetTag {
    /// The tag.
    pub name: String,
    /// When it was set.
    pub updated_at: Timestamp,
}

/// A manifest as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestSummary {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// What its type is for: `artifactType`, or the config's media type.
    pub artifact_type: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// Its own size in bytes.
    pub size: u64,
    /// When it was pushed last.
    pub pushed_at: Timestamp,
    /// What holds it.
    pub state: ManifestState,
    /// The first of its tags by name.
    pub tags: Beginning<SetTag>,
    /// What people look for in it; nothing until it was read.
    pub facts: Option<Summary>,
}

/// A place in a list of manifests, of whichever state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestPlace {
    /// When the manifest was pushed.
    pub pushed_at: Timestamp,
    /// Its row.
    pub id: i64,
}

/// A page of a repository's manifests; `None` when there is no such repository.
#[derive(Debug)]
pub struct PageManifests {
    /// Where.
    pub repository: RepositoryName,
    /// Only those that are held so; all when nothing is said.
    pub state: Option<ManifestState>,
    /// Where the page begins: what comes after this.
    pub after: Option<ManifestPlace>,
    /// Most manifests.
    pub limit: usize,
}

/// A page of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestPage {
    /// The manifests.
    pub manifests: Vec<ManifestSummary>,
    /// How many there are; of one state no more than [`COUNTED`] are counted.
    pub total: u64,
    /// After what the next page begins, unless this was the last.
    pub next: Option<ManifestPlace>,
}

/// `?1`: the repository. `?2`, `?3`: the time and the row after which the page begins. `?4`: the most rows.
const ALL: &str = "SELECT manifest_id, pushed_at, state FROM manifest_ties
  WHERE repository_id = ?1 AND (pushed_at, manifest_id) < (?2, ?3)
  ORDER BY pushed_at DESC, manifest_id DESC LIMIT ?4";
/// The same of one state, `?5`.
const OF_STATE: &str = "SELECT manifest_id, pushed_at, state FROM manifest_ties
  WHERE repository_id = ?1 AND state = ?5 AND (pushed_at, manifest_id) < (?2, ?3)
  ORDER BY pushed_at DESC, manifest_id DESC LIMIT ?4";
/// How many there are of one state. `?3`: the most that are counted.
const COUNT: &str = "SELECT count(*) FROM
  (SELECT 1 FROM manifest_ties WHERE repository_id = ?1 AND state = ?2 LIMIT ?3)";

/// The place of a manifest, and the number of its state.
type Found = (ManifestPlace, usize);

impl PageManifests {
    fn sql(&self) -> &'static str {
        if self.state.is_some() { OF_STATE } else { ALL }
    }

    /// The page's rows, and one more if there is one.
    fn find(&self, db: &Connection, repository: RepositoryId) -> Result<Vec<Found>, DbError> {
        let newest = ManifestPlace { pushed_at: Timestamp::from_millis(i64::MAX), id: i64::MAX };
        let ManifestPlace { pushed_at, id } = self.after.unwrap_or(newest);
        let (time, rows) = (pushed_at.as_millis(), self.limit.saturating_add(1));
        let mut statement = db.prepare_cached(self.sql())?;
        let found = match self.state {
            Some(state) => {
                let of = (repository.0, time, id, rows, state.number());
                statement.query_map(of, place)?.collect::<Result<_, _>>()?
            }
            None => statement.query_map((repository.0, time, id, rows), place)?.collect::<Result<_, _>>()?,
        };
        Ok(found)
    }

    fn count(&self, db: &Connection, repository: RepositoryId) -> Result<u64, DbError> {
        Ok(match self.state {
            Some(state) => {
                let of = (repository.0, state.number(), COUNTED);
                db.prepare_cached(COUNT)?.query_row(of, |row| row.get(0))?
            }
            None => db
                .prepare_cached("SELECT manifest_count FROM repositories WHERE id = ?1")?
                .query_row([repository.0], |row| row.get(0))?,
        })
    }
}

fn place(row: &Row<'_>) -> rusqlite::Result<Found> {
    let pushed_at = Timestamp::from_millis(row.get(1)?);
    Ok((ManifestPlace { id: row.get(0)?, pushed_at }, row.get(2)?))
}

impl ReadQuery for PageManifests {
    type Output = Option<ManifestPage>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let Some(repository) = repositories::find(db, &self.repository)? else { return Ok(None) };
        let mut found = self.find(db, repository)?;
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().map(|(place, _)| *place).filter(|_| more);
        let manifests = found.into_iter().map(|(place, state)| {
            let state = ManifestState::of(state)?;
            summary(db, repository, (place.id, state), TAGS)
        });
        let manifests = manifests.collect::<Result<_, DbError>>()?;
        Ok(Some(ManifestPage { manifests, total: self.count(db, repository)?, next }))
    }
}

/// What is known of a manifest, with its first tags.
pub(super) fn summary(
    db: &Connection,
    repository: RepositoryId,
    (id, state): (i64, ManifestState),
    most_tags: usize,
) -> Result<ManifestSummary, DbError> {
    let mut manifest = db
        .prepare_cached(
            "SELECT digest, media_type, artifact_type, subject, size, pushed_at FROM manifests WHERE id = ?1",
        )?
        .query_row([id], |row| {
            Ok(ManifestSummary {
                digest: row.get(0)?,
                media_type: row.get(1)?,
                artifact_type: row.get(2)?,
                subject: row.get(3)?,
                size: row.get(4)?,
                pushed_at: Timestamp::from_millis(row.get(5)?),
                state,
                tags: Beginning::default(),
                facts: None,
            })
        })?;
    manifest.tags = tags(db, repository, id, most_tags)?;
    manifest.facts = facts::summary(db, repository, (id, &manifest.digest))?;
    Ok(manifest)
}

/// The tags of a manifest, by name. Only those of its own repository point at it.
const TAGS_OF: &str = "SELECT name, updated_at FROM tags WHERE manifest_id = ?1 AND repository_id = ?2
  ORDER BY name LIMIT ?3";
/// How many it has.
const COUNT_TAGS: &str =
    "SELECT count(*) FROM (SELECT 1 FROM tags WHERE manifest_id = ?1 AND repository_id = ?2 LIMIT ?3)";

fn tags(
    db: &Connection,
    repository: RepositoryId,
    id: i64,
    limit: usize,
) -> Result<Beginning<SetTag>, DbError> {
    let mut statement = db.prepare_cached(TAGS_OF)?;
    let items = statement
        .query_map((id, repository.0, limit), |row| {
            Ok(SetTag { name: row.get(0)?, updated_at: Timestamp::from_millis(row.get(1)?) })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let is_all = items.len() < limit;
    let total = match is_all {
        true => items.len() as u64,
        false => db.prepare_cached(COUNT_TAGS)?.query_row((id, repository.0, COUNTED), |row| row.get(0))?,
    };
    Ok(Beginning { items, total })
}

#[cfg(test)]
mod tests;

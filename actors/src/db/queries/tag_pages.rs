//! A repository's tags as people look for them: by a part of the name, in the order they choose, page by page.

use rusqlite::{Connection, Row};

use super::descriptions::TagSummary;
use super::facts;
use super::repositories::{self, RepositoryId};
use crate::db::{DbError, ReadQuery};
use crate::domain::{RepositoryName, Timestamp};

/// Most tags looked at for one page, whether they are of it or not.
const EXAMINED: usize = 10_000;

/// The order of a list of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagOrder {
    /// By name, in byte order.
    Name,
    /// What was set last comes first.
    Updated,
}

/// A place in a list of tags, in whichever order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPlace {
    /// The tag's name.
    pub name: String,
    /// When it was set.
    pub updated_at: Timestamp,
}

/// A page of a repository's tags; `None` when there is no such repository.
#[derive(Debug)]
pub struct PageTags {
    /// Where.
    pub repository: RepositoryName,
    /// Only tags whose name has this in it, in any letter case; empty for all.
    pub part: String,
    /// In which order.
    pub order: TagOrder,
    /// Where the page begins: what comes after this.
    pub after: Option<TagPlace>,
    /// Most tags.
    pub limit: usize,
}

/// A page of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPage {
    /// The tags; fewer than were asked for, or none, where many were passed over.
    pub tags: Vec<TagSummary>,
    /// How many the repository has, unless only some are asked for.
    pub total: Option<u64>,
    /// After what the next page begins, unless this was the last.
    pub next: Option<TagPlace>,
}

/// `?1`: the repository. `?2`, `?3`: the name and the time after which the page begins. `?4`: the most rows.
const BY_NAME: &str = "SELECT name, updated_at, manifest_id FROM tags
  WHERE repository_id = ?1 AND name > ?2 ORDER BY name LIMIT ?4";
/// The same, newest first.
const BY_TIME: &str = "SELECT name, updated_at, manifest_id FROM tags
  WHERE repository_id = ?1 AND (updated_at, name) < (?3, ?2) ORDER BY updated_at DESC, name DESC LIMIT ?4";

impl TagOrder {
    fn sql(self) -> &'static str {
        match self {
            Self::Name => BY_NAME,
            Self::Updated => BY_TIME,
        }
    }

    /// Before everything.
    fn start(self) -> TagPlace {
        TagPlace { name: String::new(), updated_at: Timestamp::from_millis(i64::MAX) }
    }
}

/// What is found by going through the list: tags with their manifests' rows, and where to go on.
type Found = (Vec<(TagPlace, i64)>, Option<TagPlace>);

impl PageTags {
    /// Goes through the list until the page is full, or as many were looked at as may be.
    fn find(&self, db: &Connection, repository: RepositoryId) -> Result<Found, DbError> {
        let start = self.after.clone().unwrap_or_else(|| self.order.start());
        let part = self.part.to_ascii_lowercase();
        let mut statement = db.prepare_cached(self.order.sql())?;
        let bounds = (repository.0, start.name, start.updated_at.as_millis(), EXAMINED.saturating_add(1));
        let mut rows = statement.query(bounds)?;
        let (mut found, mut examined) = (Vec::<(TagPlace, i64)>::new(), None);
        for _ in 0..EXAMINED {
            let Some(row) = rows.next()? else { return Ok((found, None)) };
            let (place, manifest) = (place(row)?, row.get(2)?);
            if place.name.to_ascii_lowercase().contains(&part) {
                if found.len() == self.limit {
                    let last = found.last().map(|(place, _)| place.clone());
                    return Ok((found, last));
                }
                found.push((place.clone(), manifest));
            }
            examined = Some(place);
        }
        let more = rows.next()?.is_some();
        Ok((found, examined.filter(|_| more)))
    }
}

fn place(row: &Row<'_>) -> rusqlite::Result<TagPlace> {
    Ok(TagPlace { name: row.get(0)?, updated_at: Timestamp::from_millis(row.get(1)?) })
}

/// A tag with what is known of its manifest.
fn describe(
    db: &Connection,
    repository: RepositoryId,
    (place, manifest): (TagPlace, i64),
) -> Result<TagSummary, DbError> {
    let mut tag = db
        .prepare_cached("SELECT digest, media_type, artifact_type, pushed_at FROM manifests WHERE id = ?1")?
        .query_row([manifest], |row| {
            Ok(TagSummary {
                name: place.name,
                digest: row.get(0)?,
                media_type: row.get(1)?,
                artifact_type: row.get(2)?,
                updated_at: place.updated_at,
                pushed_at: Timestamp::from_millis(row.get(3)?),
                facts: None,
            })
        })?;
    tag.facts = facts::summary(db, repository, (manifest, &tag.digest))?;
    Ok(tag)
}

impl ReadQuery for PageTags {
    type Output = Option<TagPage>;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let Some(repository) = repositories::find(db, &self.repository)? else { return Ok(None) };
        let (found, next) = self.find(db, repository)?;
        let tags =
            found.into_iter().map(|found| describe(db, repository, found)).collect::<Result<_, _>>()?;
        let total = match self.part.is_empty() {
            true => Some(
                db.prepare_cached("SELECT tag_count FROM repositories WHERE id = ?1")?
                    .query_row([repository.0], |row| row.get(0))?,
            ),
            false => None,
        };
        Ok(Some(TagPage { tags, total, next }))
    }
}

#[cfg(test)]
mod tests;

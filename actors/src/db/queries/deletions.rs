//! Several tags and manifests of a repository deleted at once, all or none; and what that would do, before it is done.
//!
//! What happens is foreseen first, and then done as foreseen, in the same transaction: a preview is the first half alone.

mod outcome;
mod plan;

use rusqlite::Connection;

pub use self::outcome::{Deletion, Deletions, Item, Obstacle, Outcome};
use super::manifests;
use super::repositories;
use super::tags::DeleteTag;
use crate::db::{DbError, Growth, ReadQuery, WriteQuery};
use crate::domain::Timestamp;

/// What came of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// There is no such repository.
    NoRepository,
    /// It touches more than one transaction may.
    TooMuch,
    /// This happens or happened; nothing when something of it is refused.
    Deletions(Deletions),
}

/// Says what a deletion would do, and does nothing.
#[derive(Debug, Clone)]
pub struct Preview(pub Deletion);

impl ReadQuery for Preview {
    type Output = Judged;

    fn run(self, db: &Connection) -> Result<Judged, DbError> {
        let Some(repository) = repositories::find(db, &self.0.repository)? else {
            return Ok(Judged::NoRepository);
        };
        let snapshot = db.unchecked_transaction()?;
        let plan = plan::Plan::make(&snapshot, repository, &self.0)?;
        Ok(plan.map_or(Judged::TooMuch, |plan| Judged::Deletions(plan.deletions)))
    }
}

/// Deletes, unless something of it is refused.
#[derive(Debug, Clone)]
pub struct Delete {
    /// What.
    pub deletion: Deletion,
    /// The time: a manifest that loses its last tag is untagged since then.
    pub now: Timestamp,
    /// Until when what it held is kept without a reference.
    pub kept_until: Timestamp,
}

impl WriteQuery for Delete {
    type Output = Judged;
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, tx: &Connection) -> Result<Judged, DbError> {
        let Self { deletion, now, kept_until } = self;
        let Some(repository) = repositories::find(tx, &deletion.repository)? else {
            return Ok(Judged::NoRepository);
        };
        let Some(plan) = plan::Plan::make(tx, repository, &deletion)? else { return Ok(Judged::TooMuch) };
        let mut deletions = plan.deletions;
        if deletions.is_refused() {
            return Ok(Judged::Deletions(deletions));
        }
        for item in &deletions.items {
            if let Some(tag) = &item.tag {
                DeleteTag { repository: deletion.repository.clone(), tag: tag.clone(), now }.run(tx)?;
            }
        }
        for manifest in plan.gone {
            manifests::delete(tx, repository, manifest, kept_until)?;
        }
        deletions.is_done = true;
        Ok(Judged::Deletions(deletions))
    }
}

#[cfg(test)]
mod tests;

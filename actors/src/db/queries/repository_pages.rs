//! Repositories in the order that people choose, from a place on.

use rusqlite::Connection;

use super::repositories::{RepositorySummary, SUMMARY, SummaryColumns, summary, summary_columns};
use crate::db::{DbError, ReadQuery};
use crate::domain::Timestamp;

/// The order of a list of repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryOrder {
    /// By name, in byte order.
    Name,
    /// What was pushed to last comes first.
    Updated,
}

/// A place in a list of repositories, in whichever order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryPlace {
    /// The repository's name, as it is stored.
    pub name: String,
    /// When it was last pushed to.
    pub updated_at: Timestamp,
}

impl From<&RepositorySummary> for RepositoryPlace {
    fn from(summary: &RepositorySummary) -> Self {
        Self { name: summary.name.to_string(), updated_at: summary.updated_at }
    }
}

/// Repositories from a place on.
#[derive(Debug)]
pub struct PageRepositories {
    /// In which order.
    pub order: RepositoryOrder,
    /// Where the page begins: what comes after this.
    pub after: Option<RepositoryPlace>,
    /// Repositories to pass over.
    pub offset: usize,
    /// Most repositories.
    pub limit: usize,
}

/// A page of repositories.
#[derive(Debug)]
pub struct RepositoryPage {
    /// The repositories.
    pub items: Vec<RepositorySummary>,
    /// After what the next page begins, unless this was the last.
    pub next: Option<RepositoryPlace>,
}

impl RepositoryOrder {
    /// `?1`, `?2`: the name and the time after which the page begins. `?3`, `?4`: the most rows, and those passed over.
    fn sql(self) -> String {
        let what = match self {
            Self::Name => "name > ?1 ORDER BY name",
            Self::Updated => "(updated_at, name) < (?2, ?1) ORDER BY updated_at DESC, name DESC",
        };
        format!("SELECT {SUMMARY} FROM repositories WHERE {what} LIMIT ?3 OFFSET ?4")
    }

    /// Before everything.
    fn start(self) -> RepositoryPlace {
        RepositoryPlace { name: String::new(), updated_at: Timestamp::from_millis(i64::MAX) }
    }
}

fn place(columns: &SummaryColumns) -> RepositoryPlace {
    RepositoryPlace { name: columns.0.clone(), updated_at: Timestamp::from_millis(columns.7) }
}

impl ReadQuery for PageRepositories {
    type Output = RepositoryPage;

    fn run(self, db: &Connection) -> Result<Self::Output, DbError> {
        let RepositoryPlace { name, updated_at } = self.after.unwrap_or_else(|| self.order.start());
        let bounds = (name, updated_at.as_millis(), self.limit.saturating_add(1), self.offset);
        let mut statement = db.prepare_cached(&self.order.sql())?;
        let rows = statement.query_map(bounds, summary_columns)?;
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        // One that cannot be read is a place all the same.
        let next = rows.last().map(place).filter(|_| more);
        Ok(RepositoryPage { items: crate::db::readable(rows.into_iter().map(summary)), next })
    }
}

/// How many repositories there are.
#[derive(Debug)]
pub struct CountRepositories;

impl ReadQuery for CountRepositories {
    type Output = u64;

    fn run(self, db: &Connection) -> Result<u64, DbError> {
        Ok(db.prepare_cached("SELECT count(*) FROM repositories")?.query_row([], |row| row.get(0))?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::db::WriteQuery;
    use crate::db::queries::manifests::PublishManifest;
    use crate::db::queries::testing::{NOW, database, push};
    use crate::domain::{Algorithm, Manifest, MediaType};

    fn publish(db: &Connection, at: &str, second: u64) {
        let media_type = MediaType::parse("application/vnd.test+json").unwrap();
        let manifest = Manifest::parse(Algorithm::Sha256, media_type, "{}".into()).unwrap();
        let now = NOW.after(Duration::from_secs(second));
        PublishManifest { now, ..push(at, manifest, &["v1"]) }.run(db).unwrap();
    }

    fn walk(db: &Connection, order: RepositoryOrder, limit: usize) -> Vec<String> {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let page = PageRepositories { order, after, offset: 0, limit }.run(db).unwrap();
            names.extend(page.items.into_iter().map(|summary| summary.name.to_string()));
            match page.next {
                Some(next) => after = Some(next),
                None => return names,
            }
        }
    }

    #[test]
    fn pages_of_any_length_are_the_whole_list_in_its_order() {
        let db = database();
        for (second, at) in [(3, "a"), (1, "b"), (1, "c"), (2, "d")] {
            publish(&db, at, second);
        }
        // One that cannot be read keeps nobody from those behind it.
        db.execute("INSERT INTO repositories (name, created_at) VALUES ('bAd', 0)", []).unwrap();
        for limit in 1..6 {
            assert_eq!(walk(&db, RepositoryOrder::Name, limit), ["a", "b", "c", "d"]);
            assert_eq!(walk(&db, RepositoryOrder::Updated, limit), ["a", "d", "c", "b"]);
        }
        publish(&db, "b", 9);
        // An older clock takes nothing back.
        publish(&db, "a", 0);
        assert_eq!(walk(&db, RepositoryOrder::Updated, 2), ["b", "a", "d", "c"]);
        assert_eq!(CountRepositories.run(&db).unwrap(), 5);
        let page = PageRepositories { order: RepositoryOrder::Name, after: None, offset: 3, limit: 1 };
        assert_eq!(page.run(&db).unwrap().items[0].name.as_str(), "c");
    }

    #[test]
    fn a_page_of_repositories_is_found_by_an_index_and_sorts_nothing() {
        let db = database();
        let indexes =
            [(RepositoryOrder::Name, "sqlite_autoindex"), (RepositoryOrder::Updated, "repositories_by_time")];
        for (order, index) in indexes {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {}", order.sql())).unwrap();
            let lines = plan.query_map(("a", 0, 9, 0), |row| row.get::<_, String>(3)).unwrap();
            let lines = lines.map(Result::unwrap).collect::<Vec<_>>().join("; ");
            assert!(lines.contains(&format!("SEARCH repositories USING INDEX {index}")), "{lines}");
            assert!(!lines.contains("SCAN") && !lines.contains("B-TREE"), "{lines}");
        }
    }
}

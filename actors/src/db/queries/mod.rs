//! Every query: a struct with its SQL beside it.

pub mod audit;
pub mod audit_pages;
pub mod blobs;
pub mod collection;
pub mod commits;
pub mod deletions;
pub mod descriptions;
pub mod dry_run;
pub mod facts;
#[cfg(test)]
mod growth;
mod holds;
pub mod identity;
pub mod manifest_details;
pub mod manifest_pages;
pub mod manifests;
pub mod permission;
pub mod policy_rules;
pub mod references;
pub mod referrers;
pub mod repositories;
pub mod repository_pages;
pub mod snapshots;
pub mod strays;
pub mod sweeps;
pub mod tag_pages;
pub mod tags;
pub mod times;
pub mod totals;
pub mod uploads;
pub mod users;

#[cfg(test)]
pub(crate) mod testing {
    //! A private database for the tests of queries.

    use rusqlite::Connection;

    use super::manifests::PublishManifest;
    use crate::domain::{Manifest, RepositoryName, Timestamp};

    /// The moment at which these tests play.
    pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    pub(crate) fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        crate::db::migrate::migrate(&mut connection).unwrap();
        connection
    }

    pub(crate) fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    /// The push of a manifest with all that it needs, by nobody in particular.
    pub(crate) fn push(at: &str, manifest: Manifest, tags: &[&str]) -> PublishManifest {
        PublishManifest {
            repository: name(at),
            manifest,
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            allow_sparse: false,
            now: NOW,
            kept_until: NOW,
            pushed_by: String::new(),
        }
    }
}

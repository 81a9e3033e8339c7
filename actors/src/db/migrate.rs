//! Numbered migrations, each applied once in a transaction and recorded in `schema_migrations`.

use std::cmp::Ordering;

use rusqlite::{Connection, TransactionBehavior};

/// One file of `migrations/`, in the order of its number.
struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "registry", sql: include_str!("../../../migrations/0001_registry.sql") },
    Migration {
        version: 2,
        name: "identity_and_policy",
        sql: include_str!("../../../migrations/0002_identity_and_policy.sql"),
    },
    Migration {
        version: 3,
        name: "administration",
        sql: include_str!("../../../migrations/0003_administration.sql"),
    },
    Migration {
        version: 4,
        name: "collection",
        sql: include_str!("../../../migrations/0004_collection.sql"),
    },
    Migration { version: 5, name: "snapshots", sql: include_str!("../../../migrations/0005_snapshots.sql") },
    Migration { version: 6, name: "times", sql: include_str!("../../../migrations/0006_times.sql") },
    Migration { version: 7, name: "folded", sql: include_str!("../../../migrations/0007_folded.sql") },
    Migration { version: 8, name: "identity", sql: include_str!("../../../migrations/0008_identity.sql") },
    Migration { version: 9, name: "strays", sql: include_str!("../../../migrations/0009_strays.sql") },
    Migration {
        version: 10,
        name: "references",
        sql: include_str!("../../../migrations/0010_references.sql"),
    },
    Migration { version: 11, name: "facts", sql: include_str!("../../../migrations/0011_facts.sql") },
    Migration { version: 12, name: "pages", sql: include_str!("../../../migrations/0012_pages.sql") },
    Migration {
        version: 13,
        name: "repositories",
        sql: include_str!("../../../migrations/0013_repositories.sql"),
    },
    Migration { version: 14, name: "renewal", sql: include_str!("../../../migrations/0014_renewal.sql") },
    Migration { version: 15, name: "totals", sql: include_str!("../../../migrations/0015_totals.sql") },
    Migration {
        version: 16,
        name: "audit_filters",
        sql: include_str!("../../../migrations/0016_audit_filters.sql"),
    },
    Migration { version: 17, name: "manifests", sql: include_str!("../../../migrations/0017_manifests.sql") },
];

/// Why a database cannot be used by this program.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A later version of the program made it.
    #[error(
        "the database is at schema version {found}, newer than this program's {known}; run the program that made it"
    )]
    Newer {
        /// The database's version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// An earlier version of the program made it, and nothing is to be changed here.
    #[error(
        "the database is at schema version {found}, older than this program's {known}: prepare it with mcrsrv init, or use \
         the program that it was made with"
    )]
    Older {
        /// The database's version.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// A migration failed; the database is as it was before it.
    #[error("migration {version} failed: {said}")]
    Failed {
        /// Its number.
        version: i64,
        /// What SQLite said.
        said: rusqlite::Error,
    },
}

/// Brings the database to the newest version.
///
/// # Errors
/// When it is newer than the program, or a migration fails.
pub fn migrate(connection: &mut Connection) -> Result<(), MigrateError> {
    let found = present_version(connection).map_err(|said| MigrateError::Failed { version: 0, said })?;
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    if found > known {
        return Err(MigrateError::Newer { found, known });
    }
    apply_up_to(known, found, connection)
}

fn apply_up_to(last: i64, found: i64, connection: &mut Connection) -> Result<(), MigrateError> {
    for migration in MIGRATIONS.iter().filter(|migration| (found + 1..=last).contains(&migration.version)) {
        apply(connection, migration)
            .map_err(|said| MigrateError::Failed { version: migration.version, said })?;
    }
    Ok(())
}

/// Makes an empty database as an older version of the program had it.
#[cfg(test)]
pub(crate) fn migrate_new(connection: &mut Connection, version: i64) -> Result<(), MigrateError> {
    present_version(connection).map_err(|said| MigrateError::Failed { version: 0, said })?;
    apply_up_to(version, 0, connection)
}

fn present_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
             version    INTEGER PRIMARY KEY,
             name       TEXT    NOT NULL,
             applied_at INTEGER NOT NULL DEFAULT (unixepoch() * 1000)
         ) STRICT",
    )?;
    version(connection)
}

/// Holds that the database is as this program makes it, and changes nothing.
///
/// # Errors
/// When it is older or newer, or no registry's.
pub fn must_be_current(connection: &Connection) -> Result<(), MigrateError> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    let found = version(connection).map_err(|said| MigrateError::Failed { version: 0, said })?;
    match found.cmp(&known) {
        Ordering::Less => Err(MigrateError::Older { found, known }),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(MigrateError::Newer { found, known }),
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(version), 0) FROM schema_migrations", [], |row| row.get(0))
}

fn apply(connection: &mut Connection, migration: &Migration) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(migration.sql)?;
    tx.execute(
        "INSERT INTO schema_migrations (version, name) VALUES (?1, ?2)",
        (migration.version, migration.name),
    )?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let versions: i64 =
            connection.query_row("SELECT count(*) FROM schema_migrations", [], |row| row.get(0)).unwrap();
        assert_eq!(versions, i64::try_from(MIGRATIONS.len()).unwrap());
    }

    #[test]
    fn a_newer_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
            .execute("INSERT INTO schema_migrations (version, name) VALUES (999, 'later')", [])
            .unwrap();
        assert!(matches!(migrate(&mut connection), Err(MigrateError::Newer { found: 999, .. })));
    }

    #[test]
    fn the_numbers_have_no_gap() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, i64::try_from(index + 1).unwrap(), "{}", migration.name);
        }
    }
}

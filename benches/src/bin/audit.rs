//! The audit log when it is old: how long its first page, filtered pages, an export and a purge take with so many entries.
//!
//! `audit --entries 10000000 --data DIR` makes the log in an empty directory, asks the registry's own queries, and prints a
//! table. What is asked is read once before it is measured, except the export, which reads all.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use mcr_actors::db::queries::audit::PurgeAudit;
use mcr_actors::db::queries::audit_pages::{AuditCursor, AuditFilter, AuditPlace, ListAudit};
use mcr_actors::db::{self, ReadQuery, WriteQuery};
use mcr_actors::domain::Timestamp;
use rusqlite::Connection;

/// How often a page is measured.
const ROUNDS: usize = 21;
/// Entries of a page of the export.
const PAGE: usize = 1000;
/// Entries that one write forgets, as the registry does it.
const PURGE: usize = 100;
/// Purging writes that are measured.
const WRITES: usize = 1000;
/// Milliseconds between two entries.
const APART: i64 = 1000;

/// Measures the audit log.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many entries there are
    #[arg(long, default_value_t = 10_000_000)]
    entries: i64,
    /// The directory of the database, which is made
    #[arg(long)]
    data: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Arguments { entries, data } = Arguments::parse();
    std::fs::create_dir(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let path = data.join("mcr.db");
    let database = db::prepare(&path)?;
    fill(&database, entries)?;
    let bytes = std::fs::metadata(&path)?.len();
    println!("| of {entries} entries, {} MiB | median | worst |\n|---|--:|--:|", bytes >> 20);
    for (name, page) in pages(entries) {
        measure(&name, ROUNDS, || page.clone().run(&database).map(|_| ()))?;
    }
    let began = Instant::now();
    let exported = export(&database)?;
    row(&format!("export of all {exported}, {PAGE} a page"), began.elapsed(), None);
    let before = Timestamp::from_millis(entries * APART);
    measure(&format!("purge, {PURGE} a write"), WRITES, || {
        let tx = database.unchecked_transaction()?;
        PurgeAudit { before, limit: PURGE }.run(&tx)?;
        Ok(tx.commit()?)
    })
}

/// What an administrator asks for.
fn pages(entries: i64) -> Vec<(String, ListAudit)> {
    let first = ListAudit { limit: 100, counts: true, ..ListAudit::default() };
    let text = |text: &str| Some(text.to_owned());
    let time = |entry: i64| Some(Timestamp::from_millis(entry * APART));
    let middle = AuditCursor { time: Timestamp::from_millis(entries / 2 * APART), id: entries / 2 };
    let by = |filter: AuditFilter| ListAudit { filter, ..first.clone() };
    let events = |names: &[&str]| AuditFilter {
        events: names.iter().map(|name| (*name).to_owned()).collect(),
        ..AuditFilter::default()
    };
    let all = AuditFilter::default;
    let begin = |place| ListAudit { place, counts: false, ..first.clone() };
    let pages = [
        ("first page", first.clone()),
        ("a page in the middle, by its cursor", begin(AuditPlace::Before(middle))),
        ("the latest entries, as they came", begin(AuditPlace::After(entries - 100))),
        ("an event that is half of all", by(events(&["blob_uploaded"]))),
        ("an event that is rare", by(events(&["user_deleted"]))),
        ("three events", by(events(&["blob_uploaded", "manifest_pushed", "user_deleted"]))),
        ("one of 1000 actors", by(AuditFilter { actor_id: text("actor-7"), ..all() })),
        ("one of 1000 actors, by name", by(AuditFilter { actor_name: text("name-7"), ..all() })),
        ("one of 5000 repositories", by(AuditFilter { repository: text("team/app-7"), ..all() })),
        ("one of 50 tags", by(AuditFilter { tag: text("v7"), ..all() })),
        ("one of 250 addresses", by(AuditFilter { address: text("192.0.2.7"), ..all() })),
        (
            "event, actor and repository",
            by(AuditFilter {
                actor_id: text("actor-7"),
                repository: text("team/app-7"),
                ..events(&["blob_uploaded"])
            }),
        ),
        (
            "an hour in the middle",
            by(AuditFilter { since: time(entries / 2), until: time(entries / 2 + 3600), ..all() }),
        ),
    ];
    pages.map(|(name, page)| (name.to_owned(), page)).into()
}

/// Inserts the entries: one a second, of events, actors and repositories as a busy registry has them.
fn fill(database: &Connection, entries: i64) -> anyhow::Result<()> {
    // Counted at the end instead; a crash loses all of it, and then one simply begins again.
    let trigger: String =
        database.query_row("SELECT sql FROM sqlite_master WHERE name = 'audit_log_inserted'", [], |row| {
            row.get(0)
        })?;
    database.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; DROP TRIGGER audit_log_inserted; BEGIN",
    )?;
    database.execute(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1)
         INSERT INTO audit_log (time, event, actor_id, actor_name, repository, digest, tag, address, request_id, details)
         SELECT n * ?2,
                CASE WHEN n % 100000 = 0 THEN 'user_deleted' WHEN n % 2 = 0 THEN 'blob_uploaded'
                     WHEN n % 3 = 0 THEN 'manifest_pushed' ELSE 'login_ok' END,
                'actor-' || (n * 7919 % 1000), 'name-' || (n * 7919 % 1000), 'team/app-' || (n * 104729 % 5000),
                'sha256:' || lower(hex(zeroblob(32))), 'v' || (n % 50), '192.0.2.' || (n % 250),
                lower(hex(randomblob(16))), '{}'
           FROM number",
        (entries, APART),
    )?;
    database.execute_batch(
        "DELETE FROM audit_counts;
         INSERT INTO audit_counts SELECT event, count(*) FROM audit_log GROUP BY event;",
    )?;
    database.execute_batch(&format!(
        "{trigger}; COMMIT; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;"
    ))?;
    Ok(())
}

/// Reads all entries page by page, as `mcrctl audit list --all` does, and answers how many.
fn export(database: &Connection) -> anyhow::Result<usize> {
    let (mut place, mut exported) = (AuditPlace::Newest, 0);
    loop {
        let page = ListAudit { place, limit: PAGE, ..ListAudit::default() }.run(database)?;
        exported += page.entries.len();
        let Some(next) = page.next else { return Ok(exported) };
        place = next;
    }
}

fn measure(
    name: &str,
    rounds: usize,
    mut work: impl FnMut() -> Result<(), db::DbError>,
) -> anyhow::Result<()> {
    work()?;
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let began = Instant::now();
        work()?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    row(name, took[rounds / 2], took.last().copied());
    Ok(())
}

fn row(name: &str, median: Duration, worst: Option<Duration>) {
    let show = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
    println!("| {name} | {} | {} |", show(median), worst.map_or_else(|| "-".to_owned(), show));
}

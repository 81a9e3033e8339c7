//! The rows, by the queries that pushes use, in large transactions.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use mcr_actors::clock::Clock;
use mcr_actors::db::queries::blobs::LinkBlob;
use mcr_actors::db::queries::manifests::{DeleteManifest, PublishManifest};
use mcr_actors::db::{self, WriteQuery};
use mcr_actors::domain::{Algorithm, Manifest, MediaType, RepositoryName, Tag, Timestamp};
use mcr_bench::content::{Part, digest, image, small_blob};
use rusqlite::Connection;

use crate::arguments::Arguments;

/// The blob that all manifests without blobs of their own refer to.
pub(crate) const SHARED: &[u8] = b"{}";
/// Manifests in one transaction.
const BATCH: u64 = 1000;
/// Tags set by one change.
const TAGS: u64 = 1000;

/// Inserts all that the arguments ask for.
pub(crate) fn insert(arguments: &Arguments, database: &Path) -> anyhow::Result<()> {
    let mut connection = db::open(database)?;
    db::migrate::migrate(&mut connection)?;
    // A crash loses all of it, and then one simply begins again.
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000;")?;
    let rows = Rows::new(arguments, connection);
    rows.images()?;
    rows.shared_images()?;
    for count in &arguments.tags {
        rows.tags(*count)?;
    }
    for count in &arguments.referrers {
        rows.referrers(*count)?;
    }
    rows.garbage()?;
    eprintln!("rows: checkpoint");
    rows.connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE);")?;
    Ok(())
}

/// Inserts rows.
struct Rows<'a> {
    arguments: &'a Arguments,
    connection: Connection,
    now: Timestamp,
    /// A time that is over, so that what is not referred to is garbage at once.
    kept_until: Timestamp,
}

impl<'a> Rows<'a> {
    fn new(arguments: &'a Arguments, connection: Connection) -> Self {
        let now = Clock::system().now();
        let kept_until = now.before(Duration::from_secs(24 * 60 * 60));
        Self { arguments, connection, now, kept_until }
    }

    /// Runs `step` for each number below `count`, so many to a transaction, and shows progress.
    fn in_batches(
        &self,
        what: &str,
        numbers: std::ops::Range<u64>,
        batch: u64,
        mut step: impl FnMut(u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (mut next, end) = (numbers.start, numbers.end);
        while next < end {
            let stop = end.min(next + batch);
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            for number in next..stop {
                step(number)?;
            }
            self.connection.execute_batch("COMMIT")?;
            if stop == end || (stop / batch).is_multiple_of(10) {
                eprintln!("rows: {what} {stop} of {end}");
            }
            next = stop;
        }
        Ok(())
    }

    /// The image manifest `number` with its own share of the blobs.
    fn image(&self, number: u64) -> (Vec<Part>, String) {
        let Arguments { blobs, manifests, seed, .. } = *self.arguments;
        let first = number * blobs / manifests;
        let parts: Vec<Part> = (first..(number + 1) * blobs / manifests)
            .map(|index| Part::of(&small_blob(seed, index)))
            .collect();
        let (config, layers) = match parts.split_first() {
            Some((config, layers)) => (*config, layers.to_vec()),
            None => (Part::of(SHARED), Vec::new()),
        };
        (parts, image(config, &layers, None, &format!("image {number} of {seed}")))
    }

    /// The repository that the image is dealt to, and its tag there.
    fn place(&self, number: u64) -> anyhow::Result<(RepositoryName, Tag)> {
        let repositories = self.arguments.repositories;
        let tag = format!("t{:07}", number / repositories).parse()?;
        Ok((repository(number % repositories)?, tag))
    }

    fn images(&self) -> anyhow::Result<()> {
        self.in_batches("images", 0..self.arguments.manifests, BATCH, |number| {
            let (parts, body) = self.image(number);
            let (name, tag) = self.place(number)?;
            if parts.is_empty() {
                self.link(&name, Part::of(SHARED))?;
            }
            for part in parts {
                self.link(&name, part)?;
            }
            self.publish(&name, &body, vec![tag]).map(drop)
        })
    }

    /// Repositories that no image was dealt to.
    fn shared_images(&self) -> anyhow::Result<()> {
        let left = self.arguments.manifests..self.arguments.repositories;
        self.in_batches("repositories", left, BATCH, |number| {
            self.shared_image(&repository(number)?, vec!["latest".parse()?]).map(drop)
        })
    }

    fn shared_image(&self, name: &RepositoryName, tags: Vec<Tag>) -> anyhow::Result<Part> {
        self.link(name, Part::of(SHARED))?;
        self.publish(name, &image(Part::of(SHARED), &[], None, "shared"), tags)
    }

    fn tags(&self, count: u64) -> anyhow::Result<()> {
        let name = format!("populated/tags-{count}").parse()?;
        self.in_batches("thousands of tags", 0..count.div_ceil(TAGS), 10, |thousand| {
            let numbers = thousand * TAGS..count.min((thousand + 1) * TAGS);
            let tags = numbers.map(|number| Ok(format!("v{number:07}").parse()?));
            self.shared_image(&name, tags.collect::<anyhow::Result<_>>()?).map(drop)
        })
    }

    fn referrers(&self, count: u64) -> anyhow::Result<()> {
        let name = format!("populated/referrers-{count}").parse()?;
        let subject = self.shared_image(&name, vec!["subject".parse()?])?;
        self.in_batches("referrers", 0..count, BATCH, |number| {
            let body = image(Part::of(SHARED), &[], Some(subject), &format!("referrer {number}"));
            self.publish(&name, &body, Vec::new()).map(drop)
        })
    }

    /// Deletes some images again, spread evenly.
    fn garbage(&self) -> anyhow::Result<()> {
        let percent = self.arguments.garbage;
        let chosen = |number: u64| number * percent % 100 < percent;
        let all = if percent == 0 { 0 } else { self.arguments.manifests };
        self.in_batches("deleted among images", 0..all, BATCH * 10, |number| {
            if !chosen(number) {
                return Ok(());
            }
            let (repository, _) = self.place(number)?;
            let digest = digest(self.image(number).1.as_bytes());
            self.run(DeleteManifest { repository, digest, kept_until: self.kept_until }).map(drop)
        })
    }

    fn link(&self, repository: &RepositoryName, Part { digest, size }: Part) -> anyhow::Result<()> {
        let (repository, upload) = (repository.clone(), None);
        let (now, kept_until) = (self.now, self.kept_until);
        self.run(LinkBlob { repository, digest, size, upload, now, kept_until }).map(drop)
    }

    fn publish(&self, repository: &RepositoryName, body: &str, tags: Vec<Tag>) -> anyhow::Result<Part> {
        let media_type = MediaType::parse(MediaType::OCI_MANIFEST).context("a media type")?;
        let manifest = Manifest::parse(Algorithm::Sha256, media_type, body.to_owned().into())?;
        let part = Part { digest: manifest.digest, size: body.len() as u64 };
        let (repository, now, kept_until) = (repository.clone(), self.now, self.kept_until);
        self.run(PublishManifest {
            repository,
            manifest,
            tags,
            allow_sparse: false,
            now,
            kept_until,
            pushed_by: String::new(),
        })?;
        Ok(part)
    }

    fn run<Q: WriteQuery>(&self, query: Q) -> anyhow::Result<Q::Output>
    where
        Q::Error: std::error::Error + Send + Sync,
    {
        Ok(query.run(&self.connection)?)
    }
}

fn repository(number: u64) -> anyhow::Result<RepositoryName> {
    Ok(format!("populated/repository-{number:06}").parse()?)
}

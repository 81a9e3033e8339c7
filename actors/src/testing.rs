//! Real actors for tests, with a test clock and any file system. It refuses to end dirty.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::auth_cache::AuthSettings;
use crate::blob_store::{Layout, Reservation, Reserve, ReserveIdle};
use crate::clock::Clock;
use crate::domain::{Digest, Hasher, Timestamp};
use crate::fs::Fs;
use crate::gc::strays_wait;
use crate::registry::{Registry, Settings, Worker};
use crate::upload::Sweep;

/// A registry to test with. End it with [`Harness::finish`].
pub struct Harness {
    /// What its askers ask.
    pub worker: Worker,
    /// Its clock.
    pub clock: Clock,
    registry: Registry,
    settings: Settings,
    fs: Arc<dyn Fs>,
    directory: Arc<tempfile::TempDir>,
    /// Whether another run was before, which may have left files of uploads behind.
    is_restarted: bool,
    finished: bool,
}

/// Settings for small tests: the database in `directory`, blobs and uploads under `root`.
fn settings(directory: &tempfile::TempDir, root: &str) -> Settings {
    Settings {
        database: directory.path().join("mcr.db"),
        write_deadline: crate::db::DEADLINE,
        store_deadline: crate::blob_store::DEADLINE,
        layers: PathBuf::from(root).join("layers"),
        uploads: PathBuf::from(root).join("uploads"),
        uploads_before: None,
        snapshots: PathBuf::from(root).join("snapshots"),
        min_free: 0,
        reserve: 0,
        max_blob_size: None,
        verify_on_push: false,
        max_uploads: 64,
        upload_expiry: Duration::from_secs(24 * 3600),
        grace: Duration::from_secs(3600),
        gc_interval: None,
        untagged_after: None,
        gc_pace: crate::gc::Pace::default(),
        upload_threads: 2,
        auth: AuthSettings {
            cache_ttl: Duration::from_secs(30),
            token_ttl: Duration::from_secs(3600),
            anonymous: true,
            login_attempts_per_minute: std::num::NonZeroU32::MIN,
            most_tokens: crate::auth_cache::MostTokens::DEFAULT,
        },
        audit_keep: None,
        provider: None,
        builtin_human_access: true,
    }
}

impl Harness {
    /// Starts on this file system, with everything under `/store`, and a database of its own.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start(fs: Arc<dyn Fs>) -> Self {
        Self::start_with(fs, |_| {}).await
    }

    /// The same with other settings.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start_with(fs: Arc<dyn Fs>, change: impl FnOnce(&mut Settings)) -> Self {
        #[expect(clippy::unwrap_used, reason = "a test's set-up")]
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut settings = settings(&directory, "/store");
        change(&mut settings);
        Self::start_on(directory, settings, fs, Clock::test(Timestamp::from_millis(1_000_000_000))).await
    }

    async fn start_on(
        directory: Arc<tempfile::TempDir>,
        settings: Settings,
        fs: Arc<dyn Fs>,
        clock: Clock,
    ) -> Self {
        #[expect(clippy::unwrap_used, reason = "a test's set-up")]
        let registry = Registry::start(settings.clone(), Arc::clone(&fs), clock.clone()).await.unwrap();
        #[expect(clippy::unwrap_used, reason = "a test's set-up")]
        let worker = registry.worker().await.unwrap();
        Self { worker, clock, registry, settings, fs, directory, is_restarted: false, finished: false }
    }

    /// Stops every actor without a warning and starts anew on `fs` with the same database.
    pub async fn restart(mut self, fs: Arc<dyn Fs>) -> Self {
        self.finished = true;
        self.registry.clone().stop().await;
        let (directory, settings) = (Arc::clone(&self.directory), self.settings.clone());
        let mut started = Self::start_on(directory, settings, fs, self.clock.of_next_run()).await;
        started.is_restarted = true;
        started
    }

    /// All of its actors.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Where blobs are.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.settings.layers)
    }

    /// Whether somebody decides about the fate of a digest now.
    ///
    /// # Panics
    /// When the blob store does not answer.
    pub async fn is_reserved(&self, digest: Digest) -> bool {
        #[expect(clippy::unwrap_used, reason = "a test's check")]
        let idle = self.registry.blobs.ask(ReserveIdle { digests: vec![digest] }).await.unwrap();
        idle.is_empty()
    }

    /// Decides about the fate of a digest for as long as the answer lives, as whoever publishes it does.
    ///
    /// # Panics
    /// When the blob store does not answer.
    pub async fn reserve(&self, digest: Digest) -> Reservation {
        #[expect(clippy::unwrap_used, reason = "a test's set-up")]
        self.registry.blobs.ask(Reserve { digest }).await.unwrap()
    }

    /// Text and value of each row that a query answers.
    ///
    /// # Panics
    /// When the query is none.
    pub fn rows<T: rusqlite::types::FromSql>(&self, sql: &str) -> Vec<(String, T)> {
        #[expect(clippy::unwrap_used, reason = "a test's check")]
        {
            let database = Connection::open(&self.settings.database).unwrap();
            let mut statement = database.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        }
    }

    /// Holds the invariants between rows and files.
    ///
    /// # Panics
    /// When one is broken.
    pub fn check_invariants(&self) {
        for (digest, size) in self.rows::<u64>("SELECT digest, size FROM blobs WHERE state = 0") {
            #[expect(clippy::unwrap_used, reason = "a test's check")]
            let digest: Digest = digest.parse().unwrap();
            let path = self.layout().path(&digest);
            let hasher = Hasher::new(digest.algorithm());
            let hashed = crate::upload::hash_file(self.fs.as_ref(), &path, size, hasher).map(Hasher::finish);
            assert_eq!(hashed.ok(), Some(digest), "a row without its file");
            assert_eq!(self.fs.len(&path).ok().flatten(), Some(size), "a file longer than its row says");
        }
        for (id, bytes) in self.rows::<u64>("SELECT id, bytes FROM uploads WHERE bytes > 0") {
            let length = self.fs.len(&self.settings.uploads.join(&id)).ok().flatten();
            assert!(length >= Some(bytes), "upload {id} has {length:?} bytes, {bytes} were acknowledged");
        }
    }

    /// Looks for files that belong to no upload, and removes those that were found so long ago.
    async fn sweep_uploads(&self) {
        let sweep = Sweep { idle_since: Timestamp::from_millis(0), take_strays: false };
        #[expect(clippy::unwrap_used, reason = "a test's check")]
        self.worker.uploads.ask(sweep).await.unwrap();
    }

    /// Stops every actor and looks at what is left. What a run before this one left of uploads must go when it is found twice.
    ///
    /// # Panics
    /// When an invariant is broken or a file of an upload belongs to none.
    pub async fn finish(mut self) {
        self.finished = true;
        self.check_invariants();
        if self.is_restarted {
            self.sweep_uploads().await;
            self.clock.advance(2 * strays_wait(self.settings.grace));
            self.sweep_uploads().await;
        }
        let uploads: Vec<PathBuf> =
            self.rows::<u64>("SELECT id, bytes FROM uploads").into_iter().map(|(id, _)| id.into()).collect();
        let files = self.fs.list(&self.settings.uploads).unwrap_or_default();
        // A second name of an upload that goes on may be its session's, also where a run before has left it.
        let is_known = |name: &PathBuf| {
            uploads.contains(name) || self.is_restarted && uploads.contains(&name.with_extension(""))
        };
        let is_stray = |name: &&PathBuf| !is_known(name) && !crate::identity::marker::is_mark(name);
        let strays: Vec<_> = files.iter().filter(is_stray).collect();
        assert!(strays.is_empty(), "files of uploads that are over: {strays:?}");
        self.registry.clone().stop().await;
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "a harness ends with finish");
    }
}

//! Starts the actors in the order in which they rest on each other, and hands out their handles.

mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Arbiter, ArbiterHandle};

use crate::ask::{AskError, Handle, Load};
use crate::auth_cache::local::{self, EnsureError, Ensured, LocalProvider};
use crate::auth_cache::password::Passwords;
use crate::auth_cache::{AuthCache, AuthReader, MostTokens, Provider, Secret};
use crate::beginning;
use crate::blob_store::{BlobReader, BlobStore, Layout, durable};
use crate::clock::Clock;
use crate::db::queries::identity::HasAccounts;
use crate::db::{Db, DbError, Floor, OpenError, Reserve};
use crate::domain::Timestamp;
use crate::fs::Fs;
use crate::fs::real::RealFs;
use crate::gc::{Clean, Gc, GcSettings, Housekeeping};
use crate::ground::{self, GroundError};
use crate::identity::marker::Marker;
use crate::identity::{self, IdentityError};
use crate::mend::{self, Use};
use crate::policy::{Policy, PolicyReader, Reload};
use crate::priority::make_polite;
use crate::readiness::{Places, Readiness, Watched, watched};
use crate::snapshot::{self, Snapshots};
use crate::upload::{Foundations, UploadSettings, Uploads};

pub use self::settings::{Grace, SetUp, Settings};

/// How long stopping may take.
const STOP: Duration = Duration::from_secs(10);
/// How often the owners are looked at.
const WATCH: Duration = Duration::from_millis(500);

/// What an actor says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActorState {
    /// Its name.
    pub name: &'static str,
    /// Whether it runs.
    pub alive: bool,
    /// What it was asked.
    pub load: Load,
}

/// Why the registry did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A directory.
    #[error("cannot prepare {}: {source}{}", path.display(), mend::of_file(path, Use::Write, source))]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Database and directories do not belong together, or could not be marked.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Something that cannot be done in a directory, and must.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// An actor did not begin.
    #[error("{0}")]
    Actor(String),
}

fn actor(error: impl std::fmt::Display) -> StartError {
    StartError::Actor(error.to_string())
}

/// The threads that actors live on; each owner has its own.
#[derive(Default)]
struct Threads {
    arbiters: Vec<Arbiter>,
}

impl Threads {
    fn start(&mut self) -> ArbiterHandle {
        let arbiter = Arbiter::new();
        let handle = arbiter.handle();
        self.arbiters.push(arbiter);
        handle
    }
}

/// The actors. Clones are the same actors.
#[derive(Debug, Clone)]
pub struct Registry {
    fs: Arc<dyn Fs>,
    layout: Layout,
    db: Db,
    pub(crate) blobs: Handle<BlobStore>,
    uploads: Handle<Uploads>,
    policy: Handle<Policy>,
    auth: Handle<AuthCache>,
    gc: Handle<Gc>,
    snapshots: Handle<Snapshots>,
    readiness: Handle<Readiness>,
    provider: Arc<dyn Provider>,
    clock: Clock,
    grace: Grace,
    takes_untagged: bool,
    token_life: Duration,
    most_tokens: MostTokens,
    passwords: Passwords,
    set_up: Arc<SetUp>,
    started_at: Timestamp,
    threads: Vec<ArbiterHandle>,
}

/// What one worker asks; the readers live on its own thread.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The database.
    pub db: Db,
    /// Opens blobs.
    pub blobs: Handle<BlobReader>,
    /// Uploads.
    pub uploads: Handle<Uploads>,
    /// Decides.
    pub policy: Handle<PolicyReader>,
    /// Knows who asks.
    pub auth: Handle<AuthReader>,
    /// Changes accounts and tokens.
    pub identity: Handle<AuthCache>,
    /// Changes rules.
    pub rules: Handle<Policy>,
    /// The collector.
    pub gc: Handle<Gc>,
    /// Takes snapshots.
    pub snapshots: Handle<Snapshots>,
    /// Knows whether the registry can serve.
    pub readiness: Handle<Readiness>,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// The time.
    pub clock: Clock,
    /// How long blobs are kept.
    pub grace: Grace,
    /// Whether sweeps take untagged manifests.
    pub takes_untagged: bool,
}

impl Registry {
    /// Opens and migrates the database, finishes what a crash left, and starts every actor.
    ///
    /// # Errors
    /// When a file or directory cannot be used; nothing serves then.
    pub async fn start(settings: Settings, fs: Arc<dyn Fs>, clock: Clock) -> Result<Self, StartError> {
        // First of all: nothing is made or removed where it may not be ours.
        let places = settings.places();
        identity::enter(&places, fs.as_ref())?;
        prepare_directories(&settings, fs.as_ref())?;
        ground::test(&settings.uploads, &settings.layers, settings.min_free, fs.as_ref())?;
        let marker = identity::begin(&places, fs.as_ref())?;
        let mut threads = Threads::default();
        let floor = floor(&settings, &fs);
        let mut reserve = Reserve::beside(&settings.database, settings.reserve);
        reserve.take();
        let db = Db::start_with(floor, reserve, &settings.database, &threads.start())?
            .with_write_deadline(settings.write_deadline);
        beginning::settle(&db, &clock, settings.lifetimes()).await.map_err(actor)?;
        let layout = Layout::new(&settings.layers);
        let blobs = BlobStore::start(Arc::clone(&fs), layout.clone(), marker, &threads.start())
            .map_err(|source| StartError::Directory { path: settings.layers.clone(), source })?
            .with_deadline(settings.store_deadline);
        let ground = Ground { fs, layout, db, blobs, clock };
        let foundations = ground.foundations(&mut threads);
        let sessions = upload_settings(&settings, marker, &mut threads);
        let uploads = Uploads::start(foundations, sessions, &threads.start()).await.map_err(actor)?;
        let thread = threads.start();
        let policy = Policy::start(ground.db.clone(), settings.builtin_human_access, &thread);
        let policy = policy.await.map_err(actor)?;
        let (grace, passwords) = (Grace(settings.grace), Passwords::default());
        let (provider, auth) = ground.identity(&settings, &passwords, &mut threads).await?;
        let gc = ground.collector(&settings, &uploads, &auth, &mut threads)?;
        gc.ask(Clean).await.map_err(actor)?;
        let snapshots = ground.snapshots(&settings, &gc, &mut threads).await?;
        let others = vec![watched(&policy), watched(&auth), watched(&gc), watched(&snapshots)];
        let readiness = ground.readiness(others, &uploads, Arc::clone(&provider), &mut threads)?;
        let threads = threads.arbiters.iter().map(Arbiter::handle).collect();
        let (set_up, started_at) = (Arc::new(SetUp::from(&settings)), ground.clock.now());
        let Ground { fs, layout, db, blobs, clock } = ground;
        Ok(Self {
            fs,
            layout,
            db,
            blobs,
            uploads,
            policy,
            auth,
            gc,
            snapshots,
            readiness,
            provider,
            clock,
            grace,
            takes_untagged: settings.untagged_after.is_some(),
            token_life: settings.auth.token_ttl,
            most_tokens: settings.auth.most_tokens,
            passwords,
            set_up,
            started_at,
            threads,
        })
    }

    /// Stops every actor, and waits until they have. What was not answered by then was not promised.
    pub async fn stop(self) {
        let noted = beginning::note(&self.db, &self.clock, self.grace.spare());
        // A disk that does not answer must not keep it from stopping.
        let _late = tokio::time::timeout(STOP / 2, noted).await;
        for thread in &self.threads {
            thread.stop();
        }
        let deadline = tokio::time::Instant::now() + STOP;
        while self.any_alive() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Starts a worker's readers on the present thread.
    ///
    /// # Errors
    /// When a connection cannot be opened or an owner does not answer.
    pub async fn worker(&self) -> Result<Worker, StartError> {
        let blobs = BlobReader::new(Arc::clone(&self.fs), self.layout.clone()).start();
        Ok(Worker {
            db: self.db.on_this_arbiter()?,
            blobs: BlobReader::handle(blobs),
            uploads: self.uploads.clone(),
            policy: PolicyReader::start(&self.policy).await.map_err(actor)?,
            auth: AuthReader::start(&self.auth).await.map_err(actor)?,
            identity: self.auth.clone(),
            rules: self.policy.clone(),
            gc: self.gc.clone(),
            snapshots: self.snapshots.clone(),
            readiness: self.readiness.clone(),
            passwords: self.passwords.clone(),
            clock: self.clock.clone(),
            grace: self.grace,
            takes_untagged: self.takes_untagged,
        })
    }

    /// Makes the first administrator unless there is an account of that name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ensure_admin(&self, name: &str, password: &Secret) -> Result<Ensured, EnsureError> {
        local::ensure_admin(&self.db, &self.clock, name, password).await
    }

    /// Whether somebody has an account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_accounts(&self) -> Result<bool, AskError<DbError>> {
        self.db.read(HasAccounts).await
    }

    /// Reads the stored rules again; the old ones stay when one of the new does not parse.
    ///
    /// # Errors
    /// When the database fails or a rule is bad.
    pub async fn reload_policy(&self) -> Result<(), AskError<crate::policy::PolicyError>> {
        self.policy.ask(Reload).await
    }

    /// How long a token of a login lives, where the registry itself keeps the accounts.
    pub fn token_life(&self) -> Duration {
        self.token_life
    }

    /// How many tokens an account has at most, where the registry itself keeps the accounts.
    pub fn most_tokens(&self) -> MostTokens {
        self.most_tokens
    }

    /// How it is set.
    pub fn set_up(&self) -> &SetUp {
        &self.set_up
    }

    /// When this run of it began to serve.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Who knows accounts.
    pub fn provider(&self) -> &dyn Provider {
        self.provider.as_ref()
    }

    /// What each owner says of itself: its name, whether it runs, and what it was asked.
    pub fn actors(&self) -> Vec<ActorState> {
        let loads = [
            self.db.write_load(),
            self.blobs.load(),
            self.uploads.load(),
            self.policy.load(),
            self.auth.load(),
            self.gc.load(),
            self.snapshots.load(),
        ];
        let states = self.owners().into_iter().zip(loads);
        states.map(|((name, alive), load)| ActorState { name, alive, load }).collect()
    }

    fn owners(&self) -> [(&'static str, bool); 7] {
        [
            ("db writer", self.db.is_alive()),
            (self.blobs.name(), self.blobs.is_alive()),
            (self.uploads.name(), self.uploads.is_alive()),
            (self.policy.name(), self.policy.is_alive()),
            (self.auth.name(), self.auth.is_alive()),
            (self.gc.name(), self.gc.is_alive()),
            (self.snapshots.name(), self.snapshots.is_alive()),
        ]
    }

    fn any_alive(&self) -> bool {
        self.owners().into_iter().any(|(_, alive)| alive)
    }

    /// The name of an actor that has died, if one has: the process must end then, since state comes from disk.
    pub fn dead(&self) -> Option<&'static str> {
        let provider = ("identity provider", self.provider.is_alive());
        self.owners().into_iter().chain([provider]).find_map(|(name, alive)| (!alive).then_some(name))
    }

    /// Waits until an actor dies, and names it.
    pub async fn died(&self) -> &'static str {
        loop {
            if let Some(name) = self.dead() {
                return name;
            }
            tokio::time::sleep(WATCH).await;
        }
    }
}

fn prepare_directories(settings: &Settings, fs: &dyn Fs) -> Result<(), StartError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StartError::Directory { path, source }
    };
    for path in [&settings.layers, &settings.uploads] {
        durable::create_dirs(fs, path).map_err(failed(path))?;
    }
    match settings.database.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        // The database is always on the machine's own disk.
        Some(parent) => durable::create_dirs(&RealFs, parent).map_err(failed(parent)),
        None => Ok(()),
    }
}

/// What must stay free: where the database is, and where the blobs are.
fn floor(settings: &Settings, fs: &Arc<dyn Fs>) -> Floor {
    let database: Arc<dyn Fs> = Arc::new(RealFs);
    let places = vec![(database, settings.database.clone()), (Arc::clone(fs), settings.layers.clone())];
    Floor::new(settings.min_free, places)
}

/// What all actors above rest on.
struct Ground {
    fs: Arc<dyn Fs>,
    layout: Layout,
    db: Db,
    blobs: Handle<BlobStore>,
    clock: Clock,
}

impl Ground {
    fn foundations(&self, threads: &mut Threads) -> Foundations {
        let reader = BlobReader::new(Arc::clone(&self.fs), self.layout.clone());
        let reader = BlobReader::handle(BlobReader::start_in_arbiter(&threads.start(), |_| reader));
        let (fs, db) = (Arc::clone(&self.fs), self.db.clone());
        Foundations { fs, db, blobs: self.blobs.clone(), reader, clock: self.clock.clone() }
    }

    async fn identity(
        &self,
        settings: &Settings,
        passwords: &Passwords,
        threads: &mut Threads,
    ) -> Result<(Arc<dyn Provider>, Handle<AuthCache>), StartError> {
        let (db, clock, auth) = (self.db.clone(), self.clock.clone(), settings.auth.clone());
        let provider = settings.provider.clone().unwrap_or_else(|| {
            Arc::new(LocalProvider::new(db.clone(), clock.clone(), passwords.clone(), &auth))
        });
        let thread = threads.start();
        let cache = AuthCache::start(auth, Arc::clone(&provider), db, clock, &thread);
        let cache = cache.await.map_err(actor)?;
        Ok((provider, cache))
    }

    fn collector(
        &self,
        settings: &Settings,
        uploads: &Handle<Uploads>,
        auth: &Handle<AuthCache>,
        threads: &mut Threads,
    ) -> Result<Handle<Gc>, StartError> {
        // A long look must hold up nobody else, nor may a sweep.
        let (looking, sweeping) = (threads.start(), threads.start());
        [&looking, &sweeping].into_iter().for_each(make_polite);
        let housekeeping = Housekeeping {
            db: self.db.on(&looking)?,
            uploads: uploads.clone(),
            auth: auth.clone(),
            clock: self.clock.clone(),
            upload_expiry: settings.upload_expiry,
            spare: Grace(settings.grace).spare(),
            audit_keep: settings.audit_keep,
        };
        let collection = GcSettings {
            interval: settings.gc_interval,
            untagged_after: settings.untagged_after,
            keep: Grace(settings.grace).kept(),
            spare: Grace(settings.grace).spare(),
            pace: settings.gc_pace.clone(),
        };
        let (fs, layout) = (Arc::clone(&self.fs), self.layout.clone());
        Ok(Gc::start_on(housekeeping, self.blobs.clone(), fs, layout, collection, &sweeping))
    }

    fn readiness(
        &self,
        mut watched_too: Vec<Watched>,
        uploads: &Handle<Uploads>,
        provider: Arc<dyn Provider>,
        threads: &mut Threads,
    ) -> Result<Handle<Readiness>, StartError> {
        let (thread, writer) = (threads.start(), self.db.clone());
        watched_too.push(Watched::new("db writer", move || writer.is_alive()));
        watched_too.extend([watched(&self.blobs), watched(uploads)]);
        let places =
            Places { watched: watched_too, db: self.db.on(&thread)?, uploads: uploads.clone(), provider };
        Ok(Readiness::start_on(places, &thread))
    }

    async fn snapshots(
        &self,
        settings: &Settings,
        gc: &Handle<Gc>,
        threads: &mut Threads,
    ) -> Result<Handle<Snapshots>, StartError> {
        let (database, layout, fs) = (settings.database.clone(), self.layout.clone(), Arc::clone(&self.fs));
        let data = snapshot::Data { database, layout, fs };
        let (db, blobs, clock) = (self.db.clone(), self.blobs.clone(), self.clock.clone());
        let tools = snapshot::Tools { data, db, blobs, gc: gc.clone(), clock };
        let thread = threads.start();
        Snapshots::start_on(tools, settings.snapshots.clone(), &thread).await.map_err(actor)
    }
}

fn upload_settings(settings: &Settings, marker: Marker, threads: &mut Threads) -> UploadSettings {
    let sessions: Vec<ArbiterHandle> = (0..settings.upload_threads.max(1)).map(|_| threads.start()).collect();
    sessions.iter().for_each(make_polite);
    UploadSettings {
        directory: settings.uploads.clone(),
        marker,
        min_free: settings.min_free,
        max_blob_size: settings.max_blob_size,
        verify_on_push: settings.verify_on_push,
        max_uploads: settings.max_uploads,
        keep: Grace(settings.grace).kept(),
        threads: sessions,
    }
}

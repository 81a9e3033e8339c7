//! The registry under test beside the model, and one operation on both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcr_actors::ask::AskError;
use mcr_actors::blob_store::{Layout, Open, durable};
use mcr_actors::db::queries::blobs::{FindBlob, KeepBlob, MountBlob, UnlinkBlob};
use mcr_actors::db::queries::manifests::{
    DeleteManifest, FindManifestHead, KeepManifest, PublishError, PublishManifest,
};
use mcr_actors::db::queries::repositories::DeleteRepository;
use mcr_actors::db::queries::tags::DeleteTag;
use mcr_actors::domain::{Algorithm, Digest, Origin, Principal, Reference, Timestamp};
use mcr_actors::fs::Fs;
use mcr_actors::fs::fake::FakeFs;
use mcr_actors::gc::{Gate, GcError, GetGcStatus, Pace, StartSweep, StopSweep, Trigger};
use mcr_actors::registry::Worker;
use mcr_actors::testing::Harness;
use mcr_actors::upload::{Begin, BeginOnce, BeginRequest, Owner};
use tokio::task::JoinHandle;

use crate::Op;
use crate::content::{BLOBS, MANIFESTS, Parts, Repository, blob, content, manifest, name, parts};
use crate::known::Known;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it looks again and again for what mostly comes at once; then it leaves the processor to those who do it.
const BRIEFLY: Duration = Duration::from_millis(2);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(25 * 3600);

pub(crate) struct World {
    harness: Option<Harness>,
    fs: FakeFs,
    gate: Gate,
    grace: Duration,
    untagged_after: Option<Duration>,
    known: BTreeMap<Repository, Known>,
    /// Pushes under way: they may have to wait for a sweep.
    pushing: Vec<(Repository, u8, Timestamp, JoinHandle<bool>)>,
}

impl World {
    pub(crate) async fn new(grace: Duration, untagged_after: Option<Duration>) -> Self {
        let (fs, gate) = (FakeFs::default(), Gate::default());
        let pace = Pace::Gated(gate.clone());
        let harness = Harness::start_with(Arc::new(fs.clone()), |settings| {
            (settings.grace, settings.untagged_after, settings.gc_pace) = (grace, untagged_after, pace);
        });
        let known = [("a", Known::default()), ("b", Known::default())].into();
        Self { harness: Some(harness.await), fs, gate, grace, untagged_after, known, pushing: Vec::new() }
    }

    fn worker(&self) -> &Worker {
        &self.harness.as_ref().unwrap().worker
    }

    /// What the model goes by: the time that has really gone by.
    fn now(&self) -> Timestamp {
        self.harness.as_ref().unwrap().clock.of_all_runs()
    }

    /// What the registry goes by.
    fn time(&self) -> Timestamp {
        self.harness.as_ref().unwrap().clock.now()
    }

    fn known(&mut self, at: Repository) -> &mut Known {
        self.known.get_mut(at).unwrap()
    }

    pub(crate) async fn run(&mut self, op: Op) {
        match op {
            Op::Push(at, number) => self.push(at, number),
            Op::Mount(from, to, number) => self.mount(from, to, number).await,
            Op::Head(at, number) => {
                let (now, until) = (self.now(), self.promised());
                let found = self.head(at, number).await;
                assert!(found || !self.known(at).must_have(number, now), "a look missed a blob");
                if found {
                    self.known(at).promise(number, until);
                }
            }
            Op::Look(at, number) => self.look(at, number).await,
            Op::Publish(at, number, tag) => self.publish(at, number, tag).await,
            Op::Image(at, number, tag) => self.image(at, number, tag).await,
            Op::DeleteBlob(at, number) => self.delete_blob(at, number).await,
            Op::DeleteManifest(at, number) => self.delete_manifest(at, number).await,
            Op::DeleteTag(at, tag) => {
                let now = self.now();
                let delete = DeleteTag { repository: name(at), tag: tag.parse().unwrap(), now: self.time() };
                self.worker().db.write(delete).await.unwrap();
                self.known(at).untag(tag, now);
            }
            Op::Delete(at) => {
                let delete = DeleteRepository { name: name(at), kept_until: self.kept_until() };
                self.worker().db.write(delete).await.unwrap();
                *self.known(at) = Known::default();
                self.forget_pushes(at, 0..BLOBS);
            }
            Op::Abandon(at) => self.abandon(at).await,
            Op::Wait(halves) => self.harness.as_ref().unwrap().clock.advance(SECOND / 2 * u32::from(halves)),
            Op::StartSweep(take_strays) => self.start_sweep(take_strays).await,
            Op::StopSweep => drop(self.stop_sweep().await),
            Op::Step(messages) => {
                for _ in 0..messages {
                    self.step().await;
                }
            }
            Op::EndSweep => self.end_sweep().await,
            Op::Stray(number) => self.stray(number),
            Op::Crash(seed) => self.crash(seed).await,
            Op::SetClock(by) => self.set_clock(by),
            Op::Restart(by) => self.restart(by).await,
        }
        self.hear_of_pushes(false).await;
        self.hear_of_the_sweep();
        self.nothing_is_missing().await;
    }

    /// Until when what is answered as present now is promised.
    fn promised(&self) -> Timestamp {
        self.now().after(self.grace)
    }

    /// Until when it is kept.
    fn kept_until(&self) -> Timestamp {
        self.time().after(self.grace + self.grace / 2)
    }

    async fn mount(&mut self, from: Repository, to: Repository, number: u8) {
        let (now, until, kept_until) = (self.now(), self.promised(), self.kept_until());
        let (repository, time) = (name(to), self.time());
        let mount = MountBlob { from: name(from), repository, digest: blob(number), now: time, kept_until };
        let mounted = self.worker().db.write(mount).await.unwrap();
        assert!(mounted.is_some() || !self.known(from).must_have(number, now), "a mount missed a blob");
        if mounted.is_some() {
            self.known(to).linked(number, until);
        }
    }

    async fn delete_blob(&mut self, at: Repository, number: u8) {
        let kept_until = self.kept_until();
        let unlink = UnlinkBlob { repository: name(at), digest: blob(number), kept_until };
        if self.worker().db.write(unlink).await.unwrap() {
            self.known(at).unlinked(number);
        }
        self.forget_pushes(at, number..number + 1);
    }

    async fn delete_manifest(&mut self, at: Repository, number: u8) {
        let (now, until, kept_until) = (self.now(), self.promised(), self.kept_until());
        let delete = DeleteManifest { repository: name(at), digest: manifest(number).digest, kept_until };
        let deleted = self.worker().db.write(delete).await.unwrap();
        let known = self.known(at);
        assert_eq!(known.manifests.contains_key(&number), deleted);
        if deleted {
            known.deleted(number, now, until);
        }
    }

    /// Takes note of the manifests that a sweep took; each must have been one that it may take.
    fn hear_of_the_sweep(&mut self) {
        let there: BTreeSet<(String, String)> = self
            .harness
            .as_ref()
            .unwrap()
            .rows("SELECT name, digest FROM manifests JOIN repositories ON repositories.id = repository_id")
            .into_iter()
            .collect();
        let (now, until, untagged_after) = (self.now(), self.promised(), self.untagged_after);
        let grace = self.grace;
        for (at, known) in &mut self.known {
            let is_there =
                |number: u8| there.contains(&((*at).to_owned(), manifest(number).digest.to_string()));
            let gone: Vec<u8> = known.manifests.keys().copied().filter(|number| !is_there(*number)).collect();
            let loose = untagged_after.map(|after| known.loose(now, after, grace)).unwrap_or_default();
            for number in gone {
                assert!(loose.contains(&number), "a sweep took manifest {number} of {at}");
                known.deleted(number, now, until);
            }
            for number in (0..MANIFESTS).filter(|number| is_there(*number)) {
                assert!(known.manifests.contains_key(&number), "manifest {number} of {at} came back");
            }
        }
    }

    async fn stop_sweep(&self) -> Result<i64, AskError<GcError>> {
        self.worker().gc.ask(StopSweep { origin: Origin::default(), caller: None }).await
    }

    async fn start_sweep(&self, take_strays: bool) {
        let origin = Origin::default();
        let start =
            StartSweep { trigger: Trigger::Request, dry_run: false, take_strays, origin, caller: None };
        let runs = self.sweeps().await;
        if !runs {
            // One that was stopped stood there.
            self.gate.close();
        }
        let started = self.worker().gc.ask(start).await;
        match started {
            // One that ran may have ended in between.
            Ok(_) => {}
            Err(AskError::Refused(GcError::Running(_))) => assert!(runs, "refused for a sweep that is over"),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn push(&mut self, at: Repository, number: u8) {
        let (worker, now) = (self.worker().clone(), self.now());
        let pushing = tokio::task::spawn_local(async move {
            let request = BeginRequest { at: None, length: None };
            let begin = BeginOnce {
                repository: name(at),
                algorithm: Algorithm::Sha256,
                owner: String::new(),
                request,
            };
            let Ok(mut writer) = worker.uploads.ask(begin).await else { return false };
            writer.append(vec![Bytes::from(content(number))]).await.is_ok()
                && writer.finish(blob(number), Origin::default()).await.is_ok()
        });
        self.pushing.push((at, number, now, pushing));
    }

    /// Pushes under way may have been before or after what takes them away.
    fn forget_pushes(&mut self, at: Repository, numbers: std::ops::Range<u8>) {
        for (repository, number, ..) in &mut self.pushing {
            if *repository == at && numbers.contains(number) {
                *repository = "nowhere";
            }
        }
    }

    /// Takes note of pushes that were acknowledged; waits for all of them, or for a moment.
    async fn hear_of_pushes(&mut self, all: bool) {
        let began = Instant::now();
        while !self.pushing.is_empty() && (all || began.elapsed() < Duration::from_millis(2)) {
            assert!(began.elapsed() < PATIENCE, "a push never ends");
            if let Some(index) = self.pushing.iter().position(|(.., pushing)| pushing.is_finished()) {
                let (at, number, since, pushing) = self.pushing.swap_remove(index);
                assert!(pushing.await.unwrap(), "a push failed");
                let until = since.after(self.grace);
                if let Some(known) = self.known.get_mut(at) {
                    known.linked(number, until);
                }
            } else if all {
                self.step().await;
            } else {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
    }

    /// As the handler of HEAD does it.
    async fn head(&self, at: Repository, number: u8) -> bool {
        let (worker, now, kept_until) = (self.worker(), self.time(), self.kept_until());
        let (repository, digest) = (name(at), blob(number));
        let found = worker.db.recall(FindBlob { repository: repository.clone(), digest }).await.unwrap();
        match found {
            Some(found) if found.referenced || found.kept_until >= now.after(self.grace) => true,
            Some(_) => worker.db.write(KeepBlob { repository, digest, kept_until }).await.unwrap(),
            None => false,
        }
    }

    /// As the handler of HEAD does it.
    async fn look(&mut self, at: Repository, number: u8) {
        let (until, kept_until) = (self.promised(), self.kept_until());
        let (repository, digest) = (name(at), manifest(number).digest);
        let find = FindManifestHead { repository: repository.clone(), reference: Reference::Digest(digest) };
        let worker = self.worker();
        let there = match worker.db.recall(find).await.unwrap() {
            Some(found) if found.kept_until >= self.time().after(self.grace) => true,
            Some(_) => worker.db.write(KeepManifest { repository, digest, kept_until }).await.unwrap(),
            None => false,
        };
        // A sweep may have taken it a moment ago.
        assert!(!there || self.known(at).manifests.contains_key(&number), "manifest {number} came back");
        if there {
            self.known(at).looked_at(number, until);
        }
    }

    async fn image(&mut self, at: Repository, number: u8, tag: Option<&'static str>) {
        let Parts { blobs, children, mentioned } = parts(number);
        for child in children {
            Box::pin(self.image(at, child, None)).await;
        }
        blobs.into_iter().chain(mentioned).for_each(|blob| self.push(at, blob));
        self.hear_of_pushes(false).await;
        self.publish(at, number, tag).await;
    }

    async fn publish(&mut self, at: Repository, number: u8, tag: Option<&'static str>) {
        let now = self.now();
        let tags = tag.map(|tag| tag.parse().unwrap()).into_iter().collect();
        let (repository, manifest) = (name(at), manifest(number));
        let (time, kept_until, until) = (self.time(), self.kept_until(), self.promised());
        let publish = PublishManifest {
            repository,
            manifest,
            tags,
            allow_sparse: false,
            now: time,
            kept_until,
            pushed_by: String::new(),
        };
        let published = self.worker().db.write(publish).await;
        let Parts { blobs, children, mentioned } = parts(number);
        let absent = self.absent(at, mentioned).await;
        let known = self.known(at);
        let complete = blobs.iter().all(|blob| known.must_have(*blob, now))
            && children.iter().all(|child| known.manifests.contains_key(child));
        match published {
            Ok(_) => known.published(number, absent, tag, (now, until)),
            Err(AskError::Refused(PublishError::Missing(_))) => {
                assert!(!complete, "a push was refused in vain")
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Those of the blobs that are not visible.
    async fn absent(&self, at: Repository, blobs: Vec<u8>) -> BTreeSet<u8> {
        let mut absent = BTreeSet::new();
        for number in blobs {
            let find = FindBlob { repository: name(at), digest: blob(number) };
            if self.worker().db.recall(find).await.unwrap().is_none() {
                absent.insert(number);
            }
        }
        absent
    }

    async fn abandon(&self, at: Repository) {
        let owner = Owner { principal: Principal::anonymous(), token_hash: None };
        let begin = Begin { repository: name(at), algorithm: Algorithm::Sha256, owner };
        // There may be too many by now.
        let Ok((_, session)) = self.worker().uploads.ask(begin).await else { return };
        let mut writer = session.ask(BeginRequest { at: None, length: None }).await.unwrap();
        writer.append(vec![Bytes::from_static(b"half of something")]).await.unwrap();
        writer.acknowledge().await.unwrap();
    }

    async fn sweeps(&self) -> bool {
        self.worker().gc.ask(GetGcStatus).await.unwrap().running.is_some()
    }

    /// Lets the sweep send one message, and waits until it stands at the gate again or is over: nothing of it is under way.
    async fn step(&self) {
        if self.stands().await {
            self.gate.open();
            self.stands().await;
        }
    }

    /// Waits until the sweep stands at the gate. False when there is none, or it is over.
    async fn stands(&self) -> bool {
        let began = Instant::now();
        while self.sweeps().await {
            if self.gate.has_arrived() {
                return true;
            }
            assert!(began.elapsed() < PATIENCE, "a sweep stands still");
            if began.elapsed() < BRIEFLY {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(BRIEFLY).await;
            }
        }
        false
    }

    async fn end_sweep(&self) {
        while self.sweeps().await {
            self.step().await;
        }
    }

    /// Puts a file into its place, where there is none and nobody is about to.
    fn stray(&self, number: u8) {
        let path = self.harness.as_ref().unwrap().layout().path(&blob(number));
        let Some(directory) = path.parent().filter(|_| self.pushing.is_empty()) else { return };
        if self.fs.len(&path).ok().flatten().is_some() {
            return;
        }
        durable::create_dirs(&self.fs, directory).unwrap();
        let mut file = self.fs.create(&path).unwrap();
        file.append(&[Bytes::from(content(number))]).unwrap();
    }

    fn set_clock(&self, seconds: i64) {
        let clock = &self.harness.as_ref().unwrap().clock;
        clock.set_wall(Timestamp::from_millis(clock.wall().as_millis().saturating_add(seconds * 1000)));
    }

    async fn restart(&mut self, seconds: i64) {
        self.hear_of_pushes(true).await;
        self.set_clock(seconds);
        let fs = self.fs.clone();
        self.start_again(fs).await;
    }

    /// Starts another run, by the wall clock.
    async fn start_again(&mut self, fs: FakeFs) {
        let (stopped, harness) = (self.time(), self.harness.take().unwrap());
        self.harness = Some(harness.restart(Arc::new(fs.clone())).await);
        self.fs = fs;
        self.gate.close();
        let by = self.time().as_millis() - stopped.as_millis();
        let (now, grace) = (self.now(), self.grace);
        if let Some(after) = self.untagged_after {
            self.known.values_mut().for_each(|known| known.restarted(by, now, after, grace));
        }
    }

    async fn crash(&mut self, seed: u64) {
        for (.., pushing) in self.pushing.drain(..) {
            // Nobody heard of it: it happened or not.
            pushing.abort();
        }
        let fs = self.fs.crash(seed);
        self.start_again(fs).await;
    }

    async fn nothing_is_missing(&self) {
        let now = self.now();
        for (at, known) in &self.known {
            for number in (0..BLOBS).filter(|number| known.must_have(*number, now)) {
                let (repository, digest) = (name(at), blob(number));
                let found = self.worker().db.recall(FindBlob { repository, digest }).await.unwrap();
                let size = found.unwrap_or_else(|| panic!("{at} lost blob {number}")).size;
                let file = self.worker().blobs.ask(Open { digest, size }).await.expect("a file is gone");
                let mut bytes = vec![0; content(number).len()];
                assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
                assert_eq!(bytes, content(number));
            }
        }
    }

    /// After all promises are over, sweeps leave what is needed and nothing else.
    pub(crate) async fn finish(mut self) {
        self.hear_of_pushes(true).await;
        self.end_sweep().await;
        self.hear_of_the_sweep();
        // What a manifest that goes held is promised for a while, and that is over for the next: an index, its image, what
        // refers to that, and the blobs of it.
        for over in [MINUTE, MINUTE, MINUTE, DAY, DAY] {
            self.quiet_sweep(over).await;
        }
        self.nothing_is_missing().await;
        let now = self.now();
        for (at, known) in &self.known {
            let loose =
                self.untagged_after.map(|after| known.loose(now, after, self.grace)).unwrap_or_default();
            assert_eq!(loose, BTreeSet::new(), "a sweep left manifests of {at}");
        }
        let needed: BTreeSet<Digest> = self
            .known
            .values()
            .flat_map(|known| (0..BLOBS).filter(|number| known.needs(*number)))
            .map(blob)
            .collect();
        let harness = self.harness.take().unwrap();
        let layout = harness.layout();
        let files: BTreeSet<Digest> =
            (0..Layout::DIRECTORIES).flat_map(|index| self.files(&layout, index)).collect();
        assert_eq!(files, needed, "files");
        let rows = harness.rows::<i64>("SELECT digest, state FROM blobs ORDER BY digest");
        assert_eq!(rows, needed.iter().map(|digest| (digest.to_string(), 0)).collect::<Vec<_>>(), "rows");
        assert!(harness.rows::<u64>("SELECT id, bytes FROM uploads").is_empty(), "an upload never expires");
        harness.finish().await;
    }

    /// A whole sweep, when this time has gone by and all that was promised before is over.
    async fn quiet_sweep(&mut self, over: Duration) {
        self.harness.as_ref().unwrap().clock.advance(over);
        // All files are looked at once a day, and that takes long.
        self.run(Op::StartSweep(over >= DAY)).await;
        self.end_sweep().await;
        self.hear_of_the_sweep();
    }

    fn files(&self, layout: &Layout, index: usize) -> Vec<Digest> {
        let directory = layout.directory(index);
        let names = self.fs.list(&directory).unwrap_or_default();
        names.iter().map(|name| layout.digest(&directory.join(name)).unwrap()).collect()
    }
}

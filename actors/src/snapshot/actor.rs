//! Decides when a snapshot is taken, and keeps its report. The work is done on a thread of its own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, ArbiterHandle, AsyncContext, Context, Handler, ResponseActFuture, WrapFuture,
};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use super::files::Examiner;
use super::name::directory_name;
use super::take::Take;
use super::{
    Data, Flaw, GetSnapshotStatus, Manifest, Progress, SnapshotError, SnapshotReport, SnapshotStatus,
    StartSnapshot, WorkError, asked, place,
};
use crate::ask::Handle;
use crate::blob_store::{BlobStore, Reserve};
use crate::clock::Clock;
use crate::db::Db;
use crate::db::queries::audit::Audited;
use crate::db::queries::permission::Permitted;
use crate::db::queries::snapshots::{FinishSnapshot, InsertSnapshot, MarkBad, OwnSnapshots};
use crate::db::writer::Holding;
use crate::domain::{Digest, Event, EventName, Origin};
use crate::fs::Fs;
use crate::gc::{Gc, Hold, HoldSweeps, ReleaseSweeps};
use crate::priority::be_polite;

/// Who takes snapshots.
#[derive(Debug)]
pub struct Snapshots {
    tools: Tools,
    directory: PathBuf,
    running: Option<Running>,
    /// The names of those that this registry began, as far as there may be leftovers of them.
    begun: HashSet<String>,
    /// Removes what was not finished when the program ended, until the first snapshot waits for it.
    cleaning: Option<JoinHandle<()>>,
}

/// What a snapshot is taken of, and whom its keeper asks.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) data: Data,
    pub(crate) db: Db,
    pub(crate) blobs: Handle<BlobStore>,
    pub(crate) gc: Handle<Gc>,
    pub(crate) clock: Clock,
}

/// The one that is taken. Dropped, it stops and waits for its thread.
#[derive(Debug)]
struct Running {
    id: i64,
    report: SnapshotReport,
    progress: Arc<Progress>,
    origin: Origin,
    /// Holds sweeps off.
    hold: Option<Hold>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.progress.stop();
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing left to do either.
            let _ended = thread.join();
        }
    }
}

type Taken = Result<Manifest, WorkError>;

impl Snapshots {
    /// Starts on `thread`; snapshots are made in `directory`. Removes there what this registry began and did not finish.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn start_on(
        tools: Tools,
        directory: PathBuf,
        thread: &ArbiterHandle,
    ) -> Result<Handle<Self>, SnapshotError> {
        let (data, there) = (tools.data.clone(), directory.clone());
        let names = place::partials(data.fs.as_ref(), &directory).unwrap_or_else(|error| {
            log::warn!("{} cannot be listed: {error}", directory.display());
            Vec::new()
        });
        let begun: HashSet<String> =
            tools.db.read(OwnSnapshots(names)).await.map_err(asked)?.into_iter().collect();
        let own = begun.clone();
        // A tree of a million names takes a while, and no request waits for it.
        let clean = move || remove_partials(data.fs.as_ref(), &there, &own);
        let cleaning = std::thread::Builder::new().name("leftovers".to_owned()).spawn(clean);
        let cleaning = cleaning.inspect_err(|error| log::warn!("leftovers stay for now: {error}")).ok();
        let addr =
            Self::start_in_arbiter(thread, |_| Self { tools, directory, running: None, begun, cleaning });
        Ok(Handle::new("snapshots", addr, 64, Duration::from_secs(600)))
    }

    /// Takes the place of the one snapshot, has sweeps held off, then makes it durable that it began.
    fn start(&mut self, start: StartSnapshot) -> ResponseActFuture<Self, Result<i64, SnapshotError>> {
        if let Some(running) = &self.running {
            let refused = Err(SnapshotError::Running(running.id));
            return Box::pin(std::future::ready(refused).into_actor(self));
        }
        let StartSnapshot { name, origin, caller } = start;
        let now = self.tools.clock.now();
        let name = directory_name(now, name.as_ref());
        let directory = self.directory.join(&name);
        self.begun.insert(name.clone());
        let report = SnapshotReport::new(directory.display().to_string(), now);
        let query = InsertSnapshot { name: name.clone(), started_at: now, report: text(&report) };
        let (progress, actor) = (Arc::default(), origin.clone());
        self.running = Some(Running { id: 0, report, progress, origin: actor, hold: None, thread: None });
        let describe = move |id: &i64| {
            vec![Event::new(EventName::SnapshotStarted).with(json!({"snapshot": id, "name": name}))]
        };
        let (gc, db) = (self.tools.gc.clone(), self.tools.db.clone());
        let begun = async move {
            let hold = gc.ask(HoldSweeps).await.map_err(asked)?;
            let query = Audited { query, origin, now, describe };
            let id = db.write(Permitted { query, caller }).await.map_err(asked)?;
            let id = id.ok_or(SnapshotError::Lost)?;
            Ok((hold, id))
        };
        Box::pin(begun.into_actor(self).map(move |begun, snapshots, context| {
            let done = begun.and_then(|(hold, id)| snapshots.work(id, hold, directory, context).map(|()| id));
            if done.is_err() {
                snapshots.running = None;
            }
            done
        }))
    }

    /// Gives the work a thread.
    fn work(
        &mut self,
        id: i64,
        hold: Hold,
        directory: PathBuf,
        context: &mut Context<Self>,
    ) -> Result<(), SnapshotError> {
        let Some(running) = &mut self.running else { return Ok(()) };
        (running.id, running.hold) = (id, Some(hold));
        let (data, now) = (self.tools.data.clone(), self.tools.clock.now());
        let (snapshots, own, cleaning) = (self.directory.clone(), self.begun.clone(), self.cleaning.take());
        let (progress, (found, flaws), (done, ended)) =
            (Arc::clone(&running.progress), unbounded_channel(), oneshot::channel());
        let work = move || {
            be_polite();
            // Two who remove the same would be in each other's way.
            let _done = cleaning.map(JoinHandle::join);
            remove_partials(data.fs.as_ref(), &snapshots, &own);
            let mut flawed = |digest: &Digest, size, flaw: &Flaw| {
                log::error!("corruption: {digest}: {flaw}");
                if flaw.is_proof() {
                    // Without a receiver the program is stopping.
                    let _unheard = found.send((*digest, size));
                }
            };
            let taken = Take { data, directory, now, row: Some(id) }.run(&progress, &mut flawed);
            let _unheard = done.send(taken);
        };
        let thread = std::thread::Builder::new().name("snapshot".to_owned()).spawn(work);
        running.thread = Some(thread.map_err(SnapshotError::Thread)?);
        log::info!("snapshot {id} begins");
        let tools = self.tools.clone();
        let taken = async move {
            mark_all(&tools, flaws).await;
            let lost = || WorkError::Refused("its thread ended early; the log says why".to_owned());
            ended.await.unwrap_or_else(|_| Err(lost()))
        };
        let finish = |taken, snapshots: &mut Self, context: &mut _| snapshots.finish(taken, context);
        context.spawn(taken.into_actor(self).map(finish));
        Ok(())
    }

    /// Lets sweeps run again, then keeps the report. Until both are done it is said to run, so that who hears of its end
    /// can begin a sweep.
    fn finish(&mut self, taken: Taken, context: &mut Context<Self>) {
        let now = self.tools.clock.now();
        let Some(running) = &mut self.running else { return };
        let (id, mut report, origin) = (running.id, running.report.clone(), running.origin.clone());
        report.absorb(running.progress.look());
        report.finish(taken, now);
        log_end(id, &report);
        let details = json!({"snapshot": id, "state": report.state, "blobs": report.blobs,
            "bytes": report.bytes, "errors": report.error_count});
        let query = FinishSnapshot { id, finished_at: now, report: text(&report) };
        let describe = move |(): &()| vec![Event::new(EventName::SnapshotFinished).with(details)];
        let (gc, db, hold) = (self.tools.gc.clone(), self.tools.db.clone(), running.hold.take());
        let kept = async move {
            if let Some(hold) = hold
                && let Err(error) = gc.ask(ReleaseSweeps(hold)).await
            {
                log::warn!("sweeps are held off for a little longer: {error}");
            }
            db.write(Audited { query, origin, now, describe }).await
        };
        context.spawn(kept.into_actor(self).map(|kept, snapshots, _| {
            if let Err(error) = kept {
                log::warn!("the report of a snapshot is lost: {error}");
            }
            snapshots.running = None;
        }));
    }
}

fn log_end(id: i64, report: &SnapshotReport) {
    let SnapshotReport { blobs, bytes, error_count, .. } = report;
    match &report.error {
        None => log::info!("snapshot {id} is whole: {blobs} blobs and {bytes} bytes, {error_count} errors"),
        Some(error) => log::error!("snapshot {id} failed: {error}"),
    }
}

/// Removes what is left of snapshots of these names.
fn remove_partials(fs: &dyn Fs, directory: &Path, own: &HashSet<String>) {
    let found = place::partials(fs, directory).unwrap_or_else(|error| {
        log::warn!("{} cannot be listed: {error}", directory.display());
        Vec::new()
    });
    for leftover in found.iter().filter(|name| own.contains(*name)) {
        let leftover = place::partial_of(&directory.join(leftover));
        match place::remove_partial(fs, &leftover) {
            Ok(()) => log::info!("removed {}, which was not finished", leftover.display()),
            Err(error) => log::warn!("{} stays for now: {error}", leftover.display()),
        }
    }
}

/// Marks what was found bad, so that it is never served again as good.
async fn mark_all(tools: &Tools, mut flaws: UnboundedReceiver<(Digest, u64)>) {
    while let Some((digest, size)) = flaws.recv().await {
        match mark(tools, digest, size).await {
            Ok(true) => log::error!("corruption: {digest} is marked bad until it is pushed again"),
            Ok(false) => {}
            Err(error) => log::warn!("{digest} is not marked bad: {error}"),
        }
    }
}

/// Looks again while nobody else decides about the digest: it may have been pushed anew meanwhile.
async fn mark(tools: &Tools, digest: Digest, size: u64) -> Result<bool, SnapshotError> {
    let held = tools.blobs.ask(Reserve { digest }).await.map_err(|_| asked_of_store())?;
    let data = tools.data.clone();
    let look = move || {
        let (path, progress) = (data.layout.path(&digest), Progress::default());
        let examined = Examiner::new(data.fs.as_ref(), &progress).examine(&path, &digest, size);
        matches!(examined, Ok(Some(flaw)) if flaw.is_proof())
    };
    let still = actix_rt::task::spawn_blocking(look).await.unwrap_or(false);
    if !still {
        return Ok(false);
    }
    // Held until the mark is made, however late: a push in between would bring a good file.
    let mark = Holding { query: MarkBad(digest), held: Arc::new(held) };
    let (marked, _held) = tools.db.write(mark).await.map_err(asked)?;
    Ok(marked)
}

fn asked_of_store() -> SnapshotError {
    SnapshotError::Unavailable("blob store")
}

fn text(report: &SnapshotReport) -> String {
    // A report holds nothing that JSON cannot say.
    serde_json::to_string(report).unwrap_or_default()
}

impl Actor for Snapshots {
    type Context = Context<Self>;
}

impl Handler<StartSnapshot> for Snapshots {
    type Result = ResponseActFuture<Self, Result<i64, SnapshotError>>;

    fn handle(&mut self, start: StartSnapshot, _: &mut Self::Context) -> Self::Result {
        self.start(start)
    }
}

impl Handler<GetSnapshotStatus> for Snapshots {
    type Result = Result<SnapshotStatus, SnapshotError>;

    fn handle(&mut self, _: GetSnapshotStatus, _: &mut Self::Context) -> Self::Result {
        let running = self.running.as_ref().map(|running| {
            let mut report = running.report.clone();
            report.absorb(running.progress.look());
            (running.id, report)
        });
        Ok(SnapshotStatus { running })
    }
}

//! Decides when a sweep runs, and keeps its report.

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, ArbiterHandle, AsyncContext, Context, Handler, ResponseActFuture, ResponseFuture,
    StreamHandler, WrapFuture,
};
use serde_json::json;
use tokio::sync::mpsc;

use super::housekeeping::{Housekeeping, INTERVAL};
use super::pace::{Pace, Walk};
use super::plan::{Scope, Step};
use super::report::{Outcome, Report, Trigger};
use super::sweep::{self, Taken, Tools};
use super::{Clean, GcError, GcStatus, GetGcStatus, HoldSweeps, ReleaseSweeps, StartSweep, StopSweep, asked};
use crate::ask::{AskError, Handle};
use crate::blob_store::{BlobStore, Layout};
use crate::db::queries::audit::Audited;
use crate::db::queries::collection::{CountDue, collector};
use crate::db::queries::sweeps::{FinishSweep, InsertSweep};
use crate::domain::{Event, EventName, Origin, Timestamp};
use crate::fs::Fs;
use crate::upload::{Swept, UploadError};

/// How long files are believed to have rows after they were all looked at. Files without one come from crashes, so the first
/// sweep after a start looks at all of them.
const WALK: Duration = Duration::from_secs(24 * 3600);

/// What the collector needs to know.
#[derive(Debug, Clone)]
pub struct GcSettings {
    /// How often it sweeps by itself; never when there is none.
    pub interval: Option<Duration>,
    /// How long a manifest may be untagged; for ever when there is none.
    pub untagged_after: Option<Duration>,
    /// How long a blob is kept from the loss of its last reference.
    pub keep: Duration,
    /// By how much that is longer than was promised.
    pub spare: Duration,
    /// How fast a sweep goes on.
    pub pace: Pace,
}

/// The collector.
#[derive(Debug)]
pub struct Gc {
    housekeeping: Housekeeping,
    tools: Tools,
    interval: Option<Duration>,
    running: Option<Running>,
    /// When all files were last compared with rows.
    walked_at: Option<Timestamp>,
    /// Whether sweeps are held off.
    held: bool,
    /// Whether old audit entries are being forgotten.
    forgetting: bool,
    released: mpsc::UnboundedSender<Released>,
    releases: Option<mpsc::UnboundedReceiver<Released>>,
}

/// Holds sweeps off until it is dropped.
#[derive(Debug)]
pub struct Hold(Option<mpsc::UnboundedSender<Released>>);

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(released) = self.0.take() {
            // A collector that is gone sweeps nothing.
            let _gone = released.send(Released);
        }
    }
}

/// Sweeps are held off no more.
#[derive(Debug)]
struct Released;

#[derive(Debug)]
struct Running {
    report: Report,
    scope: Scope,
    stop: bool,
}

impl Gc {
    /// Starts on `thread`, with its timers.
    pub fn start_on(
        housekeeping: Housekeeping,
        blobs: Handle<BlobStore>,
        fs: Arc<dyn Fs>,
        layout: Layout,
        settings: GcSettings,
        thread: &ArbiterHandle,
    ) -> Handle<Self> {
        let tools = Tools {
            db: housekeeping.db.clone(),
            blobs,
            uploads: housekeeping.uploads.clone(),
            fs,
            layout,
            clock: housekeeping.clock.clone(),
            pace: settings.pace,
            keep: settings.keep,
            spare: settings.spare,
            untagged_after: settings.untagged_after,
            upload_expiry: housekeeping.upload_expiry,
        };
        let (interval, running, walked_at) = (settings.interval, None, None);
        let (released, releases) = mpsc::unbounded_channel();
        let (held, forgetting, releases) = (false, false, Some(releases));
        let gc =
            Self { housekeeping, tools, interval, running, walked_at, held, forgetting, released, releases };
        let addr = Self::start_in_arbiter(thread, |_| gc);
        Handle::new("gc", addr, 64, Duration::from_secs(600))
    }

    /// Forgets old audit entries; nobody waits for it, and it is done once at a time.
    fn forget(&mut self, context: &mut Context<Self>) {
        if let Some(forgotten) = self.housekeeping.forget().filter(|_| !self.forgetting) {
            self.forgetting = true;
            context.spawn(forgotten.into_actor(self).map(|(), gc, _| gc.forgetting = false));
        }
    }

    fn scope(&self, dry_run: bool) -> Scope {
        let now = self.tools.clock.now();
        let walked = self.walked_at.is_some_and(|at| now.since(at) < WALK);
        let directories = if walked { 0 } else { Layout::DIRECTORIES };
        Scope { dry_run, untagged: self.tools.untagged_after.is_some(), directories }
    }

    /// Takes the place of the one sweep, then makes it durable that it began.
    fn start(
        &mut self,
        trigger: Trigger,
        dry_run: bool,
        origin: Origin,
    ) -> ResponseActFuture<Self, Result<i64, GcError>> {
        if let Some(running) = &self.running {
            return Box::pin(std::future::ready(Err(GcError::Running(running.report.id))).into_actor(self));
        }
        if self.held {
            return Box::pin(std::future::ready(Err(GcError::Held)).into_actor(self));
        }
        let (now, db) = (self.tools.clock.now(), self.tools.db.clone());
        let report = Report::new(trigger, dry_run, now);
        let query = InsertSweep { started_at: now, report: text(&report) };
        self.running = Some(Running { report, scope: self.scope(dry_run), stop: false });
        let describe = move |id: &i64| {
            vec![Event::new(EventName::GcStarted).with(json!({"sweep": id, "dry_run": dry_run}))]
        };
        let begun = async move {
            let id = db.write(Audited { query, origin, now, describe }).await.map_err(asked)?;
            let (links, blobs) = db.read(CountDue { now }).await.map_err(asked)?;
            Ok::<_, GcError>((id, links.saturating_add(blobs)))
        };
        Box::pin(begun.into_actor(self).map(|begun, gc, context| match begun {
            Ok((id, left)) => {
                log::info!("sweep {id} begins");
                let Some(running) = &mut gc.running else { return Ok(id) };
                (running.report.id, running.report.left) = (id, left);
                let first = running.scope.first();
                gc.go_on(first, gc.tools.pace.walk(), context);
                Ok(id)
            }
            Err(error) => {
                gc.running = None;
                Err(error)
            }
        }))
    }

    fn go_on(&mut self, step: Step, walk: Walk, context: &mut Context<Self>) {
        let Some(running) = &mut self.running else { return };
        running.report.phase = step.phase();
        let taken = sweep::take(step, running.report.id, self.tools.clone(), walk);
        context.spawn(taken.into_actor(self).map(|taken, gc, context| gc.took(taken, context)));
    }

    fn took(&mut self, taken: Taken, context: &mut Context<Self>) {
        let Some(running) = &mut self.running else { return };
        let Taken { step, mut gain, found, walk } = taken;
        let next = found.map(|found| running.scope.after(&step, found));
        if let Err(error) = &next {
            gain.error(error);
        }
        for error in &gain.errors {
            log::warn!("sweep {}: {error}", running.report.id);
        }
        running.report.absorb(gain);
        match next {
            Ok(None) => self.finish(Outcome::Done, context),
            Ok(Some(_)) if running.stop => self.finish(Outcome::Stopped, context),
            Ok(Some(next)) => self.go_on(next, walk, context),
            Err(_) => self.finish(Outcome::Failed, context),
        }
    }

    /// Keeps the report; the place is free after that. Until then the sweep is told to run, so that whoever hears that it has
    /// ended can begin the next.
    fn finish(&mut self, outcome: Outcome, context: &mut Context<Self>) {
        let now = self.tools.clock.now();
        let Some(running) = &self.running else { return };
        let mut report = running.report.clone();
        report.finish(outcome, now);
        if outcome == Outcome::Done && running.scope.directories > 0 && !report.dry_run {
            self.walked_at = Some(now);
        }
        let counts = report.counts;
        log::info!(
            "sweep {} ended ({outcome:?}): {} blobs and {} bytes removed, {} errors",
            report.id,
            counts.removed,
            counts.freed_bytes,
            counts.error_count
        );
        let query = FinishSweep { id: report.id, finished_at: now, report: text(&report) };
        let details = json!({"sweep": report.id, "outcome": outcome, "removed": counts.removed,
            "freed_bytes": counts.freed_bytes, "manifests": counts.manifests, "errors": counts.error_count});
        let describe = move |(): &()| vec![Event::new(EventName::GcFinished).with(details)];
        let kept = self.tools.db.write(Audited { query, origin: collector(), now, describe });
        context.spawn(kept.into_actor(self).map(|kept, gc, _| {
            if let Err(error) = kept {
                log::warn!("the report of a sweep is lost: {error}");
            }
            gc.running = None;
        }));
    }
}

fn text(report: &Report) -> String {
    // A report holds nothing that JSON cannot say.
    serde_json::to_string(report).unwrap_or_default()
}

impl Actor for Gc {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(mut releases) = self.releases.take() {
            context.add_stream(futures_util::stream::poll_fn(move |context| releases.poll_recv(context)));
        }
        context.run_interval(INTERVAL, |gc, context| {
            gc.forget(context);
            let cleaned = gc.housekeeping.clean();
            context.spawn(
                async move {
                    if let Err(error) = cleaned.await {
                        log::warn!("cleaning up was put off: {error}");
                    }
                }
                .into_actor(gc),
            );
        });
        if let Some(interval) = self.interval {
            context.run_interval(interval, |gc, context| {
                let started = gc.start(Trigger::Interval, false, collector());
                context.spawn(started.map(|started, _, _| {
                    if let Err(error) = started {
                        log::warn!("a sweep was put off: {error}");
                    }
                }));
            });
        }
    }
}

impl Handler<Clean> for Gc {
    type Result = ResponseFuture<Result<Swept, AskError<UploadError>>>;

    fn handle(&mut self, _: Clean, context: &mut Self::Context) -> Self::Result {
        self.forget(context);
        self.housekeeping.clean()
    }
}

impl Handler<StartSweep> for Gc {
    type Result = ResponseActFuture<Self, Result<i64, GcError>>;

    fn handle(&mut self, start: StartSweep, _: &mut Self::Context) -> Self::Result {
        self.start(start.trigger, start.dry_run, start.origin)
    }
}

impl Handler<HoldSweeps> for Gc {
    type Result = Result<Hold, GcError>;

    fn handle(&mut self, _: HoldSweeps, _: &mut Self::Context) -> Self::Result {
        match &self.running {
            Some(running) => Err(GcError::Running(running.report.id)),
            None if self.held => Err(GcError::Held),
            None => {
                self.held = true;
                Ok(Hold(Some(self.released.clone())))
            }
        }
    }
}

impl Handler<ReleaseSweeps> for Gc {
    type Result = Result<(), GcError>;

    fn handle(&mut self, ReleaseSweeps(mut hold): ReleaseSweeps, _: &mut Self::Context) -> Self::Result {
        // A second word of it could release who holds them next.
        hold.0 = None;
        self.held = false;
        Ok(())
    }
}

impl StreamHandler<Released> for Gc {
    fn handle(&mut self, _: Released, _: &mut Self::Context) {
        self.held = false;
    }
}

impl Handler<StopSweep> for Gc {
    type Result = Result<i64, GcError>;

    fn handle(&mut self, _: StopSweep, _: &mut Self::Context) -> Self::Result {
        let running = self.running.as_mut().ok_or(GcError::Idle)?;
        running.stop = true;
        Ok(running.report.id)
    }
}

impl Handler<GetGcStatus> for Gc {
    type Result = Result<GcStatus, GcError>;

    fn handle(&mut self, _: GetGcStatus, _: &mut Self::Context) -> Self::Result {
        Ok(GcStatus { running: self.running.as_ref().map(|running| running.report.clone()) })
    }
}

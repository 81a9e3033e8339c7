//! Decides when a sweep runs, and keeps its report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, ArbiterHandle, AsyncContext, Context, Handler, ResponseActFuture, ResponseFuture,
    StreamHandler, WrapFuture,
};
use serde_json::json;
use tokio::sync::mpsc;

use super::facts::{self, Files};
use super::hold::{Hold, Released};
use super::housekeeping::{Housekeeping, INTERVAL};
use super::pace::{Pace, Walk};
use super::plan::{Found, Looked, Scope, Step};
use super::report::{Outcome, Report, Trigger};
use super::sweep::{self, Sweep, Taken, Tools};
use super::{
    Clean, GcError, GcStatus, GetGcStatus, HoldSweeps, ReleaseSweeps, StartSweep, StopSweep, asked,
    strays_wait,
};
use crate::ask::{AskError, Handle};
use crate::blob_store::{BlobStore, Layout};
use crate::db::queries::audit::{Audited, Record};
use crate::db::queries::collection::{CountDue, collector};
use crate::db::queries::permission::Permitted;
use crate::db::queries::sweeps::{FinishSweep, InsertSweep};
use crate::domain::{Event, EventName, Timestamp};
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
    /// When the next sweep begins by itself.
    next: Option<Instant>,
    running: Option<Running>,
    /// When all files were last compared with rows, and whether some had none and stayed.
    walked: Option<(Timestamp, bool)>,
    /// Whether sweeps are held off.
    held: bool,
    /// Whether old audit entries are being forgotten.
    forgetting: bool,
    /// Whether manifests and configs are being read for what people look for.
    describing: bool,
    released: mpsc::UnboundedSender<Released>,
    releases: Option<mpsc::UnboundedReceiver<Released>>,
}

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
        let (interval, running, walked) = (settings.interval, None, None);
        let (released, releases) = mpsc::unbounded_channel();
        let (held, forgetting, describing, releases) = (false, false, false, Some(releases));
        let gc = Self {
            housekeeping,
            tools,
            interval,
            next: None,
            running,
            walked,
            held,
            forgetting,
            describing,
            released,
            releases,
        };
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

    /// Reads what was pushed lately for what people look for; once at a time.
    fn describe(&mut self, context: &mut Context<Self>) {
        if !std::mem::replace(&mut self.describing, true) {
            let files = Files { fs: Arc::clone(&self.tools.fs), layout: self.tools.layout.clone() };
            let described = facts::describe(self.tools.db.clone(), files);
            context.spawn(described.into_actor(self).map(|(), gc, _| gc.describing = false));
        }
    }

    /// All files are looked at once a day; as soon as it may take them where some have no row; and when somebody asks for
    /// just those.
    fn scope(&self, dry_run: bool, take_strays: bool) -> Scope {
        let now = self.tools.clock.now();
        let is_known = self.walked.is_some_and(|(at, strays)| match strays {
            true => !dry_run && now.since(at) < strays_wait(self.tools.keep),
            false => now.since(at) < WALK,
        });
        let directories = if is_known && !take_strays { 0 } else { Layout::DIRECTORIES };
        Scope { dry_run, take_strays, untagged: self.tools.untagged_after.is_some(), directories }
    }

    /// Takes the place of the one sweep, then makes it durable that it began.
    fn start(
        &mut self,
        StartSweep { trigger, dry_run, take_strays, origin, caller }: StartSweep,
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
        self.running = Some(Running { report, scope: self.scope(dry_run, take_strays), stop: false });
        let describe = move |id: &i64| {
            vec![Event::new(EventName::GcStarted).with(json!({"sweep": id, "dry_run": dry_run}))]
        };
        let begun = async move {
            let query = Audited { query, origin, now, describe };
            db.write(Permitted { query, caller }).await.map_err(asked)?.ok_or(GcError::Lost)
        };
        let counted = begun.into_actor(self).then(move |begun, gc, _| {
            // Whoever ends it from now on hears which it is.
            if let (Ok(id), Some(running)) = (&begun, &mut gc.running) {
                running.report.id = *id;
            }
            let db = gc.tools.db.clone();
            let counted = async move {
                let id = begun?;
                let (links, blobs) = db.read(CountDue { now }).await.map_err(asked)?;
                Ok::<_, GcError>((id, links.saturating_add(blobs)))
            };
            counted.into_actor(gc)
        });
        Box::pin(counted.map(|begun, gc, context| match begun {
            Ok((id, left)) => {
                log::info!("sweep {id} begins");
                let Some(running) = &mut gc.running else { return Ok(id) };
                running.report.left = left;
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

    /// Makes it durable who ends the sweep, then ends it. One that has ended meanwhile is what was asked for.
    fn stop(
        &mut self,
        StopSweep { origin, caller }: StopSweep,
    ) -> ResponseActFuture<Self, Result<i64, GcError>> {
        let Some(Report { id, started_at, .. }) = self.running.as_ref().map(|running| &running.report) else {
            return Box::pin(std::future::ready(Err(GcError::Idle)).into_actor(self));
        };
        let (id, started_at, db) = (*id, *started_at, self.tools.db.clone());
        // One that has only just begun has no number yet.
        let event = Event::new(EventName::GcStopped).with(json!({"sweep": (id > 0).then_some(id)}));
        let query = Record { origin, now: self.tools.clock.now(), event, times: 1 };
        let written =
            async move { db.write(Permitted { query, caller }).await.map_err(asked)?.ok_or(GcError::Lost) };
        Box::pin(written.into_actor(self).map(move |written, gc, _| {
            written?;
            let same = |running: &&mut Running| running.report.started_at == started_at;
            let Some(running) = gc.running.as_mut().filter(same) else { return Ok(id) };
            running.stop = true;
            Ok(running.report.id)
        }))
    }

    fn go_on(&mut self, step: Step, walk: Walk, context: &mut Context<Self>) {
        let Some(running) = &mut self.running else { return };
        running.report.phase = step.phase();
        let report = &running.report;
        let (began, take_strays) = (Timestamp::from_millis(report.started_at), running.scope.take_strays);
        let of = Sweep { id: report.id, began, take_strays };
        let taken = sweep::take(step, of, self.tools.clone(), walk);
        context.spawn(taken.into_actor(self).map(|taken, gc, context| gc.took(taken, context)));
    }

    fn took(&mut self, taken: Taken, context: &mut Context<Self>) {
        let Some(running) = &mut self.running else { return };
        let Taken { step, mut gain, found, walk } = taken;
        if let Ok(Found::Looked(looked) | Found::Items(_, looked)) = &found
            && running.scope.is_refused(&step, *looked)
        {
            gain.error(too_many(*looked));
        }
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
            self.walked = Some((now, report.counts.strays_waiting > 0));
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

/// Why files without a row stay.
fn too_many(looked: Looked) -> String {
    let Looked { files, strays } = looked;
    format!(
        "{strays} of {files} files have no row, which is more than a tenth: none of them goes; is the database the right \
         one? `mcrctl gc run --dry-run --wait` lists them, and `mcrctl gc run --take-strays` takes those that were found \
         twice, an hour apart"
    )
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
        context.run_interval(facts::INTERVAL, Self::describe);
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
            self.next = Instant::now().checked_add(interval);
            context.run_interval(interval, move |gc, context| {
                gc.next = Instant::now().checked_add(interval);
                let (trigger, origin) = (Trigger::Interval, collector());
                let start = StartSweep { trigger, dry_run: false, take_strays: false, origin, caller: None };
                let started = gc.start(start);
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
        self.start(start)
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
    type Result = ResponseActFuture<Self, Result<i64, GcError>>;

    fn handle(&mut self, stop: StopSweep, _: &mut Self::Context) -> Self::Result {
        self.stop(stop)
    }
}

impl Handler<GetGcStatus> for Gc {
    type Result = Result<GcStatus, GcError>;

    fn handle(&mut self, _: GetGcStatus, _: &mut Self::Context) -> Self::Result {
        let running = self.running.as_ref().map(|running| running.report.clone());
        let left = self.next.map(|next| next.saturating_duration_since(Instant::now()));
        Ok(GcStatus { running, next: left.map(|left| self.tools.clock.now().after(left)) })
    }
}

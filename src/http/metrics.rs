//! What is counted, in the form of Prometheus.
//!
//! A family of counters is behind a lock, so each worker keeps the counters that it has met and takes the lock for new
//! ones only.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcr_actors::auth_cache::ObserveCache;
use mcr_actors::db::queries::sweeps::ListSweeps;
use mcr_actors::db::queries::uploads::ListUploads;
use mcr_actors::gc::{GetGcStatus, Report};
use mcr_actors::registry::{ActorState, Registry as Actors, Worker};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::admin::refusal::Refusal;

/// The content type of the text that Prometheus reads.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActorLabels {
    actor: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    found: &'static str,
}

type Seconds = Counter<f64, AtomicU64>;
type Durations = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// All that is counted; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    sent: Counter,
    received: Counter,
    actors: ActorMetrics,
    uploads: Gauge,
    commits: Counter,
    writes: Counter,
    commit_seconds: Seconds,
    reads: Counter,
    read_seconds: Seconds,
    cache: Family<CacheLabels, Counter>,
    password_hashes: Counter,
    sweeps: Sweeps,
}

/// From half a millisecond to a quarter of an hour.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.5, 16))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mcr");
        let metrics = Self {
            registry: Arc::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(buckets as fn() -> Histogram),
            sent: Counter::default(),
            received: Counter::default(),
            actors: ActorMetrics::default(),
            uploads: Gauge::default(),
            commits: Counter::default(),
            writes: Counter::default(),
            commit_seconds: Seconds::default(),
            reads: Counter::default(),
            read_seconds: Seconds::default(),
            cache: Family::default(),
            password_hashes: Counter::default(),
            sweeps: Sweeps::default(),
        };
        let version = Family::<VersionLabels, Gauge>::default();
        version.get_or_create(&VersionLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The version that runs", version);
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        let help = "From a request's head to the head of its answer";
        let durations = metrics.durations.clone();
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, durations);
        let (sent, received) = (metrics.sent.clone(), metrics.received.clone());
        registry.register_with_unit("http_sent", "Bodies of answers", Unit::Bytes, sent);
        registry.register_with_unit(
            "http_received",
            "Bodies of requests, as they came",
            Unit::Bytes,
            received,
        );
        metrics.actors.register(&mut registry);
        registry.register("uploads", "Uploads in progress", metrics.uploads.clone());
        metrics.register_database(&mut registry);
        let help = "Requests whose credentials were known, or not, since the start";
        registry.register("auth_cache_answers", help, metrics.cache.clone());
        let hashes = metrics.password_hashes.clone();
        registry.register("password_hashes", "Password hashes computed since the start", hashes);
        metrics.sweeps.register(&mut registry);
        Self { registry: Arc::new(registry), ..metrics }
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Lets a counter say what somebody else has counted, who never counts down.
fn follow(counter: &Counter, number: u64) {
    counter.inner().fetch_max(number, Ordering::Relaxed);
}

/// The same for time. The bits of numbers that are not negative are in the order of the numbers.
fn follow_time(counter: &Seconds, time: Duration) {
    counter.inner().fetch_max(time.as_secs_f64().to_bits(), Ordering::Relaxed);
}

/// What each actor was asked since the start.
#[derive(Debug, Clone, Default)]
struct ActorMetrics {
    in_flight: Family<ActorLabels, Gauge>,
    messages: Family<ActorLabels, Counter>,
    seconds: Family<ActorLabels, Seconds>,
    refused: Family<ActorLabels, Counter>,
}

impl ActorMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("actor_in_flight", "Requests that wait for an actor", self.in_flight.clone());
        registry.register("actor_messages", "Requests answered since the start", self.messages.clone());
        let (help, seconds) = ("Time from those requests to their answers", self.seconds.clone());
        registry.register_with_unit("actor_message_time", help, Unit::Seconds, seconds);
        let help = "Requests turned away since the start, since too many waited";
        registry.register("actor_refusals", help, self.refused.clone());
    }

    fn set(&self, ActorState { name, load, .. }: &ActorState) {
        let actor = ActorLabels { actor: name };
        self.in_flight.get_or_create(&actor).set(i64::try_from(load.in_flight).unwrap_or(i64::MAX));
        follow(&self.messages.get_or_create(&actor), load.messages);
        follow_time(&self.seconds.get_or_create(&actor), load.time);
        follow(&self.refused.get_or_create(&actor), load.refused);
    }
}

/// The sweep that runs, or the last one.
#[derive(Debug, Clone, Default)]
struct Sweeps {
    running: Gauge,
    examined: Gauge,
    condemned: Gauge,
    removed: Gauge,
    freed: Gauge,
    errors: Gauge,
}

impl Sweeps {
    fn register(&self, registry: &mut Registry) {
        registry.register("gc_running", "Whether a sweep runs", self.running.clone());
        for (name, help, gauge) in [
            ("gc_examined", "Looked at by the present or last sweep", &self.examined),
            ("gc_condemned", "Condemned by the present or last sweep", &self.condemned),
            ("gc_removed", "Removed by the present or last sweep", &self.removed),
            ("gc_errors", "Errors of the present or last sweep", &self.errors),
        ] {
            registry.register(name, help, gauge.clone());
        }
        let (help, freed) = ("Freed by the present or last sweep", self.freed.clone());
        registry.register_with_unit("gc_freed", help, Unit::Bytes, freed);
    }

    async fn set(&self, worker: &Worker) -> Result<(), Refusal> {
        let running = worker.gc.ask(GetGcStatus).await?.running;
        self.running.set(running.is_some().into());
        let last = match running {
            Some(report) => Some(report),
            None => {
                let (rows, _) = worker.db.read(ListSweeps { offset: 0, limit: 1 }).await?;
                rows.first().and_then(|row| serde_json::from_str::<Report>(&row.report).ok())
            }
        };
        if let Some(Report { counts, .. }) = last {
            self.examined.set(count(counts.examined));
            self.condemned.set(count(counts.condemned));
            self.removed.set(count(counts.removed));
            self.freed.set(count(counts.freed_bytes));
            self.errors.set(count(counts.error_count));
        }
        Ok(())
    }
}

impl Metrics {
    fn register_database(&self, registry: &mut Registry) {
        registry.register("database_commits", "Commits since the start", self.commits.clone());
        registry.register("database_writes", "Changes since the start", self.writes.clone());
        let seconds = self.commit_seconds.clone();
        registry.register_with_unit("database_commit_time", "Time in commits", Unit::Seconds, seconds);
        registry.register("database_reads", "Questions answered since the start", self.reads.clone());
        let seconds = self.read_seconds.clone();
        registry.register_with_unit("database_read_time", "Time in reads", Unit::Seconds, seconds);
    }

    /// All of it as text, with what actors say of themselves now.
    ///
    /// # Errors
    /// When an actor does not answer.
    pub async fn text(&self, worker: &Worker, actors: &Actors) -> Result<String, Refusal> {
        for state in actors.actors() {
            self.actors.set(&state);
        }
        let (_, uploads) = worker.db.read(ListUploads { offset: 0, limit: 0 }).await?;
        self.uploads.set(count(uploads));
        let writer = worker.db.observe().await?;
        follow(&self.commits, writer.commits);
        follow(&self.writes, writer.writes);
        follow_time(&self.commit_seconds, writer.busy);
        let (reads, took) = worker.db.reads();
        follow(&self.reads, reads);
        follow_time(&self.read_seconds, took);
        let known = worker.identity.ask(ObserveCache).await?;
        for (found, number) in [("hit", known.hits), ("miss", known.misses)] {
            follow(&self.cache.get_or_create(&CacheLabels { found }), number);
        }
        follow(&self.password_hashes, worker.passwords.computed());
        self.sweeps.set(worker).await?;
        let mut text = String::new();
        // Writing to a string does not fail.
        let _written = encode(&mut text, &self.registry);
        Ok(text)
    }
}

/// One worker's way to count.
#[derive(Debug)]
pub struct WorkerMetrics {
    metrics: Metrics,
    requests: RefCell<HashMap<RequestLabels, Counter>>,
    durations: RefCell<HashMap<&'static str, Histogram>>,
}

/// A request that was answered.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The route's template.
    pub route: &'static str,
    /// The method.
    pub method: &'a str,
    /// The status.
    pub status: u16,
    /// How long its head took.
    pub took: Duration,
    /// The bytes of its answer's body.
    pub sent: u64,
    /// The bytes of its own body that came.
    pub received: u64,
}

impl WorkerMetrics {
    /// Counts into `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, requests: RefCell::default(), durations: RefCell::default() }
    }

    /// What all workers count into.
    pub fn shared(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts a request.
    pub fn count(&self, answered: &Answered<'_>) {
        let Answered { route, method, status, took, sent, received } = *answered;
        // A client can send any method; only those that exist make a label.
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&method);
        let method = if known { method } else { "other" }.to_owned();
        let labels = RequestLabels { route, method, status: status.into() };
        let mut requests = self.requests.borrow_mut();
        let counter = requests
            .entry(labels)
            .or_insert_with_key(|labels| self.metrics.requests.get_or_create(labels).clone());
        counter.inc();
        let mut durations = self.durations.borrow_mut();
        let histogram = durations
            .entry(route)
            .or_insert_with(|| self.metrics.durations.get_or_create(&RouteLabels { route }).clone());
        histogram.observe(took.as_secs_f64());
        self.metrics.sent.inc_by(sent);
        self.metrics.received.inc_by(received);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_count_together_and_strange_methods_make_no_label() {
        let metrics = Metrics::default();
        let workers = [WorkerMetrics::new(metrics.clone()), WorkerMetrics::new(metrics.clone())];
        for (worker, method) in workers.iter().zip(["GET", "BREW"]) {
            let took = Duration::from_millis(1);
            worker.count(&Answered { route: "/v2/", method, status: 200, took, sent: 5, received: 0 });
        }
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        assert!(
            text.contains(r#"mcr_http_requests_total{route="/v2/",method="GET",status="200"} 1"#),
            "{text}"
        );
        assert!(text.contains(r#"method="other""#) && !text.contains("BREW"), "{text}");
        assert!(text.contains("mcr_http_sent_bytes_total 10"), "{text}");
    }
}

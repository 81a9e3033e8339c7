//! What is counted, in the form of Prometheus.
//!
//! A family of counters is behind a lock, so each worker keeps the counters that it has met and takes the lock for new
//! ones only.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mcr_actors::db::queries::uploads::ListUploads;
use mcr_actors::registry::{Registry as Actors, Worker};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::error::ApiError;

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

type Durations = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// All that is counted; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    sent: Counter,
    received: Counter,
    actors: Family<ActorLabels, Gauge>,
    uploads: Gauge,
    commits: Gauge,
    writes: Gauge,
    commit_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
    password_hashes: Gauge,
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
            actors: Family::default(),
            uploads: Gauge::default(),
            commits: Gauge::default(),
            writes: Gauge::default(),
            commit_seconds: Gauge::default(),
            password_hashes: Gauge::default(),
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
            "Bodies of requests, as announced",
            Unit::Bytes,
            received,
        );
        registry.register("actor_in_flight", "Requests that wait for an actor", metrics.actors.clone());
        registry.register("uploads", "Uploads in progress", metrics.uploads.clone());
        registry.register("database_commits", "Commits since the start", metrics.commits.clone());
        registry.register("database_writes", "Changes since the start", metrics.writes.clone());
        let seconds = metrics.commit_seconds.clone();
        registry.register_with_unit("database_commit_time", "Time in commits", Unit::Seconds, seconds);
        let hashes = metrics.password_hashes.clone();
        registry.register("password_hashes", "Password hashes computed since the start", hashes);
        Self { registry: Arc::new(registry), ..metrics }
    }
}

impl Metrics {
    /// All of it as text, with what actors say of themselves now.
    ///
    /// # Errors
    /// When an actor does not answer.
    pub async fn text(&self, worker: &Worker, actors: &Actors) -> Result<String, ApiError> {
        for state in actors.actors() {
            let waiting = i64::try_from(state.in_flight).unwrap_or(i64::MAX);
            self.actors.get_or_create(&ActorLabels { actor: state.name }).set(waiting);
        }
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (_, uploads) = worker.db.read(ListUploads { offset: 0, limit: 0 }).await?;
        self.uploads.set(count(uploads));
        let writer = worker.db.observe().await?;
        self.commits.set(count(writer.commits));
        self.writes.set(count(writer.writes));
        self.commit_seconds.set(writer.busy.as_secs_f64());
        self.password_hashes.set(count(worker.passwords.computed()));
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
    /// The bytes that its own body was announced with.
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

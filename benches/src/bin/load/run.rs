//! Starts workers together, counts what they do in the time that counts, and sums it up in one line of JSON.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Usage;

/// Values of [`Phase`]; 0 is the time before it counts.
const COUNTING: u8 = 1;
const OVER: u8 = 2;
/// How much longer than asked for a run lasts when nothing was done so far.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether what is done now counts; the same for all workers.
#[derive(Debug, Default)]
pub(crate) struct Phase {
    now: AtomicU8,
    /// Something was done that counts.
    done: AtomicBool,
}

impl Phase {
    /// Whether what was done just now counts.
    pub(crate) fn counts(&self) -> bool {
        let counts = self.now.load(Ordering::Relaxed) == COUNTING;
        if counts && !self.done.load(Ordering::Relaxed) {
            self.done.store(true, Ordering::Relaxed);
        }
        counts
    }

    /// The workers are to end.
    pub(crate) fn is_over(&self) -> bool {
        self.now.load(Ordering::Relaxed) == OVER
    }
}

/// What one worker has done while it counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How long each operation took, in nanoseconds.
    pub(crate) latencies: Vec<u64>,
    /// Requests in them.
    pub(crate) requests: u64,
    /// Bytes of bodies, either way.
    pub(crate) bytes: u64,
    /// Operations that failed.
    pub(crate) errors: u64,
    /// What the first failure was.
    pub(crate) first_error: Option<String>,
}

impl Tally {
    /// Counts one operation that took this long.
    pub(crate) fn add(&mut self, took: Duration, requests: u64, bytes: u64) {
        self.latencies.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        self.requests += requests;
        self.bytes += bytes;
    }

    /// Counts a failure.
    pub(crate) fn fail(&mut self, error: impl std::fmt::Display) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }

    fn join(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// When the run ends.
pub(crate) enum End<'a> {
    /// After this time.
    After(Duration),
    /// When all workers have done their share.
    Done,
    /// When this returns; it is given the longest time it may take.
    When(Duration, &'a (dyn Fn(Duration) -> anyhow::Result<()> + Sync)),
}

/// A run of workers against a server.
pub(crate) struct Run<'a> {
    /// The server's processes, where they are to be looked at.
    pub(crate) pids: &'a [u32],
    /// When it ends.
    pub(crate) end: End<'a>,
    /// What is said of it besides.
    pub(crate) notes: Value,
}

impl Run<'_> {
    /// Starts the workers, and answers the line of JSON and whether all went well.
    pub(crate) fn conduct<W>(self, workers: Vec<W>) -> anyhow::Result<bool>
    where
        W: FnOnce(&Phase) -> Tally + Send,
    {
        let (phase, sampling) = (Phase::default(), AtomicBool::new(true));
        let mut sum = Tally::default();
        let (before, took, after, own, resident) = thread::scope(|scope| {
            let ending = Ending { phase: &phase, sampling: &sampling };
            let workers: Vec<_> = workers.into_iter().map(|work| scope.spawn(|| work(&phase))).collect();
            if let End::After(time) | End::When(time, _) = self.end {
                thread::sleep((time / 5).min(Duration::from_millis(500)));
            }
            let sampler = scope.spawn(|| sample(self.pids, &sampling));
            let (before, own) = (Usage::of(self.pids)?, Usage::own()?);
            let began = Instant::now();
            phase.now.store(COUNTING, Ordering::Relaxed);
            let ended = match self.end {
                End::After(time) => {
                    thread::sleep(time);
                    // On a busy machine a moment may be too short for anything.
                    while !phase.done.load(Ordering::Relaxed) && began.elapsed() < time + PATIENCE {
                        thread::sleep(Duration::from_millis(10));
                    }
                    Ok(())
                }
                End::Done => Ok(()),
                End::When(most, over) => over(most),
            };
            if !matches!(self.end, End::Done) {
                phase.now.store(OVER, Ordering::Relaxed);
            }
            let mut took = began.elapsed();
            let mut after = Usage::of(self.pids)?;
            for worker in workers {
                match worker.join() {
                    Ok(tally) => sum.join(tally),
                    Err(_) => sum.fail("a worker panicked"),
                }
            }
            if matches!(self.end, End::Done) {
                (took, after) = (began.elapsed(), Usage::of(self.pids)?);
            }
            ended?;
            drop(ending);
            let resident = sampler.join().unwrap_or_default();
            anyhow::Ok((before, took, after, Usage::own()?.cpu - own.cpu, resident))
        })?;
        let good = sum.errors == 0 && !sum.latencies.is_empty();
        let mut line = summary(sum, took);
        line["client_cpu_s"] = json!(own);
        line["server_cpu_s"] = json!(after.cpu - before.cpu);
        line["rss_before"] = json!(before.resident);
        line["rss_after"] = json!(after.resident);
        line["rss_peak"] =
            json!(resident.iter().copied().max().unwrap_or(after.resident).max(after.resident));
        if let (Value::Object(line), Value::Object(notes)) = (&mut line, self.notes) {
            line.extend(notes);
        }
        println!("{line}");
        Ok(good)
    }
}

/// Ends what a scope would wait for, also when measuring fails.
struct Ending<'a> {
    phase: &'a Phase,
    sampling: &'a AtomicBool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.phase.now.store(OVER, Ordering::Relaxed);
        self.sampling.store(false, Ordering::Relaxed);
    }
}

fn summary(mut sum: Tally, took: Duration) -> Value {
    sum.latencies.sort_unstable();
    let count = sum.latencies.len();
    let at = |thousandths: usize| {
        let index = (count * thousandths / 1000).min(count.saturating_sub(1));
        sum.latencies.get(index).map(|nanoseconds| *nanoseconds as f64 / 1000.0)
    };
    let seconds = took.as_secs_f64();
    json!({
        "operations": count, "requests": sum.requests, "bytes": sum.bytes, "seconds": seconds,
        "per_s": count as f64 / seconds, "mib_per_s": sum.bytes as f64 / (1 << 20) as f64 / seconds,
        "p50_us": at(500), "p99_us": at(990), "max_us": at(1000),
        "errors": sum.errors, "error": sum.first_error,
    })
}

/// Looks at the server's memory ten times a second, and says it once a minute.
fn sample(pids: &[u32], sampling: &AtomicBool) -> Vec<u64> {
    let mut resident = Vec::new();
    let mut looks = 0_u64;
    while !pids.is_empty() && sampling.load(Ordering::Relaxed) {
        let Ok(usage) = Usage::of(pids) else { break };
        resident.push(usage.resident);
        looks += 1;
        if looks.is_multiple_of(600) {
            eprintln!("after {} min: {} MiB resident", looks / 600, usage.resident >> 20);
        }
        thread::sleep(Duration::from_millis(100));
    }
    resident
}

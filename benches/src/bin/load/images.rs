//! Pushes of small images: five blobs and a manifest, on one connection, one image after another.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mcr_actors::clock::Clock;
use mcr_bench::content::{Noise, Part, digest, image};
use serde_json::json;

use crate::run::{End, Phase, Run, Tally};
use crate::session::{Client, Registry, Session};
use crate::sweep;

const BLOBS: usize = 5;
const BLOB_BYTES: usize = 4096;
/// How many images of a client are there at once when it deletes them again.
const KEPT: usize = 10;

/// Whether the registry has the blobs already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Present {
    /// All are new.
    No,
    /// All are in the repository; a HEAD finds them.
    Head,
    /// All are in another repository; they are mounted into a new one.
    Mount,
}

/// The command line of `load images`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    registry: Registry,
    /// Clients at once
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// How long to measure
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// So many images of each client instead of a time
    #[arg(long)]
    count: Option<u64>,
    /// What is there already
    #[arg(long, value_enum, default_value_t = Present::No)]
    present: Present,
    /// Pull each image, and delete old ones
    #[arg(long)]
    churn: bool,
    /// Start a sweep of the collector, and measure until it ends (at most `--seconds`)
    #[arg(long)]
    sweep: bool,
}

/// Runs it; says whether all went well.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let client = arguments.registry.open()?;
    let time = Duration::from_secs_f64(arguments.seconds);
    let sweeper = sweep::Sweeper::new(&client);
    let until_swept = |most| sweeper.sweep(most, &mut || {}).map(|_| ());
    let end = match arguments.count {
        Some(_) => End::Done,
        None if arguments.sweep => End::When(time, &until_swept),
        None => End::After(time),
    };
    // Another content at each run.
    let seed = Clock::system().now().as_millis().unsigned_abs();
    let run = Run { pids: &arguments.registry.pid, end, notes: json!({"clients": arguments.clients}) };
    let (arguments, client) = (arguments, &client);
    run.conduct(
        (0..arguments.clients)
            .map(|number| {
                move |phase: &Phase| {
                    let mut tally = Tally::default();
                    let worked = Pusher::new(arguments, client, seed, number)
                        .and_then(|pusher| pusher.work(phase, &mut tally));
                    if let Err(error) = worked {
                        tally.fail(format!("{error:#}"));
                    }
                    tally
                }
            })
            .collect(),
    )
}

/// One client.
struct Pusher<'a> {
    arguments: &'a Arguments,
    session: Session,
    noise: Noise,
    repository: String,
    /// Blobs that are there already.
    present: Vec<Part>,
    /// Digests of the manifests that are not deleted yet.
    kept: VecDeque<String>,
}

impl<'a> Pusher<'a> {
    fn new(arguments: &'a Arguments, client: &Client, seed: u64, number: usize) -> anyhow::Result<Self> {
        let session = Session::new(client)?;
        let noise = Noise::new(seed.wrapping_mul(1000).wrapping_add(number as u64));
        let repository = format!("bench/images-{seed}-{number}");
        let (present, kept) = (Vec::new(), VecDeque::new());
        let mut pusher = Self { arguments, session, noise, repository, present, kept };
        if arguments.present != Present::No {
            pusher.present = pusher.push_blobs()?;
        }
        Ok(pusher)
    }

    fn work(mut self, phase: &Phase, tally: &mut Tally) -> anyhow::Result<()> {
        let mut number = 0;
        while !phase.is_over() && self.arguments.count.is_none_or(|count| number < count) {
            let (began, requests) = (Instant::now(), self.session.requests);
            self.push(number)?;
            if phase.counts() || self.arguments.count.is_some() {
                let bytes = if self.arguments.present == Present::No { BLOBS * BLOB_BYTES } else { 0 };
                tally.add(began.elapsed(), self.session.requests - requests, bytes as u64);
            }
            if self.arguments.churn {
                self.pull_and_delete(number)?;
            }
            number += 1;
        }
        Ok(())
    }

    fn push(&mut self, number: u64) -> anyhow::Result<()> {
        let mut repository = self.repository.clone();
        let parts = match self.arguments.present {
            Present::No => self.push_blobs()?,
            Present::Head => {
                for part in &self.present {
                    let path = format!("/v2/{repository}/blobs/{}", part.digest);
                    self.session.ask("HEAD", &path, "", b"")?.expect(200, "HEAD of a blob")?;
                }
                self.present.clone()
            }
            Present::Mount => {
                repository = format!("{repository}-{number}");
                for part in &self.present {
                    let from = &self.repository;
                    let path = format!("/v2/{repository}/blobs/uploads/?mount={}&from={from}", part.digest);
                    self.session.ask("POST", &path, "", b"")?.expect(201, "mount of a blob")?;
                }
                self.present.clone()
            }
        };
        let body = image(parts[0], &parts[1..], None, &format!("image {number}"));
        self.kept.push_back(digest(body.as_bytes()).to_string());
        self.session.push_manifest(&repository, &format!("t{number}"), &body)
    }

    fn push_blobs(&mut self) -> anyhow::Result<Vec<Part>> {
        let mut parts = Vec::new();
        for _ in 0..BLOBS {
            let content = self.noise.bytes(BLOB_BYTES);
            self.session.push_blob(&self.repository, &content)?;
            parts.push(Part::of(&content));
        }
        Ok(parts)
    }

    fn pull_and_delete(&mut self, number: u64) -> anyhow::Result<()> {
        let path = format!("/v2/{}/manifests/t{number}", self.repository);
        self.session
            .ask("GET", &path, "Accept: application/vnd.oci.image.manifest.v1+json\r\n", b"")?
            .expect(200, "GET of a manifest")?;
        if self.kept.len() > KEPT
            && let Some(old) = self.kept.pop_front()
        {
            let path = format!("/v2/{}/manifests/{old}", self.repository);
            self.session.ask("DELETE", &path, "", b"")?.expect(202, "DELETE of a manifest")?;
        }
        Ok(())
    }
}

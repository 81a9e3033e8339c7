//! The same request over and over, on connections that are kept or on a new one each time.

use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::event::epoll;
use serde_json::json;

use crate::reply::Reply;
use crate::run::{End, Phase, Run, Tally};
use crate::session::{Client, Registry};
use crate::sweep;
use crate::target::Stream;

/// The command line of `load request`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    registry: Registry,
    /// The path, with its query
    #[arg(long)]
    path: String,
    /// GET or HEAD
    #[arg(long, default_value = "GET")]
    method: String,
    /// The Accept header
    #[arg(long)]
    accept: Option<String>,
    /// Connections at once
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Threads of this program
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// How long to measure
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// A new connection for each request
    #[arg(long)]
    fresh: bool,
    /// Start a sweep of the collector, and measure until it ends (at most `--seconds`)
    #[arg(long)]
    sweep: bool,
}

/// Runs it; says whether all went well.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let client = arguments.registry.open()?;
    let accept = arguments.accept.as_ref().map(|kind| format!("Accept: {kind}\r\n")).unwrap_or_default();
    let request = client.head(&arguments.method, &arguments.path, &accept);
    let bodiless = arguments.method == "HEAD";
    let time = Duration::from_secs_f64(arguments.seconds);
    let sweeper = sweep::Sweeper::new(&client);
    let until_swept = |most| sweeper.sweep(most, &mut || {}).map(|_| ());
    let end = if arguments.sweep { End::When(time, &until_swept) } else { End::After(time) };
    let job = Job { client: &client, request: request.as_bytes(), bodiless };
    let run =
        Run { pids: &arguments.registry.pid, end, notes: json!({"connections": arguments.connections}) };
    let (all, threads) = (arguments.connections, arguments.threads.clamp(1, arguments.connections.max(1)));
    if arguments.fresh {
        return run
            .conduct((0..all).map(|_| |phase: &Phase| job.tally(|tally| job.fresh(phase, tally))).collect());
    }
    let shares = (0..threads).map(|index| (all + index) / threads);
    run.conduct(
        shares.map(|share| move |phase: &Phase| job.tally(|tally| job.kept(share, phase, tally))).collect(),
    )
}

/// What each worker does.
#[derive(Clone, Copy)]
struct Job<'a> {
    client: &'a Client,
    request: &'a [u8],
    bodiless: bool,
}

/// A connection that waits for an answer.
struct Waiting {
    stream: Stream,
    reply: Reply,
    sent: Instant,
}

impl Job<'_> {
    fn tally(&self, work: impl FnOnce(&mut Tally) -> anyhow::Result<()>) -> Tally {
        let mut tally = Tally::default();
        if let Err(error) = work(&mut tally) {
            tally.fail(format!("{error:#}"));
        }
        tally
    }

    /// One thread, many connections.
    fn kept(&self, connections: usize, phase: &Phase, tally: &mut Tally) -> anyhow::Result<()> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut all = Vec::new();
        for index in 0..connections {
            all.push(self.open(&poll, index as u64)?);
        }
        for waiting in &mut all {
            self.send(waiting)?;
        }
        let mut events = [const { MaybeUninit::uninit() }; 256];
        let mut buffer = vec![0; 1 << 18];
        let pause = rustix::time::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        while !phase.is_over() {
            let (ready, _) = epoll::wait(&poll, &mut events, Some(&pause))?;
            for event in ready {
                let index = event.data.u64();
                let Some(waiting) = all.get_mut(usize::try_from(index)?) else { continue };
                if !read(waiting, &mut buffer)? {
                    continue;
                }
                if self.count(waiting, phase, tally) {
                    // The server ended it; closing the old socket takes it off the poll.
                    *waiting = self.open(&poll, index)?;
                }
                self.send(waiting)?;
            }
        }
        Ok(())
    }

    fn open(&self, poll: impl std::os::fd::AsFd, index: u64) -> anyhow::Result<Waiting> {
        let stream = self.client.target.connect()?;
        stream.socket().set_nonblocking(true)?;
        epoll::add(poll, stream.socket(), epoll::EventData::new_u64(index), epoll::EventFlags::IN)?;
        Ok(Waiting { stream, reply: Reply::new(self.bodiless, false), sent: Instant::now() })
    }

    fn send(&self, waiting: &mut Waiting) -> anyhow::Result<()> {
        waiting.reply = Reply::new(self.bodiless, false);
        waiting.sent = Instant::now();
        // A request is much shorter than what a socket takes at once.
        waiting.stream.write_all(self.request)?;
        Ok(waiting.stream.flush()?)
    }

    /// Counts the answer; says whether the connection is over.
    fn count(&self, waiting: &Waiting, phase: &Phase, tally: &mut Tally) -> bool {
        let Some(head) = waiting.reply.head() else { return true };
        if !(200..300).contains(&head.status) {
            tally.fail(format!("status {}", head.status));
        } else if phase.counts() {
            let bytes = if self.bodiless { 0 } else { head.length.unwrap_or(0) };
            tally.add(waiting.sent.elapsed(), 1, bytes);
        }
        head.close
    }

    /// One thread, one connection after another.
    fn fresh(&self, phase: &Phase, tally: &mut Tally) -> anyhow::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        while !phase.is_over() {
            let sent = Instant::now();
            let mut stream = self.client.target.connect()?;
            stream.write_all(self.request)?;
            stream.flush()?;
            let mut waiting = Waiting { stream, reply: Reply::new(self.bodiless, false), sent };
            while !read(&mut waiting, &mut buffer)? {}
            self.count(&waiting, phase, tally);
        }
        Ok(())
    }
}

/// Reads what is there; says whether the answer is complete.
fn read(waiting: &mut Waiting, buffer: &mut [u8]) -> anyhow::Result<bool> {
    loop {
        let length = match waiting.stream.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        ensure!(length > 0, "the server closed the connection");
        if waiting.reply.feed(&buffer[..length])? {
            return Ok(true);
        }
    }
}

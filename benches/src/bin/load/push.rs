//! Pushes of large blobs that the registry does not have.

use std::time::Instant;

use anyhow::Context;
use mcr_actors::clock::Clock;
use mcr_actors::domain::{Algorithm, Hasher};
use mcr_bench::content::Noise;
use serde_json::json;

use crate::run::{End, Phase, Run, Tally};
use crate::session::{Client, Registry, Session, with_digest};

/// What is sent again and again until the blob is long enough.
const PIECE: usize = 4 << 20;
/// Bytes at the end of each blob that no other blob has.
const TAIL: usize = 64;
/// A chunk of HTTP's chunked encoding: what Go's clients send.
const FRAME: usize = 32 << 10;
/// A request of a chunked upload.
const CHUNK: u64 = 64 << 20;

/// By which requests a blob is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum How {
    /// One PATCH of unknown length, then PUT: docker, crane.
    Patch,
    /// PATCHes with Content-Range, then PUT.
    Chunks,
    /// One PUT: containerd, oras.
    Put,
}

/// The command line of `load push`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    registry: Registry,
    /// The length of a blob
    #[arg(long, default_value_t = 1 << 30)]
    bytes: u64,
    /// How it is pushed
    #[arg(long, value_enum, default_value_t = How::Patch)]
    how: How,
    /// Blobs at once
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// Blobs one after another
    #[arg(long, default_value_t = 1)]
    repeat: usize,
}

/// Runs it; says whether all went well.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let client = arguments.registry.open()?;
    let content = Content::new(arguments.bytes);
    let seed = Clock::system().now().as_millis().unsigned_abs();
    let notes = json!({"at_once": arguments.at_once, "blob_bytes": arguments.bytes});
    let run = Run { pids: &arguments.registry.pid, end: End::Done, notes };
    let (client, content) = (&client, &content);
    let worker = |number: usize| {
        move |_: &Phase| {
            let mut tally = Tally::default();
            for turn in 0..arguments.repeat {
                let seed = seed.wrapping_add((number * 1000 + turn) as u64);
                if let Err(error) = push(arguments, client, content, seed, &mut tally) {
                    tally.fail(format!("{error:#}"));
                }
            }
            tally
        }
    };
    run.conduct((0..arguments.at_once).map(worker).collect())
}

fn push(
    arguments: &Arguments,
    client: &Client,
    content: &Content,
    seed: u64,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let tail = Noise::new(seed).bytes(TAIL);
    let digest = content.digest(&tail);
    let mut session = Session::new(client)?;
    let began = Instant::now();
    let mut place = session.begin_upload("bench/push")?;
    let kind = "Content-Type: application/octet-stream\r\n";
    let length = |bytes: u64| format!("{kind}Content-Length: {bytes}\r\n");
    let (bytes, last) = (arguments.bytes, with_digest(&place, &digest));
    match arguments.how {
        How::Put => {
            session.begin("PUT", &last, &length(bytes))?;
            content.send(&mut session, 0..bytes, &tail)?;
            session.answer(false)?.expect(201, "PUT of a blob")?;
        }
        How::Patch => {
            session.begin("PATCH", &place, &format!("{kind}Transfer-Encoding: chunked\r\n"))?;
            content.send_framed(&mut session, &tail)?;
            place = session.answer(false)?.expect(202, "PATCH of a blob")?.location()?;
        }
        How::Chunks => {
            for start in (0..bytes).step_by(usize::try_from(CHUNK)?) {
                let end = bytes.min(start + CHUNK);
                let range = format!("Content-Range: {start}-{}\r\n", end - 1);
                session.begin("PATCH", &place, &(range + &length(end - start)))?;
                content.send(&mut session, start..end, &tail)?;
                place = session.answer(false)?.expect(202, "PATCH of a chunk")?.location()?;
            }
        }
    }
    if arguments.how != How::Put {
        session.ask("PUT", &with_digest(&place, &digest), "", b"")?.expect(201, "PUT of a blob")?;
    }
    tally.add(began.elapsed(), session.requests, bytes);
    Ok(())
}

/// A blob that differs from the next one in its last bytes only, so that its digest costs nothing while it is pushed.
struct Content {
    length: u64,
    piece: Vec<u8>,
    /// The piece in chunks of HTTP's chunked encoding.
    framed: Vec<u8>,
    before_tail: Hasher,
}

impl Content {
    fn new(length: u64) -> Self {
        let piece = Noise::new(length).bytes(PIECE);
        let mut framed = Vec::with_capacity(PIECE + PIECE / 1000);
        for frame in piece.chunks(FRAME) {
            frame_into(&mut framed, frame);
        }
        let mut before_tail = Hasher::new(Algorithm::Sha256);
        let mut left = length - (TAIL as u64).min(length);
        while left > 0 {
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
            before_tail.update(&piece[..now]);
            left -= now as u64;
        }
        Self { length, piece, framed, before_tail }
    }

    fn digest(&self, tail: &[u8]) -> String {
        let mut hasher = self.before_tail.clone();
        hasher.update(tail);
        hasher.finish().to_string()
    }

    /// Where the tail begins.
    fn body(&self) -> u64 {
        self.length - (TAIL as u64).min(self.length)
    }

    /// Sends a part of the blob.
    fn send(&self, session: &mut Session, part: std::ops::Range<u64>, tail: &[u8]) -> anyhow::Result<()> {
        let mut at = part.start;
        while at < part.end.min(self.body()) {
            let from = usize::try_from(at % PIECE as u64)?;
            let most = usize::try_from(part.end.min(self.body()) - at).unwrap_or(usize::MAX);
            let now = (PIECE - from).min(most).min(1 << 20);
            session.send(&self.piece[from..from + now])?;
            at += now as u64;
        }
        if part.end > self.body() {
            let from = usize::try_from(at - self.body())?;
            session.send(tail.get(from..).context("a blob shorter than its tail")?)?;
        }
        Ok(())
    }

    /// Sends all of the blob in chunks of HTTP's chunked encoding.
    fn send_framed(&self, session: &mut Session, tail: &[u8]) -> anyhow::Result<()> {
        let pieces = self.body() / PIECE as u64;
        for _ in 0..pieces {
            session.send(&self.framed)?;
        }
        let mut end = Vec::new();
        let rest = usize::try_from(self.body() % PIECE as u64)?;
        for frame in self.piece[..rest].chunks(FRAME) {
            frame_into(&mut end, frame);
        }
        frame_into(&mut end, tail);
        end.extend_from_slice(b"0\r\n\r\n");
        session.send(&end)
    }
}

fn frame_into(out: &mut Vec<u8>, frame: &[u8]) {
    out.extend_from_slice(format!("{:x}\r\n", frame.len()).as_bytes());
    out.extend_from_slice(frame);
    out.extend_from_slice(b"\r\n");
}

//! What this machine could do at most: hashing, syncing, and an upload with nothing but its necessary parts.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use mcr_actors::domain::{Algorithm, Hasher};
use mcr_bench::content::Noise;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::run::{End, Phase, Run, Tally};
use crate::target::Target;

/// What is handed from the reader of a socket to the hash and to the disk.
const BATCH: usize = 512 << 10;

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// SHA-256 in memory.
    Sha256,
    /// New files of 4 KiB, each synced.
    Fsync,
    /// Reading a socket, hashing, and writing with a sync at the end, side by side.
    Upload,
}

/// The command line of `load limit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which
    #[arg(value_enum)]
    what: What,
    /// A directory on the disk that is measured
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    /// How many at once
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// How long to measure; for `sha256` and `fsync`
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// The length of an upload
    #[arg(long, default_value_t = 1 << 30)]
    bytes: u64,
    /// A certificate in PEM form; with it, uploads come over TLS
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key in PEM form
    #[arg(long)]
    key: Option<PathBuf>,
}

/// Runs it; says whether all went well.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let directory = arguments.directory.join(format!("limit-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let end = match arguments.what {
        What::Upload => End::Done,
        What::Sha256 | What::Fsync => End::After(Duration::from_secs_f64(arguments.seconds)),
    };
    let run = Run { pids: &[], end, notes: json!({"at_once": arguments.at_once}) };
    let tls = server_config(arguments)?;
    let (directory_of_all, tls) = (directory.as_path(), &tls);
    let worker = |number: usize| {
        move |phase: &Phase| {
            let mut tally = Tally::default();
            let worked = match arguments.what {
                What::Sha256 => sha256(phase, &mut tally),
                What::Fsync => fsync(directory_of_all, number, phase, &mut tally),
                What::Upload => {
                    let file = directory_of_all.join(number.to_string());
                    upload(&file, arguments.bytes, tls.clone(), &mut tally)
                }
            };
            if let Err(error) = worked {
                tally.fail(format!("{error:#}"));
            }
            tally
        }
    };
    let good = run.conduct((0..arguments.at_once).map(worker).collect());
    fs::remove_dir_all(&directory)?;
    good
}

fn server_config(arguments: &Arguments) -> anyhow::Result<Option<Arc<ServerConfig>>> {
    let (Some(certificate), Some(key)) = (&arguments.certificate, &arguments.key) else { return Ok(None) };
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(Some(Arc::new(config)))
}

fn sha256(phase: &Phase, tally: &mut Tally) -> anyhow::Result<()> {
    let buffer = Noise::new(1).bytes(BATCH);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    while !phase.is_over() {
        let began = Instant::now();
        hasher.update(&buffer);
        if phase.counts() {
            tally.add(began.elapsed(), 0, BATCH as u64);
        }
    }
    std::hint::black_box(hasher.finish());
    Ok(())
}

fn fsync(directory: &Path, number: usize, phase: &Phase, tally: &mut Tally) -> anyhow::Result<()> {
    let content = Noise::new(number as u64).bytes(4096);
    let mut next = 0_u64;
    while !phase.is_over() {
        let began = Instant::now();
        let mut file = File::create(directory.join(format!("{number}-{next}")))?;
        file.write_all(&content)?;
        file.sync_data()?;
        if phase.counts() {
            tally.add(began.elapsed(), 0, 4096);
        }
        next += 1;
    }
    Ok(())
}

/// One upload from a thread that sends through one that reads to one that hashes and one that writes.
fn upload(path: &Path, bytes: u64, tls: Option<Arc<ServerConfig>>, tally: &mut Tally) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let target = Target::parse(&format!("{scheme}://{}", listener.local_addr()?))?;
    let began = Instant::now();
    let done = thread::scope(|scope| {
        let sender = scope.spawn(move || -> anyhow::Result<()> {
            let content = Noise::new(1).bytes(1 << 20);
            let mut stream = target.connect()?;
            let mut left = bytes;
            while left > 0 {
                let now = usize::try_from(left).unwrap_or(usize::MAX).min(content.len());
                stream.write_all(&content[..now])?;
                left -= now as u64;
            }
            // Held until the other side has all of it.
            let _closed = stream.read(&mut [0; 1]);
            Ok(())
        });
        let (to_hash, hashed) = sync_channel::<Arc<Vec<u8>>>(2);
        let (to_disk, written) = sync_channel::<Arc<Vec<u8>>>(2);
        let hash = scope.spawn(move || hash(&hashed));
        let disk = scope.spawn(move || write(path, bytes, &written));
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        let mut stream = Accepted::new(socket, tls)?;
        let mut left = bytes;
        while left > 0 {
            let mut batch = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(BATCH)];
            stream.read_exact(&mut batch)?;
            left -= batch.len() as u64;
            let batch = Arc::new(batch);
            to_hash.send(Arc::clone(&batch))?;
            to_disk.send(batch)?;
        }
        drop((to_hash, to_disk));
        hash.join().ok().context("the hash panicked")?;
        disk.join().ok().context("the disk panicked")??;
        let took = began.elapsed();
        drop(stream);
        sender.join().ok().context("the sender panicked")??;
        anyhow::Ok(took)
    })?;
    tally.add(done, 1, bytes);
    Ok(fs::remove_file(path)?)
}

fn hash(batches: &Receiver<Arc<Vec<u8>>>) {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for batch in batches {
        hasher.update(&batch);
    }
    std::hint::black_box(hasher.finish());
}

fn write(path: &Path, bytes: u64, batches: &Receiver<Arc<Vec<u8>>>) -> anyhow::Result<()> {
    let mut file = File::create(path)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes)?;
    for batch in batches {
        file.write_all(&batch)?;
    }
    Ok(file.sync_data()?)
}

/// The server's side of a connection.
enum Accepted {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Accepted {
    fn new(socket: TcpStream, tls: Option<Arc<ServerConfig>>) -> anyhow::Result<Self> {
        Ok(match tls {
            None => Self::Plain(socket),
            Some(config) => Self::Tls(Box::new(StreamOwned::new(ServerConnection::new(config)?, socket))),
        })
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(socket) => socket.read_exact(buffer),
            Self::Tls(stream) => stream.read_exact(buffer),
        }
    }
}

//! Memory stays flat while large blobs go in and out.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mcr_actors::domain::{Algorithm, Hasher};

use crate::support::content::Noise;
use crate::support::http::{Client, read_head};
use crate::support::{Data, Server};

const CLIENTS: u64 = 8;
/// The most that may be used above what the idle server uses.
const ALLOWED: u64 = 64 << 20;
const PIECE: usize = 1 << 20;

/// How large each blob is; `MCR_MEMORY_MIB` makes it smaller on a small disk.
fn pieces() -> u64 {
    std::env::var("MCR_MEMORY_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(1024)
}

#[test]
fn eight_clients_with_large_blobs_do_not_raise_memory() {
    let data = Data::new();
    let server = data.start(&[]);
    // The first request of each kind makes what is kept for good.
    push(&mut server.client(), 99, 1);
    let idle = server.resident();
    let (peak, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| watch(&server, &peak, &done));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let mut client = server.client();
                scope.spawn(move || {
                    let digest = push(&mut client, number, pieces());
                    pull(&mut client, &digest);
                })
            })
            .collect();
        let results: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        done.store(true, Ordering::SeqCst);
        results.into_iter().for_each(|result| result.unwrap());
    });
    let grown = peak.load(Ordering::SeqCst).saturating_sub(idle);
    println!("idle {} MiB, {} MiB more at most", idle >> 20, grown >> 20);
    assert!(grown <= ALLOWED, "memory grew by {} MiB over {} MiB", grown >> 20, idle >> 20);
}

fn watch(server: &Server, peak: &AtomicU64, done: &AtomicBool) {
    while !done.load(Ordering::SeqCst) {
        peak.fetch_max(server.resident(), Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Different content for each client, cheap to make: one noisy piece, numbered.
fn content(number: u64, pieces: u64) -> impl Iterator<Item = Vec<u8>> {
    let piece = Noise::new(number).bytes(PIECE);
    (0..pieces).map(move |index| {
        let mut piece = piece.clone();
        piece[..8].copy_from_slice(&index.to_le_bytes());
        piece
    })
}

fn push(client: &mut Client, number: u64, pieces: u64) -> String {
    let begun = client.request("POST", "/v2/large/blobs/uploads/", &[], b"");
    let mut stream = client.connect().unwrap();
    let length = (pieces * PIECE as u64).to_string();
    let head = client.head("PATCH", &begun.location(), &[("Content-Length", &length)]);
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for piece in content(number, pieces) {
        stream.get_mut().write_all(&piece).unwrap();
        hasher.update(&piece);
    }
    let patched = read_head(&mut stream).unwrap();
    assert_eq!(patched.status, 202);
    let digest = hasher.finish().to_string();
    let finished = client.request("PUT", &format!("{}?digest={digest}", patched.location()), &[], b"");
    assert_eq!(finished.status, 201, "{}", finished.text());
    digest
}

fn pull(client: &mut Client, digest: &str) {
    let mut stream = client.connect().unwrap();
    let head = client.head("GET", &format!("/v2/large/blobs/{digest}"), &[]);
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let response = read_head(&mut stream).unwrap();
    assert_eq!(response.status, 200);
    let mut left: u64 = response.header("content-length").unwrap().parse().unwrap();
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; PIECE];
    while left > 0 {
        let wanted = buffer.len().min(usize::try_from(left).unwrap());
        let read = stream.read(&mut buffer[..wanted]).unwrap();
        assert!(read > 0, "cut with {left} bytes left");
        hasher.update(&buffer[..read]);
        left -= read as u64;
    }
    assert_eq!(hasher.finish().to_string(), digest);
}

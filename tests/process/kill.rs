//! `kill -9` at random instants: all that was acknowledged is there after the next start, digest for digest.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::content::{Noise, digest, manifest, push_blob, push_blob_by_patch, push_manifest};
use crate::support::http::Client;
use crate::support::{Data, Server, seed, variable};

/// What the server has promised to keep.
#[derive(Default)]
struct Promised {
    blobs: Vec<(String, String)>,
    manifests: Vec<(String, String, String)>,
    /// An upload's location, its repository, and the bytes acknowledged.
    uploads: Vec<(String, String, Vec<u8>)>,
}

/// How many manifests must be kept, or nothing was shown.
const ENOUGH: usize = 10;

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let (data, mut noise) = (Data::new(), Noise::new(seed()));
    let promised = Mutex::new(Promised::default());
    let rounds = variable("MCR_KILL_ROUNDS", 50);
    // On a slow machine it takes more of them, and longer ones, until there is something to show.
    let mut done = 0;
    for round in 0..4 * rounds {
        if round >= rounds && promised.lock().unwrap().manifests.len() > ENOUGH {
            break;
        }
        done += 1;
        let server = data.start(&[]);
        check(&server, &mut promised.lock().unwrap());
        let longest = 250 << (round / rounds);
        let (stop, delay) = (AtomicBool::new(false), Duration::from_millis(noise.below(longest)));
        std::thread::scope(|scope| {
            for client in 0..4 {
                let (connection, promised, stop) = (server.client(), &promised, &stop);
                let noise = Noise::new(noise.next() ^ client);
                scope.spawn(move || push_until_it_dies(connection, round, client, noise, promised, stop));
            }
            std::thread::sleep(delay);
            server.kill();
            stop.store(true, Ordering::SeqCst);
        });
    }
    let server = data.start(&[]);
    let mut promised = promised.lock().unwrap();
    check(&server, &mut promised);
    println!("{} blobs and {} manifests were kept", promised.blobs.len(), promised.manifests.len());
    assert!(promised.manifests.len() > ENOUGH, "too little was pushed to show anything");
    let left = server.files("uploads").len();
    assert!(left <= promised.uploads.len() + 4 * done, "{left} stray uploads");
}

/// Pushes images until the server is gone; an error is never a promise.
fn push_until_it_dies(
    mut client: Client,
    round: u64,
    number: u64,
    mut noise: Noise,
    promised: &Mutex<Promised>,
    stop: &AtomicBool,
) {
    let repository = format!("kill/client-{number}");
    for image in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let tag = format!("r{round}-{image}");
        if push_image(&mut client, &repository, &tag, &mut noise, promised).is_err() {
            return;
        }
    }
}

fn push_image(
    client: &mut Client,
    repository: &str,
    tag: &str,
    noise: &mut Noise,
    promised: &Mutex<Promised>,
) -> std::io::Result<()> {
    let mut blobs = Vec::new();
    for index in 0..3 {
        let length = usize::try_from(noise.below(200_000)).unwrap();
        let blob = noise.bytes(length);
        let pushed = match index {
            0 => push_blob(client, repository, &blob)?,
            _ => push_blob_by_patch(client, repository, &blob)?,
        };
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        promised.lock().unwrap().blobs.push((repository.to_owned(), digest(&blob)));
        blobs.push(blob);
    }
    let begun = client.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"")?;
    let part = noise.bytes(10_000);
    let patched = client.send("PATCH", &begun.location(), &[], &part)?;
    assert_eq!(patched.status, 202, "{}", patched.text());
    promised.lock().unwrap().uploads.push((patched.location(), repository.to_owned(), part));
    let manifest = manifest(&blobs);
    let pushed = push_manifest(client, repository, tag, &manifest)?;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    promised.lock().unwrap().manifests.push((repository.to_owned(), tag.to_owned(), digest(&manifest)));
    Ok(())
}

fn check(server: &Server, promised: &mut Promised) {
    let mut client = server.client();
    for (repository, expected) in &promised.blobs {
        let blob = client.get(&format!("/v2/{repository}/blobs/{expected}"));
        assert_eq!((blob.status, &digest(&blob.body)), (200, expected));
    }
    for (repository, tag, expected) in &promised.manifests {
        for reference in [tag, expected] {
            let manifest = client.get(&format!("/v2/{repository}/manifests/{reference}"));
            assert_eq!((manifest.status, &digest(&manifest.body)), (200, expected));
        }
    }
    for (location, repository, mut part) in promised.uploads.drain(..) {
        let status = client.get(&location);
        let expected = format!("0-{}", part.len() - 1);
        assert_eq!((status.status, status.header("range")), (204, Some(expected.as_str())));
        let range = format!("{}-{}", part.len(), part.len() + 3);
        part.extend_from_slice(b"tail");
        let whole = digest(&part);
        let headers = [("Content-Range", range.as_str())];
        let finished = client.request("PUT", &format!("{location}?digest={whole}"), &headers, b"tail");
        assert_eq!(finished.status, 201, "{}", finished.text());
        promised.blobs.push((repository, whole));
    }
}

//! `kill -9` while sweeps take what others delete: what was acknowledged is whole after the next start, and what was begun
//! is finished by the next sweep.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::admin::sweep_to_the_end;
use crate::support::content::{Noise, digest, manifest, push_blob, push_manifest};
use crate::support::http::Client;
use crate::support::{Data, Server, seed, variable};

const CLIENTS: u64 = 4;
/// Layers that all clients share.
const LAYERS: u64 = 12;

fn layer(number: u64) -> Vec<u8> {
    Noise::new(40_000 + number).bytes(1000 + usize::try_from(number).unwrap())
}

/// An image that was acknowledged, and that nobody has tried to delete.
struct Image {
    digest: String,
    layers: Vec<u64>,
}

struct Pusher {
    repository: String,
    noise: Noise,
    images: Vec<Image>,
}

impl Pusher {
    /// Pushes and deletes until the server is gone.
    fn run(&mut self, mut client: Client, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let done = match self.noise.below(3) {
                0 if !self.images.is_empty() => self.delete(&mut client),
                _ => self.push(&mut client),
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn push(&mut self, client: &mut Client) -> io::Result<()> {
        let layers: Vec<u64> = (0..3).map(|_| self.noise.below(LAYERS)).collect();
        let blobs: Vec<Vec<u8>> = layers.iter().map(|number| layer(*number)).collect();
        for blob in &blobs {
            let pushed = push_blob(client, &self.repository, blob)?;
            assert_eq!(pushed.status, 201, "{}", pushed.text());
        }
        let image = manifest(&blobs);
        let tag = format!("t{}", self.noise.below(3));
        let pushed = push_manifest(client, &self.repository, &tag, &image)?;
        match pushed.status {
            201 => self.images.push(Image { digest: digest(&image), layers }),
            // A sweep came between: there is no grace here.
            _ => assert_eq!(pushed.code(), "MANIFEST_BLOB_UNKNOWN", "{}", pushed.text()),
        }
        Ok(())
    }

    fn delete(&mut self, client: &mut Client) -> io::Result<()> {
        let index = usize::try_from(self.noise.below(self.images.len() as u64)).unwrap();
        let gone = self.images[index].digest.clone();
        // The same image may have been pushed more than once. Whether this is heard or not, it may be gone.
        self.images.retain(|image| image.digest != gone);
        let path = format!("/v2/{}/manifests/{gone}", self.repository);
        let deleted = client.send("DELETE", &path, &[], b"")?;
        assert!([202, 404].contains(&deleted.status), "{}", deleted.text());
        Ok(())
    }

    fn check(&self, client: &mut Client) {
        for Image { digest: name, layers } in &self.images {
            let found = client.get(&format!("/v2/{}/manifests/{name}", self.repository));
            assert_eq!(
                (found.status, &digest(&found.body)),
                (200, name),
                "{} lost an image",
                self.repository
            );
            for number in layers {
                let content = layer(*number);
                let found = client.get(&format!("/v2/{}/blobs/{}", self.repository, digest(&content)));
                assert!(found.status == 200 && found.body == content, "{name} lost layer {number}");
            }
        }
    }
}

/// Begins one sweep after the other until the server is gone.
fn sweep(mut client: Client, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if client.send("POST", "/v1/gc", &[], b"").is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_during_sweeps() {
    let (data, mut noise) = (Data::new(), Noise::new(seed()));
    let settings = [("MCR_GC_GRACE", "0s"), ("MCR_LOG_LEVEL", "warn")];
    let mut pushers: Vec<Pusher> = (0..CLIENTS)
        .map(|number| Pusher {
            repository: format!("sweep/client-{number}"),
            noise: Noise::new(noise.next() ^ number),
            images: Vec::new(),
        })
        .collect();
    for _ in 0..variable("MCR_KILL_ROUNDS", 50) {
        let server = data.start(&settings);
        pushers.iter().for_each(|pusher| pusher.check(&mut server.client()));
        let (stop, delay) = (AtomicBool::new(false), Duration::from_millis(20 + noise.below(200)));
        std::thread::scope(|scope| {
            let stop = &stop;
            for pusher in &mut pushers {
                let client = server.client();
                scope.spawn(move || pusher.run(client, stop));
            }
            let client = server.client();
            scope.spawn(move || sweep(client, stop));
            std::thread::sleep(delay);
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
    }
    let server = data.start(&settings);
    pushers.iter().for_each(|pusher| pusher.check(&mut server.client()));
    let report = sweep_to_the_end(&server);
    assert_eq!((&report["outcome"], &report["error_count"]), (&"done".into(), &0.into()), "{report}");
    pushers.iter().for_each(|pusher| pusher.check(&mut server.client()));
    leaves_nothing(&server, &pushers);
}

/// Without its repositories a registry has no blobs, in rows or files.
fn leaves_nothing(server: &Server, pushers: &[Pusher]) {
    let mut client = server.client();
    for Pusher { repository, .. } in pushers {
        let deleted = client.request("DELETE", &format!("/v1/repositories/{repository}"), &[], b"");
        assert!([200, 404].contains(&deleted.status), "{}: {}", deleted.status, deleted.text());
    }
    sweep_to_the_end(server);
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    // What a kill left without a row goes when it is found a second time, an hour later.
    database.execute("UPDATE strays SET first_seen = 0", []).unwrap();
    sweep_to_the_end(server);
    assert_eq!(server.files("layers"), Vec::<std::path::PathBuf>::new());
    let rows: u64 = database.query_row("SELECT count(*) FROM blobs", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0, "rows without a use");
}

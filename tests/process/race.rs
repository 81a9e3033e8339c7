//! Pushers, and sweeps back to back: nothing that was acknowledged is lost, and what was deleted goes.
//!
//! `MCR_RACE_SECONDS` says how long each race lasts; `MCR_SEED` repeats one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::content::{MANIFEST, Noise, digest, push_blob, push_blob_by_patch, push_manifest};
use crate::support::http::Client;
use crate::support::{Data, seed, variable};

const CLIENTS: u64 = 16;
/// Layers that images share.
const LAYERS: u64 = 24;
const REPOSITORIES: u64 = 5;
/// How much longer a race may take where it has shown nothing yet, on a slow machine.
const LONGER: Duration = Duration::from_secs(120);

fn layer(number: u64) -> Vec<u8> {
    Noise::new(7000 + number).bytes(2000 + usize::try_from(number).unwrap())
}

/// An image that was acknowledged and not yet deleted.
struct Image {
    repository: String,
    digest: String,
    layers: Vec<u64>,
}

/// What all pushers count together.
#[derive(Default)]
struct Tally {
    pushed: AtomicU64,
    refused: AtomicU64,
    slow: AtomicU64,
    deleted: AtomicU64,
    /// Blobs that sweeps have removed.
    removed: AtomicU64,
}

struct Pusher<'a> {
    number: u64,
    grace: Duration,
    client: Client,
    noise: Noise,
    images: Vec<Image>,
    tally: &'a Tally,
}

impl Pusher<'_> {
    /// Looks first, then mounts or uploads, as clients do.
    fn push_layer(&mut self, repository: &str, number: u64) {
        let content = layer(number);
        let name = digest(&content);
        let head = format!("/v2/{repository}/blobs/{name}");
        if self.client.request("HEAD", &head, &[], b"").status == 200 {
            return;
        }
        if self.noise.below(2) == 0 {
            let from = self.noise.below(REPOSITORIES);
            let mount = format!("/v2/{repository}/blobs/uploads/?mount={name}&from=race/{from}");
            let mounted = self.client.request("POST", &mount, &[], b"");
            match mounted.status {
                201 => return,
                202 => self.client.request("DELETE", &mounted.location(), &[], b""),
                other => panic!("a mount was answered {other}: {}", mounted.text()),
            };
        }
        let pushed = match self.noise.below(2) {
            0 => push_blob(&mut self.client, repository, &content),
            _ => push_blob_by_patch(&mut self.client, repository, &content),
        };
        let pushed = pushed.unwrap();
        assert_eq!(pushed.status, 201, "{}", pushed.text());
    }

    fn push(&mut self, round: u64) {
        let began = Instant::now();
        let repository = format!("race/{}", self.noise.below(REPOSITORIES));
        // Two that others push too, and one that rests between its pushes.
        let own = LAYERS + self.number * 100 + round % 100;
        let layers = [self.noise.below(LAYERS), own, self.noise.below(LAYERS)].to_vec();
        for number in &layers {
            self.push_layer(&repository, *number);
        }
        let describe = |number: &u64| {
            let content = layer(*number);
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&content), "size": content.len()})
        };
        let image = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": describe(&layers[0]),
            "layers": layers[1..].iter().map(describe).collect::<Vec<_>>(),
            "annotations": {"who": self.number.to_string(), "round": round.to_string()}});
        let image = image.to_string().into_bytes();
        let pushed =
            push_manifest(&mut self.client, &repository, &format!("c{}", self.number), &image).unwrap();
        if pushed.status == 201 {
            self.tally.pushed.fetch_add(1, Ordering::Relaxed);
            self.images.push(Image { repository, digest: digest(&image), layers });
            return;
        }
        assert_eq!(pushed.code(), "MANIFEST_BLOB_UNKNOWN", "{}: {}", pushed.status, pushed.text());
        if self.grace.is_zero() {
            self.tally.refused.fetch_add(1, Ordering::Relaxed);
        } else {
            let took = began.elapsed();
            assert!(took >= self.grace, "a push of {took:?} was refused: {}", pushed.text());
            self.tally.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every byte of an image comes back.
    fn pull(&mut self, index: usize) {
        let Image { repository, digest: name, layers } = &self.images[index];
        let manifest = self.client.get(&format!("/v2/{repository}/manifests/{name}"));
        assert_eq!((manifest.status, digest(&manifest.body)), (200, name.clone()), "a manifest is gone");
        for number in layers {
            let content = layer(*number);
            let found = self.client.get(&format!("/v2/{repository}/blobs/{}", digest(&content)));
            assert_eq!(found.status, 200, "{repository} lost layer {number} of {name}: {}", found.text());
            assert!(found.body == content, "layer {number} has other bytes");
        }
    }

    fn delete(&mut self, index: usize) {
        let Image { repository, digest, .. } = self.images.swap_remove(index);
        let path = format!("/v2/{repository}/manifests/{digest}");
        assert_eq!(self.client.request("DELETE", &path, &[], b"").status, 202);
        self.tally.deleted.fetch_add(1, Ordering::Relaxed);
    }

    fn race(mut self, until: Instant) -> Self {
        let mut round = 0;
        let is_vain = || self.tally.removed.load(Ordering::Relaxed) == 0;
        while Instant::now() < until || (is_vain() && Instant::now() < until + LONGER) {
            round += 1;
            self.push(round);
            if !self.images.is_empty() {
                let index = usize::try_from(self.noise.below(self.images.len() as u64)).unwrap();
                self.pull(index);
                if self.images.len() > 3 || self.noise.below(3) == 0 {
                    self.delete(index);
                }
            }
        }
        (0..self.images.len()).for_each(|index| self.pull(index));
        self
    }
}

/// Sweeps until it is told to stop; answers how many sweeps there were.
fn sweep(mut client: Client, tally: &Tally, stop: &AtomicBool) -> u64 {
    let mut sweeps = 0;
    while !stop.load(Ordering::Relaxed) {
        let report = sweep_once(&mut client);
        assert_eq!(report["error_count"], 0, "{report}");
        sweeps += 1;
        tally.removed.fetch_add(report["removed"].as_u64().unwrap(), Ordering::Relaxed);
        // Time for somebody to push an image between two sweeps.
        std::thread::sleep(Duration::from_millis(40 * (sweeps % 6)));
    }
    sweeps
}

fn sweep_once(client: &mut Client) -> Value {
    let started = client.request("POST", "/v1/gc", &[], b"");
    assert_eq!(started.status, 202, "{}", started.text());
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status: Value = serde_json::from_slice(&client.get("/v1/gc/status").body).unwrap();
        if status["state"] == "idle" {
            assert_eq!(status["last"]["outcome"], "done", "{status}");
            return status["last"].clone();
        }
        assert!(Instant::now() < deadline, "a sweep does not end: {status}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn race(grace: &str) {
    let (seconds, seed) = (variable("MCR_RACE_SECONDS", 10), seed());
    let data = Data::new();
    let server = data.start(&[("MCR_GC_GRACE", grace), ("MCR_LOG_LEVEL", "warn")]);
    let (tally, stop) = (Tally::default(), AtomicBool::new(false));
    let until = Instant::now() + Duration::from_secs(seconds);
    let wait: Duration = humantime::parse_duration(grace).unwrap();
    std::thread::scope(|scope| {
        let sweeper = scope.spawn(|| sweep(server.client(), &tally, &stop));
        let pushers: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let noise = Noise::new(seed.wrapping_mul(100) + number);
                let (client, images) = (server.client(), Vec::new());
                let pusher = Pusher { number, grace: wait, client, noise, images, tally: &tally };
                scope.spawn(move || pusher.race(until))
            })
            .collect();
        let pushers: Vec<_> = pushers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        let (sweeps, removed) = (sweeper.join().unwrap(), tally.removed.load(Ordering::Relaxed));
        println!(
            "{sweeps} sweeps removed {removed} blobs; {:?} pushes, {:?} refused, {:?} too slow, {:?} deleted",
            tally.pushed, tally.refused, tally.slow, tally.deleted
        );
        assert!(sweeps > 1 && removed > 0, "the sweeps removed nothing");
        for pusher in pushers {
            let mut pusher = pusher.unwrap();
            while !pusher.images.is_empty() {
                pusher.delete(0);
            }
        }
    });
    // After the longest that anything is kept, nothing is left.
    std::thread::sleep(wait * 3 / 2 + Duration::from_millis(10));
    let mut client = server.client();
    sweep_once(&mut client);
    assert_eq!(server.files("layers"), Vec::<std::path::PathBuf>::new());
    assert_eq!(sweep_once(&mut client)["examined"], 0);
}

#[test]
fn with_a_grace_of_two_seconds_no_push_that_takes_less_fails() {
    race("2s");
}

#[test]
fn with_no_grace_a_push_may_be_refused_and_is_never_broken() {
    race("0s");
}

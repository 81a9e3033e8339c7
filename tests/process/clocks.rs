//! Wall clocks that are wrong, and that are set while the program runs: nothing that was promised goes early, and nothing stays
//! for ever. What goes by is real; only the time of day is another.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::admin::{expect, sweep_to_the_end};
use crate::support::content::{Noise, digest, manifest, push_blob, push_manifest};
use crate::support::http::Client;
use crate::support::{Data, Server};

/// By how much clocks are wrong: summer time, a day and an hour, a year, and a machine without a battery, which begins in 2000.
const WRONG: &[&str] = &["+2h", "-2h", "+25h", "-25h", "+365d", "-365d", "-9700d"];

/// The library that gives a program another time of day.
fn library() -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = vec!["/usr/lib/faketime".into(), "/usr/lib64/faketime".into()];
    places.extend(std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime")));
    places.into_iter().map(|place| place.join("libfaketimeMT.so.1")).find(|path| path.is_file())
}

/// A server whose wall clock is wrong by what stands in a file.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// None where the library is missing.
    fn new(data: &Data) -> Option<Self> {
        let clock = Self { library: library()?, file: data.path().join("clock") };
        clock.set("+0");
        Some(clock)
    }

    fn set(&self, by: &str) {
        std::fs::write(&self.file, by).unwrap();
    }

    fn start(&self, data: &Data) -> Server {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        data.start(&[
            ("LD_PRELOAD", &text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", &text(&self.file)),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("MCR_GC_GRACE", "1h"),
            ("MCR_GC_UNTAGGED_AFTER", "1h"),
        ])
    }
}

/// What was answered a moment ago and must last: a blob, an upload with some bytes, a manifest without a tag.
struct Promised {
    blob: Vec<u8>,
    upload: String,
    untagged: Vec<u8>,
}

impl Promised {
    fn push(client: &mut Client, seed: u64) -> Self {
        let (blob, other) = (Noise::new(seed).bytes(500), Noise::new(seed + 1000).bytes(500));
        assert_eq!(push_blob(client, "a", &blob).unwrap().status, 201);
        assert_eq!(push_blob(client, "b", &other).unwrap().status, 201);
        let untagged = manifest(&[other]);
        assert_eq!(push_manifest(client, "b", &digest(&untagged), &untagged).unwrap().status, 201);
        let upload = client.request("POST", "/v2/c/blobs/uploads/", &[], b"").location();
        assert_eq!(client.request("PATCH", &upload, &[], b"some bytes").status, 202);
        Self { blob, upload, untagged }
    }

    /// All of it is there, and the blob can be used for an image.
    fn is_kept(&self, client: &mut Client, when: &str) {
        assert_eq!(client.get(&self.upload).header("range"), Some("0-9"), "{when}: the upload");
        let path = format!("/v2/b/manifests/{}", digest(&self.untagged));
        assert_eq!(client.get(&path).body, self.untagged, "{when}: the manifest");
        let image = manifest(std::slice::from_ref(&self.blob));
        let pushed = push_manifest(client, "a", "v1", &image).unwrap();
        assert_eq!(pushed.status, 201, "{when}: {}", pushed.text());
    }
}

/// The day and hour that the server's wall clock tells.
fn hour(client: &mut Client) -> String {
    let date = client.get("/v1/health").header("date").unwrap().to_owned();
    date.split_once(':').unwrap().0.to_owned()
}

#[test]
fn a_clock_that_is_set_takes_nothing_that_was_promised() {
    for (seed, by) in (0..).zip(WRONG) {
        let data = Data::new();
        let Some(clock) = Clock::new(&data) else {
            println!("SKIPPED: libfaketime is not on this machine and could not be installed");
            return;
        };
        let server = clock.start(&data);
        let mut client = server.client();
        let promised = Promised::push(&mut client, seed);
        let before = hour(&mut client);
        clock.set(by);
        let deadline = Instant::now() + Duration::from_secs(20);
        while hour(&mut client) == before {
            assert!(Instant::now() < deadline, "the clock was not set");
            std::thread::sleep(Duration::from_millis(50));
        }
        let report = sweep_to_the_end(&server);
        assert_eq!((&report["outcome"], &report["uploads"]), (&"done".into(), &0.into()), "{by}: {report}");
        promised.is_kept(&mut client, &format!("set by {by} in a run"));
    }
}

#[test]
fn a_run_whose_clock_was_wrong_leaves_nothing_that_goes_early_or_never() {
    for (seed, by) in (100..).zip(WRONG) {
        let data = Data::new();
        let Some(clock) = Clock::new(&data) else {
            println!("SKIPPED: libfaketime is not on this machine and could not be installed");
            return;
        };
        // A run with the right time, one with a wrong one, and one with the right one again.
        drop(clock.start(&data));
        clock.set(by);
        let server = clock.start(&data);
        let promised = Promised::push(&mut server.client(), seed);
        drop(server);
        clock.set("+0");
        let server = clock.start(&data);
        let mut client = server.client();
        sweep_to_the_end(&server);
        promised.is_kept(&mut client, &format!("pushed by a run whose clock was wrong by {by}"));
        nothing_is_of_the_future(&mut client, by);
    }
}

/// The newest entries of the audit log are those of what was done last, and no row lies in the future.
fn nothing_is_of_the_future(client: &mut Client, by: &str) {
    let listed = expect(client, 200, "GET", "/v1/audit?n=1000", Value::Null);
    let entries = listed["items"].as_array().unwrap();
    let times: Vec<&str> = entries.iter().map(|entry| entry["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{by}: {times:?}");
    assert_eq!(
        entries[0]["event"], "manifest_pushed",
        "{by}: the last that was done is the newest: {}",
        entries[0]
    );
}

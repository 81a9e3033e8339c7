//! Commits whose outcome is not known, since the log could not be synced: nobody is answered, and nothing is removed, before another
//! commit has settled them, whatever the end of the program plays back.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::content::{Noise, digest, push_blob};
use crate::support::faults::{EIO, Faults};
use crate::support::snapshots::{said, text};
use crate::support::{Data, Server};

const LOG: &str = "mcr.db-wal";
/// Longer than an answer takes.
const MOMENT: Duration = Duration::from_millis(1500);

fn faults() -> Option<Faults> {
    let faults = Faults::new();
    if faults.is_none() {
        println!("SKIPPED: making calls fail needs a C compiler");
    }
    faults
}

/// Pushes at the side; the status, or nothing when the server died.
fn push(server: &Server, content: &[u8]) -> JoinHandle<Option<u16>> {
    let (mut client, content) = (server.client(), content.to_vec());
    thread::spawn(move || push_blob(&mut client, "a", &content).ok().map(|answer| answer.status))
}

#[test]
fn nobody_hears_of_a_commit_before_it_is_settled_and_a_retry_succeeds() {
    let Some(faults) = faults() else { return };
    let data = Data::new();
    let server = data.start(&faults.variables());
    let mut client = server.client();
    let blob = Noise::new(1).bytes(5000);
    assert_eq!(push_blob(&mut client, "a", &Noise::new(2).bytes(10)).unwrap().status, 201);
    faults.arm("sync", EIO, LOG);
    let pushed = push(&server, &blob);
    thread::sleep(MOMENT);
    assert!(!pushed.is_finished(), "it was answered while nobody knows");
    let ready = client.get("/v1/ready");
    assert_eq!((ready.status, ready.text().contains("\"commits\"")), (503, true), "{}", ready.text());
    faults.disarm("sync");
    // The first request is repeated by hand, as a client does that is told 503.
    let first = pushed.join().unwrap();
    assert!(matches!(first, Some(503 | 201)), "{first:?}");
    assert_eq!(push_blob(&mut client, "a", &blob).unwrap().status, 201);
    let began = Instant::now();
    while client.get("/v1/ready").status != 200 {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", client.get("/v1/ready").text());
        thread::sleep(Duration::from_millis(100));
    }
    server.kill();
    said(0, &["verify", "--data", text(&data.path().join("data"))]);
}

#[test]
fn a_registry_that_can_commit_no_more_ends_with_a_sentence_and_starts_again() {
    let Some(faults) = faults() else { return };
    let data = Data::new();
    let server = data.start(&faults.variables());
    let (kept, blob) = (Noise::new(1).bytes(100), Noise::new(2).bytes(5000));
    assert_eq!(push_blob(&mut server.client(), "a", &kept).unwrap().status, 201);
    faults.arm("sync", EIO, LOG);
    let began = Instant::now();
    let pushed = push(&server, &blob);
    thread::sleep(Duration::from_secs(25));
    server.logged("so the registry ends; the next start goes by what has lasted");
    assert!(began.elapsed() >= Duration::from_secs(29), "it ended after {:?}", began.elapsed());
    assert!(!server.ended(Duration::from_secs(30)), "it says that all was well");
    let answered = pushed.join().unwrap();
    assert!(answered.is_none_or(|status| status >= 400), "it was acknowledged: {answered:?}");
    faults.disarm("sync");
    said(0, &["verify", "--data", text(&data.path().join("data"))]);
    let server = data.start(&[]);
    let mut client = server.client();
    assert_eq!(client.get(&format!("/v2/a/blobs/{}", digest(&kept))).body, kept);
    assert_eq!(push_blob(&mut client, "a", &blob).unwrap().status, 201);
}

//! Publishing and sweeping, cut after each call to the file system: what was acknowledged is there, no row lacks its file, and
//! the next sweep leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use bytes::Bytes;
use mcr_actors::ask::AskError;
use mcr_actors::blob_store::Open;
use mcr_actors::db::queries::blobs::{FindBlob, KeepBlob, UnlinkBlob};
use mcr_actors::domain::{Algorithm, Digest, Origin, Principal, RepositoryName};
use mcr_actors::fs::fake::FakeFs;
use mcr_actors::gc::{GetGcStatus, StartSweep, Trigger};
use mcr_actors::testing::Harness;
use mcr_actors::upload::{Begin, BeginOnce, BeginRequest, Beginner, Find, GetStatus, Owner, UploadError};
use uuid::Uuid;

/// What was promised before the power went.
#[derive(Default)]
struct Promised {
    blobs: Vec<Digest>,
    upload: Option<(Uuid, u64)>,
}

fn repository() -> RepositoryName {
    "crash/test".parse().unwrap()
}

fn digest(content: &'static [u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

type Step = Result<(), UploadError>;

fn refused<E: std::fmt::Debug>(error: E) -> UploadError {
    UploadError::Io(std::io::Error::other(format!("{error:?}")))
}

async fn push_once(harness: &Harness, content: &'static [u8], promised: &mut Promised) -> Step {
    let request = BeginRequest { at: None, length: None };
    let begin =
        BeginOnce { repository: repository(), algorithm: Algorithm::Sha256, owner: String::new(), request };
    let mut writer = harness.worker.uploads.ask(begin).await.map_err(refused)?;
    writer.append(vec![Bytes::from_static(content)]).await?;
    writer.finish(digest(content), Origin::default()).await?;
    promised.blobs.push(digest(content));
    Ok(())
}

async fn push_in_parts(harness: &Harness, promised: &mut Promised) -> Step {
    let owner = Owner { principal: Principal::anonymous(), token_hash: None };
    let begin = Begin { repository: repository(), algorithm: Algorithm::Sha256, owner };
    let (id, session) = harness.worker.uploads.ask(begin).await.map_err(refused)?;
    promised.upload = Some((id, 0));
    for part in [&b"one"[..], b"two", b"three"] {
        let mut writer = session.ask(BeginRequest { at: None, length: None }).await.map_err(refused)?;
        writer.append(vec![Bytes::from_static(part)]).await?;
        promised.upload = Some((id, writer.acknowledge().await?));
    }
    let writer = session.ask(BeginRequest { at: None, length: None }).await.map_err(refused)?;
    writer.finish(digest(b"onetwothree"), Origin::default()).await?;
    promised.upload = None;
    promised.blobs.push(digest(b"onetwothree"));
    Ok(())
}

/// All ways in which files change; stops at the first failure, as a client would.
async fn scenario(harness: &Harness, promised: &mut Promised) -> Step {
    push_once(harness, b"first", promised).await?;
    push_in_parts(harness, promised).await?;
    push_once(harness, b"first", promised).await?;
    push_once(harness, b"", promised).await
}

/// How many bytes of an upload are acknowledged; none when it is over. Asks again while a session stops.
async fn stands(harness: &Harness, id: Uuid) -> Option<u64> {
    loop {
        let find = Find { id, repository: repository(), by: Beginner::Anybody };
        let Ok(session) = harness.worker.uploads.ask(find).await else { return None };
        match session.ask(GetStatus).await {
            Ok(status) => return Some(status.acknowledged),
            Err(AskError::Down(_)) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
            Err(error) => panic!("an upload goes on: {error}"),
        }
    }
}

async fn holds(harness: &Harness, promised: &Promised) {
    harness.check_invariants();
    for digest in &promised.blobs {
        let found =
            harness.worker.db.read(FindBlob { repository: repository(), digest: *digest }).await.unwrap();
        let size = found.expect("an acknowledged blob is visible").size;
        harness.worker.blobs.ask(Open { digest: *digest, size }).await.expect("and its file is whole");
    }
    if let Some((id, acknowledged)) = promised.upload {
        match stands(harness, id).await {
            Some(stands) => assert!(stands >= acknowledged, "{stands} < {acknowledged}"),
            // It was finished, and only the answer was lost.
            None => {
                let whole = FindBlob { repository: repository(), digest: digest(b"onetwothree") };
                assert!(harness.worker.db.read(whole).await.unwrap().is_some(), "an upload got lost");
            }
        }
    }
}

/// Cuts after `calls`, restarts, checks, and finishes the work. Says whether the cut came before the end.
async fn cut_and_restart(calls: u64, seed: u64) -> bool {
    let fs = FakeFs::default();
    let harness = Harness::start(Arc::new(fs.clone())).await;
    let mut promised = Promised::default();
    fs.cut_after(calls);
    let interrupted = scenario(&harness, &mut promised).await.is_err();
    let cut = fs.is_cut();
    assert!(cut || !interrupted, "only the cut may interrupt it");
    let found = fs.crash(seed);
    let harness = harness.restart(Arc::new(found.clone())).await;
    holds(&harness, &promised).await;
    let mut again = Promised::default();
    scenario(&harness, &mut again).await.expect("after the restart everything works");
    holds(&harness, &again).await;
    harness.finish().await;
    cut
}

/// By how many choices of what survives each cut is tried: `MCR_CRASH_SEEDS`, or a few.
fn seeds() -> u64 {
    std::env::var("MCR_CRASH_SEEDS").map_or(8, |seeds| seeds.parse().unwrap())
}

#[actix::test]
async fn a_power_cut_after_any_call_loses_nothing_that_was_acknowledged() {
    for seed in 0..seeds() {
        let mut calls = 0;
        while cut_and_restart(calls, seed).await {
            calls += 1;
        }
        assert!(calls > 30, "the scenario made {calls} calls only");
    }
}

/// Each call fails once, with half of its work done; the client sends the request again.
#[actix::test]
async fn a_call_that_fails_is_over_when_its_cause_is_over() {
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
        for call in 0.. {
            let fs = FakeFs::default();
            let harness = Harness::start(Arc::new(fs.clone())).await;
            let mut promised = Promised::default();
            let before = fs.calls();
            fs.fail_after(call, kind);
            let failed = scenario(&harness, &mut promised).await.is_err();
            let reached = fs.calls() - before > call;
            fs.heal();
            holds(&harness, &promised).await;
            let mut again = Promised::default();
            scenario(&harness, &mut again).await.expect("it is over when its cause is over");
            holds(&harness, &again).await;
            let harness = harness.restart(Arc::new(fs)).await;
            holds(&harness, &again).await;
            harness.finish().await;
            if !reached {
                assert!(!failed);
                break;
            }
        }
    }
}

/// Sweeps to the end, whatever becomes of it.
async fn sweep(harness: &Harness) {
    let origin = Origin::default();
    let start =
        StartSweep { trigger: Trigger::Request, dry_run: false, take_strays: true, origin, caller: None };
    harness.worker.gc.ask(start).await.expect("a sweep begins");
    while harness.worker.gc.ask(GetGcStatus).await.unwrap().running.is_some() {
        tokio::time::sleep(std::time::Duration::from_micros(200)).await;
    }
}

async fn take_away(harness: &Harness, content: &'static [u8]) {
    let kept_until = harness.clock.now();
    let unlink = UnlinkBlob { repository: repository(), digest: digest(content), kept_until };
    assert!(harness.worker.db.write(unlink).await.unwrap());
}

/// What is left after the promise of the last push is over and a sweep went through: rows of what is needed, and files when
/// a second sweep has found those without a row again.
async fn leaves_only(harness: &Harness, fs: &FakeFs, kept: &[&'static [u8]]) {
    harness.check_invariants();
    harness.clock.advance(std::time::Duration::from_secs(10));
    sweep(harness).await;
    let layout = harness.layout();
    let mut kept: Vec<Digest> = kept.iter().map(|content| digest(content)).collect();
    kept.sort();
    harness.clock.advance(LONG * 2);
    for digest in &kept {
        let kept_until = harness.clock.now().after(LONG);
        let keep = KeepBlob { repository: repository(), digest: *digest, kept_until };
        assert!(harness.worker.db.write(keep).await.unwrap(), "the first sweep took what was promised");
    }
    sweep(harness).await;
    let mut files: Vec<Digest> = fs.tree().keys().filter_map(|path| layout.digest(path)).collect();
    files.sort();
    assert_eq!(files, kept, "files");
    let rows = harness.rows::<i64>("SELECT digest, state FROM blobs ORDER BY digest");
    assert_eq!(rows, kept.iter().map(|digest| (digest.to_string(), 0)).collect::<Vec<_>>(), "rows");
}

/// Three blobs, two of which go, one of those while it is pushed again.
async fn cut_a_sweep(calls: u64, seed: u64) -> bool {
    let fs = FakeFs::default();
    // The one that stays is needed by nobody, only promised.
    let harness = Harness::start_with(Arc::new(fs.clone()), |settings| settings.grace = LONG).await;
    let mut promised = Promised::default();
    for content in [&b"goes"[..], b"comes back"] {
        push_once(&harness, content, &mut promised).await.unwrap();
    }
    harness.clock.advance(LONG * 2);
    push_once(&harness, b"stays", &mut promised).await.unwrap();
    take_away(&harness, b"goes").await;
    take_away(&harness, b"comes back").await;
    fs.cut_after(calls);
    let mut again = Promised::default();
    let swept = sweep(&harness);
    let (_, pushed) = futures_util::future::join(swept, push_once(&harness, b"comes back", &mut again)).await;
    let cut = fs.is_cut();
    assert!(cut || pushed.is_ok(), "only the cut may interrupt it: {pushed:?}");
    let found = fs.crash(seed);
    let harness = harness.restart(Arc::new(found.clone())).await;
    let mut kept: Vec<&'static [u8]> = vec![b"stays"];
    let query = FindBlob { repository: repository(), digest: digest(b"comes back") };
    let is_back = harness.worker.db.read(query).await.unwrap().is_some();
    assert!(is_back || pushed.is_err(), "an acknowledged push is lost");
    if is_back {
        kept.push(b"comes back");
    }
    leaves_only(&harness, &found, &kept).await;
    harness.finish().await;
    cut
}

const LONG: std::time::Duration = std::time::Duration::from_secs(3600);

#[actix::test]
async fn a_sweep_that_is_cut_after_any_call_loses_nothing_and_the_next_leaves_nothing() {
    for seed in 0..seeds() {
        let mut calls = 0;
        while cut_a_sweep(calls, seed).await {
            calls += 1;
        }
        assert!(calls > 10, "the sweep made {calls} calls only");
    }
}

//! Uploads when something goes wrong beside them: calls that fail for a moment, changes that are refused or late, requests
//! that are given up. What was acknowledged is there afterwards, and nobody else's blob has suffered.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod late;
mod placed;
mod places;
mod rowless;
mod unsettled;

use std::future::Future;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcr_actors::ask::{AskError, Handle};
use mcr_actors::db::{DbError, Growth, WriteQuery};
use mcr_actors::domain::{Algorithm, Digest, Origin, Principal, RepositoryName};
use mcr_actors::fs::Fs;
use mcr_actors::fs::fake::FakeFs;
use mcr_actors::testing::Harness;
use mcr_actors::upload::{
    Begin, BeginOnce, BeginRequest, Beginner, Find, GetStatus, Owner, Session, Sweep, UploadError, Writer,
};
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);
const ANY: BeginRequest = BeginRequest { at: None, length: None };

fn repository() -> RepositoryName {
    "mishaps/test".parse().unwrap()
}

fn digest(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

async fn start(fs: &FakeFs) -> Harness {
    Harness::start(Arc::new(fs.clone())).await
}

async fn begin(harness: &Harness) -> Uuid {
    let owner = Owner { principal: Principal::anonymous(), token_hash: None };
    let begin = Begin { repository: repository(), algorithm: Algorithm::Sha256, owner };
    harness.worker.uploads.ask(begin).await.unwrap().0
}

fn begin_once(
    harness: &Harness,
    request: BeginRequest,
) -> impl Future<Output = Result<Writer, AskError<UploadError>>> + use<> {
    let begin =
        BeginOnce { repository: repository(), algorithm: Algorithm::Sha256, owner: String::new(), request };
    harness.worker.uploads.ask(begin)
}

async fn push_once(harness: &Harness, content: &[u8]) {
    let writer = begin_once(harness, ANY).await.unwrap();
    finish(writer, content, content).await.unwrap();
}

async fn find(harness: &Harness, id: Uuid) -> Result<Handle<Session>, AskError<UploadError>> {
    harness.worker.uploads.ask(Find { id, repository: repository(), by: Beginner::Anybody }).await
}

async fn request(harness: &Harness, id: Uuid) -> Result<Writer, AskError<UploadError>> {
    find(harness, id).await?.ask(ANY).await
}

/// Whether the upload's session stops, so that the same request may succeed when it comes again.
fn is_passing(error: &AskError<UploadError>) -> bool {
    matches!(error, AskError::Down(_) | AskError::Refused(UploadError::Unavailable(_)))
}

/// A turn, as a client has it that repeats what was answered with 503.
async fn turn(harness: &Harness, id: Uuid) -> Writer {
    loop {
        match request(harness, id).await {
            Ok(writer) => return writer,
            Err(error) => assert!(is_passing(&error), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// How many bytes of the upload are acknowledged; none when it is over.
async fn stands(harness: &Harness, id: Uuid) -> Option<u64> {
    loop {
        let status = match find(harness, id).await {
            Ok(session) => session.ask(GetStatus).await,
            Err(error) => Err(error),
        };
        match status {
            Ok(status) => return Some(status.acknowledged),
            Err(AskError::Refused(UploadError::Unknown)) => return None,
            Err(error) => assert!(is_passing(&error), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn append(mut writer: Writer, content: &[u8]) -> Result<Writer, UploadError> {
    writer.append(vec![Bytes::copy_from_slice(content)]).await.map(|()| writer)
}

async fn acknowledge(writer: Writer, content: &[u8]) -> Result<u64, UploadError> {
    append(writer, content).await?.acknowledge().await
}

async fn finish(writer: Writer, last: &[u8], whole: &[u8]) -> Result<u64, UploadError> {
    append(writer, last).await?.finish(digest(whole), Origin::default()).await
}

/// An upload with three acknowledged bytes, `abc`.
async fn begun(harness: &Harness) -> Uuid {
    let id = begin(harness).await;
    assert_eq!(acknowledge(turn(harness, id).await, b"abc").await.unwrap(), 3);
    id
}

fn upload_file(id: Uuid) -> PathBuf {
    Path::new("/store/uploads").join(id.to_string())
}

/// Holds all changes up until it is told to go on.
#[derive(Clone)]
struct Wait(Arc<Mutex<Receiver<()>>>);

impl WriteQuery for Wait {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, _: &rusqlite::Connection) -> Result<(), DbError> {
        self.0.lock().unwrap().recv().map_err(|error| DbError::Failed(error.to_string()))
    }
}

fn hold_changes_up(harness: &Harness) -> (Sender<()>, impl Future<Output = ()> + use<>) {
    let (go_on, wait) = channel();
    let held_up = harness.worker.db.write(Wait(Arc::new(Mutex::new(wait))));
    (go_on, async move { held_up.await.unwrap() })
}

/// From now on no row of a blob can be written.
fn refuse_blobs(harness: &Harness) {
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON blobs BEGIN SELECT RAISE(ABORT, 'refused'); END";
    harness.rows::<i64>(trigger);
}

fn take_blobs_again(harness: &Harness) {
    harness.rows::<i64>("DROP TRIGGER refuse");
}

#[actix::test]
async fn uploads_of_one_request_give_their_places_back_however_they_end() {
    let fs = FakeFs::default();
    let harness = Harness::start_with(Arc::new(fs.clone()), |settings| {
        settings.max_uploads = 6;
        settings.max_blob_size = Some(100);
        settings.min_free = 1000;
    })
    .await;
    fs.set_free(1050);
    let refused = [
        BeginRequest { at: Some(5), length: None },
        BeginRequest { at: None, length: Some(101) },
        BeginRequest { at: None, length: Some(60) },
    ];
    for request in refused.into_iter().cycle().take(12) {
        match begin_once(&harness, request).await {
            Err(AskError::Refused(UploadError::Refused(_) | UploadError::NoSpace)) => {}
            other => panic!("{other:?}"),
        }
    }
    let began = Instant::now();
    for number in 0..12 {
        // Its client is gone before there is an answer.
        drop(begin_once(&harness, ANY));
        if number % 3 == 2 {
            while let Err(error) = begin_once(&harness, ANY).await {
                assert!(matches!(error, AskError::Refused(UploadError::TooMany)), "{error:?}");
                assert!(began.elapsed() < Duration::from_secs(30), "places are lost");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    harness.finish().await;
}

#[actix::test]
async fn what_is_left_of_an_upload_without_a_row_goes_when_it_was_found_twice_and_its_place_is_free_at_once()
{
    let fs = FakeFs::default();
    let harness = Harness::start_with(Arc::new(fs.clone()), |settings| settings.max_uploads = 1).await;
    let id = begun(&harness).await;
    let harness = harness.restart(Arc::new(fs.clone())).await;
    harness.rows::<i64>("DELETE FROM uploads");
    let strays = async || {
        let sweep = Sweep { idle_since: harness.clock.now().before(24 * HOUR), take_strays: false };
        harness.worker.uploads.ask(sweep).await.unwrap().strays
    };
    assert_eq!(strays().await, 0, "it was found for the first time");
    assert!(fs.tree().contains_key(&upload_file(id)));
    harness.clock.advance(HOUR);
    assert_eq!(strays().await, 0, "an hour is less than grace with what is added to it");
    harness.clock.advance(HOUR);
    assert_eq!(strays().await, 1);
    assert_eq!(fs.tree().get(&upload_file(id)), None);
    begin(&harness).await;
    harness.finish().await;
}

#[actix::test]
async fn no_body_eats_what_must_stay_free() {
    let fs = FakeFs::default();
    let harness = Harness::start_with(Arc::new(fs.clone()), |settings| settings.min_free = 1000).await;
    fs.set_free(1500);
    let id = begin(&harness).await;
    let mut writer = turn(&harness, id).await;
    for _ in 0..2 {
        writer.append(vec![Bytes::from_static(&[7; 400])]).await.unwrap();
    }
    let refused = writer.append(vec![Bytes::from_static(&[7; 400])]).await;
    assert!(matches!(refused, Err(UploadError::NoSpace)), "{refused:?}");
    let late = writer.append(vec![Bytes::from_static(b"late")]).await;
    assert!(matches!(late, Err(UploadError::TakenOver)), "{late:?}");
    fs.set_free(5000);
    assert_eq!(acknowledge(turn(&harness, id).await, b"abc").await.unwrap(), 3);
    assert_eq!(finish(turn(&harness, id).await, b"", b"abc").await.unwrap(), 3);
    harness.finish().await;
}

/// A good blob is pushed again in parts. A call fails, and `later` the power is cut. Says whether the call was made.
async fn push_again(call: u64, later: u64, seed: u64) -> bool {
    let fs = FakeFs::default();
    let harness = start(&fs).await;
    push_once(&harness, b"abcdef").await;
    let id = begun(&harness).await;
    let before = fs.calls();
    fs.fail_after(call, ErrorKind::Other);
    fs.cut_after(call + later);
    let pushed = match request(&harness, id).await {
        Ok(writer) => finish(writer, b"def", b"abcdef").await.is_ok(),
        Err(_) => false,
    };
    let reached = fs.calls() - before > call;
    assert!(reached || pushed, "it failed of itself");
    let found = fs.crash(seed);
    let harness = harness.restart(Arc::new(found.clone())).await;
    let kept = found.tree().get(&harness.layout().path(&digest(b"abcdef"))).cloned();
    assert_eq!(kept.as_deref(), Some(&b"abcdef"[..]), "a good blob is gone: {call} {later} {seed}");
    harness.finish().await;
    reached
}

#[actix::test]
async fn a_good_blob_survives_a_second_push_of_it_that_goes_wrong() {
    for seed in [3, 5, 7] {
        for later in 1..5 {
            let mut calls = 0;
            while push_again(calls, later, seed).await {
                calls += 1;
            }
            assert!(calls > 4, "{calls} calls only");
        }
    }
}

/// A bad blob is replaced by an upload that keeps its name; the power is cut on the way. Says whether it was.
async fn replace(calls: u64, seed: u64) -> bool {
    let fs = FakeFs::default();
    let harness = start(&fs).await;
    push_once(&harness, b"abcdef").await;
    let path = harness.layout().path(&digest(b"abcdef"));
    let mut file = fs.open_to_write(&path).unwrap();
    file.truncate(4).unwrap();
    file.sync().unwrap();
    let id = begun(&harness).await;
    fs.cut_after(calls);
    let finished = match request(&harness, id).await {
        Ok(writer) => finish(writer, b"def", b"abcdef").await.is_ok(),
        Err(_) => false,
    };
    let cut = fs.is_cut();
    assert!(cut || finished, "only the cut may interrupt it");
    let found = fs.crash(seed);
    let harness = harness.restart(Arc::new(found.clone())).await;
    let file = found.tree().remove(&path).expect("there was nothing for a moment");
    assert!(file == b"abcdef" || file == b"abcd" && !finished, "{file:?}");
    if !finished && stands(&harness, id).await.is_some() {
        assert_eq!(stands(&harness, id).await, Some(3), "acknowledged bytes are lost");
        finish(turn(&harness, id).await, b"def", b"abcdef").await.unwrap();
    }
    harness.finish().await;
    cut
}

#[actix::test]
async fn whoever_replaces_a_bad_file_leaves_no_moment_without_one() {
    for seed in 0..8 {
        let mut calls = 0;
        while replace(calls, seed).await {
            calls += 1;
        }
        assert!(calls > 6, "{calls} calls only");
    }
}

#[actix::test]
async fn a_file_that_heals_a_blob_stays_although_its_row_could_not_be_written() {
    let fs = FakeFs::default();
    let harness = start(&fs).await;
    push_once(&harness, b"abcdef").await;
    let path = harness.layout().path(&digest(b"abcdef"));
    fs.remove(&path).unwrap();
    let id = begun(&harness).await;
    refuse_blobs(&harness);
    let refused = finish(turn(&harness, id).await, b"def", b"abcdef").await;
    assert!(matches!(refused, Err(UploadError::Db(DbError::Failed(_)))), "{refused:?}");
    harness.check_invariants();
    // The upload goes on with bytes of its own.
    assert_eq!(stands(&harness, id).await, Some(3));
    let writer = append(turn(&harness, id).await, b"other bytes").await.unwrap();
    harness.check_invariants();
    drop(writer);
    take_blobs_again(&harness);
    assert_eq!(finish(turn(&harness, id).await, b"def", b"abcdef").await.unwrap(), 6);
    harness.finish().await;
}

#[actix::test]
async fn a_blob_whose_row_is_refused_leaves_no_file_and_its_upload_goes_on() {
    let fs = FakeFs::default();
    let harness = start(&fs).await;
    let path = harness.layout().path(&digest(b"abcdef"));
    let id = begun(&harness).await;
    refuse_blobs(&harness);
    for _ in 0..2 {
        let refused = finish(turn(&harness, id).await, b"def", b"abcdef").await;
        assert!(matches!(refused, Err(UploadError::Db(DbError::Failed(_)))), "{refused:?}");
        assert_eq!(fs.tree().get(&path), None, "a file without a row");
        assert_eq!(stands(&harness, id).await, Some(3));
    }
    take_blobs_again(&harness);
    assert_eq!(finish(turn(&harness, id).await, b"def", b"abcdef").await.unwrap(), 6);
    harness.finish().await;
}

#[actix::test]
async fn a_resumed_upload_does_not_write_to_a_blobs_file() {
    let fs = FakeFs::default();
    let harness = start(&fs).await;
    push_once(&harness, b"abc").await;
    let id = begun(&harness).await;
    // As the end of the program leaves it between the two steps of finishing.
    let path = harness.layout().path(&digest(b"abc"));
    fs.remove(&path).unwrap();
    fs.link(&upload_file(id), &path).unwrap();
    let harness = harness.restart(Arc::new(fs.clone())).await;
    assert_eq!(acknowledge(turn(&harness, id).await, b"def").await.unwrap(), 6);
    harness.check_invariants();
    // What is acknowledged now rests on another file, whose name lasts too.
    let harness = harness.restart(Arc::new(fs.crash(1))).await;
    assert_eq!(finish(turn(&harness, id).await, b"", b"abcdef").await.unwrap(), 6);
    harness.finish().await;
}

#[actix::test]
async fn an_upload_whose_file_fails_for_a_moment_goes_on_afterwards() {
    for call in 0.. {
        let fs = FakeFs::default();
        let harness = start(&fs).await;
        let id = begun(&harness).await;
        let harness = harness.restart(Arc::new(fs.clone())).await;
        let before = fs.calls();
        fs.fail_after(call, ErrorKind::Other);
        for _ in 0..2 {
            // Resumed, written to, and given up. The second waits until the first was rolled back.
            match request(&harness, id).await {
                Ok(writer) => drop(append(writer, b"given up").await),
                Err(AskError::Refused(UploadError::Unknown)) => panic!("it was said to be over: {call}"),
                Err(_) => {}
            }
        }
        let reached = fs.calls() - before > call;
        fs.heal();
        assert_eq!(stands(&harness, id).await, Some(3));
        assert_eq!(finish(turn(&harness, id).await, b"def", b"abcdef").await.unwrap(), 6);
        harness.finish().await;
        if !reached {
            assert!(call > 8, "{call} calls only");
            break;
        }
    }
}

/// Finishing fails at a call, then bytes are acknowledged and the power is cut. Says whether it failed.
async fn fail_to_finish(call: u64, seed: u64) -> bool {
    let fs = FakeFs::default();
    let harness = start(&fs).await;
    let id = begin(&harness).await;
    assert_eq!(acknowledge(turn(&harness, id).await, b"").await.unwrap(), 0);
    let writer = turn(&harness, id).await;
    fs.fail_after(call, ErrorKind::Other);
    let failed = finish(writer, b"abc", b"abc").await.is_err();
    fs.heal();
    if !failed {
        harness.finish().await;
        return false;
    }
    assert_eq!(acknowledge(turn(&harness, id).await, b"abc").await.unwrap(), 3);
    let harness = harness.restart(Arc::new(fs.crash(seed))).await;
    assert_eq!(stands(&harness, id).await, Some(3), "acknowledged bytes are lost: {call} {seed}");
    assert_eq!(finish(turn(&harness, id).await, b"", b"abc").await.unwrap(), 3);
    harness.finish().await;
    true
}

#[actix::test]
async fn bytes_acknowledged_after_a_failed_end_survive_a_power_cut() {
    for seed in 0..8 {
        let mut call = 0;
        while fail_to_finish(call, seed).await {
            call += 1;
        }
        assert!(call > 4, "{call} calls only");
    }
}

#[actix::test]
async fn an_upload_does_not_expire_by_a_sweep_that_waited_for_its_acknowledgement() {
    let harness = start(&FakeFs::default()).await;
    let id = begun(&harness).await;
    let writer = append(turn(&harness, id).await, b"def").await.unwrap();
    harness.clock.advance(25 * HOUR);
    let (go_on, held_up) = hold_changes_up(&harness);
    let acknowledged = tokio::task::spawn_local(writer.acknowledge());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let sweep = Sweep { idle_since: harness.clock.now().before(24 * HOUR), take_strays: false };
    let swept = tokio::task::spawn_local(harness.worker.uploads.ask(sweep));
    tokio::time::sleep(Duration::from_millis(200)).await;
    go_on.send(()).unwrap();
    held_up.await;
    assert_eq!(acknowledged.await.unwrap().unwrap(), 6);
    assert_eq!(swept.await.unwrap().unwrap().expired, 0);
    assert_eq!(stands(&harness, id).await, Some(6));
    harness.finish().await;
}

#[actix::test]
async fn an_upload_that_is_resumed_during_a_sweep_is_kept_or_says_that_it_is_over() {
    let fs = FakeFs::default();
    let harness = start(&fs).await;
    let first = begun(&harness).await;
    harness.clock.advance(Duration::from_millis(1));
    let second = begun(&harness).await;
    let harness = harness.restart(Arc::new(fs.clone())).await;
    harness.clock.advance(25 * HOUR);
    let (go_on, held_up) = hold_changes_up(&harness);
    let sweep = Sweep { idle_since: harness.clock.now().before(24 * HOUR), take_strays: false };
    let swept = tokio::task::spawn_local(harness.worker.uploads.ask(sweep));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let uploads = harness.worker.uploads.clone();
    let resumed = tokio::task::spawn_local(async move {
        let session =
            uploads.ask(Find { id: second, repository: repository(), by: Beginner::Anybody }).await.ok()?;
        acknowledge(session.ask(ANY).await.ok()?, b"def").await.ok()
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    go_on.send(()).unwrap();
    held_up.await;
    let (resumed, swept) = (resumed.await.unwrap(), swept.await.unwrap().unwrap());
    assert_eq!(stands(&harness, first).await, None);
    assert_eq!(stands(&harness, second).await, resumed, "what was acknowledged is what is there");
    assert_eq!(swept.expired, if resumed.is_some() { 1 } else { 2 });
    harness.finish().await;
}

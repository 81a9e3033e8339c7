//! Changes of rows that come later than anybody waits for them.

use mcr_actors::registry::Settings;

use super::*;

/// Waits for half a second where others wait for a minute.
async fn impatient() -> Harness {
    let soon = |settings: &mut Settings| settings.write_deadline = Duration::from_millis(500);
    Harness::start_with(Arc::new(FakeFs::default()), soon).await
}

#[actix::test]
async fn an_acknowledgement_whose_change_comes_late_loses_nothing() {
    let harness = impatient().await;
    let id = begun(&harness).await;
    let writer = append(turn(&harness, id).await, b"def").await.unwrap();
    let (go_on, held_up) = hold_changes_up(&harness);
    let refused = writer.acknowledge().await;
    assert!(matches!(refused, Err(UploadError::Unavailable(_))), "{refused:?}");
    tokio::time::sleep(Duration::from_millis(10)).await;
    // A client that asks again must not come before the change.
    let uploads = harness.worker.uploads.clone();
    let again = tokio::task::spawn_local(async move {
        uploads.ask(Find { id, repository: repository(), by: Beginner::Anybody }).await
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    go_on.send(()).unwrap();
    held_up.await;
    let session = again.await.unwrap().unwrap();
    assert_eq!(session.ask(GetStatus).await.unwrap().acknowledged, 6);
    harness.check_invariants();
    assert_eq!(finish(turn(&harness, id).await, b"", b"abcdef").await.unwrap(), 6);
    harness.finish().await;
}

#[actix::test]
async fn a_digest_is_reserved_for_as_long_as_its_row_may_still_be_written() {
    let harness = impatient().await;
    let writer = begin_once(&harness, ANY).await.unwrap();
    let (go_on, held_up) = hold_changes_up(&harness);
    let refused = finish(writer, b"abc", b"abc").await;
    assert!(matches!(refused, Err(UploadError::Unavailable(_))), "{refused:?}");
    // A collector that may have it would take the file, and then the row comes.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(harness.is_reserved(digest(b"abc")).await, "the collector may have it");
    go_on.send(()).unwrap();
    held_up.await;
    let began = Instant::now();
    while harness.is_reserved(digest(b"abc")).await {
        assert!(began.elapsed() < Duration::from_secs(20), "it is never let go");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(harness.rows::<u64>("SELECT digest, size FROM blobs"), [(digest(b"abc").to_string(), 3)]);
    harness.finish().await;
}

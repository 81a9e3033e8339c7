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

#[actix::test]
async fn a_rename_that_hangs_and_comes_back_moves_nobody_elses_file() {
    for acknowledged in [false, true] {
        let fs = FakeFs::default();
        let soon = |settings: &mut Settings| settings.store_deadline = Duration::from_millis(300);
        let harness = Harness::start_with(Arc::new(fs.clone()), soon).await;
        let id = if acknowledged { begun(&harness).await } else { begin(&harness).await };
        let (before, last): (&[u8], &[u8]) = if acknowledged { (b"abc", b"def") } else { (b"", b"abcdef") };
        let writer = turn(&harness, id).await;
        fs.hold_renames(Some(harness.layout().root().to_owned()));
        let refused = finish(writer, last, b"abcdef").await;
        assert!(matches!(refused, Err(UploadError::Unavailable(_))), "{refused:?}");
        // The upload goes on, with other bytes under its own name.
        assert_eq!(stands(&harness, id).await, Some(before.len() as u64));
        let more = acknowledge(turn(&harness, id).await, b"other bytes").await.unwrap();
        assert_eq!(more, before.len() as u64 + 11);
        fs.hold_renames(None);
        let began = Instant::now();
        while harness.is_reserved(digest(b"abcdef")).await {
            assert!(began.elapsed() < Duration::from_secs(20), "it never comes back");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(stands(&harness, id).await, Some(more), "acknowledged bytes are lost");
        harness.check_invariants();
        let whole = [before, b"other bytes"].concat();
        assert_eq!(finish(turn(&harness, id).await, b"", &whole).await.unwrap(), more);
        harness.finish().await;
    }
}

#[actix::test]
async fn a_push_heals_a_file_of_the_right_length_where_that_is_looked_for() {
    for (looked_for, found) in [(false, b"abcdeX"), (true, b"abcdef")] {
        let fs = FakeFs::default();
        let look = |settings: &mut Settings| settings.verify_on_push = looked_for;
        let harness = Harness::start_with(Arc::new(fs.clone()), look).await;
        push_once(&harness, b"abcdef").await;
        let path = harness.layout().path(&digest(b"abcdef"));
        let mut file = fs.open_to_write(&path).unwrap();
        file.truncate(5).unwrap();
        file.append(&[Bytes::from_static(b"X")]).unwrap();
        drop(file);
        push_once(&harness, b"abcdef").await;
        assert_eq!(fs.tree()[&path], found);
        // A good one is left alone.
        push_once(&harness, b"abcdef").await;
        assert_eq!(fs.tree()[&path], found);
        let harness = if looked_for { harness } else { heal(harness, &path, &fs).await };
        harness.finish().await;
    }
}

/// What verifying has found bad is replaced by the next push, whether that looks or not.
async fn heal(harness: Harness, path: &Path, fs: &FakeFs) -> Harness {
    harness.rows::<i64>("UPDATE blobs SET state = 2");
    push_once(&harness, b"abcdef").await;
    assert_eq!(fs.tree()[path], b"abcdef");
    harness
}

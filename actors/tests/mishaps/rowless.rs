//! Files of uploads whose rows are gone, where rather the rows are missing than so many uploads; and rows whose files are.

use mcr_actors::upload::Swept;

use super::*;

async fn sweep(harness: &Harness, take_strays: bool) -> Swept {
    let idle_since = harness.clock.now().before(24 * HOUR);
    harness.worker.uploads.ask(Sweep { idle_since, take_strays }).await.unwrap()
}

/// How many uploads there are files of.
fn files(fs: &FakeFs) -> usize {
    fs.tree().keys().filter(|path| path.starts_with("/store/uploads") && path.extension().is_none()).count()
        // The marker.
        - 1
}

#[actix::test]
async fn nothing_is_acknowledged_into_a_file_that_somebody_has_removed() {
    for acknowledged in [false, true] {
        let fs = FakeFs::default();
        let harness = start(&fs).await;
        let id = if acknowledged { begun(&harness).await } else { begin(&harness).await };
        let writer = append(turn(&harness, id).await, b"def").await.unwrap();
        fs.remove(&upload_file(id)).unwrap();
        let refused = writer.acknowledge().await;
        assert!(matches!(refused, Err(UploadError::Unknown)), "{refused:?}");
        assert_eq!(stands(&harness, id).await, None);
        harness.rows::<i64>(&format!("DELETE FROM uploads WHERE id = '{id}'"));
        harness.finish().await;
    }
}

#[actix::test]
async fn too_many_files_of_uploads_without_a_row_stay_until_somebody_says_so() {
    for (lost, of, too_many) in [(16, 20, false), (17, 20, true), (20, 20, true)] {
        let fs = FakeFs::default();
        let harness = start(&fs).await;
        let mut ids = Vec::new();
        for _ in 0..of {
            ids.push(begun(&harness).await);
        }
        // What a crash leaves of uploads in one request, however many those were: nothing of them was ever acknowledged.
        let mut once = Vec::new();
        for _ in 0..30 {
            once.push(append(begin_once(&harness, ANY).await.unwrap(), b"abc").await.unwrap());
        }
        let left = fs.crash(1);
        once.into_iter().for_each(drop);
        let harness = harness.restart(Arc::new(left.clone())).await;
        for id in &ids[..lost] {
            harness.rows::<i64>(&format!("DELETE FROM uploads WHERE id = '{id}'"));
        }
        sweep(&harness, false).await;
        harness.clock.advance(2 * HOUR);
        let Swept { kept, files: all, .. } = sweep(&harness, false).await;
        let kept_here = if too_many { lost } else { 0 };
        assert_eq!((kept, all, files(&left)), (kept_here as u64, of as u64, of - lost + kept_here), "{lost}");
        assert!(
            left.tree()
                .keys()
                .all(|path| path.parent() != Some(Path::new("/store/uploads")) || path.extension().is_none())
        );
        let swept = sweep(&harness, true).await;
        assert_eq!((swept.kept, swept.strays, files(&left)), (0, kept_here as u64, of - lost));
        harness.finish().await;
    }
}

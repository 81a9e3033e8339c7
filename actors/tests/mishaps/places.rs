//! All places of uploads are taken: nobody loses one for somebody who is refused all the same.

use std::sync::Arc;

use mcr_actors::ask::AskError;
use mcr_actors::domain::{Algorithm, Principal};
use mcr_actors::fs::fake::FakeFs;
use mcr_actors::testing::Harness;
use mcr_actors::upload::{Begin, BeginOnce, Owner, UploadError, Writer};

use crate::{ANY, repository};

async fn rests(harness: &Harness, subject: &str) -> Result<(), AskError<UploadError>> {
    let principal = Principal { subject: subject.to_owned(), ..Principal::anonymous() };
    let owner = Owner { principal, token_hash: None };
    let begin = Begin { repository: repository(), algorithm: Algorithm::Sha256, owner };
    harness.worker.uploads.ask(begin).await.map(|_| ())
}

async fn comes_in(harness: &Harness, owner: &str) -> Result<Writer, AskError<UploadError>> {
    let (repository, algorithm, owner) = (repository(), Algorithm::Sha256, owner.to_owned());
    harness.worker.uploads.ask(BeginOnce { repository, algorithm, owner, request: ANY }).await
}

/// How many uploads rest on disk.
fn resting(harness: &Harness) -> usize {
    harness.rows::<i64>("SELECT id, bytes FROM uploads").len()
}

/// Of many that ask at once nobody makes another give way who is refused in the end.
#[actix::test]
async fn of_many_that_ask_at_once_as_many_give_way_as_begin() {
    let harness = Harness::start_with(Arc::new(FakeFs::default()), |settings| settings.max_uploads = 8).await;
    let mut under_way = Vec::new();
    for _ in 0..3 {
        under_way.push(comes_in(&harness, "greedy").await.unwrap());
    }
    for _ in 0..5 {
        rests(&harness, "other").await.unwrap();
    }
    let asked = futures_util::future::join_all((0..6).map(|_| comes_in(&harness, "greedy"))).await;
    let begun: Vec<_> = asked.into_iter().filter_map(Result::ok).collect();
    assert_eq!((begun.len(), resting(&harness)), (1, 4));
    drop((begun, under_way));
    harness.finish().await;
}

#[actix::test]
async fn nobody_loses_a_place_for_who_is_refused_all_the_same() {
    let fs = FakeFs::default();
    let harness = Harness::start_with(Arc::new(fs.clone()), |settings| {
        settings.max_uploads = 7;
        settings.min_free = 1000;
    })
    .await;
    fs.set_free(2000);
    let mut under_way = Vec::new();
    rests(&harness, "other").await.unwrap();
    for _ in 0..3 {
        under_way.push(comes_in(&harness, "greedy").await.unwrap());
        rests(&harness, "other").await.unwrap();
    }
    let is_too_many = |refused| matches!(refused, Err(AskError::Refused(UploadError::TooMany)));
    // Half of the places are its own by requests, although the other has more.
    assert!(is_too_many(comes_in(&harness, "greedy").await.map(|_| ())));
    assert_eq!(resting(&harness), 4);
    // Places by requests are places: after one more it has the most.
    rests(&harness, "greedy").await.unwrap();
    assert!(is_too_many(rests(&harness, "greedy").await));
    assert_eq!(resting(&harness), 4);
    // There is no room for the bytes of a newcomer.
    fs.set_free(500);
    let is_no_space = |refused| matches!(refused, Err(AskError::Refused(UploadError::NoSpace)));
    assert!(is_no_space(comes_in(&harness, "newcomer").await.map(|_| ())));
    assert!(is_no_space(rests(&harness, "newcomer").await));
    assert_eq!(resting(&harness), 4);
    fs.set_free(2000);
    let writer = comes_in(&harness, "newcomer").await.unwrap();
    assert_eq!(resting(&harness), 3);
    rests(&harness, "newest").await.unwrap();
    assert_eq!(resting(&harness), 3);
    drop((writer, under_way));
    harness.finish().await;
}

//! Uploads against an obvious model: random splits, gaps, overlaps, cut requests, two writers, restarts, wrong digests.
//!
//! After every step what the upload says of itself is compared with the model. `PROPTEST_CASES` searches longer; a failure
//! prints its smallest history.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use bytes::Bytes;
use mcr_actors::ask::{AskError, Handle};
use mcr_actors::blob_store::Open;
use mcr_actors::db::queries::blobs::FindBlob;
use mcr_actors::domain::{Algorithm, Digest, Origin, Principal, RepositoryName};
use mcr_actors::fs::fake::FakeFs;
use mcr_actors::testing::Harness;
use mcr_actors::upload::{
    Begin, BeginRequest, Beginner, Cancel, Find, GetStatus, Owner, Refusal, Session, UploadError, Writer,
};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

/// One thing that a client, or the world, does.
#[derive(Debug, Clone)]
enum Op {
    /// A request that comes whole. `shift` is how far its claimed start is from where the upload stands.
    Request { pieces: Vec<Vec<u8>>, shift: Option<i8> },
    /// A request whose client goes away in the middle.
    Cut { pieces: Vec<Vec<u8>> },
    /// A second request while one is under way and alive.
    Second,
    /// A second request while one is under way and has been silent for five seconds.
    TakeOver { pieces: Vec<Vec<u8>> },
    /// The server stops and starts.
    Restart,
    /// The power is cut; the seed says what the disk lost.
    Crash(u64),
    /// The upload is closed with a digest that is not its content's.
    WrongDigest,
    /// The upload is closed, with these last bytes, under a digest of this algorithm.
    Finish { pieces: Vec<Vec<u8>>, long: bool },
    /// The upload is cancelled.
    Cancel,
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..200), 0..4)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (pieces(), prop::option::of(-2..3i8)).prop_map(|(pieces, shift)| Op::Request { pieces, shift }),
        3 => pieces().prop_map(|pieces| Op::Cut { pieces }),
        1 => Just(Op::Second),
        2 => pieces().prop_map(|pieces| Op::TakeOver { pieces }),
        2 => Just(Op::Restart),
        2 => any::<u64>().prop_map(Op::Crash),
        1 => Just(Op::WrongDigest),
        3 => (pieces(), any::<bool>()).prop_map(|(pieces, long)| Op::Finish { pieces, long }),
        1 => Just(Op::Cancel),
    ]
}

fn repository() -> RepositoryName {
    "model/test".parse().unwrap()
}

/// The system beside its model.
struct World {
    harness: Option<Harness>,
    fs: FakeFs,
    upload: Option<Uuid>,
    /// The model: the acknowledged bytes of the upload, and the blobs that were finished.
    bytes: Vec<u8>,
    blobs: Vec<(Digest, Vec<u8>)>,
}

impl World {
    async fn new() -> Self {
        let fs = FakeFs::default();
        let harness = Harness::start(Arc::new(fs.clone())).await;
        Self { harness: Some(harness), fs, upload: None, bytes: Vec::new(), blobs: Vec::new() }
    }

    fn harness(&self) -> &Harness {
        self.harness.as_ref().unwrap()
    }

    async fn upload(&mut self) -> Handle<Session> {
        if self.upload.is_none() {
            let owner = Owner { principal: Principal::anonymous(), token_hash: None };
            let begin = Begin { repository: repository(), algorithm: Algorithm::Sha256, owner };
            self.upload = Some(self.harness().worker.uploads.ask(begin).await.unwrap().0);
            self.bytes.clear();
        }
        let find = Find { id: self.upload.unwrap(), repository: repository(), by: Beginner::Anybody };
        self.harness().worker.uploads.ask(find).await.unwrap()
    }

    async fn begin(&mut self, at: Option<u64>) -> Result<Writer, UploadError> {
        let session = self.upload().await;
        match session.ask(BeginRequest { at, length: None }).await {
            Ok(writer) => Ok(writer),
            Err(AskError::Refused(error)) => Err(error),
            Err(other) => panic!("{other:?}"),
        }
    }

    /// A request up to its last byte.
    async fn send(&mut self, pieces: &[Vec<u8>]) -> Writer {
        let mut writer = self.begin(None).await.unwrap();
        append(&mut writer, pieces).await;
        writer
    }

    async fn run(&mut self, op: Op) {
        match op {
            Op::Request { pieces, shift } => self.request(&pieces, shift).await,
            Op::Cut { pieces } => drop(self.send(&pieces).await),
            Op::Second => {
                let first = self.begin(None).await.unwrap();
                let refused = self.begin(None).await;
                assert!(matches!(refused, Err(UploadError::Busy)), "{refused:?}");
                drop(first);
            }
            Op::TakeOver { pieces } => self.take_over(&pieces).await,
            Op::Restart => self.restart(self.fs.clone()).await,
            Op::Crash(seed) => self.restart(self.fs.crash(seed)).await,
            Op::WrongDigest => {
                let writer = self.begin(None).await.unwrap();
                let refused =
                    writer.finish(Digest::of(Algorithm::Sha256, b"something else"), Origin::default()).await;
                assert!(
                    matches!(refused, Err(UploadError::Refused(Refusal::WrongDigest { .. }))),
                    "{refused:?}"
                );
                self.is_over().await;
            }
            Op::Finish { pieces, long } => self.finish(&pieces, long).await,
            Op::Cancel => {
                self.upload().await;
                let (id, origin) = (self.upload.unwrap(), Origin::default());
                let cancel =
                    Cancel { id, repository: repository(), by: Beginner::Anybody, origin, caller: None };
                self.harness().worker.uploads.ask(cancel).await.unwrap();
                self.is_over().await;
            }
        }
        self.compare().await;
    }

    async fn request(&mut self, pieces: &[Vec<u8>], shift: Option<i8>) {
        self.upload().await;
        let stands = self.bytes.len() as u64;
        let at = shift.map(|shift| stands.saturating_add_signed(shift.into()));
        match self.begin(at).await {
            Ok(mut writer) => {
                assert!(at.is_none_or(|at| at == stands));
                append(&mut writer, pieces).await;
                self.bytes.extend(pieces.concat());
                assert_eq!(writer.acknowledge().await.unwrap(), self.bytes.len() as u64);
            }
            Err(UploadError::Refused(Refusal::OutOfOrder { expected, given })) => {
                assert_eq!((expected, Some(given)), (stands, at));
                assert_ne!(expected, given);
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn take_over(&mut self, pieces: &[Vec<u8>]) {
        let mut first = self.send(&[b"lost".to_vec()]).await;
        self.harness().clock.advance(std::time::Duration::from_secs(5));
        let mut second = self.begin(None).await.unwrap();
        let refused = first.append(vec![Bytes::from_static(b"late")]).await;
        assert!(matches!(refused, Err(UploadError::TakenOver)), "{refused:?}");
        append(&mut second, pieces).await;
        let refused = first.acknowledge().await;
        assert!(matches!(refused, Err(UploadError::TakenOver)), "{refused:?}");
        self.bytes.extend(pieces.concat());
        assert_eq!(second.acknowledge().await.unwrap(), self.bytes.len() as u64);
    }

    async fn finish(&mut self, pieces: &[Vec<u8>], long: bool) {
        let writer = self.send(pieces).await;
        let content = [self.bytes.clone(), pieces.concat()].concat();
        let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
        let digest = Digest::of(algorithm, &content);
        assert_eq!(writer.finish(digest, Origin::default()).await.unwrap(), content.len() as u64);
        self.blobs.push((digest, content));
        self.is_over().await;
    }

    /// The upload is unknown from now on.
    async fn is_over(&mut self) {
        let find = Find { id: self.upload.take().unwrap(), repository: repository(), by: Beginner::Anybody };
        let found = self.harness().worker.uploads.ask(find).await;
        assert!(matches!(found, Err(AskError::Refused(UploadError::Unknown))), "{found:?}");
    }

    async fn restart(&mut self, fs: FakeFs) {
        let harness = self.harness.take().unwrap();
        self.harness = Some(harness.restart(Arc::new(fs.clone())).await);
        self.fs = fs;
    }

    async fn compare(&mut self) {
        if self.upload.is_some() {
            let session = self.upload().await;
            assert_eq!(session.ask(GetStatus).await.unwrap().acknowledged, self.bytes.len() as u64);
        }
        self.harness().check_invariants();
        let worker = self.harness().worker.clone();
        for (digest, content) in &self.blobs {
            let found = FindBlob { repository: repository(), digest: *digest };
            let size = worker.db.read(found).await.unwrap().unwrap().size;
            let file = worker.blobs.ask(Open { digest: *digest, size }).await.unwrap();
            let mut read = vec![0; content.len()];
            assert_eq!(file.read_at(&mut read, 0).unwrap(), content.len());
            assert_eq!(&read, content);
        }
    }
}

async fn append(writer: &mut Writer, pieces: &[Vec<u8>]) {
    // Sent one after another without waiting, as the body of a request is.
    let sent: Vec<_> =
        pieces.iter().map(|piece| writer.append(vec![Bytes::copy_from_slice(piece)])).collect();
    for answer in sent {
        answer.await.unwrap();
    }
}

fn check(history: Vec<Op>) {
    actix::System::new().block_on(async move {
        let mut world = World::new().await;
        for op in history {
            world.run(op).await;
        }
        world.harness.take().unwrap().finish().await;
    });
}

#[test]
fn regression_what_a_cut_request_left_is_not_in_the_way_after_a_restart() {
    let pieces = vec![b"bytes".to_vec()];
    check(vec![
        Op::Cut { pieces: pieces.clone() },
        Op::Restart,
        Op::Request { pieces: pieces.clone(), shift: None },
        Op::Finish { pieces, long: false },
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn an_upload_does_what_the_model_says(history in vec(op(), 1..16)) {
        check(history);
    }
}

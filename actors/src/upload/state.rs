//! The rules of an upload. They know no file, no clock and no actor.
//!
//! The offset moves only when a request has succeeded: a request appends, then all it brought is acknowledged or
//! rolled back, the running hash included.

use bytes::Bytes;

use super::hashing::RunningHash;
use crate::domain::{Algorithm, Digest, Hasher};

/// Why an upload does not take what it was given. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes do not begin where the upload stands.
    #[error("the upload stands at byte {expected}, not at {given}")]
    OutOfOrder {
        /// Where it stands.
        expected: u64,
        /// Where the bytes begin.
        given: u64,
    },
    /// The blob would be larger than allowed.
    #[error("a blob may have at most {limit} bytes")]
    TooLarge {
        /// The most bytes.
        limit: u64,
    },
    /// The content is not what its digest says. This ends the upload.
    #[error("the content has the digest {computed}, not {claimed}")]
    WrongDigest {
        /// What the client said.
        claimed: Digest,
        /// What came.
        computed: Digest,
    },
}

/// How far an upload has come.
#[derive(Debug)]
pub struct Progress {
    acknowledged: u64,
    at_acknowledged: Hasher,
    received: u64,
    at_received: RunningHash,
    limit: Option<u64>,
}

impl Progress {
    /// Nothing has come yet; at most `limit` bytes may.
    pub fn new(algorithm: Algorithm, limit: Option<u64>) -> Self {
        Self::resumed(0, Hasher::new(algorithm), limit)
    }

    /// The first `acknowledged` bytes are there and `hasher` has seen them.
    pub fn resumed(acknowledged: u64, hasher: Hasher, limit: Option<u64>) -> Self {
        Self {
            acknowledged,
            at_acknowledged: hasher.clone(),
            received: acknowledged,
            at_received: RunningHash::new(hasher),
            limit,
        }
    }

    /// Which hash is computed on the way.
    pub fn algorithm(&self) -> Algorithm {
        self.at_received.algorithm()
    }

    /// How many bytes are acknowledged: where the next request begins.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many bytes have come, those of the present request included.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether a request may begin that says where its bytes go and how many they are.
    pub fn may_begin(&self, at: Option<u64>, length: Option<u64>) -> Result<(), Refusal> {
        match at {
            Some(given) if given != self.acknowledged => {
                Err(Refusal::OutOfOrder { expected: self.acknowledged, given })
            }
            _ => self.fits(self.acknowledged.saturating_add(length.unwrap_or(0))),
        }
    }

    /// Takes bytes of the present request that begin at `at`, and hashes them.
    pub fn append(&mut self, at: u64, pieces: &[Bytes]) -> Result<(), Refusal> {
        if at != self.received {
            return Err(Refusal::OutOfOrder { expected: self.received, given: at });
        }
        let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.fits(self.received.saturating_add(length))?;
        self.at_received.update(pieces);
        self.received += length;
        Ok(())
    }

    fn fits(&self, size: u64) -> Result<(), Refusal> {
        match self.limit {
            Some(limit) if size > limit => Err(Refusal::TooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// The request succeeded: what came is kept. Answers the new offset.
    pub fn acknowledge(&mut self) -> u64 {
        self.acknowledged = self.received;
        self.at_acknowledged = self.at_received.settle().clone();
        self.acknowledged
    }

    /// The request failed: it never happened.
    pub fn roll_back(&mut self) {
        self.received = self.acknowledged;
        self.at_received = RunningHash::new(self.at_acknowledged.clone());
    }

    /// The digest of all that has come, by the algorithm that was hashed on the way.
    pub fn digest(&mut self) -> Digest {
        self.at_received.settle().clone().finish()
    }
}

/// The one place where a digest that a client claims is held against one that was computed.
pub fn verify(claimed: Digest, computed: Digest) -> Result<(), Refusal> {
    if claimed == computed { Ok(()) } else { Err(Refusal::WrongDigest { claimed, computed }) }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn bytes(content: &[u8]) -> [Bytes; 1] {
        [Bytes::copy_from_slice(content)]
    }

    #[test]
    fn a_gap_is_refused_and_changes_nothing() {
        let mut upload = Progress::new(Algorithm::Sha256, None);
        upload.append(0, &bytes(b"abc")).unwrap();
        assert_eq!(upload.append(4, &bytes(b"d")), Err(Refusal::OutOfOrder { expected: 3, given: 4 }));
        assert_eq!(upload.digest(), Digest::of(Algorithm::Sha256, b"abc"));
    }

    #[test]
    fn a_request_must_begin_where_the_upload_stands() {
        let mut upload = Progress::new(Algorithm::Sha256, None);
        upload.append(0, &bytes(b"abc")).unwrap();
        assert!(upload.may_begin(Some(3), None).is_err());
        upload.acknowledge();
        assert!(upload.may_begin(Some(3), None).is_ok());
        assert!(upload.may_begin(None, None).is_ok());
        assert!(upload.may_begin(Some(0), Some(3)).is_err());
    }

    #[test]
    fn a_blob_that_grows_too_large_is_refused() {
        let mut upload = Progress::new(Algorithm::Sha256, Some(4));
        assert_eq!(upload.may_begin(None, Some(5)), Err(Refusal::TooLarge { limit: 4 }));
        assert!(upload.append(0, &bytes(b"abcd")).is_ok());
        assert_eq!(upload.append(4, &bytes(b"e")), Err(Refusal::TooLarge { limit: 4 }));
    }

    #[test]
    fn wrong_content_is_refused() {
        let (claimed, computed) = (Digest::of(Algorithm::Sha256, b"a"), Digest::of(Algorithm::Sha256, b"b"));
        assert_eq!(verify(claimed, computed), Err(Refusal::WrongDigest { claimed, computed }));
        assert_eq!(verify(claimed, claimed), Ok(()));
    }

    proptest! {
        /// Requests that succeed count, requests that fail never happened.
        #[test]
        fn the_digest_is_that_of_the_acknowledged_bytes(
            requests in vec((vec(vec(any::<u8>(), 0..99), 0..9), any::<bool>()), 0..9)
        ) {
            let mut upload = Progress::new(Algorithm::Sha512, None);
            let mut model = Vec::new();
            for (pieces, succeeds) in requests {
                let before = model.clone();
                for piece in pieces {
                    upload.append(model.len() as u64, &bytes(&piece)).unwrap();
                    model.extend(piece);
                }
                if succeeds {
                    prop_assert_eq!(upload.acknowledge(), model.len() as u64);
                } else {
                    upload.roll_back();
                    model = before;
                }
                prop_assert_eq!(upload.acknowledged(), model.len() as u64);
                prop_assert_eq!(upload.digest(), Digest::of(Algorithm::Sha512, &model));
            }
        }
    }
}

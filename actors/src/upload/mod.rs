//! Uploads: blobs on their way in, one actor each.
//!
//! [`Uploads`] finds, revives and expires them; a [`Session`] owns one upload's file and running hash; a [`Writer`] is
//! the right to add to it, held by the one request that does.

mod actor;
mod hashing;
mod names;
mod session;
pub mod state;
mod writer;

use actix::Message;
use uuid::Uuid;

pub use actor::{Foundations, UploadSettings, Uploads};
pub(crate) use names::is_own;
pub(crate) use session::hash_file;
pub use session::{BeginRequest, GetStatus, Session, Status};
pub use state::Refusal;
pub use writer::Writer;

use crate::ask::{AskError, Handle};
use crate::blob_store::BlobError;
use crate::db::DbError;
use crate::domain::{Algorithm, Origin, Principal, RepositoryName, Timestamp};

/// Why an upload did not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// There is no such upload in this repository.
    #[error("there is no such upload; it may have ended or expired")]
    Unknown,
    /// What was sent does not fit.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another request is writing to it.
    #[error("another request is writing to this upload")]
    Busy,
    /// Another request took over, since this one had sent nothing for a while.
    #[error("another request took this upload over")]
    TakenOver,
    /// As many uploads are open as may be.
    #[error("too many uploads are open")]
    TooMany,
    /// The disk is full, or nearly: less than `min_free` would be left.
    #[error("the registry has no space left for uploads")]
    NoSpace,
    /// The file system failed.
    #[error("the upload's file failed: {0}")]
    Io(std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Db(DbError),
    /// The blob store failed.
    #[error(transparent)]
    Blob(BlobError),
    /// Somebody who is needed does not answer.
    #[error("{0} does not answer")]
    Unavailable(&'static str),
}

impl From<std::io::Error> for UploadError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Io(error),
        }
    }
}

impl From<DbError> for UploadError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Full => Self::NoSpace,
            other => Self::Db(other),
        }
    }
}

impl From<BlobError> for UploadError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Io(error) => error.into(),
            other => Self::Blob(other),
        }
    }
}

/// A failed ask of another actor, as this one's failure.
fn asked<E>(error: AskError<E>) -> UploadError
where
    UploadError: From<E>,
{
    error.of_asker(UploadError::Unavailable)
}

/// Whether a change that failed may have been made all the same, or may still be.
fn undecided(error: &AskError<DbError>) -> bool {
    matches!(error, AskError::Deadline(_) | AskError::Down(_) | AskError::Refused(DbError::Unknown(_)))
}

/// Begins an upload that survives a restart: its row is durable when the answer comes.
#[derive(Debug, Message)]
#[rtype(result = "Result<(Uuid, Handle<Session>), UploadError>")]
pub struct Begin {
    /// Where the blob shall be.
    pub repository: RepositoryName,
    /// Which hash to compute on the way; any is accepted at the end.
    pub algorithm: Algorithm,
    /// Who begins it, and the SHA-256 of the token it is begun with.
    pub owner: Owner,
}

/// Who began an upload.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The principal.
    pub principal: Principal,
    /// The SHA-256 of its token; none when it came with a password.
    pub token_hash: Option<[u8; 32]>,
}

/// Begins an upload for one request only, without a row, and gives it its turn: the upload ends with its [`Writer`], or
/// with the refusal.
#[derive(Debug, Message)]
#[rtype(result = "Result<Writer, UploadError>")]
pub struct BeginOnce {
    /// Where the blob shall be.
    pub repository: RepositoryName,
    /// Which hash to compute on the way.
    pub algorithm: Algorithm,
    /// What the request says of itself.
    pub request: BeginRequest,
}

/// Finds an upload, reviving it when it rests on disk.
#[derive(Debug, Message)]
#[rtype(result = "Result<Handle<Session>, UploadError>")]
pub struct Find {
    /// Which.
    pub id: Uuid,
    /// Where it must have begun.
    pub repository: RepositoryName,
    /// Who may have begun it.
    pub by: Beginner,
}

/// Whose upload is meant. Another's is as if it were not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginner {
    /// Anybody's: an administrator asks.
    Anybody,
    /// That of the principal with this subject. All who did not log in are one principal.
    Principal(String),
}

impl Beginner {
    /// Whether an upload of `owner` is meant.
    pub(crate) fn is(&self, owner: &Principal) -> bool {
        match self {
            Self::Anybody => true,
            Self::Principal(subject) => *subject == owner.subject,
        }
    }
}

/// Ends an upload and forgets what it has. That it did is recorded in the same commit.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), UploadError>")]
pub struct Cancel {
    /// Which.
    pub id: Uuid,
    /// Where it must have begun.
    pub repository: RepositoryName,
    /// Who may have begun it.
    pub by: Beginner,
    /// Who cancels it.
    pub origin: Origin,
}

/// Ends uploads in which nothing happened since `idle_since`, and removes files that belong to none. Answers how many
/// uploads and how many files went.
#[derive(Debug, Message)]
#[rtype(result = "Result<Swept, UploadError>")]
pub struct Sweep {
    /// The last moment of activity that is long ago.
    pub idle_since: Timestamp,
}

/// What a [`Sweep`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that had expired.
    pub expired: u64,
    /// Files without an upload.
    pub strays: u64,
}

/// Tries whether a file can be made where uploads are, and looks how much room they have.
#[derive(Debug, Message)]
#[rtype(result = "Result<Storage, UploadError>")]
pub struct CheckStorage;

/// The room that uploads have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// The bytes that are free.
    pub free: u64,
    /// Whether that is as much as must stay free.
    pub enough: bool,
}

//! Why uploads do not go on.

use super::state::Refusal;
use crate::ask::AskError;
use crate::blob_store::BlobError;
use crate::db::queries::permission::MayBeLost;
use crate::db::{DbError, failure};

/// Why an upload did not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// There is no such upload in this repository.
    #[error("there is no such upload; it may have ended or expired")]
    Unknown,
    /// What was sent does not fit.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Whoever asked may not any more; nothing was changed.
    #[error("the right to this was lost meanwhile")]
    Lost,
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
        if failure::is_no_room(error.kind()) { Self::NoSpace } else { Self::Io(error) }
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

impl MayBeLost for UploadError {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }
}

/// A failed ask of another actor, as this one's failure.
pub(super) fn asked<E>(error: AskError<E>) -> UploadError
where
    UploadError: From<E>,
{
    error.of_asker(UploadError::Unavailable)
}

/// Whether a change that failed may have been made all the same, or may still be.
pub(super) fn undecided(error: &AskError<DbError>) -> bool {
    matches!(error, AskError::Deadline(_) | AskError::Down(_) | AskError::Refused(DbError::Unknown(_)))
}

//! Uploads: blobs on their way in, one actor each.
//!
//! [`Uploads`] finds, revives and expires them; a [`Session`] owns one upload's file and running hash; a [`Writer`] is
//! the right to add to it, held by the one request that does.

mod actor;
mod error;
pub mod fairness;
mod hashing;
mod names;
mod session;
pub mod state;
mod strays;
mod turn;
mod writer;

use actix::Message;
use uuid::Uuid;

pub use actor::{Foundations, UploadSettings, Uploads};
pub use error::UploadError;
use error::{asked, undecided};
pub(crate) use names::is_own;
#[cfg(feature = "testing")]
pub(crate) use session::hash_file;
pub(crate) use session::read_start;
pub use session::{BeginRequest, GetStatus, Session, Status};
pub use state::Refusal;
pub use writer::Writer;

use crate::ask::Handle;
use crate::db::queries::permission::Caller;
use crate::domain::{Algorithm, Origin, Principal, RepositoryName, Timestamp};

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
    /// The subject of who sends it. One has half of all places for such uploads at most, since none of them can give way.
    pub owner: String,
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
    /// Who must still be allowed to in the commit that ends it; [`UploadError::Lost`] otherwise.
    pub caller: Option<Caller>,
}

/// Ends uploads in which nothing happened since `idle_since`, and removes files that belong to none. Answers how many
/// uploads and how many files went.
#[derive(Debug, Message)]
#[rtype(result = "Result<Swept, UploadError>")]
pub struct Sweep {
    /// The last moment of activity that is long ago.
    pub idle_since: Timestamp,
    /// Remove files that belong to none also when they are so many that rather the rows are missing.
    pub take_strays: bool,
}

/// What a [`Sweep`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that had expired.
    pub expired: u64,
    /// Files without an upload.
    pub strays: u64,
    /// Files without an upload that stay, since there are too many of them.
    pub kept: u64,
    /// All files that are or were an upload's.
    pub files: u64,
}

/// Why files without an upload stay.
impl std::fmt::Display for Swept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kept, files, .. } = self;
        write!(
            f,
            "{kept} of {files} files of uploads belong to no upload, which is more than a tenth: none of them goes; is the \
             database the right one? `mcrctl gc run --take-strays` takes those that were found twice, an hour apart"
        )
    }
}

/// Tries whether a file can be made where uploads are, and looks how much room they have.
#[derive(Debug, Message)]
#[rtype(result = "Result<Storage, UploadError>")]
pub struct CheckStorage;

/// Asks how many bytes are free where uploads and blobs are. Nothing is tried.
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, UploadError>")]
pub struct FreeSpace;

/// The room that uploads have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// The bytes that are free.
    pub free: u64,
    /// Whether that is as much as must stay free.
    pub enough: bool,
    /// Uploads there are.
    pub taken: usize,
    /// Uploads there may be.
    pub places: usize,
}

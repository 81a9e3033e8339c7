//! The collector: removes what nothing refers to, while people push.
//!
//! A sweep goes through phases, in small steps: expired uploads, untagged manifests, links that nothing needs, blobs that no
//! repository shows, files without a row. [`plan`] says what comes next, `sweep` takes one step, the actor between them keeps
//! the report. Safety rests on two things and on no window of time: a write that takes something asks in its own transaction
//! whether anything refers to it, and a file goes only while the collector holds its digest's reservation, from before that
//! write until the file is gone.
//!
//! It owns no files: it asks those who do.

mod actor;
mod facts;
mod hold;
mod housekeeping;
mod pace;
pub mod plan;
pub mod report;
mod sweep;

use actix::Message;

pub use actor::{Gc, GcSettings};
pub use hold::Hold;
pub use housekeeping::Housekeeping;
pub use pace::{Gate, Pace};
pub(crate) use plan::strays_wait;
pub use report::{Outcome, Phase, Report, Trigger};

use crate::ask::AskError;
use crate::blob_store::BlobError;
use crate::db::DbError;
use crate::db::queries::permission::{Caller, MayBeLost};
use crate::domain::{Origin, Timestamp};
use crate::upload::{Swept, UploadError};

/// Why the collector did not do it.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// A sweep runs; it has this number.
    #[error("sweep {0} runs; try again when it has ended")]
    Running(i64),
    /// Nothing may be removed now, since a snapshot is taken.
    #[error("a snapshot is being taken; try again when it is done")]
    Held,
    /// There is no sweep to stop.
    #[error("no sweep runs")]
    Idle,
    /// Whoever asked may not any more; nothing was changed.
    #[error("the right to this was lost meanwhile")]
    Lost,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The blob store failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Uploads could not be looked at.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// Another actor does not answer.
    #[error("{0} does not answer")]
    Unavailable(&'static str),
}

impl MayBeLost for GcError {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }
}

/// A failed ask of another actor, as this one's failure.
fn asked<E>(error: AskError<E>) -> GcError
where
    GcError: From<E>,
{
    error.of_asker(GcError::Unavailable)
}

/// Cleans up now: expired uploads, stray upload files, lapsed tokens. It begins to forget old audit entries, too, and does not
/// wait for the end of that.
#[derive(Debug, Message)]
#[rtype(result = "Result<Swept, AskError<UploadError>>")]
pub struct Clean;

/// Starts a sweep, and answers its number once that is durable. [`GcError::Running`] while one runs, [`GcError::Held`]
/// while a snapshot holds sweeps off.
#[derive(Debug, Message)]
#[rtype(result = "Result<i64, GcError>")]
pub struct StartSweep {
    /// Why.
    pub trigger: Trigger,
    /// Only find what would go.
    pub dry_run: bool,
    /// Take files without a row also when they are more than a tenth of all files.
    pub take_strays: bool,
    /// Who asked.
    pub origin: Origin,
    /// Who must still be allowed to when it is written down; [`GcError::Lost`] otherwise.
    pub caller: Option<Caller>,
}

/// Ends the sweep that runs after its present step, and answers its number once it is durable who asked for that.
/// [`GcError::Idle`] when none runs.
#[derive(Debug, Message)]
#[rtype(result = "Result<i64, GcError>")]
pub struct StopSweep {
    /// Who asked.
    pub origin: Origin,
    /// Who must still be allowed to when it is written down; [`GcError::Lost`] otherwise.
    pub caller: Option<Caller>,
}

/// Holds sweeps off until the [`Hold`] is dropped, so that nothing that a row names is removed. [`GcError::Running`]
/// while a sweep runs, [`GcError::Held`] while somebody else holds them off.
#[derive(Debug, Message)]
#[rtype(result = "Result<Hold, GcError>")]
pub struct HoldSweeps;

/// Lets sweeps run again. When this is answered they do; a [`Hold`] that is merely dropped lets them run soon after.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), GcError>")]
pub struct ReleaseSweeps(pub Hold);

/// Asks what runs. What ran before is in the database.
#[derive(Debug, Message)]
#[rtype(result = "Result<GcStatus, GcError>")]
pub struct GetGcStatus;

/// What the collector does.
#[derive(Debug, Clone, Default)]
pub struct GcStatus {
    /// The sweep that runs.
    pub running: Option<Report>,
    /// When the next one begins by itself; never when there is none.
    pub next: Option<Timestamp>,
}

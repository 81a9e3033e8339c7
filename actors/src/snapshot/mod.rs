//! Snapshots: a consistent copy of a registry, taken while it serves; its way back; and the reading of everything that is kept,
//! to see that it is good.
//!
//! [`take`], [`restore()`] and [`verify`] do the work, on a thread of whoever calls them: they block, and know no actor. The actor
//! [`Snapshots`] is who a server asks: it has sweeps held off by the collector, which alone decides that, gives the work a
//! thread of its own, and keeps the report.
//!
//! A blob that is missing or bad stops none of them.

mod actor;
mod files;
mod name;
mod place;
mod progress;
mod reading;
mod repair;
mod report;
mod restore;
pub mod take;
pub mod verify;
mod work;

use std::io;

use actix::Message;

pub use actor::Snapshots;
pub(crate) use actor::Tools;
pub use files::Flaw;
pub use name::{SnapshotName, SnapshotNameError};
pub use place::Manifest;
pub use progress::{Progress, Reached, Stopped};
pub use report::{SnapshotReport, SnapshotState};
pub use restore::{restore, restoring};
use work::io_at;
pub use work::{Data, WorkError};

use crate::ask::AskError;
use crate::db::DbError;
use crate::db::queries::permission::{Caller, MayBeLost};
use crate::domain::Origin;
use crate::gc::GcError;

/// Why no snapshot was begun.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another one is being taken; it has this number.
    #[error("snapshot {0} is being taken; try again when it is done")]
    Running(i64),
    /// The collector does not hold sweeps off.
    #[error(transparent)]
    Gc(#[from] GcError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Whoever asked may not any more; nothing was begun.
    #[error("the right to this was lost meanwhile")]
    Lost,
    /// No thread could be started for it.
    #[error("no thread can be started: {0}")]
    Thread(io::Error),
    /// Another actor does not answer.
    #[error("{0} does not answer")]
    Unavailable(&'static str),
}

impl MayBeLost for SnapshotError {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }
}

/// A failed ask of another actor, as this one's failure.
fn asked<E>(error: AskError<E>) -> SnapshotError
where
    SnapshotError: From<E>,
{
    error.of_asker(SnapshotError::Unavailable)
}

/// Begins a snapshot, and answers its number once that is durable. [`SnapshotError::Running`] while one is taken, and
/// [`GcError::Running`] while a sweep runs.
#[derive(Debug, Message)]
#[rtype(result = "Result<i64, SnapshotError>")]
pub struct StartSnapshot {
    /// A word to know it by.
    pub name: Option<SnapshotName>,
    /// Who asked.
    pub origin: Origin,
    /// Who must still be allowed to when it is written down; [`SnapshotError::Lost`] otherwise.
    pub caller: Option<Caller>,
}

/// Asks what is being taken. What was taken before is in the database.
#[derive(Debug, Message)]
#[rtype(result = "Result<SnapshotStatus, SnapshotError>")]
pub struct GetSnapshotStatus;

/// What is being taken.
#[derive(Debug, Clone, Default)]
pub struct SnapshotStatus {
    /// The snapshot that runs, as far as it has come: its number and its report.
    pub running: Option<(i64, SnapshotReport)>,
}

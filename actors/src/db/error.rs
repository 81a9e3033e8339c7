//! How the database fails, and what of it reaches who asked.

use std::path::PathBuf;

use super::migrate::MigrateError;
use crate::ask::AskError;
use crate::mend::{self, Use};

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No space is left; nothing was changed.
    #[error("no space is left for the database")]
    Full,
    /// Another program has it; nothing was changed.
    #[error("the database is in use: {0}")]
    Busy(String),
    /// The commit failed half way: it may have happened or not. Repeating is right.
    #[error("the outcome of the commit is unknown: {0}")]
    Unknown(String),
    /// The query failed; nothing was changed.
    #[error("the database failed: {0}")]
    Failed(String),
    /// A row holds what it must not.
    #[error("the database holds a bad {what}: {value:?}")]
    Corrupt {
        /// Which kind of value.
        what: &'static str,
        /// The value.
        value: String,
    },
}

/// Reads a stored text back into the type it was made from.
pub(crate) fn parse<T: std::str::FromStr>(what: &'static str, value: String) -> Result<T, DbError> {
    value.parse().map_err(|_| DbError::Corrupt { what, value })
}

/// What could be read back; a bad row is reported, and passed over so that it spoils no listing.
pub(crate) fn readable<T>(rows: impl IntoIterator<Item = Result<T, DbError>>) -> Vec<T> {
    let report = |error: &DbError| log::error!("{error}; it is passed over");
    rows.into_iter().filter_map(|row| row.inspect_err(report).ok()).collect()
}

impl<E: From<DbError>> AskError<E> {
    /// The refusal itself; a writer that did not answer in time may have written.
    pub fn into_db(self) -> E {
        match self {
            Self::Refused(refusal) => refusal,
            other @ (Self::Overloaded(_) | Self::Deadline(_) | Self::Down(_)) => {
                DbError::Unknown(other.name_of_silent().to_owned()).into()
            }
        }
    }
}

/// Why a change was refused: since the database failed, or for a reason of its own.
pub trait ChangeError: From<DbError> + Send + 'static {
    /// The failure of the database, where that is why.
    fn of_database(&self) -> Option<&DbError>;
}

impl ChangeError for DbError {
    fn of_database(&self) -> Option<&DbError> {
        Some(self)
    }
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be made or opened.
    #[error("cannot open the database {}: {source}{}", path.display(), mend::of_file(path, Use::Database(path), source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no room for what SQLite needs beside it.
    #[error("the disk of the database {} is full: free some room and start again", .0.display())]
    Full(PathBuf),
    /// SQLite refused it.
    #[error("cannot open the database {}: {}{}", path.display(), mend::words(said), mend::of_database(path, said))]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        said: rusqlite::Error,
    },
    /// It is newer than the program, or a migration failed.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// No connection for a reader.
    #[error("cannot open a reading connection: {0}")]
    Pool(#[from] r2d2::Error),
}

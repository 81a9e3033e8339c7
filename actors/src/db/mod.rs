//! The database: what is asked of it, and how it fails.
//!
//! A query is a struct with its SQL beside it, in [`queries`]. [`Db::read`] runs one on the reader of the
//! caller's own thread, [`Db::write`] hands one to the only writer, which answers after the commit.

pub mod lag;
mod memory;
pub mod migrate;
pub mod queries;
mod reader;
pub mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ArbiterHandle, Message};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, ErrorCode};

use crate::ask::{AskError, Handle, Load};
use lag::Lag;
pub use memory::Memorable;
use reader::{Reader, Reads};
use writer::{CommitCount, Writer, WriterState};

/// A question. It changes nothing and sees one consistent state.
pub trait ReadQuery: Send + 'static {
    /// The answer.
    type Output: Send + 'static;

    /// Runs it; the connection refuses to write.
    fn run(self, db: &Connection) -> Result<Self::Output, DbError>;
}

/// A change. It happens whole or not at all, and it is durable when its answer comes.
pub trait WriteQuery: Send + 'static {
    /// The answer.
    type Output: Send + 'static;
    /// Why it may be refused; nothing is changed then.
    type Error: From<DbError> + Send + 'static;

    /// Runs it inside a transaction that the writer opens and commits.
    fn run(self, tx: &Connection) -> Result<Self::Output, Self::Error>;
}

/// Asks a question.
#[derive(Debug)]
pub struct Read<Q>(pub Q);

impl<Q: ReadQuery> Message for Read<Q> {
    type Result = Result<Q::Output, DbError>;
}

/// Asks a question whose answer may be known from before; it is as good as a new one.
#[derive(Debug)]
pub struct Recall<Q>(pub Q);

impl<Q: Memorable> Message for Recall<Q> {
    type Result = Result<Q::Output, DbError>;
}

/// Makes a change, which was asked for then.
#[derive(Debug)]
pub struct Write<Q>(pub Q, pub Instant);

impl<Q: WriteQuery> Message for Write<Q> {
    type Result = Result<Q::Output, Q::Error>;
}

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No space is left; nothing was changed.
    #[error("no space is left for the database")]
    Full,
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

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
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

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be made or opened.
    #[error("cannot open the database {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite refused it.
    #[error("cannot open the database {}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// It is newer than the program, or a migration failed.
    #[error(transparent)]
    Migrate(#[from] migrate::MigrateError),
    /// No connection for a reader.
    #[error("cannot open a reading connection: {0}")]
    Pool(#[from] r2d2::Error),
}

/// How many requests may wait for one reader or for the writer.
const LIMIT: usize = 20_000;
/// How long whoever asks waits for an answer. A change may still be made afterwards.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Most readers there can be; each keeps its connection.
const MAX_READERS: u32 = 512;

/// The database as its askers see it: a reader near them, and the writer.
#[derive(Clone, Debug)]
pub struct Db {
    pool: r2d2::Pool<SqliteConnectionManager>,
    reader: Handle<Reader>,
    writer: Handle<Writer>,
    commits: CommitCount,
    lag: Lag,
    /// What the readers of all threads did.
    reads: Arc<Reads>,
}

impl Db {
    /// Opens (or makes) the database at `path`, migrates it, and starts the writer on `thread` and a reader
    /// on the present one.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, or is newer than this program.
    pub fn start(path: &Path, thread: &ArbiterHandle) -> Result<Self, OpenError> {
        let connection = prepare(path)?;
        let pool = r2d2::Pool::builder()
            .max_size(MAX_READERS)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .build_unchecked(SqliteConnectionManager::file(path).with_init(prepare_reader));
        let commits = CommitCount::default();
        let lag = Lag::default();
        let (counted, measured) = (commits.clone(), lag.clone());
        let addr = Writer::start_in_arbiter(thread, |_| Writer::new(connection, counted, measured));
        let writer = Handle::new("db writer", addr, LIMIT, DEADLINE);
        let reads = Arc::default();
        let reader = start_reader(&pool, &commits, &reads)?;
        Ok(Self { pool, reader, writer, commits, lag, reads })
    }

    /// The same database, whose changes are waited for as long as `deadline`.
    #[must_use]
    pub fn with_write_deadline(self, deadline: Duration) -> Self {
        Self { writer: self.writer.with_deadline(deadline), ..self }
    }

    /// The same database with a reader on the caller's own thread.
    ///
    /// # Errors
    /// When no connection can be opened.
    pub fn on_this_arbiter(&self) -> Result<Self, OpenError> {
        let reader = start_reader(&self.pool, &self.commits, &self.reads)?;
        Ok(Self { reader, ..self.clone() })
    }

    /// The same database with a reader on `thread`.
    ///
    /// # Errors
    /// When no connection can be opened.
    pub fn on(&self, thread: &ArbiterHandle) -> Result<Self, OpenError> {
        let reader = Reader::new(self.pool.get()?, self.commits.clone(), Arc::clone(&self.reads));
        let reader = Reader::start_in_arbiter(thread, |_| reader);
        let reader = Handle::new("db reader", reader, LIMIT, DEADLINE);
        Ok(Self { reader, ..self.clone() })
    }

    /// How late changes were committed.
    pub fn lag(&self) -> Lag {
        self.lag.clone()
    }

    /// Asks a question.
    pub fn read<Q: ReadQuery>(
        &self,
        query: Q,
    ) -> impl Future<Output = Result<Q::Output, AskError<DbError>>> + use<Q> {
        self.reader.ask(Read(query))
    }

    /// Asks a question whose answer may be known from before.
    pub fn recall<Q: Memorable>(
        &self,
        query: Q,
    ) -> impl Future<Output = Result<Q::Output, AskError<DbError>>> + use<Q> {
        self.reader.ask(Recall(query))
    }

    /// Makes a change; the answer comes when it is durable.
    pub fn write<Q: WriteQuery>(
        &self,
        query: Q,
    ) -> impl Future<Output = Result<Q::Output, AskError<Q::Error>>> + use<Q> {
        self.writer.ask(Write(query, Instant::now()))
    }

    /// What the writer says of itself.
    pub fn observe(&self) -> impl Future<Output = Result<WriterState, AskError<DbError>>> + use<> {
        self.writer.ask(writer::Observe)
    }

    /// Whether the writer still runs.
    pub fn is_alive(&self) -> bool {
        self.writer.is_alive()
    }

    /// What the writer was asked since the start.
    pub fn write_load(&self) -> Load {
        self.writer.load()
    }

    /// How many questions the readers of all threads answered since the start, and how long those took.
    pub fn reads(&self) -> (u64, Duration) {
        self.reads.so_far()
    }
}

fn start_reader(
    pool: &r2d2::Pool<SqliteConnectionManager>,
    commits: &CommitCount,
    reads: &Arc<Reads>,
) -> Result<Handle<Reader>, OpenError> {
    let reader = Reader::new(pool.get()?, commits.clone(), Arc::clone(reads)).start();
    Ok(Handle::new("db reader", reader, LIMIT, DEADLINE))
}

/// Opens the writing connection and brings the database to its newest form.
///
/// # Errors
/// As [`open`]; also when a migration fails, or the database is newer than this program.
pub fn prepare(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = open(path)?;
    migrate::migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the writing connection; a new file is readable by its owner only.
///
/// # Errors
/// When the file cannot be made or is no database.
pub fn open(path: &Path) -> Result<Connection, OpenError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    let prepare = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.set_prepared_statement_cache_capacity(256);
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -16384;
             PRAGMA wal_autocheckpoint = 2000;
             PRAGMA journal_size_limit = 67108864;",
        )?;
        Ok(connection)
    };
    prepare().map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })
}

fn prepare_reader(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;")
}

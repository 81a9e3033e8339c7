//! The database: what is asked of it, and how it fails.
//!
//! A query is a struct with its SQL beside it, in [`queries`]. [`Db::read`] runs one on the reader of the
//! caller's own thread, [`Db::write`] hands one to the only writer, which answers after the commit.

mod error;
pub mod failure;
mod floor;
pub mod lag;
mod memory;
pub mod migrate;
pub mod queries;
mod query;
mod reader;
mod reserve;
pub mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ArbiterHandle};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use crate::ask::{AskError, Handle, Load};
pub use error::{ChangeError, DbError, OpenError};
pub(crate) use error::{parse, readable};
pub use floor::{Floor, Growth};
use lag::Lag;
pub use memory::{Memorable, Recall};
use queries::audit::Record;
use query::LIMIT;
pub use query::{Read, ReadQuery, Write, WriteQuery};
use reader::{Reader, Reads};
use reserve::Owed;
pub use reserve::{RESERVE, Reserve};
use writer::{CommitCount, Writer, WriterState};

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
    owed: Owed,
    /// What the readers of all threads did.
    reads: Arc<Reads>,
}

impl Db {
    /// Opens (or makes) the database at `path`, migrates it, and starts the writer on `thread` and a reader
    /// on the present one. Nothing must stay free.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, or is newer than this program.
    pub fn start(path: &Path, thread: &ArbiterHandle) -> Result<Self, OpenError> {
        Self::start_with(Floor::default(), Reserve::beside(path, 0), path, thread)
    }

    /// The same; what adds is refused below `floor`, and what does not goes on in `reserve`.
    ///
    /// # Errors
    /// As [`Db::start`].
    pub fn start_with(
        floor: Floor,
        reserve: Reserve,
        path: &Path,
        thread: &ArbiterHandle,
    ) -> Result<Self, OpenError> {
        let connection = prepare(path)?;
        let pool = r2d2::Pool::builder()
            .max_size(MAX_READERS)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .build_unchecked(SqliteConnectionManager::file(path).with_init(prepare_reader));
        let commits = CommitCount::default();
        let lag = Lag::default();
        let (counted, measured, owed) = (commits.clone(), lag.clone(), reserve.owed());
        let addr = Writer::start_in_arbiter(thread, |_| {
            Writer::new(connection, (floor, reserve), counted, measured)
        });
        let writer = Handle::new("db writer", addr, LIMIT, DEADLINE);
        let reads = Arc::default();
        let reader = start_reader(&pool, &commits, &reads)?;
        Ok(Self { pool, reader, writer, commits, lag, owed, reads })
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

    /// Bytes that are free only for those who must go on.
    pub fn owed(&self) -> u64 {
        self.owed.bytes()
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

    /// Records what is no change. Where no room is left for it, what anybody can cause leaves no entry: nobody is refused
    /// for that, and it costs no room that others need.
    ///
    /// # Errors
    /// As any change.
    pub async fn record(&self, record: Record) -> Result<(), AskError<DbError>> {
        let may_be_left_out = record.growth() == Growth::Adds;
        match self.write(record).await {
            Err(AskError::Refused(DbError::Full)) if may_be_left_out => Ok(()),
            recorded => recorded,
        }
    }

    /// From now on the writer commits its transactions so. With an error the transaction must be over.
    ///
    /// # Errors
    /// When the writer does not answer.
    #[cfg(feature = "testing")]
    pub async fn commit_by(
        &self,
        commit: impl FnMut(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), AskError<DbError>> {
        self.writer.ask(writer::CommitBy(Box::new(commit))).await
    }

    /// What the writer says of itself.
    pub fn observe(&self) -> impl Future<Output = Result<WriterState, AskError<DbError>>> + use<> {
        self.writer.ask(writer::Observe)
    }

    /// Whether another program has written to the database since this was last asked; the first answer is no. What was
    /// remembered of answers is forgotten then.
    ///
    /// # Errors
    /// When the writer does not answer.
    pub fn written_by_others(&self) -> impl Future<Output = Result<bool, AskError<DbError>>> + use<> {
        self.writer.ask(writer::LookForOthers)
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
    prepare().map_err(|said| match failure::is_full(&said) {
        true => OpenError::Full(path.to_owned()),
        false => OpenError::Sqlite { path: path.to_owned(), said },
    })
}

fn prepare_reader(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;")
}

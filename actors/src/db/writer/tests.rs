use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use actix::Arbiter;

use super::*;
use crate::ask::{AskError, Handle};
use crate::db::Db;
use crate::db::queries::snapshots::InsertSnapshot;
use crate::domain::Timestamp;

/// Holds the writer up until it is told to go on.
#[derive(Clone)]
struct Wait(Arc<Mutex<Receiver<()>>>);

impl WriteQuery for Wait {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        Growth::Keeps
    }

    fn run(self, _: &Connection) -> Result<(), DbError> {
        self.0.lock().unwrap().recv().map_err(|error| DbError::Failed(error.to_string()))
    }
}

/// Tells how many snapshots are committed when it is dropped.
struct Witness {
    database: PathBuf,
    told: Sender<i64>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        let database = Connection::open(&self.database).unwrap();
        let committed = database.query_row("SELECT count(*) FROM snapshots", [], |row| row.get(0)).unwrap();
        self.told.send(committed).unwrap();
    }
}

#[actix::test]
async fn what_a_change_holds_is_let_go_after_the_commit_although_nobody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("mcr.db");
    let thread = Arbiter::new();
    let db = Db::start(&database, &thread.handle()).unwrap();
    let ((go_on, wait), (told, tells)) = (channel(), channel());
    let held_up = db.write(Wait(Arc::new(Mutex::new(wait))));
    let query = InsertSnapshot {
        name: "late".to_owned(),
        started_at: Timestamp::from_millis(0),
        report: "{}".to_owned(),
    };
    drop(db.write(Holding { query, held: Arc::new(Witness { database, told }) }));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(tells.try_recv().is_err(), "it was let go before its change was made");
    go_on.send(()).unwrap();
    held_up.await.unwrap();
    let began = Instant::now();
    let committed = loop {
        if let Ok(committed) = tells.try_recv() {
            break committed;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it is never let go");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert_eq!(committed, 1, "it was let go before the commit");
    thread.stop();
}

/// A change that adds, or does not.
#[derive(Clone)]
struct Count(Growth);

impl WriteQuery for Count {
    type Output = ();
    type Error = DbError;

    fn growth(&self) -> Growth {
        self.0
    }

    fn run(self, tx: &Connection) -> Result<(), DbError> {
        tx.execute("INSERT INTO snapshots (name, started_at, report) VALUES ('', 0, '')", [])?;
        Ok(())
    }
}

/// What commits fail with: an error of SQLite, and how many of them.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<(i32, usize)>>);

impl Failures {
    fn set(&self, error: i32, times: usize) {
        *self.0.lock().unwrap() = (error, times);
    }

    fn commit(&self, connection: &Connection) -> rusqlite::Result<()> {
        let (error, left) = &mut *self.0.lock().unwrap();
        if *left == 0 {
            return connection.execute_batch("COMMIT");
        }
        *left -= 1;
        connection.execute_batch("ROLLBACK")?;
        Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(*error), None))
    }
}

/// A writer whose commits fail as they are told to.
struct Failing {
    directory: tempfile::TempDir,
    thread: Arbiter,
    failures: Failures,
    handle: Handle<Writer>,
}

impl Failing {
    fn start(patience: Duration) -> Self {
        let (directory, thread, failures) =
            (tempfile::tempdir().unwrap(), Arbiter::new(), Failures::default());
        let database = directory.path().join("mcr.db");
        let connection = crate::db::prepare(&database).unwrap();
        let mut reserve = Reserve::beside(&database, crate::db::RESERVE);
        reserve.take();
        let (told, parts) = (failures.clone(), (Floor::default(), reserve));
        let addr = Writer::start_in_arbiter(&thread.handle(), move |_| Writer {
            commit: Box::new(move |connection| told.commit(connection)),
            patience,
            ..Writer::new(connection, parts, CommitCount::default(), Lag::default())
        });
        let handle = Handle::new("db writer", addr, LIMIT, crate::db::DEADLINE);
        Self { directory, thread, failures, handle }
    }

    fn write<Q: WriteQuery>(
        &self,
        query: Q,
    ) -> impl Future<Output = Result<Q::Output, AskError<Q::Error>>> + use<Q> {
        self.handle.ask(Write(query, Instant::now()))
    }

    fn rows(&self) -> i64 {
        let database = Connection::open(self.directory.path().join("mcr.db")).unwrap();
        database.query_row("SELECT count(*) FROM snapshots", [], |row| row.get(0)).unwrap()
    }

    fn reserve(&self) -> u64 {
        std::fs::metadata(self.directory.path().join("mcr.db.reserve")).unwrap().len()
    }

    async fn is_failing(&self) -> bool {
        self.handle.ask(Observe).await.unwrap().failing
    }
}

#[actix::test]
async fn nobody_is_answered_before_an_unknown_commit_is_settled() {
    let writer = Failing::start(Duration::from_secs(60));
    writer.write(Count(Growth::Keeps)).await.unwrap();
    writer.failures.set(rusqlite::ffi::SQLITE_IOERR_FSYNC, usize::MAX);
    let held = Arc::new(());
    let unknown = writer.write(Holding { query: Count(Growth::Adds), held: Arc::clone(&held) });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let behind = writer.write(Count(Growth::Keeps));
    let mut both = Box::pin(futures_util::future::join(unknown, behind));
    let early = tokio::time::timeout(Duration::from_millis(600), &mut both).await;
    assert!(early.is_err(), "somebody was answered: {early:?}");
    assert_eq!(Arc::strong_count(&held), 2, "what it holds was let go");
    writer.failures.set(0, 0);
    let (unknown, behind) = both.await;
    assert!(matches!(unknown, Err(AskError::Refused(DbError::Unknown(_)))), "{unknown:?}");
    behind.unwrap();
    assert_eq!((writer.rows(), Arc::strong_count(&held)), (2, 1), "what was settled did not happen");
    assert!(!writer.is_failing().await);
    writer.thread.stop();
}

#[actix::test]
async fn a_commit_that_is_never_settled_ends_the_writer_and_lets_nothing_go() {
    let writer = Failing::start(Duration::from_millis(300));
    writer.failures.set(rusqlite::ffi::SQLITE_IOERR_FSYNC, usize::MAX);
    let held = Arc::new(());
    let unknown = writer.write(Holding { query: Count(Growth::Adds), held: Arc::clone(&held) });
    let unknown = tokio::task::spawn_local(unknown);
    let began = Instant::now();
    while writer.handle.is_alive() {
        assert!(began.elapsed() < Duration::from_secs(30), "it goes on for ever");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(300), "it gave up after {:?}", began.elapsed());
    assert!(!unknown.is_finished(), "somebody was answered although nobody knows");
    assert_eq!(Arc::strong_count(&held), 2, "what it holds was let go");
    assert!(writer.write(Count(Growth::Keeps)).await.is_err());
    writer.thread.stop();
}

#[actix::test]
async fn on_a_full_disk_what_adds_is_refused_and_the_rest_is_made_again_in_the_reserve() {
    let writer = Failing::start(Duration::from_secs(60));
    let full = |times| writer.failures.set(rusqlite::ffi::SQLITE_FULL, times);
    let whole = writer.reserve();
    full(1);
    let (adds, keeps) =
        futures_util::future::join(writer.write(Count(Growth::Adds)), writer.write(Count(Growth::Keeps)))
            .await;
    assert!(matches!(adds, Err(AskError::Refused(DbError::Full))), "{adds:?}");
    keeps.unwrap();
    assert_eq!((writer.rows(), writer.reserve()), (1, whole), "without the other there was room");
    full(2);
    writer.write(Count(Growth::Keeps)).await.unwrap();
    assert_eq!((writer.rows(), writer.reserve()), (2, whole / 4));
    assert!(!writer.is_failing().await);
    full(usize::MAX);
    let refused = writer.write(Count(Growth::Keeps)).await;
    assert!(matches!(refused, Err(AskError::Refused(DbError::Full))), "{refused:?}");
    assert!(writer.is_failing().await && writer.reserve() == 0);
    full(0);
    writer.write(Count(Growth::Keeps)).await.unwrap();
    assert!(!writer.is_failing().await);
    writer.thread.stop();
}

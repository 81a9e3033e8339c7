use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use actix::Arbiter;

use super::*;
use crate::db::Db;
use crate::db::queries::snapshots::InsertSnapshot;
use crate::domain::Timestamp;

/// Holds the writer up until it is told to go on.
struct Wait(Receiver<()>);

impl WriteQuery for Wait {
    type Output = ();
    type Error = DbError;

    fn run(self, _: &Connection) -> Result<(), DbError> {
        self.0.recv().map_err(|error| DbError::Failed(error.to_string()))
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
    let held_up = db.write(Wait(wait));
    let query = InsertSnapshot {
        name: "late".to_owned(),
        started_at: Timestamp::from_millis(0),
        report: "{}".to_owned(),
    };
    drop(db.write(Holding { query, held: Witness { database, told } }));
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

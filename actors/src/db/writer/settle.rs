//! A commit whose outcome nobody knows, since the log could not be synced: it is not there now, and would be after the end of the
//! program, which plays the log back. Another commit is written over it in the log, and settles it.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::Writer;
use crate::db::DbError;
use crate::db::queries::commits::TryCommit;

/// How long it rests between two tries.
const PAUSE: Duration = Duration::from_millis(100);

impl Writer {
    /// Commits something until that succeeds, and blocks meanwhile: nobody is answered, and nothing that a change holds is let go.
    /// Says whether it did within the time.
    pub(super) fn settle(&mut self, unknown: &DbError) -> bool {
        log::error!(
            "a commit may have happened or not, and nobody is answered before another one has settled it: {unknown}"
        );
        let began = Instant::now();
        loop {
            match self.commit_something() {
                Ok(()) => {
                    log::warn!("settled after {:?}: what was to be committed was not", began.elapsed());
                    return true;
                }
                Err(DbError::Full) if self.reserve.give_up() => {}
                Err(error) if began.elapsed() >= self.patience => {
                    log::error!(
                        "no commit has succeeded for {:?}, so the registry ends; the next start goes by what has lasted: {error}",
                        self.patience
                    );
                    return false;
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    fn commit_something(&mut self) -> Result<(), DbError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = something(&self.connection).and_then(|()| Ok((self.commit)(&self.connection)?));
        if done.is_err() {
            self.roll_back();
        }
        done
    }
}

fn something(tx: &Connection) -> Result<(), DbError> {
    crate::db::WriteQuery::run(TryCommit, tx)
}

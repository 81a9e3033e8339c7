//! Commits whose outcome is not known: until another one has settled them, no file goes that the end of the program may play a row
//! back for.

use std::collections::BTreeSet;

use mcr_actors::gc::{Gate, GetGcStatus, Pace, StartSweep, Trigger};
use mcr_actors::registry::Settings;
use rusqlite::Connection;

use super::*;

const CONTENT: &[u8] = b"a blob that is there without a row";

/// Commits of which some fail, as a log does that cannot be synced: the transaction is not there, and comes back with the log.
#[derive(Clone, Default)]
struct Commits(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many fail from now on.
    failing: usize,
    /// The blobs whose rows may come back.
    may_come_back: BTreeSet<String>,
    /// Those of them whose file was gone before that was settled.
    lost: BTreeSet<String>,
}

fn blobs(tx: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = tx.prepare("SELECT digest FROM blobs WHERE state = 0")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

impl Commits {
    fn fail(&self, times: usize) {
        self.0.lock().unwrap().failing = times;
    }

    fn lost(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().lost.clone()
    }

    /// Commits, or fails; before that it looks what became of those that failed.
    fn commit(&self, tx: &Connection, is_there: impl Fn(&str) -> bool) -> rusqlite::Result<()> {
        let mut state = self.0.lock().unwrap();
        let lost: Vec<String> =
            state.may_come_back.iter().filter(|digest| !is_there(digest)).cloned().collect();
        state.lost.extend(lost);
        if state.failing == 0 {
            tx.execute_batch("COMMIT")?;
            state.may_come_back.clear();
            return Ok(());
        }
        state.failing -= 1;
        state.may_come_back = blobs(tx)?;
        tx.execute_batch("ROLLBACK")?;
        let fsync = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        Err(rusqlite::Error::SqliteFailure(fsync, None))
    }
}

/// A registry with a file that one look has found without a row long ago.
async fn with_a_stray(fs: &FakeFs, gate: &Gate, commits: &Commits) -> Harness {
    let pace = Pace::Gated(gate.clone());
    let gated = |settings: &mut Settings| settings.gc_pace = pace;
    let harness = Harness::start_with(Arc::new(fs.clone()), gated).await;
    placed::place(&harness, fs, CONTENT);
    let (layout, tree) = (harness.layout(), fs.clone());
    let is_there = move |digest: &str| {
        digest.parse().is_ok_and(|digest| tree.tree().contains_key(&layout.path(&digest)))
    };
    let commits = commits.clone();
    let commit = move |tx: &Connection| commits.commit(tx, &is_there);
    harness.worker.db.commit_by(commit).await.unwrap();
    begin_sweep(&harness).await;
    while steps_on(&harness, gate).await {}
    harness.clock.advance(25 * HOUR);
    harness
}

async fn begin_sweep(harness: &Harness) {
    let start = StartSweep {
        trigger: Trigger::Request,
        dry_run: false,
        take_strays: true,
        origin: Origin::default(),
        caller: None,
    };
    harness.worker.gc.ask(start).await.unwrap();
}

/// Waits until the sweep stands at its gate, and lets it take one step; answers whether there was one.
async fn steps_on(harness: &Harness, gate: &Gate) -> bool {
    loop {
        if gate.has_arrived() {
            gate.open();
            return true;
        }
        if harness.worker.gc.ask(GetGcStatus).await.unwrap().running.is_none() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[actix::test]
async fn whenever_a_commit_fails_beside_a_sweep_no_file_goes_whose_row_may_come_back() {
    let (mut before, mut failed, mut taken) = (0, 0, 0);
    loop {
        let (fs, gate, commits) = (FakeFs::default(), Gate::default(), Commits::default());
        let harness = with_a_stray(&fs, &gate, &commits).await;
        let path = harness.layout().path(&digest(CONTENT));
        begin_sweep(&harness).await;
        let mut steps = 0;
        while steps < before && steps_on(&harness, &gate).await {
            steps += 1;
        }
        let is_through = steps < before;
        taken += usize::from(is_through && !fs.tree().contains_key(&path));
        commits.fail(1);
        let writer = begin_once(&harness, ANY).await.unwrap();
        let mut pushed = Box::pin(finish(writer, CONTENT, CONTENT));
        // It waits for the sweep where that has the digest, and the sweep's next commit is the one that fails then.
        let early = tokio::time::timeout(Duration::from_millis(100), &mut pushed).await;
        failed += usize::from(matches!(early, Ok(Err(_))));
        while steps_on(&harness, &gate).await {}
        if early.is_err() {
            drop(pushed.await);
        }
        assert_eq!(commits.lost(), BTreeSet::new(), "after {before} steps of the sweep");
        commits.fail(0);
        if !harness.rows::<u64>("SELECT digest, size FROM blobs WHERE state = 0").is_empty() {
            assert!(fs.tree().contains_key(&path));
        }
        harness.finish().await;
        if is_through {
            break;
        }
        before += 1;
    }
    assert!(before > 5 && failed > 3 && taken == 1, "{before} steps, {failed} failures, {taken}");
}

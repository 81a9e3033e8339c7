//! A registry does not start on what is not its own, and leaves it as it found it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Data;
use crate::support::content::Noise;
use crate::support::snapshots::{Promised, said, text};

/// Longer than a refusal takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every file with its content. An index of SQLite's log is no data: whoever reads may write it.
fn tree(directory: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tree(&path, found);
            found.insert(path, Vec::new());
        } else if !path.to_str().unwrap().ends_with("-shm") {
            let content = std::fs::read(&path).unwrap();
            found.insert(path, content);
        }
    }
}

fn tree_of(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    tree(directory, &mut found);
    found
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Takes the database away, its log too.
fn without_database(directory: &Path) {
    for name in ["mcr.db", "mcr.db-wal", "mcr.db-shm"] {
        let _ = std::fs::remove_file(directory.join(name));
    }
}

/// Puts the database of `other` in the place of this one.
fn with_database_of(directory: &Path, other: &Path) {
    without_database(directory);
    for name in ["mcr.db", "mcr.db-wal"] {
        if other.join(name).try_exists().unwrap() {
            copy(&other.join(name), &directory.join(name));
        }
    }
}

/// What a start says that is refused.
fn refusal(data: &Path) -> String {
    let mut command = Command::new(crate::support::program());
    command.args(["dev", "--http", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it started on {}", data.display());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

fn registry(data: &Data, seed: u64) -> (PathBuf, Promised) {
    let mut promised = Promised::default();
    promised.push_image(&mut data.start(&[]).client(), "team/app", "v1", &[Noise::new(seed).bytes(3000)]);
    (data.path().join("data"), promised)
}

/// The number of starts that the database and the marker of the blobs tell.
fn starts(data: &Path) -> (u64, String) {
    let database = rusqlite::Connection::open(data.join("mcr.db")).unwrap();
    let told = database.query_row("SELECT starts FROM registry", [], |row| row.get(0)).unwrap();
    (told, std::fs::read_to_string(data.join("layers/.mcr-registry")).unwrap())
}

#[test]
fn after_a_repair_a_copy_of_the_database_from_before_is_older_and_a_snapshot_changes_nothing() {
    let data = Data::new();
    let (good, promised) = registry(&data, 1);
    let before = data.path().join("before");
    copy(&good, &before);
    let counted = starts(&good);
    // Whatever was copied before a snapshot is as good after it: it only reads.
    said(0, &["snapshot", "--data", text(&good), "--to", text(&data.path().join("snapshot"))]);
    assert_eq!(starts(&good), counted);
    let (path, _) = promised.0.first().unwrap();
    let (_, hex) = path.rsplit_once(':').unwrap();
    let blob = good.join("layers/sha256").join(&hex[..2]).join(hex);
    std::fs::write(&blob, b"other bytes").unwrap();
    said(1, &["verify", "--data", text(&good), "--repair"]);
    assert!(!blob.try_exists().unwrap(), "it was not moved aside");
    assert!(starts(&good).0 > counted.0);
    let repaired = data.path().join("repaired");
    copy(&good, &repaired);
    with_database_of(&good, &before);
    let tree = tree_of(&good);
    let told = refusal(&good);
    assert!(told.contains("nothing was changed") && told.contains("older"), "{told}");
    let told = said(1, &["verify", "--data", text(&good), "--repair"]);
    assert!(told.contains("nothing was changed"), "{told}");
    assert_eq!(tree_of(&good).keys().collect::<Vec<_>>(), tree.keys().collect::<Vec<_>>());
    with_database_of(&good, &repaired);
    drop(data.start(&[]));
}

#[test]
fn what_does_not_belong_together_is_refused_and_left_as_it_was() {
    let (mine, others) = (Data::new(), Data::new());
    let ((good, promised), (other, _)) = (registry(&mine, 1), registry(&others, 2));
    let older = mine.path().join("older");
    copy(&good, &older);
    drop(mine.start(&[]));
    type Mishap<'a> = (&'a str, Box<dyn Fn(&Path) + 'a>);
    let remove = |path: PathBuf| std::fs::remove_dir_all(path).unwrap();
    let mishaps: [Mishap<'_>; 8] = [
        ("the database is not mounted", Box::new(without_database)),
        ("another's database", Box::new(|data| with_database_of(data, &other))),
        ("an older copy of the database", Box::new(|data| with_database_of(data, &older))),
        ("the blobs are not mounted", Box::new(|data| remove(data.join("layers")))),
        (
            "an empty directory for blobs",
            Box::new(|data| {
                remove(data.join("layers"));
                std::fs::create_dir(data.join("layers")).unwrap();
            }),
        ),
        (
            "another's blobs",
            Box::new(|data| {
                remove(data.join("layers"));
                copy(&other.join("layers"), &data.join("layers"));
            }),
        ),
        (
            "an older copy of the blobs",
            Box::new(|data| {
                remove(data.join("layers"));
                copy(&older.join("layers"), &data.join("layers"));
            }),
        ),
        (
            "a damaged marker",
            Box::new(|data| std::fs::write(data.join("layers/.mcr-registry"), "nonsense").unwrap()),
        ),
    ];
    for (name, mishap) in mishaps {
        let data = mine.path().join("tried");
        copy(&good, &data);
        mishap(&data);
        let before = tree_of(&data);
        let said = refusal(&data);
        assert!(said.contains("nothing was changed"), "{name}: {said}");
        let after = tree_of(&data);
        let differs: Vec<_> =
            before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect();
        assert!(differs.is_empty(), "{name}: {differs:?}");
        std::fs::remove_dir_all(data).unwrap();
    }
    promised.check(&mine.start(&[]));
    said(0, &["verify", "--data", text(&good)]);
}

//! Every change with what it does to the disk, in one table. A change that is not in it fails.

use std::collections::BTreeMap;
use std::path::Path;

/// What each file of changes says: the name of a change, and the body of its `growth`.
fn read(directory: &Path, found: &mut BTreeMap<String, String>) {
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            read(&path, found);
        }
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("growth.rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        for part in text.split(" WriteQuery for ").skip(1) {
            let name: String = part.chars().take_while(char::is_ascii_alphanumeric).collect();
            let body = part.split("fn growth(&self) -> Growth {").nth(1).unwrap();
            let body = body.split("\n    }\n").next().unwrap().trim().to_owned();
            assert!(found.insert(name.clone(), body).is_none(), "two are called {name}");
        }
    }
}

/// Refused while less is free than must stay free.
const ADDS: &[&str] = &[
    "CreateRule",
    "CreateToken",
    "CreateUser",
    "InsertSnapshot",
    "InsertUpload",
    "LinkBlob",
    "MountBlob",
    // What is shown only can wait.
    "NoteConfigs",
    "NoteFacts",
    "PublishManifest",
    // What a dry run found, which is as much as there is garbage.
    "SaveItems",
];

/// They go on to the end.
const KEEPS: &[&str] = &[
    // Bytes that were let in; in place.
    "AdvanceUpload",
    "CollectLinks",
    "CollectUntagged",
    "Condemn",
    "Delete",
    "DeleteManifest",
    "DeleteRepository",
    "DeleteRule",
    "DeleteTag",
    "DeleteUpload",
    "DeleteUser",
    "DropItems",
    // Two, for ever.
    "EnsureSecret",
    "ExpireUpload",
    "FinishSnapshot",
    "FinishSweep",
    "ForgetStrays",
    // Made at the machine: without it nobody could free anything.
    "InsertAccount",
    // The last thousand.
    "InsertSweep",
    // A login; the last thousand of an account.
    "InsertToken",
    // In place.
    "KeepBlob",
    "KeepManifest",
    "MarkBad",
    // What was stored before, once: no sweep takes anything until then.
    "NoteReferences",
    // As many as there are files without a row: a sweep that frees them needs it.
    "NoteStrays",
    "NoteTime",
    "PurgeAudit",
    "PurgeTokens",
    // As a login.
    "RenewToken",
    // In place, and as many stay known that are over as there may be good ones.
    "RenewRobotToken",
    "RevokeRobotToken",
    "RevokeToken",
    "SettleAudit",
    "SettleTimes",
    // It only asks.
    "SettledUpload",
    "TouchToken",
    // In place.
    "TryCommit",
    "UnlinkBlob",
    // In place: an account or rule must be switched off whatever the disk is.
    "UpdateRule",
    "UpdateUser",
];

/// As what they hold.
const DEPENDS: &[&str] = &["Audited", "Permitted", "PublishIf", "Record"];

#[test]
fn every_change_is_in_the_table_and_does_what_it_says() {
    let mut written = BTreeMap::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db/queries"), &mut written);
    let mut known: Vec<&str> = [ADDS, KEEPS, DEPENDS].concat();
    known.sort_unstable();
    assert_eq!(written.keys().collect::<Vec<_>>(), known, "write down what a change does to the disk");
    for (names, body) in [(ADDS, "Growth::Adds"), (KEEPS, "Growth::Keeps")] {
        for name in names {
            assert_eq!(written[*name], body, "{name}");
        }
    }
}

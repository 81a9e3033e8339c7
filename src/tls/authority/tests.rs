use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A moment in 2026.
fn now() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000)
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn accepts(prepared: &Prepared, name: &str, at: Timestamp) -> bool {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verify(&prepared.authority, &prepared.certificate, &name, at).is_ok()
}

#[test]
fn clients_that_trust_the_authority_accept_every_name() {
    let directory = tempfile::tempdir().unwrap();
    let prepared =
        prepare(directory.path(), &["box.example".to_owned(), "no name".to_owned()], now()).unwrap();
    assert_eq!(prepared.outcome, Outcome::Made);
    for name in ["localhost", "127.0.0.1", "::1", "box.example"] {
        assert!(accepts(&prepared, name, now()), "{name}");
    }
    assert!(!accepts(&prepared, "other.example", now()));
    assert!(!accepts(&prepared, "localhost", now().after(397 * DAY)), "it lives no longer than clients take");
}

#[test]
fn only_the_keys_are_secret() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path(), &[], now()).unwrap();
    let mode = |name| fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("ca.key"), mode("server.key")], [0o600, 0o600]);
    assert_eq!([mode("ca.crt"), mode("server.crt")], [0o644, 0o644]);
}

#[test]
fn a_later_start_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path(), &[], now()).unwrap();
    let before = files(directory.path());
    assert_eq!(prepare(directory.path(), &[], now().after(300 * DAY)).unwrap().outcome, Outcome::Kept);
    assert_eq!(files(directory.path()), before);
}

#[test]
fn a_certificate_that_lapses_soon_is_renewed_from_the_same_authority() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path(), &[], now()).unwrap();
    let before = files(directory.path());
    let later = now().after(368 * DAY);
    let prepared = prepare(directory.path(), &[], later).unwrap();
    assert_eq!(prepared.outcome, Outcome::Renewed);
    assert!(accepts(&prepared, "localhost", later.after(300 * DAY)));
    let after = files(directory.path());
    for name in ["ca.crt", "ca.key", "server.key"] {
        assert_eq!(before[name], after[name], "{name}");
    }
}

#[test]
fn a_new_name_or_a_lost_key_renews_too() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path(), &[], now()).unwrap();
    let named = prepare(directory.path(), &["box.example".to_owned()], now()).unwrap();
    assert_eq!(named.outcome, Outcome::Renewed);
    assert!(accepts(&named, "box.example", now()));
    fs::remove_file(&named.key).unwrap();
    assert_eq!(prepare(directory.path(), &[], now()).unwrap().outcome, Outcome::Renewed);
    super::super::read_pair(&named.certificate, &named.key).unwrap();
}

#[test]
fn a_certificate_of_somebody_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let prepared = prepare(directory.path(), &[], now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let theirs = params("somebody else", now(), SERVER_LIFE).unwrap().self_signed(&key).unwrap();
    fs::write(&prepared.certificate, theirs.pem()).unwrap();
    fs::write(&prepared.key, key.serialize_pem()).unwrap();
    let before = files(directory.path());
    let outcome = prepare(directory.path(), &["box.example".to_owned()], now()).unwrap().outcome;
    assert_eq!(outcome, Outcome::Foreign);
    assert_eq!(files(directory.path()), before);
}

#[test]
fn a_certificate_of_an_authority_that_was_thrown_away_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let prepared = prepare(directory.path(), &[], now()).unwrap();
    for name in ["ca.crt", "ca.key"] {
        fs::remove_file(directory.path().join(name)).unwrap();
    }
    assert_eq!(prepare(directory.path(), &[], now()).unwrap().outcome, Outcome::Renewed);
    assert!(accepts(&prepared, "localhost", now()));
}

#[test]
fn renewing_without_the_authoritys_key_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path(), &[], now()).unwrap();
    fs::remove_file(directory.path().join("ca.key")).unwrap();
    assert_eq!(prepare(directory.path(), &[], now()).unwrap().outcome, Outcome::Kept);
    let error = prepare(directory.path(), &[], now().after(396 * DAY)).unwrap_err().to_string();
    assert!(error.contains("ca.key is missing: remove the directory"), "{error}");
}

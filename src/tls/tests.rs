use std::fs::Permissions;

use mcr_actors::domain::Timestamp;

use super::*;

struct Pair {
    directory: tempfile::TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

fn pair() -> Pair {
    let directory = tempfile::tempdir().unwrap();
    let made = authority::prepare(directory.path(), &[], Timestamp::from_millis(1_790_000_000_000)).unwrap();
    Pair { directory, certificate: made.certificate, key: made.key }
}

fn shown(certificate: &Certificate) -> Vec<CertificateDer<'static>> {
    certificate.current.load().cert.clone()
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (one, two) = (pair(), pair());
    let error = Certificate::load(&one.certificate, &two.key).unwrap_err();
    assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
}

#[test]
fn errors_name_the_file() {
    let pair = pair();
    let missing = pair.directory.path().join("missing.crt");
    let error = Certificate::load(&missing, &pair.key).unwrap_err().to_string();
    assert!(error.contains("missing.crt: cannot be read"), "{error}");
    let error = Certificate::load(&pair.key, &pair.key).unwrap_err().to_string();
    assert!(error.contains("server.key: no certificate in PEM form"), "{error}");
    let error = Certificate::load(&pair.certificate, &pair.certificate).unwrap_err().to_string();
    assert!(error.contains("server.crt: no private key in PEM form"), "{error}");
}

#[test]
fn reading_again_shows_the_new_pair_and_a_bad_one_never() {
    let (old, new) = (pair(), pair());
    let certificate = Certificate::load(&old.certificate, &old.key).unwrap();
    let before = shown(&certificate);
    fs::copy(&new.certificate, &old.certificate).unwrap();
    assert!(certificate.reload().is_err(), "its key is not there yet");
    assert_eq!(shown(&certificate), before);
    fs::write(&old.key, "garbage").unwrap();
    assert!(certificate.reload().is_err());
    assert_eq!(shown(&certificate), before);
    fs::copy(&new.key, &old.key).unwrap();
    certificate.reload().unwrap();
    assert_ne!(shown(&certificate), before);
}

#[test]
fn http2_is_offered_only_when_asked_for() {
    let pair = pair();
    let certificate = Certificate::load(&pair.certificate, &pair.key).unwrap();
    let alpn = |http2| server_config(Arc::clone(&certificate), http2).unwrap().alpn_protocols.clone();
    assert_eq!(alpn(false), [b"http/1.1".to_vec()]);
    assert_eq!(alpn(true), [b"h2".to_vec(), b"http/1.1".to_vec()]);
}

#[test]
fn a_key_open_to_everybody_is_told() {
    let pair = pair();
    assert_eq!(loose_permissions(&pair.key), None);
    fs::set_permissions(&pair.key, Permissions::from_mode(0o644)).unwrap();
    let warning = loose_permissions(&pair.key).unwrap();
    assert!(warning.contains("mode 0644") && warning.contains("chmod 600"), "{warning}");
}

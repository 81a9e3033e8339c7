use std::fs::Permissions;

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

#[test]
fn a_key_with_a_passphrase_is_told_with_what_to_do() {
    let pair = pair();
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0123\n\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    let new = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for content in [old, new] {
        fs::write(&pair.key, content).unwrap();
        let error = Certificate::load(&pair.certificate, &pair.key).unwrap_err().to_string();
        assert!(error.contains("is encrypted") && error.contains("openssl pkey -in "), "{error}");
    }
    fs::write(&pair.key, "garbage").unwrap();
    let error = Certificate::load(&pair.certificate, &pair.key).unwrap_err().to_string();
    assert!(!error.contains("encrypted"), "{error}");
}

#[test]
fn whoever_shows_a_certificate_hears_when_clients_refuse_it_for_its_time() {
    let made = Timestamp::from_millis(1_790_000_000_000);
    let pair = pair();
    let certificate = Certificate::load(&pair.certificate, &pair.key).unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let authority = pair.directory.path().join("ca.crt");
    let day = std::time::Duration::from_secs(24 * 3600);
    let mut said = std::collections::BTreeSet::new();
    // What is said is what a client that trusts the authority makes of it, on every day around its life.
    for days in -20..900_i32 {
        let by = day * days.unsigned_abs();
        let now = if days < 0 { made.before(by) } else { made.after(by) };
        let refused = authority::verify(&authority, &pair.certificate, &name, now).is_err();
        let warning = certificate.warning(now).unwrap_or_default();
        assert_eq!(warning.contains("so clients refuse it"), refused, "{now}: {warning:?}");
        let kinds = ["is valid from", "lapsed at", "lapses at"];
        said.extend(kinds.into_iter().filter(|kind| warning.contains(kind)));
        assert!(refused || warning.is_empty() || warning.contains("lapses at"), "{now}: {warning:?}");
    }
    assert_eq!(said.len(), 3, "{said:?}");
}

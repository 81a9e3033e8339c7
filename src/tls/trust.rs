//! Whose certificates are believed: those of a file, or those of the system, which `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
//!
//! A file that holds no certificate is refused; nobody would be believed with it, and nobody would know why.

use std::io;
use std::path::{Path, PathBuf};

use mcr_actors::mend::{self, Use};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// Why nobody can be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}{}", path.display(), mend::of_file(path, Use::Read, source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not PEM, or holds no certificate.
    #[error("{}: {}", path.display(), super::of_pem("certificate", source))]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A certificate of the file is none.
    #[error("{}: a certificate in it cannot be used: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The system has no authorities.
    #[error("this system has no certificates of authorities{}{}", if why.is_empty() { "" } else { ": " }, why.join("; "))]
    Nobody {
        /// What could not be read.
        why: Vec<String>,
    },
}

/// The authorities of a file in PEM form; each is one that can be used.
///
/// # Errors
/// When it cannot be read, or holds none, or something else.
pub fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let content = std::fs::read(path).map_err(|source| TrustError::Read { path: path.to_owned(), source })?;
    let no_pem = |source| TrustError::Pem { path: path.to_owned(), source };
    let found = CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>().map_err(no_pem)?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        let unusable = |source| TrustError::Certificate { path: path.to_owned(), source };
        roots.add(certificate.clone()).map_err(unusable)?;
    }
    if found.is_empty() { Err(no_pem(pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// The authorities that the system believes, and what could not be read of them.
///
/// # Errors
/// When there is none that can be used.
pub fn of_the_system() -> Result<(Vec<CertificateDer<'static>>, Vec<String>), TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    // Systems carry a few that the library does not understand; the others are good all the same.
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(found.certs.iter().cloned());
    if usable == 0 { Err(TrustError::Nobody { why }) } else { Ok((found.certs, why)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.crt");
        let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        let none = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        for content in [None, Some(""), Some("hello\n"), Some(key), Some(none), Some(broken)] {
            content.into_iter().for_each(|content| std::fs::write(&file, content).unwrap());
            let error = of_file(&file).unwrap_err().to_string();
            let what = if content.is_some() { "certificate" } else { "cannot be read: No such file" };
            assert!(error.contains("ca.crt: ") && error.contains(what), "{content:?}: {error}");
        }
    }
}

//! How TLS is spoken with MCIAS, and whose certificates are believed there.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};

use crate::tls;

/// Why MCIAS cannot be asked at all, whether or not it is there.
#[derive(Debug, thiserror::Error)]
pub enum MciasError {
    /// The authority's file cannot be read or is not PEM.
    #[error("{}: no certificate in PEM form in it: {source}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The TLS library does not take what it was given.
    #[error("TLS to MCIAS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// This system trusts nobody.
    #[error("this system has no certificates of authorities, so name MCIAS's own in ca_cert")]
    NoAuthorities,
}

/// TLS 1.3 towards a server whose certificate is of `authority`, or of those that the system trusts.
///
/// # Errors
/// When the authority's file is not what it should be, or nobody is trusted.
pub(super) fn client_config(authority: Option<&Path>) -> Result<ClientConfig, MciasError> {
    let roots = match authority {
        Some(path) => own(path)?,
        None => of_the_system()?,
    };
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn own(path: &Path) -> Result<RootCertStore, MciasError> {
    let unreadable = |source| MciasError::Authority { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?)?;
    }
    if roots.is_empty() { Err(unreadable(pem::Error::NoItemsFound)) } else { Ok(roots) }
}

fn of_the_system() -> Result<RootCertStore, MciasError> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        log::warn!("an authority of the system cannot be read: {error}");
    }
    let mut roots = RootCertStore::empty();
    // Systems carry a few that the library does not understand; the others are good all the same.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err(MciasError::NoAuthorities) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_is_none_is_told_by_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.crt");
        for content in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")] {
            content.into_iter().for_each(|content| std::fs::write(&file, content).unwrap());
            let error = client_config(Some(&file)).unwrap_err().to_string();
            assert!(error.contains("ca.crt: no certificate in PEM form in it: "), "{error}");
        }
    }
}

//! How TLS is spoken with MCIAS, and whose certificates are believed there.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};

use crate::tls;
use crate::tls::trust::{self, TrustError};

/// Why MCIAS cannot be asked at all, whether or not it is there.
#[derive(Debug, thiserror::Error)]
pub enum MciasError {
    /// The authority's file is not what it should be.
    #[error(transparent)]
    Authority(TrustError),
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
    let trusted = match authority {
        Some(path) => trust::of_file(path).map_err(MciasError::Authority)?,
        None => of_the_system()?,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn of_the_system() -> Result<Vec<CertificateDer<'static>>, MciasError> {
    let (trusted, unreadable) = trust::of_the_system().map_err(|_| MciasError::NoAuthorities)?;
    for error in unreadable {
        log::warn!("an authority of the system cannot be read: {error}");
    }
    Ok(trusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_is_none_is_told_by_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.crt");
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        for (content, what) in [
            (None, "cannot be read: No such file"),
            (Some(""), "no certificate in PEM form in it"),
            (Some(broken), "the certificate in it is damaged: "),
        ] {
            content.into_iter().for_each(|content| std::fs::write(&file, content).unwrap());
            let error = client_config(Some(&file)).unwrap_err().to_string();
            assert!(error.contains(&format!("ca.crt: {what}")), "{error}");
        }
    }
}

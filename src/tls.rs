//! The certificate that the registry shows, and how TLS is spoken.
//!
//! The certificate and its key are files of the operator's; they are read at start and again when asked, and a bad pair
//! never replaces a good one. It does not know who makes them ([`authority`] does, for `mcrsrv dev`) or when they are
//! read again.

pub mod authority;
mod provider;
pub mod trust;
mod validity;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use mcr_actors::domain::Timestamp;
use mcr_actors::mend::{self, Use};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};

pub(crate) use self::provider::provider;
use self::validity::Validity;

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}{}", path.display(), mend::of_file(path, Use::Read, source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not PEM, or holds something else.
    #[error("{}: {}", path.display(), of_pem(what, source))]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The key has a passphrase, and nobody is there to ask.
    #[error(
        "the key {0} is encrypted, and a service has nobody to ask for its passphrase: write it without one, \
         `openssl pkey -in {0} -out NEW`, for its owner only",
        path.display()
    )]
    Encrypted {
        /// The key's file.
        path: PathBuf,
    },
    /// Certificate and key are of two pairs.
    #[error("the key {} does not belong to the certificate {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The TLS library does not take them.
    #[error("the certificate {} with the key {} cannot be used: {source}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The TLS library does not take the settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What is wrong with what should hold this in PEM form.
fn of_pem(what: &str, error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => format!("no {what} in PEM form in it"),
        pem::Error::MissingSectionEnd { .. } => {
            format!("the {what} in it has no end: it was cut, so write the file again")
        }
        error => format!("the {what} in it is damaged: {error}"),
    }
}

/// The certificate that the registry shows, and where it comes from.
#[derive(Debug)]
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the certificate, with the chain that comes with it, and its key.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, does not hold what it should, or the two do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read_pair(certificate, key)?);
        Ok(Arc::new(Self { certificate: certificate.to_owned(), key: key.to_owned(), current }))
    }

    /// Reads both files again; the handshakes that begin from now on show what they hold.
    ///
    /// # Errors
    ///
    /// As [`Certificate::load`]; the certificate shown is then still the old one.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read_pair(&self.certificate, &self.key)?));
        Ok(())
    }

    /// What to do when clients refuse the certificate for its time, or will within a week.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let path = self.certificate.display();
        let renew = "renew it, and send SIGHUP";
        match validity::judge(&self.current.load().cert, now) {
            Validity::Good => None,
            Validity::EndsBefore(end) => Some(format!("the certificate {path} lapses at {end}: {renew}")),
            Validity::Ended(end) => {
                Some(format!("the certificate {path} lapsed at {end}, so clients refuse it: {renew}"))
            }
            Validity::Begins(begin) => Some(format!(
                "the certificate {path} is valid from {begin} only, so clients refuse it: is the clock right? It says {now}"
            )),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// TLS 1.2 and 1.3 with this certificate, offering HTTP/2 before HTTP/1.1, or HTTP/1.1 alone.
///
/// # Errors
///
/// When the TLS library does not take the settings, which are fixed here.
pub fn server_config(certificate: Arc<Certificate>, http2: bool) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols =
        if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(Arc::new(config))
}

/// Says what to do when people who are neither the key's owner nor in its group may read or write it.
pub fn loose_permissions(key: &Path) -> Option<String> {
    let mode = fs::metadata(key).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then(|| {
        let key = key.display();
        format!("the key {key} is open to everybody on this machine (mode {mode:04o}): chmod 600 {key}")
    })
}

fn read_pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = read_pem(certificate, "certificate", |pem| {
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
        if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
    })?;
    let private = read_pem(key, "private key", PrivateKeyDer::from_pem_slice);
    // Of a key in the old form the library says that it is none at all.
    if private.is_err() && is_encrypted(key) {
        return Err(TlsError::Encrypted { path: key.to_owned() });
    }
    let private = private?;
    let (certificate, key) = (certificate.to_owned(), key.to_owned());
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Mismatch { certificate, key }
        }
        source => TlsError::Unusable { certificate, key, source },
    })
}

/// Whether a file holds a key with a passphrase, in the form of PKCS #8 (RFC 5958) or the old one of OpenSSL.
fn is_encrypted(key: &Path) -> bool {
    let content = fs::read(key).unwrap_or_default();
    let marks: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];
    marks.iter().any(|mark| content.windows(mark.len()).any(|window| window == *mark))
}

fn read_pem<T>(
    path: &Path,
    what: &'static str,
    parse: impl FnOnce(&[u8]) -> Result<T, pem::Error>,
) -> Result<T, TlsError> {
    let content = fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    parse(&content).map_err(|source| TlsError::Pem { path: path.to_owned(), what, source })
}

#[cfg(test)]
mod tests;

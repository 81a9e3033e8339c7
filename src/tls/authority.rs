//! A certificate authority for one machine: what `mcrsrv dev` speaks TLS with when nobody has prepared anything.
//!
//! It makes what is missing and renews what is about to lapse, so that clients trust `ca.crt` once. Its key stays, for
//! its owner alone, since a renewed certificate must come from the same authority. It touches no certificate that is
//! somebody else's.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mcr_actors::domain::Timestamp;
use mcr_actors::mend::{self, Use};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};
use time::OffsetDateTime;

use crate::durable_file::{self, Readers};

/// Some clients refuse certificates that live longer than 397 days, and both ends count.
const SERVER_LIFE: Duration = Duration::from_secs(397 * 24 * 60 * 60 - 1);

/// A certificate with less left than this is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Clients trust the authority once; this outlives the machine.
const AUTHORITY_LIFE: Duration = Duration::from_secs(3652 * 24 * 60 * 60);

/// Certificates begin to be valid this long ago, for clients whose clock is behind.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// What the authority made or found, and where.
#[derive(Debug)]
pub struct Prepared {
    /// The authority's certificate, for clients to trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
    /// What happened to the server's certificate.
    pub outcome: Outcome,
}

/// What happened to the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was none, and it was made.
    Made,
    /// It was about to lapse, lacked a name or had lost its key, and was made again.
    Renewed,
    /// It is good for a while.
    Kept,
    /// Another authority made it; it was left alone.
    Foreign,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read or written.
    #[error("{}: {source}{}", path.display(), mend::of_file(path, Use::Write, source))]
    File {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A key of ours cannot be used.
    #[error("{}: not a usable key: {source}: remove it and start again", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        source: rcgen::Error,
    },
    /// The certificate must be renewed, and the authority's key is not there.
    #[error(
        "{} must be renewed and {} is missing: remove the directory {} for a new authority, which clients must trust anew",
        certificate.display(), key.display(), directory.display()
    )]
    KeyLost {
        /// The certificate.
        certificate: PathBuf,
        /// The authority's key.
        key: PathBuf,
        /// The directory of them all.
        directory: PathBuf,
    },
    /// A certificate could not be signed.
    #[error("cannot make a certificate: {0}")]
    Sign(#[from] rcgen::Error),
    /// No random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Sees to it that `directory` holds an authority and a server certificate of it with its key: `ca.crt`, `ca.key`,
/// `server.crt`, `server.key`.
///
/// The certificate is for localhost, 127.0.0.1, ::1, and `names`; of these, a name that cannot be in a certificate is
/// passed over. What is there and good for 30 days is left as it is.
///
/// # Errors
///
/// When files cannot be read or written, or what must be renewed cannot be.
pub fn prepare(directory: &Path, names: &[String], now: Timestamp) -> Result<Prepared, AuthorityError> {
    durable_file::make_directory(directory).map_err(file_error(directory))?;
    let [authority, authority_key] = ["ca.crt", "ca.key"].map(|name| directory.join(name));
    let [certificate, key] = ["server.crt", "server.key"].map(|name| directory.join(name));
    let names = server_names(names);
    if !is_there(&authority)? {
        let params = authority_params(now)?;
        let pem = params.self_signed(&key_pair(&authority_key)?)?.pem();
        write(&authority, pem.as_bytes(), Readers::Everybody)?;
    }
    let outcome = match is_there(&certificate)? {
        false => Outcome::Made,
        true => judge(&authority, &certificate, &key, &names, now.after(RENEW_BEFORE)),
    };
    if matches!(outcome, Outcome::Made | Outcome::Renewed) {
        if !is_there(&authority_key)? {
            let directory = directory.to_owned();
            return Err(AuthorityError::KeyLost { certificate, key: authority_key, directory });
        }
        // The issuer's name and key are all that signing needs, and the name is always the same.
        let issuer = Issuer::new(authority_params(now)?, key_pair(&authority_key)?);
        let pem = server_params(&names, now)?.signed_by(&key_pair(&key)?, &issuer)?.pem();
        write(&certificate, pem.as_bytes(), Readers::Everybody)?;
    }
    Ok(Prepared { authority, certificate, key, outcome })
}

/// What a client that trusts the authority would think of the certificate at that time.
fn judge(
    authority: &Path,
    certificate: &Path,
    key: &Path,
    names: &[ServerName<'static>],
    at: Timestamp,
) -> Outcome {
    let Ok(()) = super::read_pair(certificate, key).map(drop) else { return Outcome::Renewed };
    let verdicts = names.iter().map(|name| verify(authority, certificate, name, at));
    for verdict in verdicts {
        match verdict {
            Ok(()) => {}
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                return Outcome::Foreign;
            }
            Err(_) => return Outcome::Renewed,
        }
    }
    Outcome::Kept
}

/// Whether a client that trusts `authority` accepts `certificate` for `name` at that time.
pub(super) fn verify(
    authority: &Path,
    certificate: &Path,
    name: &ServerName<'_>,
    at: Timestamp,
) -> Result<(), rustls::Error> {
    let read = |path| {
        CertificateDer::from_pem_file(path)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))
    };
    let mut roots = RootCertStore::empty();
    roots.add(read(authority)?)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), super::provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let at = UnixTime::since_unix_epoch(at.since(Timestamp::from_millis(0)));
    verifier.verify_server_cert(&read(certificate)?, &[], name, &[], at).map(drop)
}

/// The names that a certificate can carry, each once.
fn server_names(more: &[String]) -> Vec<ServerName<'static>> {
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let mut names: Vec<ServerName<'static>> = ServerName::try_from("localhost").into_iter().collect();
    names.extend(loopback.map(|address| ServerName::IpAddress(address.into())));
    for name in more.iter().filter_map(|name| ServerName::try_from(name.clone()).ok()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn authority_params(now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let mut params = params("mcr development authority", now, AUTHORITY_LIFE)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn server_params(names: &[ServerName<'static>], now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let mut params = params("mcr development server", now, SERVER_LIFE)?;
    for name in names {
        match name {
            ServerName::DnsName(name) => {
                params.subject_alt_names.push(SanType::DnsName(name.as_ref().try_into()?));
            }
            ServerName::IpAddress(address) => {
                params.subject_alt_names.push(SanType::IpAddress((*address).into()));
            }
            _ => {}
        }
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(common_name: &str, now: Timestamp, life: Duration) -> Result<CertificateParams, AuthorityError> {
    // Browsers refuse two certificates with one serial number, and a renewed one keeps its key, which rcgen would
    // take the number from.
    let mut serial = [0; 16];
    getrandom::fill(&mut serial)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = calendar(now.before(CLOCK_SKEW));
    params.not_after = calendar(now.before(CLOCK_SKEW).after(life));
    Ok(params)
}

fn calendar(moment: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(moment.as_millis() / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The key at `path`, made when there is none.
fn key_pair(path: &Path) -> Result<KeyPair, AuthorityError> {
    let key_error = |source| AuthorityError::Key { path: path.to_owned(), source };
    if is_there(path)? {
        let pem = fs::read_to_string(path).map_err(file_error(path))?;
        return KeyPair::from_pem(&pem).map_err(key_error);
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(key_error)?;
    write(path, key.serialize_pem().as_bytes(), Readers::Owner)?;
    Ok(key)
}

fn is_there(path: &Path) -> Result<bool, AuthorityError> {
    path.try_exists().map_err(file_error(path))
}

fn write(path: &Path, content: &[u8], readers: Readers) -> Result<(), AuthorityError> {
    durable_file::write(path, content, readers).map_err(file_error(path))
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> AuthorityError + use<> {
    let path = path.to_owned();
    move |source| AuthorityError::File { path, source }
}

#[cfg(test)]
mod tests;

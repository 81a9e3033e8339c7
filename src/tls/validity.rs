//! Since when and until when a certificate is valid, for whoever shows it: clients say it to their users, and nobody tells the
//! operator.

use std::sync::Arc;
use std::time::Duration;

use mcr_actors::domain::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

/// How long before its end a certificate is told of.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// What clients make of the times of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// Nobody minds, for another week at least.
    Good,
    /// It ends within a week, at this time or a little earlier.
    EndsBefore(Timestamp),
    /// It ended then.
    Ended(Timestamp),
    /// It begins then.
    Begins(Timestamp),
}

/// Judges each certificate of a chain at that time; the worst is told.
pub(super) fn judge(chain: &[CertificateDer<'_>], now: Timestamp) -> Validity {
    let at = |moment| chain.iter().map(|one| judge_one(one, moment)).find(|one| *one != Validity::Good);
    match (at(now), at(now.after(SOON))) {
        (Some(bad), _) => bad,
        (None, Some(Validity::Ended(end))) => Validity::EndsBefore(end),
        _ => Validity::Good,
    }
}

/// A verifier looks at times before it looks for an authority, so it is asked about a certificate that it cannot trust.
fn judge_one(certificate: &CertificateDer<'_>, now: Timestamp) -> Validity {
    let mut roots = RootCertStore::empty();
    // One that is no anchor is not asked about, and says so where it is put to use.
    if roots.add(certificate.clone().into_owned()).is_err() {
        return Validity::Good;
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), super::provider::provider()).build();
    let (Ok(verifier), Ok(name)) = (verifier, ServerName::try_from("localhost")) else {
        return Validity::Good;
    };
    let unix = UnixTime::since_unix_epoch(now.since(Timestamp::from_millis(0)));
    match verifier.verify_server_cert(certificate, &[], &name, &[], unix) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Validity::Ended(moment(not_after))
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before, ..
        })) => Validity::Begins(moment(not_before)),
        _ => Validity::Good,
    }
}

fn moment(time: UnixTime) -> Timestamp {
    Timestamp::from_millis(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000))
}

//! `[mcias]`: the identity service, where that is who knows users and tokens.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Section;
use super::setting::ServiceUrl;

const SECOND: Duration = Duration::from_secs(1);

/// `[mcias]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mcias {
    /// Where it is.
    pub server_url: ServiceUrl,
    /// The certificate of the authority that vouches for it, in PEM form; none for those that the system trusts.
    pub ca_cert: Option<PathBuf>,
    /// What the registry calls itself there.
    pub service_name: String,
    /// Tags of the registry, which rules of MCIAS may ask for.
    pub tags: Vec<String>,
    /// How long one answer may take, connecting included.
    pub timeout: Duration,
}

impl Mcias {
    /// `required` is whether MCIAS is the provider; the section may be there when it is not.
    pub(super) fn read(section: &mut Section<'_>, required: bool) -> Option<Self> {
        let server_url =
            if required { section.required("server_url") } else { section.optional("server_url") };
        Some(Self {
            ca_cert: section.optional("ca_cert"),
            service_name: section.or("service_name", "mcr".to_owned()),
            tags: section.or("tags", Vec::new()),
            timeout: section.bounded("timeout", 10 * SECOND, SECOND / 10..=60 * SECOND),
            // Last: every key must have been asked for by then.
            server_url: server_url?,
        })
    }
}

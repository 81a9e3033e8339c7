//! Which registry: its URL, in one way of writing it, so that two that are the same are equal.

use std::fmt;
use std::net::IpAddr;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use ureq::http::Uri;

/// The URL of a registry, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Address {
    https: bool,
    host: String,
    url: String,
}

impl Address {
    /// Reads it as somebody wrote it.
    ///
    /// # Errors
    /// When it is no URL of a registry.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let uri = text.trim().parse::<Uri>().ok();
        let known = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?, uri.path())));
        let https = match known {
            Some(("https", ..)) => true,
            Some(("http", ..)) => false,
            _ => bail!("{text} is no URL of a registry: write it like https://registry.example.com"),
        };
        let Some((scheme, authority, path)) = known else { bail!("{text} is no URL of a registry") };
        if authority.as_str().contains('@') || text.contains(['?', '#']) {
            bail!("{text}: a registry's URL has a host and no user, question mark or number sign");
        }
        let host = authority.host().to_ascii_lowercase();
        let usual = if https { 443 } else { 80 };
        let port = authority.port_u16().filter(|port| *port != usual);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let url = format!("{scheme}://{host}{port}{}", path.trim_end_matches('/'));
        Ok(Self { https, host, url })
    }

    /// Whether everybody on the way can read what is sent.
    pub(crate) fn is_plain(&self) -> bool {
        !self.https
    }

    /// Whether it is on this machine, so that there is no way.
    pub(crate) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl TryFrom<String> for Address {
    type Error = anyhow::Error;

    fn try_from(text: String) -> anyhow::Result<Self> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.url
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_registry_has_one_address() {
        let address = |text: &str| Address::parse(text).map(String::from).ok();
        let one = Some("https://registry.example.com".to_owned());
        for text in [
            "https://Registry.example.com",
            "HTTPS://registry.example.com:443/",
            " https://registry.example.com//",
        ] {
            assert_eq!(address(text), one, "{text}");
        }
        assert_eq!(address("http://h:80/mcr/"), Some("http://h/mcr".to_owned()));
        assert_eq!(address("http://h:443"), Some("http://h:443".to_owned()));
        for text in
            ["", "h", "h:5000", "ftp://h", "https://", "https://u:p@h", "https://h/?a", "https://h#a", "/v2"]
        {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let is_loopback = |text: &str| Address::parse(text).unwrap().is_loopback();
        for text in ["http://localhost:5000", "http://127.3.2.1", "http://[::1]:5000", "https://LOCALHOST"] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://[::2]",
            "http://127.0.0.1.example.com",
        ] {
            assert!(!is_loopback(text), "{text}");
        }
    }
}

//! Whether a request that changes something comes from a page of ours: no token in a form, nothing that expires. Pure.
//!
//! Browsers say in `Sec-Fetch-Site` where a request comes from; where they do not, on plain HTTP to another machine, `Origin`
//! (RFC 6454 §7) must name the host that was asked.

/// What a request says of where it comes from.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Said<'a> {
    /// `Sec-Fetch-Site`.
    pub(crate) fetch_site: Option<&'a str>,
    /// `Origin`.
    pub(crate) origin: Option<&'a str>,
    /// `Host`, or what HTTP/2 calls `:authority`.
    pub(crate) host: &'a str,
    /// Where people reach the pages, when that is configured.
    pub(crate) public_url: Option<&'a str>,
}

/// Whether it is of ours. A request that says nothing is not: every browser says one or the other with a form.
pub(crate) fn is_ours(said: Said<'_>) -> bool {
    match (said.fetch_site, said.origin) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let same = |scheme: &str| origin.strip_prefix(scheme).is_some_and(|host| host == said.host);
            let public = said.public_url.is_some_and(|url| url.trim_end_matches('/') == origin);
            public || (!said.host.is_empty() && (same("https://") || same("http://")))
        }
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_ours_changes_anything() {
        let host = "mcr.example.com:5001";
        let of = |fetch_site, origin| is_ours(Said { fetch_site, origin, host, public_url: None });
        assert!(of(Some("same-origin"), None) && of(Some("none"), None));
        assert!(!of(Some("cross-site"), None) && !of(Some("same-site"), None) && !of(Some(""), None));
        // Where a page comes from is not to be hidden by a second word for it.
        assert!(!of(Some("cross-site"), Some("https://mcr.example.com:5001")));
        assert!(
            of(None, Some("https://mcr.example.com:5001")) && of(None, Some("http://mcr.example.com:5001"))
        );
        for origin in ["https://mcr.example.com", "https://evil.example", "null", "", "mcr.example.com:5001"]
        {
            assert!(!of(None, Some(origin)), "{origin}");
        }
        assert!(!of(None, None));
        assert!(!is_ours(Said { origin: Some("https://"), ..Said::default() }));
        let public_url = Some("https://mcr.example.com/");
        let behind =
            |origin| is_ours(Said { origin: Some(origin), host: "10.0.0.1", public_url, fetch_site: None });
        assert!(behind("https://mcr.example.com") && !behind("http://mcr.example.com"));
    }
}

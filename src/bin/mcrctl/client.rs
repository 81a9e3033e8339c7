//! The admin API as calls. A refusal is an error in the server's own words, with what to do about it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error};

use crate::settings::Settings;

/// The longest that a call may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Entries asked for at once when all are wanted.
const PAGE: usize = 1000;

/// A registry that is spoken to.
pub(crate) struct Client {
    agent: Agent,
    server: String,
    token: Option<String>,
}

impl Client {
    /// Speaks to the registry of `settings`.
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        if let Some(path) = &settings.ca_cert {
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| anyhow::anyhow!("cannot read --ca-cert {}: {error}", path.display()))?;
            let certificates = certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
            tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates)));
        }
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build()
            .into();
        Ok(Self { agent, server: settings.server()?.to_owned(), token: settings.token.clone() })
    }

    /// Whether a token will be shown.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Asks, and answers the JSON; `Null` where there is none.
    pub(crate) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.call_or(method, path, body, |_| false)
    }

    /// `GET` of whether the registry is ready, which is told also where it is not.
    pub(crate) fn ready(&self) -> anyhow::Result<Value> {
        self.call_or(Method::GET, "/v1/ready", None, |json| json["ready"].is_boolean())
    }

    /// Asks, and answers the JSON also of an answer that is no success but `tells` what was asked for.
    fn call_or(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        tells: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let (status, text) = self.send(&method, path, body)?;
        let json = serde_json::from_str::<Value>(&text).unwrap_or_default();
        if (200..300).contains(&status) || tells(&json) {
            return Ok(json);
        }
        let said = json["error"].as_str().unwrap_or("the server gave no reason");
        match status {
            401 if self.token.is_none() => bail!("{said}: run mcrctl login, or set MCRCTL_TOKEN"),
            401 => bail!("{said}: run mcrctl login again"),
            _ => bail!("{said} ({method} {path}: {status})"),
        }
    }

    /// `GET`.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None)
    }

    fn send(&self, method: &Method, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, String)> {
        let url = format!("{}{path}", self.server);
        let mut request = Request::builder().method(method.clone()).uri(&url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let sent = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json").body(body.to_string());
                self.agent.run(request.with_context(|| format!("{url} is no URL"))?)
            }
            None => self.agent.run(request.body(()).with_context(|| format!("{url} is no URL"))?),
        };
        let mut response = sent.map_err(|error| self.unreachable(&error))?;
        let text = response.body_mut().read_to_string().map_err(|error| self.unreachable(&error))?;
        Ok((response.status().as_u16(), text))
    }

    fn unreachable(&self, error: &Error) -> anyhow::Error {
        let mend = match error {
            Error::HostNotFound | Error::ConnectionFailed | Error::Io(_) => {
                "is the server running, and is --server right? Its authority may have to be given with --ca-cert"
            }
            Error::Timeout(_) => "it did not answer in time; try again",
            _ => "is --server right?",
        };
        anyhow::anyhow!("cannot reach {}: {error}: {mend}", self.server)
    }

    /// A list from `offset` on: at most `limit` entries, or all of them.
    pub(crate) fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: Option<usize>,
        offset: usize,
    ) -> anyhow::Result<Value> {
        let mut all: Vec<Value> = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let wanted = limit.map_or(PAGE, |limit| limit - all.len()).min(PAGE);
            let (n, from) = (wanted.to_string(), (offset + all.len()).to_string());
            let mut pairs = query.to_vec();
            pairs.push(("n", n.as_str()));
            // Where a list says where it goes on, nothing is passed over that is recorded meanwhile.
            pairs.push(next.as_deref().map_or(("offset", from.as_str()), |next| ("last", next)));
            let page = self.get(&format!("{path}?{}", mcr::http::query::encode(&pairs)))?;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            next = page["next"].as_str().map(str::to_owned);
            let got = items.len();
            all.extend(items);
            if got < wanted || limit.is_some_and(|limit| all.len() >= limit) || got == 0 {
                return Ok(serde_json::json!({"total": page["total"], "items": all}));
            }
        }
    }
}

/// One segment of a path.
pub(crate) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

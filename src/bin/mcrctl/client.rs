//! The admin API as calls. A refusal is an error in the server's own words, with what to do about it.

mod lines;
mod pages;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use mcr::tls::trust;
use serde_json::Value;
use ureq::http::header::{ACCEPT, LOCATION};
use ureq::http::{Method, Request, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error};

pub(crate) use self::lines::Lines;
pub(crate) use self::pages::Page;
use crate::address::Address;
use crate::settings::Settings;

/// The longest that a call may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is read in bytes; a page of a thousand entries is well below it.
const MOST: u64 = 256 * 1024 * 1024;

/// A registry that is spoken to.
pub(crate) struct Client {
    agent: Agent,
    server: Address,
    token: Option<String>,
    /// Whether the server was found to answer for itself.
    is_tried: Cell<bool>,
}

/// Whom a registry is believed by: the given authority, or those of the system.
fn tls(settings: &Settings) -> anyhow::Result<TlsConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    let trusted = match &settings.ca_cert {
        Some(path) => trust::of_file(path).context("--ca-cert cannot be used")?,
        None => trust::of_the_system().context("give the registry's authority with --ca-cert")?.0,
    };
    let trusted = trusted.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(tls.root_certs(RootCerts::Specific(Arc::new(trusted))).build())
}

impl Client {
    /// Speaks to the registry of `settings`.
    ///
    /// # Errors
    /// When nobody said which, or nobody can be believed, or a token would go where others can read it.
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let server = settings.server()?;
        let has_way = server.is_plain() && !server.is_loopback();
        if has_way && !settings.insecure_http {
            bail!(
                "{server} is plain HTTP, so everybody on the way could read passwords and tokens: use https://, or \
                 say --insecure-http where the way is yours alone"
            );
        }
        let mut config = Agent::config_builder();
        if !server.is_plain() {
            config = config.tls_config(tls(settings)?);
        }
        if server.is_loopback() {
            config = config.proxy(None);
        }
        // Whoever is redirected has sent the secret already, or would send it to somebody else.
        let config = config.max_redirects(0).max_redirects_will_error(false);
        let agent = config.http_status_as_error(false).timeout_global(Some(TIMEOUT)).build().into();
        let (server, token) = (server.clone(), settings.token.clone());
        Ok(Self { agent, server, token, is_tried: Cell::new(false) })
    }

    /// Whether a token will be shown.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sees to it that neither password nor token goes out in clear to a server that would only send it elsewhere: one request
    /// without them goes before the first. Over TLS nobody but the registry reads them.
    ///
    /// # Errors
    /// When the server cannot be reached, redirects, or is none of ours.
    pub(crate) fn try_the_way(&self) -> anyhow::Result<()> {
        if self.server.is_plain() && !self.is_tried.get() {
            let (status, text) = self.exchange(&Method::GET, "/v1/health", None, None)?;
            let said = serde_json::from_str::<Value>(&text).unwrap_or_default();
            if status != 200 || !said["status"].is_string() {
                bail!(
                    "what answers at {} is no registry of this kind (GET /v1/health: {status})",
                    self.server
                );
            }
            self.is_tried.set(true);
        }
        Ok(())
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
        let read = serde_json::from_str::<Value>(&text);
        let is_read = read.is_ok() || status == 204;
        let json = read.unwrap_or_default();
        if (200..300).contains(&status) && !is_read {
            bail!("what answers at {} is no registry of this kind ({method} {path}: no JSON)", self.server);
        }
        if (200..300).contains(&status) || tells(&json) {
            return Ok(json);
        }
        Err(self.refused(&json, &format!("{method} {path}: {status}"), status))
    }

    /// The error of a refusal.
    fn refused(&self, json: &Value, what: &str, status: u16) -> anyhow::Error {
        let said = json["error"].as_str().unwrap_or("the server gave no reason");
        match status {
            401 if self.token.is_none() => {
                anyhow::anyhow!("{said}: run mcrctl login, or set MCRCTL_TOKEN")
            }
            401 => anyhow::anyhow!("{said}: run mcrctl login again"),
            _ => anyhow::anyhow!("{said} ({what})"),
        }
    }

    /// `GET`.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None)
    }

    /// Sends one request on a way that was tried, and answers status and body.
    fn send(&self, method: &Method, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, String)> {
        self.try_the_way()?;
        self.exchange(method, path, self.token.as_deref(), body)
    }

    /// One request and its answer. A redirect is an error.
    fn exchange(
        &self,
        method: &Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, String)> {
        let url = format!("{}{path}", self.server);
        let mut request = Request::builder().method(method.clone()).uri(&url);
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let sent = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json").body(body.to_string());
                self.agent.run(request.with_context(|| format!("{url} is no URL"))?)
            }
            None => self.agent.run(request.body(()).with_context(|| format!("{url} is no URL"))?),
        };
        let mut response = self.unless_redirected(sent, path)?;
        let text = response.body_mut().with_config().limit(MOST).lossy_utf8(true).read_to_string();
        Ok((response.status().as_u16(), text.map_err(|error| self.unreachable(&error))?))
    }

    /// `GET` of what comes as lines, of this media type. Nothing need come for as long as `silence`, and all of it may take for ever.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or answers something else.
    pub(crate) fn lines(&self, path: &str, media_type: &str, silence: Duration) -> anyhow::Result<Lines> {
        self.try_the_way()?;
        let url = format!("{}{path}", self.server);
        let mut request = Request::builder().uri(&url).header(ACCEPT, media_type);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(()).with_context(|| format!("{url} is no URL"))?;
        let request =
            self.agent.configure_request(request).timeout_global(None).timeout_per_read(Some(silence));
        let mut response = self.unless_redirected(self.agent.run(request.build()), path)?;
        let status = response.status().as_u16();
        if !response.status().is_success() {
            let text = response.body_mut().with_config().limit(MOST).lossy_utf8(true).read_to_string();
            let json = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
            return Err(self.refused(&json, &format!("GET {path}: {status}"), status));
        }
        if response.body().mime_type() != Some(media_type) {
            bail!(
                "the registry at {} is older than this mcrctl and does not answer as {media_type}",
                self.server
            );
        }
        Ok(Lines::new(response.into_body()))
    }

    /// The answer to what was sent. A redirect is an error.
    fn unless_redirected(
        &self,
        sent: Result<Response<Body>, Error>,
        path: &str,
    ) -> anyhow::Result<Response<Body>> {
        let response = sent.map_err(|error| self.unreachable(&error))?;
        if response.status().is_redirection() {
            let location = response.headers().get(LOCATION).map(|value| value.as_bytes());
            return Err(self.redirected(path, &String::from_utf8_lossy(location.unwrap_or_default())));
        }
        Ok(response)
    }

    /// What to say of a redirect, which is never followed.
    fn redirected(&self, path: &str, location: &str) -> anyhow::Error {
        let server = &self.server;
        let base = location.strip_suffix(path).map(Address::parse).and_then(Result::ok);
        match base.filter(|base| base != server) {
            Some(base) => anyhow::anyhow!(
                "{server} redirects to {base}, and passwords and tokens do not follow: if that is the registry, say \
                 --server {base}"
            ),
            None => anyhow::anyhow!(
                "{server} redirects to {location}, and passwords and tokens do not follow: is --server right?"
            ),
        }
    }

    fn unreachable(&self, error: &Error) -> anyhow::Error {
        let text = error.to_string();
        let mend = match error {
            _ if text.contains("certificate") => {
                "is it the registry? Its authority may have to be given with --ca-cert, or to the system"
            }
            Error::HostNotFound | Error::ConnectionFailed | Error::Io(_) => {
                "is the server running, and is --server right?"
            }
            Error::Timeout(_) => "it did not answer in time; try again",
            _ => "is --server right?",
        };
        anyhow::anyhow!("cannot reach {}: {text}: {mend}", self.server)
    }
}

/// One segment of a path.
pub(crate) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

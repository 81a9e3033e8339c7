//! The registry, asked as the person who is signed in: this program has no right of its own.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use awc::Connector;
use bytes::Bytes;
use mcr_api::Problem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::session::Token;

/// How long a connection, and an answer to begin, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer of the admin API, in bytes.
const LONGEST: usize = 8 << 20;

/// What stays as it is in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// Text as one segment of a path, or as a value of a query.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A path with its query; parameters that are empty are left out.
pub(crate) fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let said = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query: Vec<String> = said.map(|(name, value)| format!("{name}={}", segment(value))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// The way to the registry. A worker has its own, since connections cannot leave their thread.
#[derive(Clone)]
pub(crate) struct Registry {
    http: awc::Client,
    url: String,
}

/// In whose name, and for which request, the registry is asked.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// Nothing for whoever is not signed in.
    pub(crate) token: Option<Token>,
    /// Whose browser it is: the registry counts its failed logins.
    pub(crate) address: Option<IpAddr>,
    /// What both programs log.
    pub(crate) request_id: String,
}

impl Registry {
    /// The registry at this URL.
    pub(crate) fn new(url: &str, tls: Arc<ClientConfig>) -> Self {
        let connector = Connector::new().rustls_0_23(tls).timeout(PATIENCE).handshake_timeout(PATIENCE);
        // A redirect would carry the token to where nobody said that it may go.
        let http = awc::Client::builder().connector(connector).timeout(PATIENCE).disable_redirects().finish();
        Self { http, url: url.trim_end_matches('/').to_owned() }
    }

    fn request(&self, method: Method, path: &str, asker: &Asker) -> awc::ClientRequest {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        request = request.insert_header(("x-request-id", asker.request_id.as_str()));
        if let Some(address) = asker.address {
            request = request.insert_header(("x-forwarded-for", address.to_string()));
        }
        let bearer = asker.token.as_ref().and_then(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
            // It is not printed, whatever is logged.
            value.set_sensitive(true);
            Some(value)
        });
        match bearer {
            Some(bearer) => request.insert_header((AUTHORIZATION, bearer)),
            None => request,
        }
    }

    /// What a route of the admin API answers.
    ///
    /// # Errors
    /// When the registry refuses, or does not answer as a registry does.
    pub(crate) async fn get<T: DeserializeOwned>(&self, asker: &Asker, path: &str) -> Result<T, Failure> {
        let sent = self.request(Method::GET, path, asker).send();
        read(&answer(path, sent.await, LONGEST).await?.body)
    }

    /// Asks for a change, with JSON where there is something to say.
    ///
    /// # Errors
    /// As [`Registry::get`].
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        asker: &Asker,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, Failure> {
        let request = self.request(method, path, asker);
        let sent = match body.map(serde_json::to_vec).transpose().map_err(Failure::odd)? {
            Some(body) => request.insert_header((CONTENT_TYPE, "application/json")).send_body(body).await,
            None => request.send().await,
        };
        let answer = answer(path, sent, LONGEST).await?;
        if answer.body.is_empty() { read(b"null") } else { read(&answer.body) }
    }

    /// A manifest or blob of at most `longest` bytes.
    ///
    /// # Errors
    /// As [`Registry::get`]; also when it is longer.
    pub(crate) async fn content(
        &self,
        asker: &Asker,
        path: &str,
        accept: &str,
        longest: usize,
    ) -> Result<Answer, Failure> {
        let sent = self.request(Method::GET, path, asker).insert_header((ACCEPT, accept)).send();
        answer(path, sent.await, longest).await
    }
}

/// What was answered to a request that was granted.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its bytes.
    pub(crate) body: Bytes,
    /// `Content-Type`; empty where there is none.
    pub(crate) media_type: String,
    /// `Docker-Content-Digest`; empty where there is none.
    pub(crate) digest: String,
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(Failure::odd)
}

type Sent<S> = Result<awc::ClientResponse<S>, awc::error::SendRequestError>;

async fn answer<S>(path: &str, sent: Sent<S>, longest: usize) -> Result<Answer, Failure>
where
    S: futures_util::Stream<Item = Result<Bytes, awc::error::PayloadError>>,
{
    let mut response = sent.map_err(|error| {
        log::warn!("the registry does not answer {path}: {error}");
        Failure::Unreachable
    })?;
    let status = response.status();
    let header = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (media_type, digest) = (header("content-type"), header("docker-content-digest"));
    let retry_after = header(RETRY_AFTER.as_str()).parse().ok();
    let body = response.body().limit(longest).await;
    if !status.is_success() {
        return Err(refusal(status.as_u16(), retry_after, &body.unwrap_or_default()));
    }
    let body = body.map_err(|error| match error {
        awc::error::PayloadError::Overflow => Failure::TooLong { longest },
        error => {
            log::warn!("the registry's answer to {path} was cut: {error}");
            Failure::Unreachable
        }
    })?;
    Ok(Answer { body, media_type, digest })
}

/// What the distribution API says of a refusal (OCI distribution specification, "Error Codes").
#[derive(serde::Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(serde::Deserialize)]
struct OneError {
    code: String,
    #[serde(default)]
    message: String,
}

fn refusal(status: u16, retry_after: Option<u64>, body: &[u8]) -> Failure {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        let code = problem.code.into_owned();
        return Failure::Refused { status, code, message: problem.error, retry_after };
    }
    let first =
        serde_json::from_slice::<Errors>(body).ok().and_then(|errors| errors.errors.into_iter().next());
    let (code, message) = first.map(|error| (error.code, error.message)).unwrap_or_default();
    Failure::Refused { status, code, message, retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_in_either_form() {
        let of = |body: &str| match refusal(403, None, body.as_bytes()) {
            Failure::Refused { code, message, .. } => (code, message),
            other => panic!("{other:?}"),
        };
        let said = |code: &str, message: &str| (code.to_owned(), message.to_owned());
        assert_eq!(of(r#"{"error":"not here","code":"DENIED"}"#), said("DENIED", "not here"));
        assert_eq!(of(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#), said("DENIED", "no"));
        assert_eq!(of("<html>"), said("", ""));
    }

    #[test]
    fn what_is_empty_is_not_asked_for() {
        assert_eq!(with_query("/v1/x", &[("q", ""), ("sort", "name")]), "/v1/x?sort=name");
        assert_eq!(with_query("/v1/x", &[("q", "a&b=c#d/e é")]), "/v1/x?q=a%26b%3Dc%23d%2Fe%20%C3%A9");
    }
}

//! The actor that speaks HTTP with MCIAS. It knows nothing of what is said.
//!
//! The HTTP client cannot leave its thread, so the actor has one of its own, and is asked from all others.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use actix_rt::ArbiterHandle;
use actix_web::error::ParseError;
use actix_web::http::header::{self, HeaderValue};
use awc::error::{ConnectError, PayloadError, SendRequestError};
use awc::{Connector, SendClientRequest};
use bytes::Bytes;
use mcr_actors::ask::Handle;
use mcr_actors::auth_cache::{ProviderError, Secret};
use rustls::ClientConfig;

use super::answers::failed;

/// Questions that may wait at once.
const LIMIT: usize = 1024;
/// The largest answer in bytes.
const LARGEST: usize = 64 * 1024;
/// How long a connection is kept without a question.
const KEEP: Duration = Duration::from_secs(15);
/// How much longer than a question's own time its asker waits, for the way between threads.
const WAY: Duration = Duration::from_secs(2);

/// A question: a POST with JSON.
#[derive(Message)]
#[rtype(result = "Result<Answer, ProviderError>")]
pub(super) struct Question {
    /// The path below MCIAS's URL.
    pub(super) path: &'static str,
    /// JSON; it holds secrets.
    pub(super) body: Vec<u8>,
    /// The token of who asks, where one is wanted.
    pub(super) bearer: Option<Secret>,
}

/// What was answered, whatever it was.
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// The body, of 64 KiB at most.
    pub(super) body: Bytes,
}

/// Owns the connections.
pub(super) struct Client {
    http: Http,
    server_url: String,
    timeout: Duration,
}

#[derive(Clone)]
struct Http {
    /// Keeps connections and uses them again.
    kept: awc::Client,
    /// Makes a connection for each question.
    fresh: awc::Client,
}

impl Http {
    fn new(tls: ClientConfig, timeout: Duration) -> Self {
        let tls = Arc::new(tls);
        let client = |keep: Duration| {
            let connector = Connector::new().rustls_0_23(Arc::clone(&tls)).conn_keep_alive(keep);
            let connector = connector.timeout(timeout).handshake_timeout(timeout);
            // A redirect would carry passwords to where nobody said that they may go.
            awc::Client::builder().connector(connector).timeout(timeout).disable_redirects().finish()
        };
        Self { kept: client(KEEP), fresh: client(Duration::ZERO) }
    }
}

impl Client {
    /// Starts on `thread`.
    pub(super) fn start(
        server_url: String,
        timeout: Duration,
        tls: ClientConfig,
        thread: &ArbiterHandle,
    ) -> Handle<Self> {
        let addr = Self::start_in_arbiter(thread, move |_| {
            let http = Http::new(tls, timeout);
            Self { http, server_url, timeout }
        });
        Handle::new("mcias client", addr, LIMIT, timeout.saturating_add(WAY))
    }

    fn send(http: &awc::Client, url: &str, question: &Question) -> Result<SendClientRequest, ProviderError> {
        let mut request = http.post(url).insert_header((header::CONTENT_TYPE, "application/json"));
        if let Some(bearer) = &question.bearer {
            let value = HeaderValue::try_from(format!("Bearer {}", bearer.expose()));
            let mut value = value.map_err(|_| failed("the token does not fit into a header"))?;
            // It is not printed, whatever is logged.
            value.set_sensitive(true);
            request = request.insert_header((header::AUTHORIZATION, value));
        }
        Ok(request.send_body(question.body.clone()))
    }
}

/// Whether the connection was gone before there was any answer, as one is that was kept while the server restarted.
fn was_gone(error: &SendRequestError) -> bool {
    use SendRequestError as E;
    matches!(error, E::Connect(ConnectError::Disconnected) | E::Send(_) | E::Response(ParseError::Io(_)))
}

async fn exchange(http: Http, url: &str, question: Question) -> Result<Answer, ProviderError> {
    let unreachable = |error: SendRequestError| failed(format_args!("POST {url}: {error}"));
    let mut response = match Client::send(&http.kept, url, &question)?.await {
        // Others that were kept are gone as well. Every question may be asked twice, a login too: nobody has seen its
        // token.
        Err(error) if was_gone(&error) => {
            Client::send(&http.fresh, url, &question)?.await.map_err(unreachable)?
        }
        sent => sent.map_err(unreachable)?,
    };
    let body = response.body().limit(LARGEST).await.map_err(|error| match error {
        PayloadError::Overflow => failed(format_args!("POST {url}: the answer exceeds {LARGEST} bytes")),
        error => failed(format_args!("POST {url}: the answer breaks off: {error}")),
    })?;
    Ok(Answer { status: response.status().as_u16(), body })
}

impl Actor for Client {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
    }
}

impl Handler<Question> for Client {
    type Result = ResponseFuture<Result<Answer, ProviderError>>;

    fn handle(&mut self, question: Question, _: &mut Self::Context) -> Self::Result {
        let (http, timeout) = (self.http.clone(), self.timeout);
        let url = format!("{}{}", self.server_url, question.path);
        Box::pin(async move {
            // From the wait for a connection to the answer's last byte.
            let answer = tokio::time::timeout(timeout, exchange(http, &url, question)).await;
            answer.unwrap_or_else(|_| {
                let timeout = humantime::format_duration(timeout);
                Err(failed(format_args!("POST {url}: no answer within {timeout}")))
            })
        })
    }
}

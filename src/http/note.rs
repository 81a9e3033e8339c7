//! What is noted of a request: its line in the log, and its counters. Those on its way leave what they found in its extensions.

use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::Method;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use super::metrics::Answered;
use super::state::State;

/// What is noted of a request beside its head and its answer.
pub(super) struct Noted<'a> {
    /// Under which id.
    pub(super) request_id: &'a str,
    /// When it came.
    pub(super) started: Instant,
    /// The bytes of its body that came.
    pub(super) received: u64,
}

/// The routes of health checks and scrapes.
const WATCHERS: &[&str] = &["/v1/health", "/v1/ready", "/metrics"];

/// How much of a path is logged, in characters.
const LOGGED: usize = 512;

/// A path as far as it is logged, and a mark where that is not all of it.
fn logged(path: &str) -> (&str, &'static str) {
    path.char_indices().nth(LOGGED).map_or((path, ""), |(end, _)| (&path[..end], "…"))
}

/// One line in the log for each request, without query and headers, so without secrets; and its counters.
pub(super) fn note(request: &HttpRequest, response: &HttpResponse, noted: Noted<'_>, state: &State) {
    let Noted { request_id, started, received } = noted;
    let extensions = request.extensions();
    let about = extensions.get::<About>();
    let (action, repository) =
        about.map_or(("-", "-"), |about| (about.action, about.repository.as_deref().unwrap_or("-")));
    let principal = extensions.get::<Named>().map_or("-", |named| named.0.as_str());
    let route = extensions.get::<RouteName>().map_or("none", |route| route.0);
    let sent = match response.body().size() {
        BodySize::Sized(bytes) if request.method() != Method::HEAD => bytes,
        BodySize::Sized(_) | BodySize::None | BodySize::Stream => 0,
    };
    let (status, took) = (response.status().as_u16(), started.elapsed());
    state.metrics.count(&Answered { route, method: request.method().as_str(), status, took, sent, received });
    let (path, cut) = logged(request.uri().path());
    // Those who look whether it lives ask all the time.
    let level = if WATCHERS.contains(&route) { log::Level::Debug } else { log::Level::Info };
    log::log!(
        level, request_id = request_id, principal = principal, action = action, repository = repository, status = status,
        received = received, bytes = sent,
        us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        "{} {}{cut}", request.method(), path.escape_default()
    );
}

/// The template of the route that a request took, for its counters.
#[derive(Debug)]
pub(super) struct RouteName(pub(super) &'static str);

/// Who a request turned out to come from, for its line in the log.
#[derive(Debug)]
pub(super) struct Named(pub(super) String);

/// What a request asks to do, and where, for its line in the log.
#[derive(Debug)]
pub(super) struct About {
    pub(super) action: &'static str,
    pub(super) repository: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_logged_up_to_a_length() {
        let whole = "ä".repeat(LOGGED);
        assert_eq!((logged("/v2/"), logged(&whole)), (("/v2/", ""), (whole.as_str(), "")));
        assert_eq!(logged(&format!("{whole}/more")), (whole.as_str(), "…"));
    }
}

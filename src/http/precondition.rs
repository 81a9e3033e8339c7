//! What a request asks of what is there now (RFC 9110 §13.1), and how an answer names that.

use actix_web::HttpRequest;
use actix_web::http::header;
use mcr_actors::domain::{Digest, Precondition};

/// `If-Match` and `If-None-Match`, each on one line or on several.
pub fn precondition(request: &HttpRequest) -> Precondition {
    let all = |name: header::HeaderName| {
        let lines: Vec<&str> =
            request.headers().get_all(name).map(|line| line.to_str().unwrap_or_default()).collect();
        (!lines.is_empty()).then(|| lines.join(","))
    };
    Precondition::read(all(header::IF_MATCH).as_deref(), all(header::IF_NONE_MATCH).as_deref())
}

/// The strong entity tag of what has this digest, as a header's value.
pub fn entity_tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

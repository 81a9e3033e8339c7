//! What a use case refuses, in the words of HTTP: the one place that gives it a status.

use actix_web::http::StatusCode;
use actix_web::http::header;

use super::{ApiError, Code};
use crate::admin::refusal::{Kind, Reason, Refusal};
use crate::http::precondition::entity_tag;

/// The status of a kind of refusal, and the code that it has under `/v2`.
fn status(kind: Kind) -> (StatusCode, Code) {
    match kind {
        Kind::Invalid => (StatusCode::BAD_REQUEST, Code::Unsupported),
        Kind::NoCredentials | Kind::BadCredentials => (StatusCode::UNAUTHORIZED, Code::Unauthorized),
        Kind::Denied | Kind::Lost => (StatusCode::FORBIDDEN, Code::Denied),
        Kind::NotFound => (StatusCode::NOT_FOUND, Code::Unsupported),
        Kind::Exists | Kind::Conflict => (StatusCode::CONFLICT, Code::Unsupported),
        Kind::Stale => (StatusCode::PRECONDITION_FAILED, Code::PreconditionFailed),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid),
        Kind::TooMany => (StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        Kind::NoRoom => (StatusCode::INSUFFICIENT_STORAGE, Code::Unavailable),
        Kind::Ours => (StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown),
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = status(refusal.kind());
        let mut error = Self::new(status, code, refusal.message);
        (error.reason, error.field) = (Some(refusal.reason), refusal.field);
        error.deletions = refusal.deletions;
        if let Some(wait) = refusal.retry_after {
            error = error.header(header::RETRY_AFTER, wait.as_secs().to_string());
        }
        // RFC 9110 §15.5.13: the entity tag says what is there.
        match refusal.found {
            Some(found) => error.header(header::ETAG, entity_tag(&found)),
            None => error,
        }
    }
}

impl ApiError {
    /// Why, in the words of `/v1`. What is refused on the way to a use case, its status says.
    pub(super) fn reason(&self) -> Reason {
        self.reason.unwrap_or(match self.status {
            StatusCode::UNAUTHORIZED => Reason::BadCredentials,
            StatusCode::FORBIDDEN => Reason::Denied,
            StatusCode::NOT_FOUND => Reason::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Reason::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Reason::TimedOut,
            StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Reason::TooLarge,
            StatusCode::TOO_MANY_REQUESTS => Reason::TooManyRequests,
            StatusCode::SERVICE_UNAVAILABLE => Reason::Unavailable,
            StatusCode::INSUFFICIENT_STORAGE => Reason::NoSpace,
            status if status.is_server_error() => Reason::Internal,
            _ => Reason::Invalid,
        })
    }

    /// Gives it a word of its own under `/v1`.
    #[must_use]
    pub(in crate::http) fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }
}

//! Every refusal as a client sees it: status, code, sentence, detail. The only file that knows them.
//!
//! Domain and actors have errors of their own, without codes or statuses; each is translated here, without a wildcard,
//! so that a new one does not compile until somebody decides what a client sees. Causes that are ours go to the log
//! only. <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use mcr_actors::ask::AskError;
use mcr_actors::auth_cache::AuthError;
use mcr_actors::auth_cache::password::PasswordError;
use mcr_actors::blob_store::BlobError;
use mcr_actors::db::DbError;
use mcr_actors::db::failure::Trouble;
use mcr_actors::db::queries::manifests::PublishError;
use mcr_actors::db::queries::policy_rules::RuleChangeError;
use mcr_actors::db::queries::users::UserError;
use mcr_actors::domain::{Digest, DigestError, ManifestError, NameError, ReferenceError};
use mcr_actors::gc::GcError;
use mcr_actors::policy::PolicyError;
use mcr_actors::readiness::Untold;
use mcr_actors::snapshot::SnapshotError;
use mcr_actors::upload::{Refusal, UploadError};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::path::PathError;
use super::precondition::entity_tag;

/// The specification's codes, one of CNCF Distribution's for paging, one for preconditions, which the specification does
/// not know, and two for what is our fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// BLOB_UNKNOWN
    BlobUnknown,
    /// BLOB_UPLOAD_INVALID
    BlobUploadInvalid,
    /// BLOB_UPLOAD_UNKNOWN
    BlobUploadUnknown,
    /// DIGEST_INVALID
    DigestInvalid,
    /// MANIFEST_BLOB_UNKNOWN
    ManifestBlobUnknown,
    /// MANIFEST_INVALID
    ManifestInvalid,
    /// MANIFEST_UNKNOWN
    ManifestUnknown,
    /// NAME_INVALID
    NameInvalid,
    /// NAME_UNKNOWN
    NameUnknown,
    /// SIZE_INVALID
    SizeInvalid,
    /// UNAUTHORIZED
    Unauthorized,
    /// DENIED
    Denied,
    /// UNSUPPORTED
    Unsupported,
    /// TOOMANYREQUESTS
    TooManyRequests,
    /// PAGINATION_NUMBER_INVALID
    PaginationNumberInvalid,
    /// PRECONDITION_FAILED
    PreconditionFailed,
    /// UNAVAILABLE: try again later.
    Unavailable,
    /// UNKNOWN: the cause is in the log.
    Unknown,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A refusal, ready to be sent.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: Code,
    message: String,
    detail: Value,
    headers: Vec<(HeaderName, String)>,
}

impl ApiError {
    /// A refusal with an empty detail: never null, since docker repeats a push for 50 s when it is.
    pub fn new(status: StatusCode, code: Code, message: impl ToString) -> Self {
        Self { status, code, message: message.to_string(), detail: json!({}), headers: Vec::new() }
    }

    /// Names the digest, tag or rule it is about, in one or two keys, since crane and oras print them.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// Adds a header; one whose value cannot be sent is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer.
    pub fn into_response(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for (name, value) in self.headers {
            response.insert_header((name, value));
        }
        let error = json!({"code": self.code.as_str(), "message": self.message, "detail": self.detail});
        response.json(json!({"errors": [error]}))
    }

    /// The answer under `/v1`.
    pub fn into_admin_response(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for (name, value) in self.headers {
            response.insert_header((name, value));
        }
        response.json(json!({"error": self.message}))
    }

    /// A refusal under `/v1`, which has no codes.
    pub fn admin(status: StatusCode, message: impl ToString) -> Self {
        Self::new(status, Code::Unknown, message)
    }

    /// What a change under `/v1` asks for is not there any more (RFC 9110 §15.5.13): the entity tag says what is.
    fn changed_meanwhile(error: &dyn std::fmt::Display, found: &Digest) -> Self {
        Self::admin(StatusCode::PRECONDITION_FAILED, error).header(header::ETAG, entity_tag(found))
    }

    /// A 401 says by which scheme to be let in (RFC 9110 §15.5.2); other errors are as they were.
    pub fn challenged(self, scheme: &str) -> Self {
        match self.status {
            StatusCode::UNAUTHORIZED => {
                self.header(header::WWW_AUTHENTICATE, format!("{scheme} realm=\"mcr\""))
            }
            _ => self,
        }
    }

    /// Nothing says who asks.
    pub fn nothing_sent() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, "log in to use this registry")
    }

    /// Something of ours failed; the cause is for the log, not for the client.
    fn internal(cause: &dyn std::fmt::Display) -> Self {
        log::error!("a request failed: {cause}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unknown,
            "the registry failed; its log has the cause",
        )
    }

    /// Something that is needed does not answer now.
    pub(super) fn unavailable(cause: &dyn std::fmt::Display) -> Self {
        log::warn!("a request could not be served: {cause}");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Unavailable,
            "the registry is busy or stopping; try again",
        )
        .header(header::RETRY_AFTER, "5")
    }

    /// A file could not be used. Too many that are open is nothing broken, and passes.
    fn file(error: &std::io::Error) -> Self {
        match (error.kind(), Errno::from_io_error(error)) {
            (std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded, _) => Self::no_space(),
            (_, Some(Errno::MFILE | Errno::NFILE)) => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }

    fn no_space() -> Self {
        let message = "the registry's disk is full; free some space or delete images and try again";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::Unavailable, message)
    }

    /// Nothing is served under this path or with this method.
    pub fn method_not_allowed(allowed: &str) -> Self {
        let message = format!("this path takes {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message).header(header::ALLOW, allowed)
    }
}

impl<E> From<AskError<E>> for ApiError
where
    Self: From<E>,
{
    fn from(error: AskError<E>) -> Self {
        match error {
            AskError::Refused(refusal) => refusal.into(),
            AskError::Overloaded(name) => {
                log::warn!("{name} has too many requests in flight");
                Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    Code::TooManyRequests,
                    "the registry is busy; try again",
                )
                .header(header::RETRY_AFTER, "1")
            }
            AskError::Deadline(name) => Self::unavailable(&format_args!("{name} did not answer in time")),
            AskError::Down(name) => Self::unavailable(&format_args!("{name} is down")),
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Full => Self::no_space(),
            DbError::Unknown(cause) | DbError::Busy(cause) => Self::unavailable(&cause),
            error @ (DbError::Failed(_) | DbError::Corrupt { .. }) => Self::internal(&error),
        }
    }
}

impl From<Trouble> for ApiError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Full => Self::no_space(),
            Trouble::Busy => Self::unavailable(&"its accounts cannot be asked now"),
            Trouble::Failed => Self::internal(&"its accounts cannot be asked"),
        }
    }
}

impl From<Untold> for ApiError {
    fn from(error: Untold) -> Self {
        Self::unavailable(&error)
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        match error {
            // The row is there and the file is not good: it was reported where it was found.
            BlobError::Missing(digest) | BlobError::Length { digest, .. } => {
                let message = "the registry's copy of this blob is damaged; pushing it again heals it";
                Self::new(StatusCode::NOT_FOUND, Code::BlobUnknown, message)
                    .detail(json!({"digest": digest.to_string()}))
            }
            BlobError::Io(error) => Self::file(&error),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        use StatusCode as S;
        match error {
            UploadError::Refused(refusal) => refusal.into(),
            UploadError::Unknown => Self::new(S::NOT_FOUND, Code::BlobUploadUnknown, error),
            UploadError::Lost => Self::new(S::FORBIDDEN, Code::Denied, error),
            UploadError::Busy | UploadError::TakenOver => {
                Self::new(S::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, error)
            }
            UploadError::TooMany => {
                let message = "too many uploads are open; finish or cancel some, or try again later";
                Self::new(S::TOO_MANY_REQUESTS, Code::TooManyRequests, message)
                    .header(header::RETRY_AFTER, "10")
            }
            UploadError::NoSpace => Self::no_space(),
            UploadError::Io(error) => Self::file(&error),
            UploadError::Db(error) => error.into(),
            UploadError::Blob(error) => error.into(),
            error @ UploadError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        use StatusCode as S;
        match refusal {
            Refusal::OutOfOrder { expected, .. } => {
                Self::new(S::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, refusal)
                    .detail(json!({"offset": expected}))
            }
            Refusal::TooLarge { limit } => Self::new(S::PAYLOAD_TOO_LARGE, Code::SizeInvalid, refusal)
                .detail(json!({"max_bytes": limit})),
            Refusal::WrongDigest { claimed, computed } => {
                Self::new(S::BAD_REQUEST, Code::DigestInvalid, refusal)
                    .detail(json!({"claimed": claimed.to_string(), "computed": computed.to_string()}))
            }
        }
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        let status = match error {
            UserError::Unknown(_) => StatusCode::NOT_FOUND,
            UserError::Taken(_)
            | UserError::LastAdministrator
            | UserError::TooManyTokens { .. }
            | UserError::Role { .. } => StatusCode::CONFLICT,
            UserError::Precondition(found) => return Self::changed_meanwhile(&error, &found),
            UserError::Db(error) => return error.into(),
        };
        Self::admin(status, error)
    }
}

impl From<RuleChangeError> for ApiError {
    fn from(error: RuleChangeError) -> Self {
        match error {
            RuleChangeError::Precondition(found) => Self::changed_meanwhile(&error, &found),
            RuleChangeError::Db(error) => error.into(),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Missing(ref digests) => {
                let missing: Vec<String> = digests.iter().map(ToString::to_string).collect();
                Self::new(StatusCode::BAD_REQUEST, Code::ManifestBlobUnknown, &error)
                    .detail(json!({"missing": missing}))
            }
            PublishError::Precondition { ref reference, ref found } => {
                let detail = json!({"reference": reference.to_string(), "digest": found.map(|found| found.to_string())});
                Self::new(StatusCode::PRECONDITION_FAILED, Code::PreconditionFailed, &error).detail(detail)
            }
            PublishError::Db(error) => error.into(),
        }
    }
}

impl From<ManifestError> for ApiError {
    fn from(error: ManifestError) -> Self {
        let code = match error {
            ManifestError::Malformed(_) | ManifestError::MediaTypeMismatch { .. } => Code::ManifestInvalid,
            ManifestError::Schema1 => Code::Unsupported,
        };
        Self::new(StatusCode::BAD_REQUEST, code, error)
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::NameInvalid, error)
    }
}

impl From<DigestError> for ApiError {
    fn from(error: DigestError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, error)
    }
}

impl From<ReferenceError> for ApiError {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Digest(error) => error.into(),
            ReferenceError::Tag => Self::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, error),
        }
    }
}

impl From<PathError> for ApiError {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Nothing | PathError::Slashes(_) => {
                Self::new(StatusCode::NOT_FOUND, Code::Unsupported, error)
            }
            PathError::Name(error) => error.into(),
            PathError::Reference(error) => error.into(),
            PathError::Digest(error) => error.into(),
            PathError::Upload => Self::new(StatusCode::NOT_FOUND, Code::BlobUploadUnknown, error),
        }
    }
}

impl From<GcError> for ApiError {
    fn from(error: GcError) -> Self {
        match error {
            GcError::Running(_) | GcError::Held | GcError::Idle => Self::admin(StatusCode::CONFLICT, error),
            GcError::Lost => Self::admin(StatusCode::FORBIDDEN, error),
            GcError::Db(error) => error.into(),
            GcError::Upload(error) => error.into(),
            GcError::Blob(error) => error.into(),
            GcError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

impl From<SnapshotError> for ApiError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Running(_) => Self::admin(StatusCode::CONFLICT, error),
            SnapshotError::Lost => Self::admin(StatusCode::FORBIDDEN, error),
            SnapshotError::Gc(error) => error.into(),
            SnapshotError::Db(error) => error.into(),
            SnapshotError::Thread(_) | SnapshotError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

impl From<PolicyError> for ApiError {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Db(error) => error.into(),
            PolicyError::BadRule { .. } | PolicyError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Invalid | AuthError::StillInvalid => Self::new(
                StatusCode::UNAUTHORIZED,
                Code::Unauthorized,
                "the user name, password or token is not valid",
            ),
            AuthError::Lapsed { .. } => {
                Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, "the token has lapsed; log in again")
            }
            AuthError::TooMany { retry_after } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                Code::TooManyRequests,
                "too many failed logins; wait and try again",
            )
            .header(header::RETRY_AFTER, (retry_after.as_secs() + 1).to_string()),
            AuthError::Own(trouble) => trouble.into(),
            AuthError::Unavailable { retry_after } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                "the identity service cannot be reached; try again",
            )
            .header(header::RETRY_AFTER, retry_after.as_secs().max(1).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn too_many_open_files_are_a_reason_to_try_again() {
        let statuses = |errno: Errno| {
            let error = || io::Error::from(errno);
            let refusals =
                [ApiError::from(BlobError::Io(error())), ApiError::from(UploadError::from(error()))];
            refusals.map(|refusal| refusal.status().as_u16())
        };
        assert_eq!((statuses(Errno::MFILE), statuses(Errno::NFILE)), ([503; 2], [503; 2]));
        assert_eq!((statuses(Errno::NOSPC), statuses(Errno::IO)), ([507; 2], [500; 2]));
    }
}

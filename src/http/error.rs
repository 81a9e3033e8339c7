//! Every refusal as a client sees it: status, code, sentence, detail. The only file that knows them.
//!
//! Domain and actors have errors of their own, without codes or statuses. What an administrator is refused, and what any client
//! is told of failures, is a [`Refusal`], which `error/refused.rs` says in the words of HTTP; what only `/v2` refuses is translated
//! here, without a wildcard, so that a new error does not compile until somebody decides what a client sees.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>

mod refused;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use mcr_actors::ask::AskError;
use mcr_actors::auth_cache::AuthError;
use mcr_actors::blob_store::BlobError;
use mcr_actors::db::DbError;
use mcr_actors::db::queries::manifests::PublishError;
use mcr_actors::domain::{DigestError, ManifestError, NameError, ReferenceError};
use mcr_actors::policy::PolicyError;
use mcr_actors::upload::{self, UploadError};
use serde_json::{Value, json};

use super::path::PathError;
use crate::admin::refusal::{Kind, Reason, Refusal};
use crate::model::{DeletionsModel, Problem};

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
    /// Why, in the words of `/v1`, where the status alone does not say it.
    reason: Option<Reason>,
    /// Which field or parameter is at fault.
    field: Option<&'static str>,
    /// What of a deletion cannot be done.
    deletions: Option<Box<DeletionsModel>>,
}

impl ApiError {
    /// A refusal with an empty detail: never null, since docker repeats a push for 50 s when it is.
    pub fn new(status: StatusCode, code: Code, message: impl ToString) -> Self {
        let (message, detail, headers) = (message.to_string(), json!({}), Vec::new());
        Self { status, code, message, detail, headers, reason: None, field: None, deletions: None }
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
        let code = self.reason().as_str();
        let mut response = HttpResponse::build(self.status);
        for (name, value) in self.headers {
            response.insert_header((name, value));
        }
        response.json(Problem {
            error: self.message,
            code: code.into(),
            field: self.field.map(Into::into),
            deletions: self.deletions,
        })
    }

    /// What kind of refusal it is.
    pub(super) fn kind(&self) -> Kind {
        self.reason().kind()
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
            AskError::Overloaded(name) => Refusal::overloaded(name).into(),
            AskError::Deadline(name) => Refusal::late(name).into(),
            AskError::Down(name) => Refusal::down(name).into(),
        }
    }
}

/// What both APIs refuse alike.
macro_rules! alike {
    ($($error:ty),*) => {
        $(impl From<$error> for ApiError {
            fn from(error: $error) -> Self {
                Refusal::from(error).into()
            }
        })*
    };
}

alike!(DbError, PolicyError, AuthError);

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        match error {
            // The row is there and the file is not good: it was reported where it was found.
            BlobError::Missing(digest) | BlobError::Length { digest, .. } => {
                let message = "the registry's copy of this blob is damaged; pushing it again heals it";
                Self::new(StatusCode::NOT_FOUND, Code::BlobUnknown, message)
                    .detail(json!({"digest": digest.to_string()}))
            }
            BlobError::Io(error) => Refusal::file(&error).into(),
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
            UploadError::NoSpace => Refusal::no_space().into(),
            UploadError::Io(error) => Refusal::file(&error).into(),
            UploadError::Db(error) => error.into(),
            UploadError::Blob(error) => error.into(),
            error @ UploadError::Unavailable(_) => Refusal::unavailable(&error).into(),
        }
    }
}

impl From<upload::Refusal> for ApiError {
    fn from(refusal: upload::Refusal) -> Self {
        use StatusCode as S;
        match refusal {
            upload::Refusal::OutOfOrder { expected, .. } => {
                Self::new(S::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, refusal)
                    .detail(json!({"offset": expected}))
            }
            upload::Refusal::TooLarge { limit } => {
                Self::new(S::PAYLOAD_TOO_LARGE, Code::SizeInvalid, refusal)
                    .detail(json!({"max_bytes": limit}))
            }
            upload::Refusal::WrongDigest { claimed, computed } => {
                Self::new(S::BAD_REQUEST, Code::DigestInvalid, refusal)
                    .detail(json!({"claimed": claimed.to_string(), "computed": computed.to_string()}))
            }
        }
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

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

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

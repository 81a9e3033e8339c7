//! What actors refuse, as a client is told.

use std::time::Duration;

use mcr_actors::ask::AskError;
use mcr_actors::auth_cache::AuthError;
use mcr_actors::auth_cache::password::PasswordError;
use mcr_actors::blob_store::BlobError;
use mcr_actors::db::DbError;
use mcr_actors::db::failure::Trouble;
use mcr_actors::db::queries::policy_rules::RuleChangeError;
use mcr_actors::db::queries::users::UserError;
use mcr_actors::gc::GcError;
use mcr_actors::policy::PolicyError;
use mcr_actors::readiness::Untold;
use mcr_actors::snapshot::SnapshotError;
use mcr_actors::upload::UploadError;

use super::{Reason, Refusal};

impl<E> From<AskError<E>> for Refusal
where
    Self: From<E>,
{
    fn from(error: AskError<E>) -> Self {
        match error {
            AskError::Refused(refusal) => refusal.into(),
            AskError::Overloaded(name) => Self::overloaded(name),
            AskError::Deadline(name) => Self::late(name),
            AskError::Down(name) => Self::down(name),
        }
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Full => Self::no_space(),
            DbError::Unknown(cause) | DbError::Busy(cause) => Self::unavailable(&cause),
            error @ (DbError::Failed(_) | DbError::Corrupt { .. }) => Self::internal(&error),
        }
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Full => Self::no_space(),
            Trouble::Busy => Self::unavailable(&"its accounts cannot be asked now"),
            Trouble::Failed => Self::internal(&"its accounts cannot be asked"),
        }
    }
}

impl From<Untold> for Refusal {
    fn from(error: Untold) -> Self {
        Self::unavailable(&error)
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Invalid | AuthError::StillInvalid => {
                Self::new(Reason::BadCredentials, "the user name, password or token is not valid")
            }
            AuthError::Lapsed { .. } => Self::new(Reason::TokenLapsed, "the token has lapsed; log in again"),
            AuthError::TooMany { retry_after } => {
                Self::new(Reason::TooManyLogins, "too many failed logins; wait and try again")
                    .again_in(Duration::from_secs(retry_after.as_secs() + 1))
            }
            AuthError::Own(trouble) => trouble.into(),
            AuthError::Unavailable { retry_after } => {
                let message = "the identity service cannot be reached; try again";
                Self::new(Reason::IdentityUnavailable, message)
                    .again_in(Duration::from_secs(retry_after.as_secs().max(1)))
            }
        }
    }
}

impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Db(error) => error.into(),
            PolicyError::BadRule { .. } | PolicyError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

impl From<RuleChangeError> for Refusal {
    fn from(error: RuleChangeError) -> Self {
        match error {
            RuleChangeError::Precondition(found) => Self::stale(&error, found),
            RuleChangeError::Db(error) => error.into(),
        }
    }
}

impl From<UserError> for Refusal {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Unknown(_) => Self::new(Reason::NotFound, error),
            UserError::Taken(_) => Self::new(Reason::NameTaken, error).at("name"),
            UserError::LastAdministrator => Self::new(Reason::LastAdministrator, error),
            UserError::TooManyTokens { .. } => Self::new(Reason::TooManyTokens, error).at("user"),
            UserError::Role { .. } => Self::new(Reason::RoleNotHeld, error).at("roles"),
            UserError::Revoked => Self::new(Reason::TokenRevoked, error),
            UserError::NoLogin => Self::new(Reason::NoLogin, error),
            UserError::LoginTooOld => Self::new(Reason::LoginTooOld, error),
            UserError::Precondition(found) => Self::stale(&error, found),
            UserError::Db(error) => error.into(),
        }
    }
}

impl From<PasswordError> for Refusal {
    fn from(error: PasswordError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match error {
            // The row is there and the file is not good: it was reported where it was found.
            BlobError::Missing(_) | BlobError::Length { .. } => {
                let message = "the registry's copy of this blob is damaged; pushing it again heals it";
                Self::new(Reason::NotFound, message)
            }
            BlobError::Io(error) => Self::file(&error),
        }
    }
}

impl From<UploadError> for Refusal {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Refused(_) => Self::new(Reason::Invalid, error),
            UploadError::Unknown => Self::new(Reason::NotFound, error),
            UploadError::Lost => Self::lost(),
            UploadError::Busy | UploadError::TakenOver => Self::new(Reason::UploadBusy, error),
            UploadError::TooMany => {
                let message = "too many uploads are open; finish or cancel some, or try again later";
                Self::new(Reason::TooManyRequests, message).again_in(Duration::from_secs(10))
            }
            UploadError::NoSpace => Self::no_space(),
            UploadError::Io(error) => Self::file(&error),
            UploadError::Db(error) => error.into(),
            UploadError::Blob(error) => error.into(),
            UploadError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

impl From<GcError> for Refusal {
    fn from(error: GcError) -> Self {
        match error {
            GcError::Running(_) => Self::new(Reason::SweepRuns, error),
            GcError::Held => Self::new(Reason::SnapshotRuns, error),
            GcError::Idle => Self::new(Reason::NoSweepRuns, error),
            GcError::Lost => Self::lost(),
            GcError::Db(error) => error.into(),
            GcError::Upload(error) => error.into(),
            GcError::Blob(error) => error.into(),
            GcError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

impl From<SnapshotError> for Refusal {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Running(_) => Self::new(Reason::SnapshotRuns, error),
            SnapshotError::Lost => Self::lost(),
            SnapshotError::Gc(error) => error.into(),
            SnapshotError::Db(error) => error.into(),
            SnapshotError::Thread(_) | SnapshotError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

//! What the audit log records.

use serde_json::{Value, json};

use super::{Digest, RepositoryName, Tag};

/// Who caused an event, and how it came in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The principal's lasting id.
    pub actor_id: String,
    /// The principal's name.
    pub actor_name: String,
    /// The client's address; empty when there is none.
    pub address: String,
    /// The request's id; empty when it came by no request.
    pub request_id: String,
}

macro_rules! event_names {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The kinds of events.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventName {
            $($(#[$doc])* $variant,)*
        }

        impl EventName {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in the log.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

event_names! {
    /// Somebody got a token.
    LoginOk = "login_ok",
    /// Somebody gave a wrong name or password.
    LoginFailed = "login_failed",
    /// Somebody gave a token back.
    Logout = "logout",
    /// A manifest was published.
    ManifestPushed = "manifest_pushed",
    /// A manifest was deleted.
    ManifestDeleted = "manifest_deleted",
    /// A manifest was pulled, where that is recorded.
    ManifestPulled = "manifest_pulled",
    /// A tag points at another manifest than before.
    TagMoved = "tag_moved",
    /// A tag was deleted.
    TagDeleted = "tag_deleted",
    /// A blob was uploaded.
    BlobUploaded = "blob_uploaded",
    /// A blob of another repository was made visible.
    BlobMounted = "blob_mounted",
    /// A blob was deleted from a repository.
    BlobDeleted = "blob_deleted",
    /// A blob was pulled, where that is recorded.
    BlobPulled = "blob_pulled",
    /// The first push to a repository.
    RepositoryCreated = "repository_created",
    /// A repository was deleted with all in it.
    RepositoryDeleted = "repository_deleted",
    /// An upload was cancelled by an administrator.
    UploadCancelled = "upload_cancelled",
    /// Policy refused something.
    AccessDenied = "access_denied",
    /// A rule was made.
    PolicyCreated = "policy_created",
    /// A rule was changed.
    PolicyUpdated = "policy_updated",
    /// A rule was deleted.
    PolicyDeleted = "policy_deleted",
    /// An account was made.
    UserCreated = "user_created",
    /// An account was changed.
    UserUpdated = "user_updated",
    /// An account was deleted.
    UserDeleted = "user_deleted",
    /// A robot token was made.
    TokenCreated = "token_created",
    /// A robot token got another secret and another end.
    TokenRenewed = "token_renewed",
    /// A robot token was revoked.
    TokenRevoked = "token_revoked",
    /// A sweep began.
    GcStarted = "gc_started",
    /// Somebody asked for the end of a sweep.
    GcStopped = "gc_stopped",
    /// A sweep ended.
    GcFinished = "gc_finished",
    /// A snapshot began.
    SnapshotStarted = "snapshot_started",
    /// A snapshot ended.
    SnapshotFinished = "snapshot_finished",
}

impl EventName {
    /// Whether anybody can cause it as often as they like, so that it is recorded once a minute, with a count.
    pub fn is_folded(self) -> bool {
        matches!(self, Self::LoginOk | Self::LoginFailed | Self::AccessDenied)
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub name: EventName,
    /// Where; empty when it was about no repository.
    pub repository: String,
    /// About which content.
    pub digest: String,
    /// About which tag.
    pub tag: String,
    /// More, a JSON object without secrets.
    pub details: Value,
}

impl Event {
    /// An event about nothing in particular.
    pub fn new(name: EventName) -> Self {
        Self {
            name,
            repository: String::new(),
            digest: String::new(),
            tag: String::new(),
            details: json!({}),
        }
    }

    /// In this repository.
    #[must_use]
    pub fn at(mut self, repository: &RepositoryName) -> Self {
        repository.as_str().clone_into(&mut self.repository);
        self
    }

    /// About this content.
    #[must_use]
    pub fn of(mut self, digest: &Digest) -> Self {
        self.digest = digest.to_string();
        self
    }

    /// About this tag.
    #[must_use]
    pub fn tagged(mut self, tag: &Tag) -> Self {
        tag.as_str().clone_into(&mut self.tag);
        self
    }

    /// With more to say.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

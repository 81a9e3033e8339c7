//! What goes over the wire of the admin API, for whoever serves it or asks it, and how it is shown. Times are RFC 3339 in UTC, sizes are
//! bytes.
//!
//! Nothing here knows how it is made or sent.

mod deletions;
pub mod escape;
mod gc;
mod identity;
mod images;
mod list;
mod policy;
mod rules;
mod snapshots;
mod system;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use self::deletions::{DeletionItemModel, DeletionsModel, NewDeletions};
pub use self::gc::{GcStatusModel, NewSweep, ShareModel, SweepItemModel, SweepModel, SweepStarted};
pub use self::identity::{
    AccountTypeModel, ChangedUserModel, LiveTokenModel, LoginAnswer, LoginRequest, Me, NewOwnToken, NewToken,
    NewTokenAnswer, NewUser, PasswordChange, PrincipalModel, TokenModel, TokenRenewal, UserChange, UserModel,
};
pub use self::images::{
    ChildModel, FactsModel, LayerModel, ManifestDetail, ManifestList, ManifestModel, NeighbourModel,
    PlatformModel, ReferrersModel, SetTagModel, TagList, TagModel,
};
pub use self::list::List;
pub use self::policy::{
    AccessModel, AccountAccess, ComparedAnswer, DecisionModel, KindAccess, PolicyComparison, PolicyDraft,
    PolicyTest, PolicyTestAnswer, RightsModel, TokensAccess,
};
pub use self::rules::{PolicyAnswer, PolicyQuestion, RuleDraft, RuleModel};
pub use self::snapshots::{NewSnapshot, SnapshotModel, SnapshotStarted};
pub use self::system::{DiskModel, GcSettingsModel, SwitchesModel, SystemDetails, SystemModel, TotalsModel};

/// A refusal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What is wrong, for people.
    pub error: String,
    /// Why, as a word for programs: in capitals, and always the same.
    pub code: Cow<'static, str>,
    /// Which field or parameter of the request is at fault, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<Cow<'static, str>>,
    /// What of a deletion cannot be done, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletions: Option<Box<DeletionsModel>>,
}

/// What a delete took.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// What it was: `repository` or `tag`.
    pub deleted: Cow<'static, str>,
    /// The repository, or the one that had the tag.
    pub repository: String,
    /// The tag, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// A page of the audit log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditList {
    /// How many there are in all, on a page that begins neither at `cursor` nor at `after`. Of no more than 10 000 it is told with
    /// filters other than `event_type` alone, and where several filters match much that the others do not, at least so many are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Those of this page.
    pub items: Vec<AuditModel>,
    /// Where the next page begins, unless this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Where it was asked for: after which entry to go on when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
}

/// That the process lives.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: Cow<'static, str>,
}

/// Whether the registry can serve.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// All checks together.
    pub ready: bool,
    /// Each check; only administrators are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<ReadyCheck>>,
}

/// One check.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ReadyCheck {
    /// What was looked at.
    pub name: Cow<'static, str>,
    /// Whether it is well.
    pub ok: bool,
    /// More about it.
    pub detail: String,
}

/// What an actor says of itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ActorModel {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Whether it runs.
    pub alive: bool,
    /// How many requests wait for it.
    pub in_flight: usize,
    /// How many it has answered since the start.
    pub messages: u64,
    /// How long an answer took on average, in microseconds.
    pub mean_us: u64,
    /// How many were turned away, since too many waited.
    pub refused: u64,
}

/// What all actors say of themselves.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Actors {
    /// Each actor.
    pub actors: Vec<ActorModel>,
}

/// A repository.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RepositoryModel {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: String,
    /// When something was last pushed to it.
    pub updated_at: String,
    /// How many tags it has.
    pub tags: u64,
    /// How many manifests.
    pub manifests: u64,
    /// How many blobs it shows.
    pub blobs: u64,
    /// Its manifests and all blobs it shows.
    pub logical_bytes: u64,
    /// Its manifests and the blobs that no other repository shows; only administrators are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive_bytes: Option<u64>,
    /// What the caller may do there.
    pub permissions: PermissionsModel,
}

/// What the caller may do to a repository.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PermissionsModel {
    /// Read it.
    pub pull: bool,
    /// Write to it.
    pub push: bool,
    /// Delete from it.
    pub delete: bool,
}

/// A page of the repositories that the caller may see.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RepositoryList {
    /// How many there are in all; only administrators are told, on a first page that leaves none out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Those of this page.
    pub items: Vec<RepositoryModel>,
    /// Where the next page begins, unless this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A repository with its tags.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RepositoryDetail {
    /// The repository.
    #[serde(flatten)]
    pub repository: RepositoryModel,
    /// Its tags by name, the first thousand; `last` pages on.
    pub tag_list: Vec<TagModel>,
}

/// An upload in progress.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UploadModel {
    /// Its id.
    pub id: String,
    /// Where the blob shall be.
    pub repository: String,
    /// How many bytes are acknowledged.
    pub bytes: u64,
    /// The name of who began it.
    pub owner: String,
    /// When it began.
    pub started_at: String,
    /// When something was last acknowledged.
    pub last_active_at: String,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditModel {
    /// Its number, rising.
    pub id: i64,
    /// When.
    pub time: String,
    /// What.
    pub event: String,
    /// Who, by id.
    pub actor_id: String,
    /// Who, by name.
    pub actor: String,
    /// Where.
    pub repository: String,
    /// About which content.
    pub digest: String,
    /// About which tag.
    pub tag: String,
    /// From which address.
    pub address: String,
    /// In which request.
    pub request_id: String,
    /// More.
    #[schema(value_type = Object)]
    pub details: Value,
    /// How often it happened, from the first time on and within its minute; logins, failures and denials are counted so.
    pub count: u64,
}

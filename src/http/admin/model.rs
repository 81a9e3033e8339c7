//! The JSON of the admin API. Times are RFC 3339 in UTC, sizes are bytes.

use mcr_actors::domain::{AccountType, Principal, Timestamp};
use mcr_actors::gc::Report;
use mcr_actors::gc::report::Share;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A refusal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What is wrong, for people.
    pub error: String,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// How many there are in all.
    pub total: u64,
    /// Those of this page.
    pub items: Vec<T>,
}

/// Who somebody is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PrincipalModel {
    /// The account's lasting id.
    #[serde(default)]
    pub subject: String,
    /// The name it logs in with.
    #[serde(default)]
    pub name: String,
    /// What kind of account it is.
    #[schema(value_type = AccountTypeModel)]
    pub account_type: AccountType,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<String>,
}

impl From<&Principal> for PrincipalModel {
    fn from(principal: &Principal) -> Self {
        Self {
            subject: principal.subject.clone(),
            name: principal.name.clone(),
            account_type: principal.account_type,
            roles: principal.roles.clone(),
        }
    }
}

impl From<PrincipalModel> for Principal {
    fn from(model: PrincipalModel) -> Self {
        let PrincipalModel { subject, name, account_type, roles } = model;
        Self { subject, name, account_type, roles }
    }
}

/// What kind of account.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum AccountTypeModel {
    /// A person.
    Human,
    /// A robot or service.
    System,
    /// Nobody in particular.
    Anonymous,
}

/// A name and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// A token, shown to whoever logged in.
#[derive(Serialize, ToSchema)]
pub struct LoginAnswer {
    /// The token.
    pub token: String,
    /// When its life ends.
    pub expires_at: String,
    /// Whose it is.
    pub principal: PrincipalModel,
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The caller.
    pub principal: PrincipalModel,
}

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: &'static str,
}

/// Whether the registry can serve.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// All checks together.
    pub ready: bool,
    /// Each check.
    pub checks: Vec<ReadyCheck>,
}

/// One check.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyCheck {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// More about it.
    pub detail: String,
}

/// What an actor says of itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActorModel {
    /// Its name.
    pub name: &'static str,
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
#[derive(Debug, Serialize, ToSchema)]
pub struct Actors {
    /// Each actor.
    pub actors: Vec<ActorModel>,
}

/// A repository.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepositoryModel {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: String,
    /// How many tags it has.
    pub tags: u64,
    /// How many manifests.
    pub manifests: u64,
    /// How many blobs it shows.
    pub blobs: u64,
    /// Its manifests and all blobs it shows.
    pub logical_bytes: u64,
    /// Its manifests and the blobs that no other repository shows.
    pub exclusive_bytes: u64,
}

/// A repository with its tags.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepositoryDetail {
    /// The repository.
    #[serde(flatten)]
    pub repository: RepositoryModel,
    /// Its tags by name, the first thousand; `last` pages on.
    pub tag_list: Vec<TagModel>,
}

/// A tag.
#[derive(Debug, Serialize, ToSchema)]
pub struct TagModel {
    /// Its name.
    pub name: String,
    /// What it points at.
    pub digest: String,
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest's size.
    pub size: u64,
    /// When it was set.
    pub updated_at: String,
}

/// A rule. A list that is empty matches anything.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RuleModel {
    /// Its number; negative for the built-in ones.
    pub id: i64,
    /// The lowest decides among those that allow.
    pub priority: i64,
    /// What it is for.
    pub description: String,
    /// `allow` or `deny`.
    pub effect: String,
    /// The principal has any of these.
    pub roles: Vec<String>,
    /// The principal is one of these.
    pub account_types: Vec<String>,
    /// The principal is this one.
    pub subject_uuid: String,
    /// The action is one of these.
    pub actions: Vec<String>,
    /// The repository matches one of these patterns.
    pub repositories: Vec<String>,
    /// Whether it takes part.
    pub enabled: bool,
    /// Whether it is always there and cannot be changed.
    pub builtin: bool,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Option<String>,
    /// When it was last changed.
    pub updated_at: Option<String>,
}

/// A rule to make, or the fields of one to change.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleDraft {
    /// The lowest decides among those that allow; 1 or more.
    pub priority: Option<i64>,
    /// What it is for.
    pub description: Option<String>,
    /// `allow` or `deny`.
    pub effect: Option<String>,
    /// The principal has any of these.
    pub roles: Option<Vec<String>>,
    /// The principal is one of these.
    pub account_types: Option<Vec<String>>,
    /// The principal is this one.
    pub subject_uuid: Option<String>,
    /// The action is one of these.
    pub actions: Option<Vec<String>>,
    /// The repository matches one of these patterns.
    pub repositories: Option<Vec<String>>,
    /// Whether it takes part.
    pub enabled: Option<bool>,
}

/// A question to policy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyQuestion {
    /// Who.
    pub principal: PrincipalModel,
    /// What.
    pub action: String,
    /// Where; empty for global actions.
    #[serde(default)]
    pub repository: String,
}

/// What policy says.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyAnswer {
    /// Whether it may be done.
    pub allowed: bool,
    /// The rule that decides; none when nothing matches.
    pub rule: Option<RuleModel>,
    /// Every rule that matches, the deciding one first.
    pub matching: Vec<RuleModel>,
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserModel {
    /// Its lasting id.
    pub id: String,
    /// The name it logs in with.
    pub name: String,
    /// `human` or `system`.
    pub account_type: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

/// An account to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Its name: letters, digits, '.', '_', '-', '@', at most 128.
    pub name: String,
    /// Its password; none for an account that has robot tokens only.
    #[serde(default)]
    pub password: Option<String>,
    /// What kind of account it is.
    #[schema(value_type = AccountTypeModel)]
    pub account_type: AccountType,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// What to change of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// A new password.
    #[serde(default)]
    pub password: Option<String>,
    /// New roles.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
    /// Whether it is switched off.
    #[serde(default)]
    pub disabled: Option<bool>,
}

/// A robot token.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenModel {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The name of its account.
    pub user: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When its life ends.
    pub expires_at: String,
    /// When it was last used, to a minute.
    pub last_used_at: Option<String>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A robot token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// The name of its account.
    pub user: String,
    /// Its roles; the account's own when none are given.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
    /// How long it lives, such as `720h`; 90 days when it is not said.
    #[serde(default)]
    pub expires_in: Option<String>,
}

/// A robot token just made: the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub struct NewTokenAnswer {
    /// The token itself.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub about: TokenModel,
}

/// An upload in progress.
#[derive(Debug, Serialize, ToSchema)]
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
#[derive(Debug, Serialize, ToSchema)]
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
}

/// What a sweep is told.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewSweep {
    /// Only find what would go.
    pub dry_run: bool,
}

/// A sweep that began, or that ends.
#[derive(Debug, Serialize, ToSchema)]
pub struct SweepStarted {
    /// Its number.
    pub id: i64,
}

/// What went, or would go, from one repository.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShareModel {
    /// Manifests, blobs and uploads.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A sweep's report. In a dry run the figures say what would go.
#[derive(Debug, Serialize, ToSchema)]
pub struct SweepModel {
    /// Its number.
    pub id: i64,
    /// `request` or `interval`.
    pub trigger: String,
    /// Whether it only looked.
    pub dry_run: bool,
    /// `uploads`, `manifests`, `links`, `blobs`, `strays`, `listing` or `finished`.
    pub phase: String,
    /// `running`, `done`, `stopped`, `failed` or `interrupted`.
    pub outcome: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Links and blobs that were looked at.
    pub examined: u64,
    /// Expired uploads that went.
    pub uploads: u64,
    /// Untagged manifests that went.
    pub manifests: u64,
    /// Links that went.
    pub links: u64,
    /// Blobs that were condemned.
    pub condemned: u64,
    /// Blobs whose files are gone.
    pub removed: u64,
    /// Bytes of files that went.
    pub freed_bytes: u64,
    /// Files without a row that went.
    pub strays: u64,
    /// Blobs passed over, since somebody was pushing them.
    pub busy: u64,
    /// Links and blobs that are left to look at.
    pub left: u64,
    /// The longest that it held the database's writer, in microseconds.
    pub longest_write_us: u64,
    /// How much went wrong.
    pub error_count: u64,
    /// What went wrong, the first twenty.
    pub errors: Vec<String>,
    /// By the repository that had it last, those with the most bytes.
    pub repositories: std::collections::BTreeMap<String, ShareModel>,
}

impl From<Report> for SweepModel {
    fn from(report: Report) -> Self {
        let Report { id, dry_run, counts, left, errors, repositories, .. } = report;
        let time = |millis| Timestamp::from_millis(millis).to_string();
        let share = |share: Share| ShareModel { items: share.items, bytes: share.bytes };
        Self {
            id,
            trigger: report.trigger.as_str().to_owned(),
            dry_run,
            phase: report.phase.as_str().to_owned(),
            outcome: report.outcome.as_str().to_owned(),
            started_at: time(report.started_at),
            finished_at: report.finished_at.map(time),
            examined: counts.examined,
            uploads: counts.uploads,
            manifests: counts.manifests,
            links: counts.links,
            condemned: counts.condemned,
            removed: counts.removed,
            freed_bytes: counts.freed_bytes,
            strays: counts.strays,
            busy: counts.busy,
            left,
            longest_write_us: counts.longest_write_us,
            error_count: counts.error_count,
            errors,
            repositories: repositories.into_iter().map(|(name, of)| (name, share(of))).collect(),
        }
    }
}

/// What the collector does and did last.
#[derive(Debug, Serialize, ToSchema)]
pub struct GcStatusModel {
    /// `idle` or `running`.
    pub state: &'static str,
    /// The sweep that runs.
    pub running: Option<SweepModel>,
    /// The last one that ended.
    pub last: Option<SweepModel>,
}

/// Something that a dry run found.
#[derive(Debug, Serialize, ToSchema)]
pub struct SweepItemModel {
    /// `manifest`, `blob`, `upload` or `stray`.
    pub kind: String,
    /// Where it is, or was last; empty for a stray file.
    pub repository: String,
    /// Its digest, or the upload's id.
    pub name: String,
    /// What it would free.
    pub bytes: u64,
}

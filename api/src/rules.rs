//! Rules, and a question to them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::identity::PrincipalModel;

/// A rule. A list that is empty matches anything.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleDraft {
    /// The lowest decides among those that allow; 1 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `allow` or `deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// The principal has any of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// The principal is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_types: Option<Vec<String>>,
    /// The principal is this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_uuid: Option<String>,
    /// The action is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    /// The repository matches one of these patterns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repositories: Option<Vec<String>>,
    /// Whether it takes part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// A question to policy.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyAnswer {
    /// Whether it may be done.
    pub allowed: bool,
    /// The rule that decides; none when nothing matches.
    pub rule: Option<RuleModel>,
    /// Every rule that matches, the deciding one first.
    pub matching: Vec<RuleModel>,
}

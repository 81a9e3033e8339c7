//! Questions to policy, one or many, and who may do what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::identity::PrincipalModel;
use super::list::List;
use super::rules::{PolicyAnswer, PolicyQuestion, RuleDraft, RuleModel};

/// A question to policy, or many of them in `questions`; with `draft` they are answered by the rules as they could be, too.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyTest {
    /// Who, where there is one question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<PrincipalModel>,
    /// What, where there is one question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Where, where there is one question; empty for global actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Many questions, a thousand at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub questions: Option<Vec<PolicyQuestion>>,
    /// What would be changed of the rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<PolicyDraft>,
}

/// What would be changed of the rules. Nothing is.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyDraft {
    /// Rules that there would be, too.
    pub add: Vec<RuleDraft>,
    /// By its number, the fields of a rule that would be others.
    pub change: BTreeMap<i64, RuleDraft>,
    /// Numbers of rules that would go.
    pub remove: Vec<i64>,
}

/// What policy says to a question, or to many.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum PolicyTestAnswer {
    /// To one question without a draft.
    One(PolicyAnswer),
    /// To many, or with a draft.
    Many(PolicyComparison),
}

/// What policy says to many questions, and would say by a draft.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyComparison {
    /// To each question, in their order.
    pub answers: Vec<ComparedAnswer>,
    /// Which of them would be allowed and is not, or is and would not be, by their places from 0.
    pub differing: Vec<usize>,
    /// The rules that decide any of them now.
    pub rules: Vec<RuleModel>,
    /// The rules that would decide any of them by the draft. One that it adds has the number that it would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft_rules: Option<Vec<RuleModel>>,
}

/// What policy says to a question, and would say by a draft.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ComparedAnswer {
    /// By the rules that there are.
    pub now: DecisionModel,
    /// By the rules as the draft makes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<DecisionModel>,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionModel {
    /// Whether it may be done.
    pub allowed: bool,
    /// The number of the rule that decides; none when nothing matches.
    pub rule: Option<i64>,
}

/// What somebody may do to a repository.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct RightsModel {
    /// Read it.
    pub pull: DecisionModel,
    /// Write to it.
    pub push: DecisionModel,
    /// Delete from it.
    pub delete: DecisionModel,
}

/// Who may do what to a repository.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AccessModel {
    /// The repository.
    pub repository: String,
    /// Whether whoever does not log in gets a token, without which it may do nothing.
    pub anonymous: bool,
    /// Kinds of callers that the rules tell apart there, whoever there is: nobody in particular; people and services without a
    /// role; both with each role that a rule about it names.
    pub kinds: Vec<KindAccess>,
    /// A page of the accounts by name; none where accounts are managed elsewhere.
    pub accounts: Option<List<AccountAccess>>,
    /// The rules that decide any of this.
    pub rules: Vec<RuleModel>,
}

/// What a kind of callers may do.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KindAccess {
    /// `human`, `system` or `anonymous`.
    pub account_type: String,
    /// The role; none for those without one.
    pub roles: Vec<String>,
    /// What it may do.
    #[serde(flatten)]
    pub rights: RightsModel,
}

/// What an account may do.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AccountAccess {
    /// Its name.
    pub name: String,
    /// `human` or `system`.
    pub account_type: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Whether it is switched off, and so may do nothing.
    pub disabled: bool,
    /// What it may do.
    #[serde(flatten)]
    pub rights: RightsModel,
    /// Its robot tokens that have other roles than it has, by these.
    pub tokens: Vec<TokensAccess>,
}

/// What the robot tokens of an account may do that have the same roles.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TokensAccess {
    /// Their roles.
    pub roles: Vec<String>,
    /// How many they are.
    pub total: u64,
    /// What they are for, of ten at most.
    pub names: Vec<String>,
    /// What they may do.
    #[serde(flatten)]
    pub rights: RightsModel,
}

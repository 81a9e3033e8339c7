//! Rules: who may do what, and what policy would say.

mod draft;

use std::collections::HashMap;

use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::policy_rules::{CreateRule, DeleteRule, RuleHistories, RuleHistory, UpdateRule};
use mcr_actors::domain::{Event, EventName, Precondition, RepositoryName};
use mcr_actors::policy::{Question, Rule, RuleId, Rules};
use serde_json::json;

use super::call::Call;
use super::door::{Asked, change_rules};
use super::page::{Listed, Page};
use super::principal;
use super::refusal::{Reason, Refusal};
use crate::model::{PolicyQuestion, RuleDraft, RuleModel};

/// A rule as it decides, and who wrote it when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The rule.
    pub rule: Rule,
    /// Who wrote it; nothing of the built-in ones.
    pub history: Option<RuleHistory>,
}

/// What policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may be done.
    pub allowed: bool,
    /// Whether a rule decided: then it is the first of those that match.
    pub by_rule: bool,
    /// Every rule that matches, in the order in which they decide.
    pub matching: Vec<Ruling>,
}

type Histories = HashMap<RuleId, RuleHistory>;

/// A rule in the words of the API.
pub fn model(rule: &Rule, history: Option<&RuleHistory>) -> RuleModel {
    RuleModel {
        id: rule.id.0,
        priority: rule.priority,
        description: rule.description.clone(),
        effect: rule.effect.as_str().to_owned(),
        roles: rule.roles.clone(),
        account_types: rule.account_types.iter().map(|kind| kind.as_str().to_owned()).collect(),
        subject_uuid: rule.subject.clone(),
        actions: rule.actions.iter().map(|action| action.as_str().to_owned()).collect(),
        repositories: rule.repositories.iter().map(|glob| glob.as_str().to_owned()).collect(),
        enabled: rule.enabled,
        builtin: rule.id.0 < 0,
        created_by: history.map(|history| history.created_by.clone()).unwrap_or_default(),
        created_at: history.map(|history| history.created_at.to_string()),
        updated_at: history.map(|history| history.updated_at.to_string()),
    }
}

async fn histories(call: &Call) -> Result<Histories, Refusal> {
    Ok(call.worker.db.read(RuleHistories).await?)
}

fn ruling(rule: &Rule, histories: &Histories) -> Ruling {
    Ruling { rule: rule.clone(), history: histories.get(&rule.id).cloned() }
}

/// The rule as it is now, from the rules that decide.
async fn find(call: &Call, id: RuleId) -> Result<Rule, Refusal> {
    let rules = call.worker.policy.ask(Rules).await?;
    let found = rules.rules().iter().find(|rule| rule.id == id).cloned();
    found.ok_or_else(|| unknown(id))
}

fn unknown(id: RuleId) -> Refusal {
    Refusal::not_found(format_args!("rule {}", id.0))
}

/// Whether there is a rule of this number that can be changed: an API may say so before it says what is wrong with the change.
///
/// # Errors
/// When there is none, or it is built in.
pub async fn must_be_stored(call: &Call, id: RuleId) -> Result<(), Refusal> {
    find(call, id).await?;
    if id.0 >= 1 {
        return Ok(());
    }
    let message = "a built-in rule cannot be changed; auth.builtin_human_access switches the second one off";
    Err(Refusal::new(Reason::BuiltInRule, message))
}

fn event(name: EventName, rule: &Rule) -> Event {
    Event::new(name).with(json!(model(rule, None)))
}

/// Lists every rule in the order in which they decide: denies first, then by priority, then by number.
///
/// # Errors
/// When an actor does not answer.
pub async fn list(call: &Call, page: Page) -> Result<Listed<Ruling>, Refusal> {
    let (rules, histories) = (call.worker.policy.ask(Rules).await?, histories(call).await?);
    let rules = rules.rules();
    let items =
        rules.iter().skip(page.offset).take(page.limit).map(|rule| ruling(rule, &histories)).collect();
    Ok(Listed { total: rules.len() as u64, items })
}

/// Shows a rule.
///
/// # Errors
/// When there is none of this number.
pub async fn show(call: &Call, id: RuleId) -> Result<Ruling, Refusal> {
    let rule = find(call, id).await?;
    Ok(ruling(&rule, &histories(call).await?))
}

/// Makes a rule. It holds for the next request.
///
/// # Errors
/// When the draft is none.
pub async fn create(call: &Call, draft: RuleDraft) -> Result<(Ruling, Asked), Refusal> {
    let rule = draft::whole(draft)?;
    let now = call.worker.clock.now();
    let by = call.caller.as_ref().map(|caller| caller.principal.name.clone()).unwrap_or_default();
    let stored = rule.clone();
    let describe = move |id: &RuleId| vec![event(EventName::PolicyCreated, &Rule { id: *id, ..stored })];
    let query = CreateRule { rule: rule.clone(), by, now };
    let audited = Audited { query, origin: call.origin.clone(), now, describe };
    let (id, asked) = change_rules(call, audited).await?;
    Ok((ruling(&Rule { id, ..rule }, &histories(call).await?), asked))
}

/// Changes what is given of a rule. It holds for the next request.
///
/// # Errors
/// When there is none of this number, it is built in, the draft is none, or it is not what the caller saw.
pub async fn update(
    call: &Call,
    id: RuleId,
    draft: RuleDraft,
    precondition: Precondition,
) -> Result<(Ruling, Asked), Refusal> {
    must_be_stored(call, id).await?;
    let now = call.worker.clock.now();
    let query = UpdateRule { id, change: draft::check(draft)?, precondition, now };
    let describe =
        |rule: &Option<Rule>| rule.iter().map(|rule| event(EventName::PolicyUpdated, rule)).collect();
    let audited = Audited { query, origin: call.origin.clone(), now, describe };
    let (rule, asked) = change_rules(call, audited).await?;
    let rule = rule.ok_or_else(|| unknown(id))?;
    Ok((ruling(&rule, &histories(call).await?), asked))
}

/// Deletes a rule. It is gone for the next request.
///
/// # Errors
/// When there is none of this number, it is built in, or it is not what the caller saw.
pub async fn delete(call: &Call, id: RuleId, precondition: Precondition) -> Result<((), Asked), Refusal> {
    must_be_stored(call, id).await?;
    let now = call.worker.clock.now();
    let describe =
        |rule: &Option<Rule>| rule.iter().map(|rule| event(EventName::PolicyDeleted, rule)).collect();
    let query = DeleteRule { id, precondition };
    let audited = Audited { query, origin: call.origin.clone(), now, describe };
    match change_rules(call, audited).await? {
        (Some(_), asked) => Ok(((), asked)),
        (None, _) => Err(unknown(id)),
    }
}

/// Tells what policy would say, and which rules match.
///
/// # Errors
/// When the action or the repository's name is none.
pub async fn test(call: &Call, question: PolicyQuestion) -> Result<(Verdict, Asked), Refusal> {
    let PolicyQuestion { principal: who, action, repository } = question;
    let (principal, action) = (principal::described(who), draft::action("action", action)?);
    let repository: Option<RepositoryName> = match repository.as_str() {
        "" => None,
        name => Some(name.parse().map_err(|error| Refusal::invalid("repository", error))?),
    };
    let question = Question { principal: &principal, action, repository: repository.as_ref() };
    let (rules, histories) = (call.worker.policy.ask(Rules).await?, histories(call).await?);
    let decision = rules.decide(question);
    let matching = rules.matching(question).map(|rule| ruling(rule, &histories)).collect();
    let verdict = Verdict { allowed: decision.allowed, by_rule: decision.rule.is_some(), matching };
    Ok((verdict, Asked::of_own_or_nothing()))
}

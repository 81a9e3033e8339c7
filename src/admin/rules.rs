//! Rules: who may do what, and what policy would say.

mod draft;
mod ruling;
mod trial;

use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::policy_rules::{CreateRule, DeleteRule, RuleHistories, RuleHistory, UpdateRule};
use mcr_actors::domain::{Event, EventName, Precondition};
use mcr_actors::policy::{Rule, RuleId, Rules};
use serde_json::json;

use super::call::Call;
use super::door::{Asked, change_rules};
use super::page::{Listed, Page};
use super::refusal::{Reason, Refusal};
use crate::model::{PolicyTest, RuleDraft, RuleModel};

pub use self::ruling::Ruling;
pub(in crate::admin) use self::ruling::{Histories, ruling};
pub use self::trial::{Comparison, Decided, Tested, Verdict};

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

/// Who wrote the stored rules.
pub(in crate::admin) async fn histories(call: &Call) -> Result<Histories, Refusal> {
    Ok(call.worker.db.read(RuleHistories).await?)
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

/// Tells what policy would say to one question, and which rules match; or to many, by the rules as a draft would make them, too.
///
/// # Errors
/// When a word of a question or of the draft is none, they are too many, or the draft names a rule that is not there.
pub async fn test(call: &Call, test: PolicyTest) -> Result<(Tested, Asked), Refusal> {
    let (rules, histories) = (call.worker.policy.ask(Rules).await?, histories(call).await?);
    let tested = trial::answer(test, &rules, &histories).await?;
    Ok((tested, Asked::of_own_or_nothing()))
}

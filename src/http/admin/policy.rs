//! Rules: who may do what, and what policy would say.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::policy_rules::{CreateRule, DeleteRule, RuleHistories, RuleHistory, UpdateRule};
use mcr_actors::domain::{Action, Event, EventName, Principal, RepositoryName};
use mcr_actors::policy::glob::Glob;
use mcr_actors::policy::{Effect, Question, Rule, RuleChange, RuleError, RuleId, Rules};
use serde_json::json as value;

use super::call::AdminCall;
use super::door::{Asked, Changed, change_rules};
use super::model::{List, PolicyAnswer, PolicyQuestion, Problem, RuleDraft, RuleModel};
use super::path::Target;
use super::{json, not_found, page};
use crate::http::error::ApiError;
use crate::http::precondition::{entity_tag, precondition};

type Histories = HashMap<RuleId, RuleHistory>;

fn model(rule: &Rule, histories: &Histories) -> RuleModel {
    let history = histories.get(&rule.id);
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

fn bad(message: impl ToString) -> ApiError {
    ApiError::admin(StatusCode::BAD_REQUEST, message)
}

async fn histories(call: &AdminCall) -> Result<Histories, ApiError> {
    Ok(call.state.worker.db.read(RuleHistories).await?)
}

/// The rule as it is now, from the rules that decide.
async fn find(call: &AdminCall, id: RuleId) -> Result<Rule, ApiError> {
    let rules = call.state.worker.policy.ask(Rules).await?;
    let found = rules.rules().iter().find(|rule| rule.id == id).cloned();
    found.ok_or_else(|| not_found(format!("rule {}", id.0)))
}

fn target(call: &AdminCall) -> Result<RuleId, ApiError> {
    match call.target {
        Target::Rule(id) => Ok(RuleId(id)),
        _ => Err(not_found("rule")),
    }
}

/// A stored rule that may be changed.
fn must_be_stored(id: RuleId) -> Result<(), ApiError> {
    if id.0 >= 1 {
        return Ok(());
    }
    let message = "a built-in rule cannot be changed; auth.builtin_human_access switches the second one off";
    Err(ApiError::admin(StatusCode::CONFLICT, message))
}

/// Lists every rule in the order in which they decide: denies first, then by priority, then by number.
#[utoipa::path(get, path = "/v1/policy/rules", tag = "policy",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<RuleModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let (limit, offset) = page(call)?;
    let (rules, histories) = (call.state.worker.policy.ask(Rules).await?, histories(call).await?);
    let rules = rules.rules();
    let items = rules.iter().skip(offset).take(limit).map(|rule| model(rule, &histories)).collect();
    Ok(HttpResponse::Ok().json(List { total: rules.len() as u64, items }))
}

/// Shows a rule. Its `ETag` is what a change can ask for with `If-Match`.
#[utoipa::path(get, path = "/v1/policy/rules/{id}", tag = "policy", params(("id" = i64, Path)), responses(
    (status = 200, body = RuleModel, headers(("ETag" = String))), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn show(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let rule = find(call, target(call)?).await?;
    answer(call, StatusCode::OK, &rule).await
}

/// What the draft says; every word is checked here, at the door.
fn check(draft: RuleDraft) -> Result<RuleChange, ApiError> {
    let parse_kind = |kind: String| kind.parse().map_err(|_| bad(RuleError::AccountType(kind)));
    let parse_glob = |pattern: String| {
        Glob::parse(&pattern).map_err(|reason| bad(RuleError::Repositories { pattern, reason }))
    };
    if let Some(priority) = draft.priority.filter(|priority| *priority < 1) {
        return Err(bad(RuleError::Priority(priority)));
    }
    if draft.roles.iter().flatten().any(String::is_empty) {
        return Err(bad(RuleError::Role));
    }
    Ok(RuleChange {
        priority: draft.priority,
        effect: draft.effect.map(parse_effect).transpose()?,
        roles: draft.roles,
        account_types: each(draft.account_types, parse_kind)?,
        subject: draft.subject_uuid,
        actions: each(draft.actions, parse_action)?,
        repositories: each(draft.repositories, parse_glob)?,
        enabled: draft.enabled,
        description: draft.description,
    })
}

/// Each of a list that may not be given.
fn each<T>(
    words: Option<Vec<String>>,
    parse: impl Fn(String) -> Result<T, ApiError>,
) -> Result<Option<Vec<T>>, ApiError> {
    words.map(|words| words.into_iter().map(parse).collect()).transpose()
}

fn parse_effect(effect: String) -> Result<Effect, ApiError> {
    match effect.as_str() {
        "allow" => Ok(Effect::Allow),
        "deny" => Ok(Effect::Deny),
        _ => Err(bad(RuleError::Effect(effect))),
    }
}

fn parse_action(action: String) -> Result<Action, ApiError> {
    action.parse().map_err(|_| {
        let all = Action::ALL.map(Action::as_str).join(", ");
        bad(format!("{}; there are {all}", RuleError::Action(action)))
    })
}

fn event(name: EventName, rule: &Rule) -> Event {
    Event::new(name).with(value!(model(rule, &Histories::new())))
}

/// Answers the rule as it decides from now on.
async fn answer(call: &AdminCall, status: StatusCode, rule: &Rule) -> Result<HttpResponse, ApiError> {
    let tag = entity_tag(&rule.digest());
    let model = model(rule, &histories(call).await?);
    Ok(HttpResponse::build(status).insert_header((header::ETAG, tag)).json(model))
}

/// Makes a rule. It holds for the next request.
#[utoipa::path(post, path = "/v1/policy/rules", tag = "policy", request_body = RuleDraft, responses(
    (status = 201, body = RuleModel, headers(("ETag" = String))), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem)))]
pub async fn create(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let RuleChange {
        priority,
        effect,
        roles,
        account_types,
        subject,
        actions,
        repositories,
        enabled,
        description,
    } = check(json(call)?)?;
    let (Some(priority), Some(effect)) = (priority, effect) else {
        return Err(bad("a rule has at least an effect, allow or deny, and a priority of 1 or more"));
    };
    let rule = Rule {
        id: RuleId(0),
        priority,
        effect,
        roles: roles.unwrap_or_default(),
        account_types: account_types.unwrap_or_default(),
        subject: subject.unwrap_or_default(),
        actions: actions.unwrap_or_default(),
        repositories: repositories.unwrap_or_default(),
        enabled: enabled.unwrap_or(true),
        description: description.unwrap_or_default(),
    };
    let now = call.state.worker.clock.now();
    let by = call.caller.as_ref().map(|caller| caller.principal.name.clone()).unwrap_or_default();
    let stored = rule.clone();
    let describe = move |id: &RuleId| vec![event(EventName::PolicyCreated, &Rule { id: *id, ..stored })];
    let query = CreateRule { rule: rule.clone(), by, now };
    let audited = Audited { query, origin: call.origin(), now, describe };
    let (id, asked) = change_rules(call, audited).await?;
    Ok(asked.answer(answer(call, StatusCode::CREATED, &Rule { id, ..rule }).await?))
}

/// Changes what is given of a rule. It holds for the next request. With `If-Match`, the `ETag` of an earlier answer, it is
/// refused when somebody else has changed the rule since.
#[utoipa::path(patch, path = "/v1/policy/rules/{id}", tag = "policy",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header)), request_body = RuleDraft, responses(
    (status = 200, body = RuleModel, headers(("ETag" = String))), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 412, body = Problem), (status = 413, body = Problem)))]
pub async fn update(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let id = target(call)?;
    find(call, id).await?;
    must_be_stored(id)?;
    let (now, precondition) = (call.state.worker.clock.now(), precondition(&call.request));
    let query = UpdateRule { id, change: check(json(call)?)?, precondition, now };
    let describe =
        |rule: &Option<Rule>| rule.iter().map(|rule| event(EventName::PolicyUpdated, rule)).collect();
    let audited = Audited { query, origin: call.origin(), now, describe };
    let (rule, asked) = change_rules(call, audited).await?;
    let rule = rule.ok_or_else(|| not_found(format!("rule {}", id.0)))?;
    Ok(asked.answer(answer(call, StatusCode::OK, &rule).await?))
}

/// Deletes a rule. It is gone for the next request.
#[utoipa::path(delete, path = "/v1/policy/rules/{id}", tag = "policy",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem),
    (status = 413, body = Problem)))]
pub async fn delete(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let id = target(call)?;
    find(call, id).await?;
    must_be_stored(id)?;
    let (now, precondition) = (call.state.worker.clock.now(), precondition(&call.request));
    let describe =
        |rule: &Option<Rule>| rule.iter().map(|rule| event(EventName::PolicyDeleted, rule)).collect();
    let audited = Audited { query: DeleteRule { id, precondition }, origin: call.origin(), now, describe };
    match change_rules(call, audited).await? {
        (Some(_), asked) => Ok(asked.answer(HttpResponse::NoContent().finish())),
        (None, _) => Err(not_found(format!("rule {}", id.0))),
    }
}

/// Tells what policy would say, and which rules match.
#[utoipa::path(post, path = "/v1/policy/test", tag = "policy", request_body = PolicyQuestion, responses(
    (status = 200, body = PolicyAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 413, body = Problem)))]
pub async fn test(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let PolicyQuestion { principal, action, repository } = json(call)?;
    let (principal, action) = (Principal::from(principal), parse_action(action)?);
    let repository: Option<RepositoryName> = match repository.as_str() {
        "" => None,
        name => Some(name.parse().map_err(bad)?),
    };
    let question = Question { principal: &principal, action, repository: repository.as_ref() };
    let (rules, histories) = (call.state.worker.policy.ask(Rules).await?, histories(call).await?);
    let decision = rules.decide(question);
    let matching: Vec<RuleModel> = rules.matching(question).map(|rule| model(rule, &histories)).collect();
    let rule = matching.first().filter(|_| decision.rule.is_some()).cloned();
    let answer = PolicyAnswer { allowed: decision.allowed, rule, matching };
    Ok(Asked::of_own_or_nothing().answer(HttpResponse::Ok().json(answer)))
}

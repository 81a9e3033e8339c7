//! Rules: who may do what, and what policy would say.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::policy_rules::{DeleteRule, RuleHistories, RuleHistory, StoreRule};
use mcr_actors::domain::{Action, Event, EventName, Principal, RepositoryName};
use mcr_actors::policy::glob::Glob;
use mcr_actors::policy::{Change, Effect, Question, Rule, RuleError, RuleId, Rules};
use serde_json::json as value;

use super::model::{List, PolicyAnswer, PolicyQuestion, Problem, RuleDraft, RuleModel};
use super::path::Target;
use super::routes::AdminCall;
use super::{json, not_found, page};
use crate::http::error::ApiError;

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

/// Shows a rule.
#[utoipa::path(get, path = "/v1/policy/rules/{id}", tag = "policy", params(("id" = i64, Path)), responses(
    (status = 200, body = RuleModel), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn show(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let rule = find(call, target(call)?).await?;
    Ok(HttpResponse::Ok().json(model(&rule, &histories(call).await?)))
}

/// The rule with what the draft says; every word is checked here, at the door.
fn apply(draft: RuleDraft, rule: &mut Rule) -> Result<(), ApiError> {
    if let Some(priority) = draft.priority {
        if priority < 1 {
            return Err(bad(RuleError::Priority(priority)));
        }
        rule.priority = priority;
    }
    if let Some(effect) = draft.effect {
        rule.effect = match effect.as_str() {
            "allow" => Effect::Allow,
            "deny" => Effect::Deny,
            _ => return Err(bad(RuleError::Effect(effect))),
        };
    }
    if let Some(roles) = draft.roles {
        if roles.iter().any(String::is_empty) {
            return Err(bad(RuleError::Role));
        }
        rule.roles = roles;
    }
    if let Some(kinds) = draft.account_types {
        let parse = |kind: String| kind.parse().map_err(|_| bad(RuleError::AccountType(kind)));
        rule.account_types = kinds.into_iter().map(parse).collect::<Result<_, _>>()?;
    }
    if let Some(actions) = draft.actions {
        rule.actions = actions.into_iter().map(parse_action).collect::<Result<_, _>>()?;
    }
    if let Some(patterns) = draft.repositories {
        let parse = |pattern: String| {
            Glob::parse(&pattern).map_err(|reason| bad(RuleError::Repositories { pattern, reason }))
        };
        rule.repositories = patterns.into_iter().map(parse).collect::<Result<_, _>>()?;
    }
    rule.subject = draft.subject_uuid.unwrap_or(std::mem::take(&mut rule.subject));
    rule.description = draft.description.unwrap_or(std::mem::take(&mut rule.description));
    rule.enabled = draft.enabled.unwrap_or(rule.enabled);
    Ok(())
}

fn parse_action(action: String) -> Result<Action, ApiError> {
    action.parse().map_err(|_| {
        let all = Action::ALL.map(Action::as_str).join(", ");
        bad(format!("{}; there are {all}", RuleError::Action(action)))
    })
}

/// Stores the rule and answers it as it decides from now on.
async fn store(call: &AdminCall, rule: Rule, name: EventName) -> Result<RuleModel, ApiError> {
    let (worker, now) = (&call.state.worker, call.state.worker.clock.now());
    let by = call.caller.as_ref().map(|caller| caller.principal.name.clone()).unwrap_or_default();
    let details = value!(model(&rule, &Histories::new()));
    let describe = move |id: &Option<RuleId>| {
        let Some(RuleId(id)) = id else { return Vec::new() };
        let mut details = details;
        details["id"] = value!(id);
        vec![Event::new(name).with(details)]
    };
    let query = StoreRule { rule: rule.clone(), by, now };
    let audited = Audited { query, origin: call.origin(), now, describe };
    let id = worker.rules.ask(Change(audited)).await?;
    let id = id.ok_or_else(|| not_found(format!("rule {}", rule.id.0)))?;
    Ok(model(&Rule { id, ..rule }, &histories(call).await?))
}

/// Makes a rule. It holds for the next request.
#[utoipa::path(post, path = "/v1/policy/rules", tag = "policy", request_body = RuleDraft, responses(
    (status = 201, body = RuleModel), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 413, body = Problem)))]
pub async fn create(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let draft: RuleDraft = json(call).await?;
    if draft.effect.is_none() || draft.priority.is_none() {
        return Err(bad("a rule has at least an effect, allow or deny, and a priority of 1 or more"));
    }
    let mut rule = Rule {
        id: RuleId(0),
        priority: 1,
        effect: Effect::Deny,
        roles: Vec::new(),
        account_types: Vec::new(),
        subject: String::new(),
        actions: Vec::new(),
        repositories: Vec::new(),
        enabled: true,
        description: String::new(),
    };
    apply(draft, &mut rule)?;
    Ok(HttpResponse::Created().json(store(call, rule, EventName::PolicyCreated).await?))
}

/// Changes what is given of a rule. It holds for the next request.
#[utoipa::path(patch, path = "/v1/policy/rules/{id}", tag = "policy", params(("id" = i64, Path)),
    request_body = RuleDraft, responses((status = 200, body = RuleModel), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 413, body = Problem)))]
pub async fn update(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let id = target(call)?;
    let mut rule = find(call, id).await?;
    must_be_stored(id)?;
    let draft: RuleDraft = json(call).await?;
    apply(draft, &mut rule)?;
    Ok(HttpResponse::Ok().json(store(call, rule, EventName::PolicyUpdated).await?))
}

/// Deletes a rule. It is gone for the next request.
#[utoipa::path(delete, path = "/v1/policy/rules/{id}", tag = "policy", params(("id" = i64, Path)), responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn delete(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let id = target(call)?;
    let rule = find(call, id).await?;
    must_be_stored(id)?;
    let event = Event::new(EventName::PolicyDeleted).with(value!(model(&rule, &Histories::new())));
    let describe = move |deleted: &bool| deleted.then_some(event).into_iter().collect();
    let (worker, now) = (&call.state.worker, call.state.worker.clock.now());
    let audited = Audited { query: DeleteRule(id), origin: call.origin(), now, describe };
    match worker.rules.ask(Change(audited)).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(not_found(format!("rule {}", id.0))),
    }
}

/// Tells what policy would say, and which rules match.
#[utoipa::path(post, path = "/v1/policy/test", tag = "policy", request_body = PolicyQuestion, responses(
    (status = 200, body = PolicyAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 413, body = Problem)))]
pub async fn test(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let PolicyQuestion { principal, action, repository } = json(call).await?;
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
    Ok(HttpResponse::Ok().json(PolicyAnswer { allowed: decision.allowed, rule, matching }))
}

//! Rules: who may do what, and what policy would say.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use mcr_actors::policy::{Decision, RuleId};

use super::call::AdminCall;
use super::changed::Changed;
use super::path::Target;
use super::{json, listed, not_found, page};
use crate::admin::rules::{self, Comparison, Decided, Ruling, Tested, Verdict};
use crate::http::error::ApiError;
use crate::http::precondition::{entity_tag, precondition};
use crate::model::{
    ComparedAnswer, DecisionModel, List, PolicyAnswer, PolicyComparison, PolicyTest, PolicyTestAnswer,
    Problem, RuleDraft, RuleModel,
};

pub(super) fn model(ruling: Ruling) -> RuleModel {
    rules::model(&ruling.rule, ruling.history.as_ref())
}

fn answer_model(verdict: Verdict) -> PolicyAnswer {
    let matching: Vec<RuleModel> = verdict.matching.into_iter().map(model).collect();
    let rule = matching.first().filter(|_| verdict.by_rule).cloned();
    PolicyAnswer { allowed: verdict.allowed, rule, matching }
}

pub(super) fn decision(decision: Decision) -> DecisionModel {
    DecisionModel { allowed: decision.allowed, rule: decision.rule.map(|rule| rule.0) }
}

fn comparison_model(comparison: Comparison) -> PolicyComparison {
    let Comparison { answers, rules, draft_rules } = comparison;
    let models = |rules: Vec<Ruling>| rules.into_iter().map(model).collect();
    let differing = answers.iter().enumerate().filter(|(_, answer)| answer.differs()).map(|(place, _)| place);
    let compared =
        |answer: &Decided| ComparedAnswer { now: decision(answer.now), draft: answer.draft.map(decision) };
    PolicyComparison {
        answers: answers.iter().map(compared).collect(),
        differing: differing.collect(),
        rules: models(rules),
        draft_rules: draft_rules.map(models),
    }
}

pub(super) fn tested_model(tested: Tested) -> PolicyTestAnswer {
    match tested {
        Tested::One(verdict) => PolicyTestAnswer::One(answer_model(verdict)),
        Tested::Many(comparison) => PolicyTestAnswer::Many(comparison_model(comparison)),
    }
}

fn target(call: &AdminCall) -> Result<RuleId, ApiError> {
    match call.target {
        Target::Rule(id) => Ok(RuleId(id)),
        _ => Err(not_found("rule")),
    }
}

/// Answers the rule as it decides from now on.
fn answer(status: StatusCode, ruling: Ruling) -> HttpResponse {
    let tag = entity_tag(&ruling.rule.digest());
    HttpResponse::build(status).insert_header((header::ETAG, tag)).json(model(ruling))
}

/// Lists every rule in the order in which they decide: denies first, then by priority, then by number.
#[utoipa::path(get, path = "/v1/policy/rules", tag = "policy",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<RuleModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let rules = rules::list(&call.plain(), page(call)?).await?;
    Ok(HttpResponse::Ok().json(listed(rules, model)))
}

/// Shows a rule. Its `ETag` is what a change can ask for with `If-Match`.
#[utoipa::path(get, path = "/v1/policy/rules/{id}", tag = "policy", params(("id" = i64, Path)), responses(
    (status = 200, body = RuleModel, headers(("ETag" = String))), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn show(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let rule = rules::show(&call.plain(), target(call)?).await?;
    Ok(answer(StatusCode::OK, rule))
}

/// Makes a rule. It holds for the next request.
#[utoipa::path(post, path = "/v1/policy/rules", tag = "policy", request_body = RuleDraft, responses(
    (status = 201, body = RuleModel, headers(("ETag" = String))), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem)))]
pub async fn create(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (rule, asked) = rules::create(&call.plain(), json(call)?).await?;
    Ok(Changed::after(asked, answer(StatusCode::CREATED, rule)))
}

/// Changes what is given of a rule. It holds for the next request. With `If-Match`, the `ETag` of an earlier answer, it is
/// refused when somebody else has changed the rule since.
#[utoipa::path(patch, path = "/v1/policy/rules/{id}", tag = "policy",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header)), request_body = RuleDraft, responses(
    (status = 200, body = RuleModel, headers(("ETag" = String))), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 412, body = Problem), (status = 413, body = Problem)))]
pub async fn update(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let (id, plain) = (target(call)?, call.plain());
    rules::must_be_stored(&plain, id).await?;
    let (rule, asked) = rules::update(&plain, id, json(call)?, precondition(&call.request)).await?;
    Ok(Changed::after(asked, answer(StatusCode::OK, rule)))
}

/// Deletes a rule. It is gone for the next request.
#[utoipa::path(delete, path = "/v1/policy/rules/{id}", tag = "policy",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem),
    (status = 413, body = Problem)))]
pub async fn delete(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let ((), asked) = rules::delete(&call.plain(), target(call)?, precondition(&call.request)).await?;
    Ok(Changed::after(asked, HttpResponse::NoContent().finish()))
}

/// Tells what policy would say to a question (`principal`, `action`, `repository`), and which rules match. Asked many `questions`, a
/// thousand at most, or with a `draft` of rules to add, to change and to leave out, it tells of each what decides now, what would by
/// the draft, and which differ. Nothing is changed.
#[utoipa::path(post, path = "/v1/policy/test", tag = "policy", request_body = PolicyTest, responses(
    (status = 200, body = PolicyTestAnswer), (status = 409, body = Problem), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 413, body = Problem)))]
pub async fn test(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let test: PolicyTest = json(call)?;
    let (tested, asked) = rules::test(&call.plain(), test).await?;
    Ok(Changed::after(asked, HttpResponse::Ok().json(tested_model(tested))))
}

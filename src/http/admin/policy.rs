//! Rules: who may do what, and what policy would say.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use mcr_actors::policy::RuleId;

use super::call::AdminCall;
use super::changed::Changed;
use super::path::Target;
use super::{json, listed, not_found, page};
use crate::admin::rules::{self, Ruling, Verdict};
use crate::http::error::ApiError;
use crate::http::precondition::{entity_tag, precondition};
use crate::model::{List, PolicyAnswer, PolicyQuestion, Problem, RuleDraft, RuleModel};

pub(super) fn model(ruling: Ruling) -> RuleModel {
    rules::model(&ruling.rule, ruling.history.as_ref())
}

pub(super) fn answer_model(verdict: Verdict) -> PolicyAnswer {
    let matching: Vec<RuleModel> = verdict.matching.into_iter().map(model).collect();
    let rule = matching.first().filter(|_| verdict.by_rule).cloned();
    PolicyAnswer { allowed: verdict.allowed, rule, matching }
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

/// Tells what policy would say, and which rules match.
#[utoipa::path(post, path = "/v1/policy/test", tag = "policy", request_body = PolicyQuestion, responses(
    (status = 200, body = PolicyAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 413, body = Problem)))]
pub async fn test(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let question: PolicyQuestion = json(call)?;
    let (verdict, asked) = rules::test(&call.plain(), question).await?;
    Ok(Changed::after(asked, HttpResponse::Ok().json(answer_model(verdict))))
}

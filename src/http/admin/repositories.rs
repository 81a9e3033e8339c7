//! Repositories: their sizes, their tags, their end.

use actix_web::HttpResponse;
use mcr_actors::db::queries::descriptions::TagSummary;
use mcr_actors::db::queries::facts::{PlatformSummary, Summary};
use mcr_actors::db::queries::repositories::RepositorySummary;

use super::call::AdminCall;
use super::changed::Changed;
use super::path::{TagOf, Target};
use super::{listed, not_found, page};
use crate::admin::repositories::{self, Described};
use crate::http::error::ApiError;
use crate::model::{
    Deleted, FactsModel, List, PlatformModel, Problem, RepositoryDetail, RepositoryModel, TagModel,
};

pub(super) fn model(summary: RepositorySummary) -> RepositoryModel {
    RepositoryModel {
        name: summary.name.to_string(),
        created_at: summary.created_at.to_string(),
        tags: summary.tags,
        manifests: summary.manifests,
        blobs: summary.blobs,
        logical_bytes: summary.logical_bytes,
        exclusive_bytes: summary.exclusive_bytes,
    }
}

fn tag_model(tag: TagSummary) -> TagModel {
    TagModel {
        name: tag.name,
        digest: tag.digest,
        media_type: tag.media_type,
        artifact_type: tag.artifact_type,
        updated_at: tag.updated_at.to_string(),
        pushed_at: tag.pushed_at.to_string(),
        facts: tag.facts.map(facts_model),
    }
}

fn facts_model(facts: Summary) -> FactsModel {
    let platform = |of: PlatformSummary| PlatformModel {
        platform: of.platform,
        digest: of.digest,
        pull_bytes: of.pull_bytes,
    };
    FactsModel {
        kind: facts.kind.as_str(),
        config_type: facts.config_type,
        pull_bytes: facts.pull_bytes,
        platforms: facts.platforms.into_iter().map(platform).collect(),
        created_at: facts.created_at.map(|created_at| created_at.to_string()),
        pushed_by: facts.pushed_by,
        annotations: facts.annotations.into_iter().collect(),
    }
}

pub(super) fn detail(Described { summary, tags }: Described) -> RepositoryDetail {
    RepositoryDetail { repository: model(summary), tag_list: tags.into_iter().map(tag_model).collect() }
}

/// Lists repositories by name.
#[utoipa::path(get, path = "/v1/repositories", tag = "repositories",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<RepositoryModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let repositories = repositories::list(&call.plain(), page(call)?).await?;
    Ok(HttpResponse::Ok().json(listed(repositories, model)))
}

/// Shows a repository with its tags.
#[utoipa::path(get, path = "/v1/repositories/{name}", tag = "repositories",
    params(("name" = String, Path), ("last" = Option<String>, Query)), responses(
    (status = 200, body = RepositoryDetail), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn show(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::Repository(name) = call.target.clone() else { return Err(not_found("repository")) };
    let found = repositories::show(&call.plain(), name, call.query.last()).await?;
    Ok(HttpResponse::Ok().json(detail(found)))
}

/// Deletes a repository with all in it.
#[utoipa::path(delete, path = "/v1/repositories/{name}", tag = "repositories", params(("name" = String, Path)),
    responses((status = 413, body = Problem), (status = 200, body = Deleted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn delete(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::Repository(name) = call.target.clone() else { return Err(not_found("repository")) };
    let repository = name.to_string();
    let ((), asked) = repositories::delete(&call.plain(), name).await?;
    let deleted = Deleted { deleted: "repository", repository, tag: None };
    Ok(Changed::after(asked, HttpResponse::Ok().json(deleted)))
}

/// Deletes a tag; the manifest stays.
#[utoipa::path(delete, path = "/v1/repositories/{name}/tags/{tag}", tag = "repositories",
    params(("name" = String, Path), ("tag" = String, Path)), responses((status = 413, body = Problem), (status = 200, body = Deleted), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn delete_tag(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::RepositoryTag(TagOf { repository, tag }) = call.target.clone() else {
        return Err(not_found("tag"));
    };
    let deleted = Deleted { deleted: "tag", repository: repository.to_string(), tag: Some(tag.to_string()) };
    let ((), asked) = repositories::delete_tag(&call.plain(), repository, tag).await?;
    Ok(Changed::after(asked, HttpResponse::Ok().json(deleted)))
}

//! Repositories: their sizes, their tags, their end.

use actix_web::HttpResponse;
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::descriptions::{DescribeRepository, TagSummary};
use mcr_actors::db::queries::facts::{PlatformSummary, Summary};
use mcr_actors::db::queries::repositories::{DeleteRepository, RepositorySummary, SummarizeRepositories};
use mcr_actors::db::queries::tags::DeleteTag;
use mcr_actors::domain::{Event, EventName};

use super::call::AdminCall;
use super::door::{self, Changed};
use super::model::{
    Deleted, FactsModel, List, PlatformModel, Problem, RepositoryDetail, RepositoryModel, TagModel,
};
use super::path::{TagOf, Target};
use super::{MAX_PAGE, not_found, page};
use crate::http::error::ApiError;

fn model(summary: RepositorySummary) -> RepositoryModel {
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

/// Lists repositories by name.
#[utoipa::path(get, path = "/v1/repositories", tag = "repositories",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<RepositoryModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let (limit, offset) = page(call)?;
    let (items, total) = call.state.worker.db.read(SummarizeRepositories { offset, limit }).await?;
    Ok(HttpResponse::Ok().json(List { total, items: items.into_iter().map(model).collect() }))
}

/// Shows a repository with its tags.
#[utoipa::path(get, path = "/v1/repositories/{name}", tag = "repositories",
    params(("name" = String, Path), ("last" = Option<String>, Query)), responses(
    (status = 200, body = RepositoryDetail), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn show(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::Repository(name) = &call.target else { return Err(not_found("repository")) };
    let query = DescribeRepository { name: name.clone(), after: call.query.last(), limit: MAX_PAGE };
    let found = call.state.worker.db.read(query).await?;
    let (summary, tags) = found.ok_or_else(|| not_found(format!("repository {name}")))?;
    let tag_list = tags.into_iter().map(tag_model).collect();
    Ok(HttpResponse::Ok().json(RepositoryDetail { repository: model(summary), tag_list }))
}

/// Deletes a repository with all in it.
#[utoipa::path(delete, path = "/v1/repositories/{name}", tag = "repositories", params(("name" = String, Path)),
    responses((status = 413, body = Problem), (status = 200, body = Deleted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn delete(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::Repository(name) = call.target.clone() else { return Err(not_found("repository")) };
    let event = Event::new(EventName::RepositoryDeleted).at(&name);
    let describe = move |deleted: &bool| deleted.then_some(event).into_iter().collect();
    let worker = &call.state.worker;
    let kept_until = worker.clock.now().after(worker.grace.kept());
    let query = DeleteRepository { name: name.clone(), kept_until };
    let audited = Audited { query, origin: call.origin(), now: worker.clock.now(), describe };
    match door::write(call, audited).await? {
        (true, asked) => {
            let deleted = Deleted { deleted: "repository", repository: name.to_string(), tag: None };
            Ok(asked.answer(HttpResponse::Ok().json(deleted)))
        }
        (false, _) => Err(not_found(format!("repository {name}"))),
    }
}

/// Deletes a tag; the manifest stays.
#[utoipa::path(delete, path = "/v1/repositories/{name}/tags/{tag}", tag = "repositories",
    params(("name" = String, Path), ("tag" = String, Path)), responses((status = 413, body = Problem), (status = 200, body = Deleted), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn delete_tag(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::RepositoryTag(TagOf { repository, tag }) = call.target.clone() else {
        return Err(not_found("tag"));
    };
    let event = Event::new(EventName::TagDeleted).at(&repository).tagged(&tag);
    let describe = move |deleted: &bool| deleted.then_some(event).into_iter().collect();
    let now = call.state.worker.clock.now();
    let query = DeleteTag { repository: repository.clone(), tag: tag.clone(), now };
    let audited = Audited { query, origin: call.origin(), now, describe };
    match door::write(call, audited).await? {
        (true, asked) => {
            let (repository, tag) = (repository.to_string(), Some(tag.to_string()));
            Ok(asked.answer(HttpResponse::Ok().json(Deleted { deleted: "tag", repository, tag })))
        }
        (false, _) => Err(not_found(format!("tag {tag} in {repository}"))),
    }
}

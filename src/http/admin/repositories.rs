//! Repositories: which there are, their sizes and tags, their end.

use actix_web::HttpResponse;
use mcr_actors::db::queries::repository_pages::{RepositoryOrder, RepositoryPlace};
use mcr_actors::domain::Timestamp;

use super::call::AdminCall;
use super::changed::Changed;
use super::path::{TagOf, Target};
use super::{not_found, page, place, sealed, tags};
use crate::admin::repositories::{self, Described, Repositories, Seen, Wanted};
use crate::http::error::ApiError;
use crate::model::{Deleted, PermissionsModel, Problem, RepositoryDetail, RepositoryList, RepositoryModel};

fn model(Seen { summary, pull, push, delete }: Seen) -> RepositoryModel {
    RepositoryModel {
        name: summary.name.to_string(),
        created_at: summary.created_at.to_string(),
        updated_at: summary.updated_at.to_string(),
        tags: summary.tags,
        manifests: summary.manifests,
        blobs: summary.blobs,
        logical_bytes: summary.logical_bytes,
        exclusive_bytes: summary.exclusive_bytes,
        permissions: PermissionsModel { pull, push, delete },
    }
}

pub(super) fn list_model(page: Repositories, next: Option<String>) -> RepositoryList {
    RepositoryList { total: page.total, items: page.items.into_iter().map(model).collect(), next }
}

pub(super) fn detail(Described { seen, tags }: Described) -> RepositoryDetail {
    RepositoryDetail { repository: model(seen), tag_list: tags.into_iter().map(tags::model).collect() }
}

/// What is sealed of a place.
fn written(place: &RepositoryPlace) -> String {
    format!("{} {}", place.updated_at.as_millis(), place.name)
}

/// The place of which this was written.
fn read(text: &str) -> Option<RepositoryPlace> {
    let (time, name) = text.split_once(' ')?;
    let updated_at = Timestamp::from_millis(time.parse().ok()?);
    Some(RepositoryPlace { name: name.to_owned(), updated_at })
}

/// Lists the repositories that the caller may pull from, and all to an administrator: those that have `q` in their names and begin
/// with `prefix`, by name, or with `sort=updated` those first that were pushed to last. `next` is where the next page begins, given
/// back as `cursor`; a page may be short, or empty, and the list still go on. `offset` is for administrators and the whole list.
#[utoipa::path(get, path = "/v1/repositories", tag = "repositories",
    params(("q" = Option<String>, Query), ("prefix" = Option<String>, Query), ("sort" = Option<String>, Query),
    ("n" = Option<u64>, Query), ("offset" = Option<u64>, Query), ("cursor" = Option<String>, Query)), responses(
    (status = 200, body = RepositoryList), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let order = call.query.get("sort").map_or(Ok(RepositoryOrder::Name), repositories::order)?;
    // A place in one order is none in another.
    let list = format!("/v1/repositories {order:?}");
    let text = |key| call.query.get(key).unwrap_or_default().to_owned();
    let wanted = Wanted {
        part: text("q"),
        prefix: text("prefix"),
        order,
        after: place(call, &list, read)?,
        page: page(call)?,
    };
    let found = repositories::list(&call.plain(), wanted).await?;
    let next = found.next.as_ref().map(|next| sealed(call, &list, &written(next))).transpose()?;
    Ok(HttpResponse::Ok().json(list_model(found, next)))
}

/// Shows a repository with its tags to whoever may pull from it, and to an administrator.
#[utoipa::path(get, path = "/v1/repositories/{name}", tag = "repositories",
    params(("name" = String, Path), ("last" = Option<String>, Query)), responses(
    (status = 200, body = RepositoryDetail), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)))]
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
    let deleted = Deleted { deleted: "repository".into(), repository, tag: None };
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
    let deleted =
        Deleted { deleted: "tag".into(), repository: repository.to_string(), tag: Some(tag.to_string()) };
    let ((), asked) = repositories::delete_tag(&call.plain(), repository, tag).await?;
    Ok(Changed::after(asked, HttpResponse::Ok().json(deleted)))
}

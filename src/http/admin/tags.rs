//! A repository's tags.

use actix_web::HttpResponse;
use mcr_actors::db::queries::descriptions::TagSummary;
use mcr_actors::db::queries::facts::{PlatformSummary, Summary};
use mcr_actors::db::queries::tag_pages::{TagOrder, TagPage, TagPlace};
use mcr_actors::domain::Timestamp;

use super::call::AdminCall;
use super::path::{Target, tags_path};
use super::{not_found, number, place, sealed};
use crate::admin::page::PAGE;
use crate::admin::tags::{self, Wanted};
use crate::http::error::ApiError;
use crate::model::{FactsModel, PlatformModel, Problem, TagList, TagModel};

pub(super) fn model(tag: TagSummary) -> TagModel {
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

pub(super) fn facts_model(facts: Summary) -> FactsModel {
    let platform = |of: PlatformSummary| PlatformModel {
        platform: of.platform,
        digest: of.digest,
        pull_bytes: of.pull_bytes,
    };
    FactsModel {
        kind: facts.kind.as_str().into(),
        config_type: facts.config_type,
        pull_bytes: facts.pull_bytes,
        platforms: facts.platforms.into_iter().map(platform).collect(),
        created_at: facts.created_at.map(|created_at| created_at.to_string()),
        pushed_by: facts.pushed_by,
        annotations: facts.annotations.into_iter().collect(),
    }
}

pub(super) fn list_model(page: TagPage, next: Option<String>) -> TagList {
    TagList { total: page.total, items: page.tags.into_iter().map(model).collect(), next }
}

/// What is sealed of a place.
fn written(place: &TagPlace) -> String {
    format!("{} {}", place.updated_at.as_millis(), place.name)
}

/// The place of which this was written.
fn read(text: &str) -> Option<TagPlace> {
    let (time, name) = text.split_once(' ')?;
    let updated_at = Timestamp::from_millis(time.parse().ok()?);
    Some(TagPlace { name: name.to_owned(), updated_at })
}

/// Lists a repository's tags: those that have `q` in their names, by name, or with `sort=updated` those first that were set last.
/// `next` is where the next page begins, given back as `cursor`; a page may be short, or empty, and the list still go on.
#[utoipa::path(get, path = "/v1/repositories/{name}/tags", tag = "repositories",
    params(("name" = String, Path), ("q" = Option<String>, Query), ("sort" = Option<String>, Query),
    ("n" = Option<u64>, Query), ("cursor" = Option<String>, Query)), responses(
    (status = 200, body = TagList), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::RepositoryTags(name) = call.target.clone() else { return Err(not_found("repository")) };
    let order = call.query.get("sort").map_or(Ok(TagOrder::Name), tags::order)?;
    // A place in one order is none in another.
    let list = format!("{} {order:?}", tags_path(name.as_str()));
    let wanted = Wanted {
        part: call.query.get("q").unwrap_or_default().to_owned(),
        order,
        after: place(call, &list, read)?,
        n: number(call, "n", PAGE)?,
    };
    let page = tags::list(&call.plain(), name, wanted).await?;
    let next = page.next.as_ref().map(|next| sealed(call, &list, &written(next))).transpose()?;
    Ok(HttpResponse::Ok().json(list_model(page, next)))
}

//! A repository's manifests, and one of them with what is around it.

use actix_web::HttpResponse;
use mcr_actors::db::queries::manifest_details::{Child, Layer, Neighbour, Referrers};
use mcr_actors::db::queries::manifest_pages::{
    Beginning, ManifestPage, ManifestPlace, ManifestSummary, SetTag,
};
use mcr_actors::domain::Timestamp;

use super::call::AdminCall;
use super::path::{ManifestOf, Target, manifests_path};
use super::tags::facts_model;
use super::{not_found, number, place, sealed};
use crate::admin::manifests::{self, Described, Wanted};
use crate::admin::page::PAGE;
use crate::http::error::ApiError;
use crate::model::{
    ChildModel, LayerModel, List, ManifestDetail, ManifestList, ManifestModel, NeighbourModel, Problem,
    ReferrersModel, SetTagModel,
};

fn beginning<T, M>(Beginning { items, total }: Beginning<T>, model: impl FnMut(T) -> M) -> List<M> {
    List { total, items: items.into_iter().map(model).collect() }
}

fn model(manifest: ManifestSummary) -> ManifestModel {
    let tag = |SetTag { name, updated_at }| SetTagModel { name, updated_at: updated_at.to_string() };
    ManifestModel {
        digest: manifest.digest,
        media_type: manifest.media_type,
        artifact_type: manifest.artifact_type,
        subject: manifest.subject,
        state: manifest.state.as_str().into(),
        manifest_bytes: manifest.size,
        pushed_at: manifest.pushed_at.to_string(),
        tags: beginning(manifest.tags, tag),
        facts: manifest.facts.map(facts_model),
    }
}

pub(super) fn list_model(page: ManifestPage, next: Option<String>) -> ManifestList {
    ManifestList { total: page.total, items: page.manifests.into_iter().map(model).collect(), next }
}

fn neighbour(Neighbour { digest, media_type, artifact_type, kind }: Neighbour) -> NeighbourModel {
    NeighbourModel { digest, media_type, artifact_type, kind: kind.map(|kind| kind.as_str().into()) }
}

fn child(Child { part, is_here, kind, pull_bytes }: Child) -> ChildModel {
    ChildModel {
        digest: part.digest.map(|digest| digest.to_string()),
        media_type: part.media_type,
        platform: part.platform,
        manifest_bytes: part.size,
        is_here,
        kind: kind.map(|kind| kind.as_str().into()),
        pull_bytes,
    }
}

fn layer(Layer { part, is_here, repositories }: Layer, tells_of_others: bool) -> LayerModel {
    LayerModel {
        digest: part.digest.map(|digest| digest.to_string()),
        media_type: part.media_type,
        bytes: part.size,
        is_here,
        repositories: tells_of_others.then_some(repositories),
    }
}

fn referrers(Referrers { list, kinds }: Referrers) -> ReferrersModel {
    let kinds = kinds.into_iter().map(|(kind, count)| (kind.as_str().to_owned(), count)).collect();
    ReferrersModel { list: beginning(list, neighbour), kinds }
}

pub(super) fn detail(Described { details, tells_of_others }: Described) -> ManifestDetail {
    let layer = |of| layer(of, tells_of_others);
    ManifestDetail {
        manifest: model(details.summary),
        config: details.config.map(layer),
        layers: beginning(details.layers, layer),
        children: beginning(details.children, child),
        parents: beginning(details.parents, neighbour),
        referrers: referrers(details.referrers),
    }
}

/// What is sealed of a place.
fn written(place: ManifestPlace) -> String {
    format!("{} {}", place.pushed_at.as_millis(), place.id)
}

/// The place of which this was written.
fn read(text: &str) -> Option<ManifestPlace> {
    let (time, id) = text.split_once(' ')?;
    Some(ManifestPlace { pushed_at: Timestamp::from_millis(time.parse().ok()?), id: id.parse().ok()? })
}

/// Lists a repository's manifests, those that were pushed last first: all of them, or with `state` those that are held so. Each has one
/// state, by the first that holds it: `tagged` by a tag, `child` by another manifest, `referrer` by its subject, `untagged` by nothing. `next` is
/// where the next page begins, given back as `cursor`.
#[utoipa::path(get, path = "/v1/repositories/{name}/manifests", tag = "repositories",
    params(("name" = String, Path), ("state" = Option<String>, Query), ("n" = Option<u64>, Query),
    ("cursor" = Option<String>, Query)), responses(
    (status = 200, body = ManifestList), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::RepositoryManifests(name) = call.target.clone() else { return Err(not_found("repository")) };
    let state = call.query.get("state").map(manifests::state).transpose()?;
    // A place in the list of one state is none in another.
    let list = format!("{} {state:?}", manifests_path(name.as_str()));
    let wanted = Wanted { state, after: place(call, &list, read)?, n: number(call, "n", PAGE)? };
    let page = manifests::list(&call.plain(), name, wanted).await?;
    let next = page.next.map(|next| sealed(call, &list, &written(next))).transpose()?;
    Ok(HttpResponse::Ok().json(list_model(page, next)))
}

/// Shows a manifest: what it is, its tags, what it consists of in its own order, the indexes that have it, and what is about it. Of tags,
/// parents and referrers a hundred are named, of layers and children a thousand; `total` says how many there are, as far as 10 000.
#[utoipa::path(get, path = "/v1/repositories/{name}/manifests/{digest}", tag = "repositories",
    params(("name" = String, Path), ("digest" = String, Path)), responses(
    (status = 200, body = ManifestDetail), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)))]
pub async fn show(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::RepositoryManifest(ManifestOf { repository, digest }) = call.target.clone() else {
        return Err(not_found("manifest"));
    };
    let found = manifests::show(&call.plain(), repository, digest).await?;
    Ok(HttpResponse::Ok().json(detail(found)))
}

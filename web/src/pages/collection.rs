//! Collection: the sweep that runs, the one before, those of the past, and what a dry run found.

use actix_web::http::Method;
use askama::Template;
use futures_util::future::try_join;
use mcr_api::{GcStatusModel, List, NewSweep, SweepItemModel, SweepModel, SweepStarted};
use serde_json::Value;
use time::OffsetDateTime;

use super::{Frame, render};
use crate::failure::Failure;
use crate::registry::{segment, with_query};
use crate::show::{self, Moment};
use crate::visit::{Reply, Visit};

/// The phases of a sweep in their order, for a bar.
const PHASES: [&str; 8] =
    ["references", "uploads", "manifests", "links", "blobs", "strays", "listing", "finished"];
/// Rows of a page.
const ROWS: &str = "100";

/// A sweep as it is shown.
pub(crate) struct Sweep {
    pub(crate) id: i64,
    pub(crate) dry_run: bool,
    pub(crate) outcome: String,
    pub(crate) phase: String,
    /// How many phases are done.
    pub(crate) step: usize,
    pub(crate) begun: Moment,
    pub(crate) freed: String,
    pub(crate) removed: String,
    pub(crate) manifests: String,
    pub(crate) uploads: String,
    pub(crate) left: String,
    pub(crate) errors: Vec<String>,
    pub(crate) repositories: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "collection.html")]
struct CollectionPage {
    frame: Frame,
    running: Option<Sweep>,
    last: Option<Sweep>,
    past: Vec<Sweep>,
    phases: usize,
}

#[derive(Template)]
#[template(path = "findings.html")]
struct FindingsPage<'a> {
    frame: Frame,
    id: &'a str,
    total: String,
    rows: Vec<(String, String, String, String)>,
    next: Option<String>,
}

/// A sweep's report, for people.
pub(crate) fn sweep(model: &SweepModel, now: OffsetDateTime) -> Sweep {
    Sweep {
        id: model.id,
        dry_run: model.dry_run,
        outcome: model.outcome.clone(),
        step: PHASES.iter().position(|phase| *phase == model.phase).unwrap_or_default(),
        phase: model.phase.clone(),
        begun: show::moment(&model.started_at, now),
        freed: show::size(model.freed_bytes),
        removed: show::thousands(model.removed),
        manifests: show::thousands(model.manifests),
        uploads: show::thousands(model.uploads),
        left: show::thousands(model.left),
        errors: model.errors.clone(),
        repositories: model
            .repositories
            .iter()
            .map(|(name, share)| (name.clone(), show::size(share.bytes)))
            .collect(),
    }
}

/// Shows what the collector does and did.
pub(crate) async fn show(visit: Visit) -> Result<Reply, Failure> {
    let (registry, asker) = (visit.registry(), &visit.asker);
    let (status, past) = try_join(
        registry.get::<GcStatusModel>(asker, "/v1/gc/status"),
        registry.get::<List<SweepModel>>(asker, "/v1/gc/sweeps?n=20"),
    )
    .await?;
    let of = |model: &SweepModel| sweep(model, visit.now);
    render(&CollectionPage {
        frame: Frame::of(&visit, "gc"),
        running: status.running.as_ref().map(of),
        last: status.last.as_ref().map(of),
        past: past.items.iter().map(of).collect(),
        phases: PHASES.len() - 1,
    })
}

/// Begins a sweep.
pub(crate) async fn start(visit: Visit) -> Result<Reply, Failure> {
    let body = NewSweep { dry_run: visit.field("dry_run") == "true", take_strays: false };
    let _: SweepStarted = visit.registry().change(&visit.asker, Method::POST, "/v1/gc", Some(&body)).await?;
    Ok(Reply::Redirect("/gc".to_owned()))
}

/// Stops the one that runs.
pub(crate) async fn stop(visit: Visit) -> Result<Reply, Failure> {
    let _: Value = visit.registry().change(&visit.asker, Method::DELETE, "/v1/gc", None::<&()>).await?;
    Ok(Reply::Redirect("/gc".to_owned()))
}

/// Shows what a dry run found.
pub(crate) async fn items(visit: Visit) -> Result<Reply, Failure> {
    let (id, offset) = (visit.part("id"), visit.parameter("offset"));
    let list = format!("/v1/gc/sweeps/{}/items", segment(id));
    let asked = with_query(&list, &[("n", ROWS), ("offset", offset)]);
    let found: List<SweepItemModel> = visit.registry().get(&visit.asker, &asked).await?;
    let seen = offset.parse::<u64>().unwrap_or_default().saturating_add(found.items.len() as u64);
    let more = seen < found.total && !found.items.is_empty();
    let row = |item: &SweepItemModel| {
        let (kind, name) = (item.kind.replace('_', " "), item.name.clone());
        (kind, item.repository.clone(), name, show::size(item.bytes))
    };
    render(&FindingsPage {
        frame: Frame::of(&visit, "gc"),
        id,
        total: show::thousands(found.total),
        rows: found.items.iter().map(row).collect(),
        next: more
            .then(|| with_query(&format!("/gc/sweeps/{}", segment(id)), &[("offset", &seen.to_string())])),
    })
}

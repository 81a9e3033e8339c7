//! Uploads in progress.

use actix_web::http::Method;
use askama::Template;
use mcr_api::{List, UploadModel};
use serde_json::Value;

use super::search::path;
use super::{Frame, render};
use crate::failure::Failure;
use crate::registry::segment;
use crate::show::{self, Moment};
use crate::visit::{Reply, Visit};

struct Row {
    id: String,
    repository: String,
    path: String,
    owner: String,
    bytes: String,
    begun: Moment,
    active: Moment,
}

#[derive(Template)]
#[template(path = "uploads.html")]
struct UploadsPage {
    frame: Frame,
    total: String,
    rows: Vec<Row>,
}

/// Lists them, the first hundred.
pub(crate) async fn list(visit: Visit) -> Result<Reply, Failure> {
    let found: List<UploadModel> = visit.registry().get(&visit.asker, "/v1/uploads?n=100").await?;
    let row = |upload: &UploadModel| Row {
        id: upload.id.clone(),
        repository: upload.repository.clone(),
        path: format!("/r/{}", path(&upload.repository)),
        owner: upload.owner.clone(),
        bytes: show::size(upload.bytes),
        begun: show::moment(&upload.started_at, visit.now),
        active: show::moment(&upload.last_active_at, visit.now),
    };
    let (total, rows) = (show::thousands(found.total), found.items.iter().map(row).collect());
    render(&UploadsPage { frame: Frame::of(&visit, "uploads"), total, rows })
}

/// Cancels one.
pub(crate) async fn cancel(visit: Visit) -> Result<Reply, Failure> {
    let at = format!("/v1/uploads/{}", segment(visit.part("id")));
    let _: Value = visit.registry().change(&visit.asker, Method::DELETE, &at, None::<&()>).await?;
    Ok(Reply::Redirect("/uploads".to_owned()))
}

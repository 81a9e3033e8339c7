//! Uploads in progress, for whoever wants to see or end them.

use actix_web::HttpResponse;
use mcr_actors::db::queries::uploads::UploadRow;

use super::call::AdminCall;
use super::changed::Changed;
use super::path::Target;
use super::{listed, not_found, page};
use crate::admin::uploads;
use crate::http::error::ApiError;
use crate::model::{List, Problem, UploadModel};

pub(super) fn model(row: UploadRow) -> UploadModel {
    UploadModel {
        id: row.id.to_string(),
        repository: row.repository.to_string(),
        bytes: row.bytes,
        owner: row.owner.name,
        started_at: row.started_at.to_string(),
        last_active_at: row.last_active_at.to_string(),
    }
}

/// Lists uploads, the longest idle first.
#[utoipa::path(get, path = "/v1/uploads", tag = "uploads",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<UploadModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let uploads = uploads::list(&call.plain(), page(call)?).await?;
    Ok(HttpResponse::Ok().json(listed(uploads, model)))
}

/// Ends an upload and forgets what came.
#[utoipa::path(delete, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)), responses((status = 413, body = Problem), 
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem)))]
pub async fn cancel(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::Upload(id) = call.target else { return Err(not_found("upload")) };
    let ((), asked) = uploads::cancel(&call.plain(), id).await?;
    Ok(Changed::after(asked, HttpResponse::NoContent().finish()))
}

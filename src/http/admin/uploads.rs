//! Uploads in progress, for whoever wants to see or end them.

use actix_web::HttpResponse;
use mcr_actors::db::queries::uploads::{FindUpload, ListUploads};
use mcr_actors::upload::{Beginner, Cancel};

use super::call::AdminCall;
use super::door::{self, Changed};
use super::model::{List, Problem, UploadModel};
use super::path::Target;
use super::{not_found, page};
use crate::http::error::ApiError;

/// Lists uploads, the longest idle first.
#[utoipa::path(get, path = "/v1/uploads", tag = "uploads",
    params(("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = List<UploadModel>), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn list(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let (limit, offset) = page(call)?;
    let (rows, total) = call.state.worker.db.read(ListUploads { offset, limit }).await?;
    let items = rows
        .into_iter()
        .map(|row| UploadModel {
            id: row.id.to_string(),
            repository: row.repository.to_string(),
            bytes: row.bytes,
            owner: row.owner.name,
            started_at: row.started_at.to_string(),
            last_active_at: row.last_active_at.to_string(),
        })
        .collect();
    Ok(HttpResponse::Ok().json(List { total, items }))
}

/// Ends an upload and forgets what came.
#[utoipa::path(delete, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path)), responses((status = 413, body = Problem), 
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem)))]
pub async fn cancel(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::Upload(id) = call.target else { return Err(not_found("upload")) };
    let worker = &call.state.worker;
    let unknown = || not_found(format!("upload {id}"));
    let row = worker.db.read(FindUpload(id)).await?.ok_or_else(unknown)?;
    let (repository, by, origin) = (row.repository, Beginner::Anybody, call.origin());
    let cancel = |caller| Cancel { id, repository, by, origin, caller };
    let ((), asked) = door::ask(call, &worker.uploads, cancel).await?;
    Ok(asked.answer(HttpResponse::NoContent().finish()))
}

//! Uploads in progress, for whoever wants to see or end them.

use mcr_actors::db::queries::uploads::{FindUpload, ListUploads, UploadRow};
use mcr_actors::upload::{Beginner, Cancel};
use uuid::Uuid;

use super::call::Call;
use super::door::{self, Asked};
use super::page::{Listed, Page};
use super::refusal::Refusal;

/// Lists uploads, the longest idle first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(call: &Call, page: Page) -> Result<Listed<UploadRow>, Refusal> {
    let Page { limit, offset } = page;
    Ok(call.worker.db.read(ListUploads { offset, limit }).await?.into())
}

/// Ends an upload and forgets what came.
///
/// # Errors
/// When there is none of this id.
pub async fn cancel(call: &Call, id: Uuid) -> Result<((), Asked), Refusal> {
    let unknown = || Refusal::not_found(format_args!("upload {id}"));
    let row = call.worker.db.read(FindUpload(id)).await?.ok_or_else(unknown)?;
    let (repository, by, origin) = (row.repository, Beginner::Anybody, call.origin.clone());
    let cancel = |caller| Cancel { id, repository, by, origin, caller };
    door::ask(call, &call.worker.uploads, cancel).await
}

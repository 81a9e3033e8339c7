//! Several tags and manifests of a repository deleted at once, with a preview.

use actix_web::HttpResponse;

use super::call::AdminCall;
use super::changed::Changed;
use super::path::Target;
use super::{json, not_found};
use crate::admin::deletions;
use crate::admin::refusal::{Denied, Refusal};
use crate::http::error::ApiError;
use crate::model::{DeletionsModel, NewDeletions, Problem};

/// Deletes tags and manifests of a repository, all or none, for whoever may delete there: a thousand at most. `with_untagged` takes each
/// manifest along that nothing holds any more when those are gone: that of a tag, a child of an index, a referrer. With `dry_run`
/// nothing is done, and the answer says what would be: of each thing what happens to it, or why it cannot be deleted, and the bytes that a
/// sweep frees then. A manifest that another one needs which stays cannot be deleted, nor a tag alone where `allow_tag_delete` is off,
/// but by an administrator. When something cannot be deleted, nothing is: 409, with the same in `deletions`.
#[utoipa::path(post, path = "/v1/repositories/{name}/deletions", tag = "repositories",
    params(("name" = String, Path)), request_body = NewDeletions, responses(
    (status = 200, body = DeletionsModel), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem)))]
pub async fn delete(call: &mut AdminCall) -> Result<Changed, ApiError> {
    let Target::RepositoryDeletions(name) = call.target.clone() else { return Err(not_found("repository")) };
    let wanted: NewDeletions = json(call)?;
    let dry_run = wanted.dry_run.unwrap_or_default();
    match deletions::delete(&call.plain(), name.clone(), wanted).await {
        Ok((done, asked)) => {
            Ok(Changed::after(asked, HttpResponse::Ok().json(deletions::model(done, dry_run))))
        }
        Err(Refusal { denied: Some(Denied { action, rule }), .. }) => {
            Err(call.denied(action, &name, rule).await?)
        }
        Err(refusal) => Err(refusal.into()),
    }
}

//! Blobs: reading and deleting.

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use mcr_actors::blob_store::{Check, Open};
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::blobs::{FindBlob, KeepBlob, UnlinkBlob, VisibleBlob};
use mcr_actors::domain::{Action, Digest, Event, EventName, RepositoryName};
use serde_json::json;

use super::call::Call;
use super::{DOCKER_CONTENT_DIGEST, wrong_target};
use crate::http::auth;
use crate::http::body::{BlobBody, of_length};
use crate::http::error::{ApiError, Code};
use crate::http::multipart::Byteranges;
use crate::http::path::Target;
use crate::http::range::{Part, Wanted, matches_etag, wanted};
use crate::http::readers::Opened;

/// Content that is named by its digest never changes.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

fn blob_unknown(repository: &RepositoryName, digest: &Digest) -> ApiError {
    let message = format!("{repository} has no blob {digest}");
    ApiError::new(StatusCode::NOT_FOUND, Code::BlobUnknown, message)
        .detail(json!({"digest": digest.to_string()}))
}

async fn find(call: &Call, repository: &RepositoryName, digest: Digest) -> Result<VisibleBlob, ApiError> {
    let query = FindBlob { repository: repository.clone(), digest };
    call.state.worker.db.recall(query).await?.ok_or_else(|| blob_unknown(repository, &digest))
}

fn header_text(request: &HttpRequest, name: header::HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

fn describe(response: &mut HttpResponseBuilder, digest: &Digest, etag: &str) {
    response
        .content_type("application/octet-stream")
        .insert_header((DOCKER_CONTENT_DIGEST, digest.to_string()))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, IMMUTABLE));
}

/// `HEAD /v2/<name>/blobs/<digest>`: a pusher that hears 200 may rely on the blob for at least `grace`.
pub async fn head(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Blob(repository, digest) = call.target.clone() else { return Err(wrong_target()) };
    let blob = find(call, &repository, digest).await?;
    call.state.worker.blobs.ask(Check { digest, size: blob.size }).await?;
    keep(call, &repository, digest, &blob).await?;
    answer(call, &digest, blob.size, None)
}

/// Extends the blob's protection when nothing refers to it and less than `grace` is left, so that most requests write
/// nothing. One that is referred to gets its `grace` in the transaction that drops the last reference.
async fn keep(
    call: &Call,
    repository: &RepositoryName,
    digest: Digest,
    blob: &VisibleBlob,
) -> Result<(), ApiError> {
    let worker = &call.state.worker;
    let now = worker.clock.now();
    let Some(caller) = &call.caller else { return Ok(()) };
    if blob.referenced
        || blob.kept_until >= now.after(worker.grace.promised())
        || !auth::may(&call.state, &caller.principal, Action::Push, Some(repository)).await?
    {
        return Ok(());
    }
    let kept_until = now.after(worker.grace.kept());
    match worker.db.write(KeepBlob { repository: repository.clone(), digest, kept_until }).await? {
        true => Ok(()),
        false => Err(blob_unknown(repository, &digest)),
    }
}

/// `GET /v2/<name>/blobs/<digest>`, whole or a range of it.
pub async fn get(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Blob(repository, digest) = call.target.clone() else { return Err(wrong_target()) };
    let blob = find(call, &repository, digest).await?;
    let file = call.state.worker.blobs.ask(Open { digest, size: blob.size }).await?;
    call.record_pull(Event::new(EventName::BlobPulled).at(&repository).of(&digest)).await?;
    answer(call, &digest, blob.size, Some(Opened::new(file)))
}

/// Answers with what the request's headers ask for; a HEAD has no file.
fn answer(call: &Call, digest: &Digest, size: u64, opened: Option<Opened>) -> Result<HttpResponse, ApiError> {
    let etag = format!("\"{digest}\"");
    if header_text(&call.request, header::IF_NONE_MATCH).is_some_and(|tags| matches_etag(tags, &etag)) {
        let mut response = HttpResponse::NotModified();
        response.insert_header((header::ETAG, etag)).insert_header((header::CACHE_CONTROL, IMMUTABLE));
        return Ok(response.finish());
    }
    let range = header_text(&call.request, header::RANGE).filter(|_| call.request.method() == Method::GET);
    let current = header_text(&call.request, header::IF_RANGE).is_none_or(|tag| tag.trim() == etag);
    let wanted = wanted(range.filter(|_| current), size);
    let status = match wanted {
        Wanted::Whole => StatusCode::OK,
        Wanted::Part(_) | Wanted::Parts(_) => StatusCode::PARTIAL_CONTENT,
        Wanted::Unsatisfiable => return Err(not_satisfiable(size)),
    };
    let mut response = HttpResponse::build(status);
    describe(&mut response, digest, &etag);
    let Some(opened) = opened else { return Ok(response.body(of_length(size))) };
    let file = opened.clone();
    let mut response = match wanted {
        Wanted::Part(Part { start, end }) => {
            response.insert_header((header::CONTENT_RANGE, format!("bytes {start}-{end}/{size}")));
            response.body(BlobBody::new(file, start, end - start + 1, true))
        }
        Wanted::Parts(parts) => {
            let body = Byteranges::new(file, &parts, size);
            response.content_type(body.content_type());
            response.body(body)
        }
        Wanted::Whole | Wanted::Unsatisfiable => response.body(BlobBody::new(file, 0, size, true)),
    };
    response.extensions_mut().insert(opened);
    Ok(response)
}

fn not_satisfiable(size: u64) -> ApiError {
    let message = format!("the range is outside of the blob's {size} bytes");
    ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::SizeInvalid, message)
        .header(header::CONTENT_RANGE, format!("bytes */{size}"))
}

/// `DELETE /v2/<name>/blobs/<digest>`: it is gone from this repository at once; its bytes go with the next sweep unless
/// another repository shows it.
pub async fn delete(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Blob(repository, digest) = call.target.clone() else { return Err(wrong_target()) };
    let (origin, now) = (call.origin(), call.state.worker.clock.now());
    let kept_until = now.after(call.state.worker.grace.kept());
    let query = UnlinkBlob { repository: repository.clone(), digest, kept_until };
    let event = Event::new(EventName::BlobDeleted).at(&repository).of(&digest);
    let describe = move |deleted: &bool| deleted.then_some(event).into_iter().collect();
    match call.state.worker.db.write(Audited { query, origin, now, describe }).await? {
        true => Ok(HttpResponse::Accepted().finish()),
        false => Err(blob_unknown(&repository, &digest)),
    }
}

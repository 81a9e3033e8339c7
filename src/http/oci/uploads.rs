//! Uploads: how blobs come in.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs>

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use mcr_actors::ask::Handle;
use mcr_actors::blob_store::Check;
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::blobs::{FindBlob, Linked, MountBlob, WhichShow};
use mcr_actors::db::queries::repositories::ListRepositories;
use mcr_actors::domain::{Action, Algorithm, Digest, Event, EventName, RepositoryName};
use mcr_actors::policy::builtin::ADMIN;
use mcr_actors::policy::{Question, Rules};
use mcr_actors::upload::{
    Begin, BeginOnce, BeginRequest, Beginner, Cancel, Find, GetStatus, Owner, Session, Writer,
};
use serde_json::json;
use uuid::Uuid;

use super::call::Call;
use super::{DOCKER_CONTENT_DIGEST, location, wrong_target};
use crate::caller::Caller;
use crate::http::auth;
use crate::http::body::receive;
use crate::http::error::{ApiError, Code};
use crate::http::path::Target;
use crate::http::range::{Chunk, chunk};

/// Most repositories looked at for the source of a mount that names none, whether the caller may see them or not.
const MOUNT_SOURCES: usize = 100;

/// `POST /v2/<name>/blobs/uploads/`: begins an upload, or does the whole of one, or mounts.
pub async fn begin(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Uploads(repository) = call.target.clone() else { return Err(wrong_target()) };
    if let Some(digest) = call.query.get("digest") {
        let digest = digest.parse()?;
        return upload_whole(call, repository, digest).await;
    }
    // What is no digest is nowhere, and a mount that finds nothing is a push.
    if let Some(Ok(digest)) = call.query.get("mount").map(str::parse)
        && mount(call, &repository, digest).await?
    {
        return Ok(created(call, &repository, &digest));
    }
    let algorithm = match call.query.get("digest-algorithm") {
        Some(algorithm) => algorithm.parse()?,
        None => Algorithm::Sha256,
    };
    let Some(caller) = &call.caller else { return Err(wrong_target()) };
    let owner = Owner { principal: (*caller.principal).clone(), token_hash: caller.token_hash };
    let (id, _session) =
        call.state.worker.uploads.ask(Begin { repository: repository.clone(), algorithm, owner }).await?;
    Ok(accepted(call, &repository, id, 0))
}

/// A blob in one request.
async fn upload_whole(
    call: &mut Call,
    repository: RepositoryName,
    digest: Digest,
) -> Result<HttpResponse, ApiError> {
    let announced = Announced::of(call)?;
    let (algorithm, request) = (digest.algorithm(), announced.request());
    let Some(caller) = &call.caller else { return Err(wrong_target()) };
    let owner = caller.principal.subject.clone();
    let begin = BeginOnce { repository: repository.clone(), algorithm, owner, request };
    let writer = call.state.worker.uploads.ask(begin).await?;
    let writer = send_body(call, announced, writer).await?;
    writer.finish(digest, call.origin()).await?;
    Ok(created(call, &repository, &digest))
}

/// Makes the blob visible here when it is visible where the caller may pull. Anything else is as if it were not there.
async fn mount(call: &Call, repository: &RepositoryName, digest: Digest) -> Result<bool, ApiError> {
    let Some(caller) = &call.caller else { return Ok(false) };
    let worker = &call.state.worker;
    let sources = match call.query.get("from") {
        Some(from) => from.parse().ok().into_iter().collect(),
        None => sources(call, caller, repository, digest).await?,
    };
    for from in sources {
        if !auth::may(&call.state, &caller.principal, Action::Pull, Some(&from)).await? {
            continue;
        }
        let Some(blob) = worker.db.read(FindBlob { repository: from.clone(), digest }).await? else {
            continue;
        };
        if worker.blobs.ask(Check { digest, size: blob.size }).await.is_err() {
            continue;
        }
        let now = worker.clock.now();
        let kept_until = now.after(worker.grace.kept());
        let query = MountBlob { from: from.clone(), repository: repository.clone(), digest, now, kept_until };
        let describe = mounted(repository.clone(), from, digest);
        if worker.db.write(Audited { query, origin: call.origin(), now, describe }).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the caller may pull the blob from, for a mount that names no source: among a hundred repositories, those
/// first that follow the first part of the target's name. Those that the caller may not see are left out before the blob is looked for, so that
/// they change neither the answer nor the work.
async fn sources(
    call: &Call,
    caller: &Caller,
    target: &RepositoryName,
    digest: Digest,
) -> Result<Vec<RepositoryName>, ApiError> {
    let worker = &call.state.worker;
    let rules = worker.policy.ask(Rules).await?;
    let (home, _) = target.as_str().split_once('/').unwrap_or((target.as_str(), ""));
    let near = worker.db.read(ListRepositories { after: home.to_owned(), limit: MOUNT_SOURCES }).await?;
    let left = MOUNT_SOURCES - near.items.len();
    let far = worker.db.read(ListRepositories { after: String::new(), limit: left }).await?;
    let may_pull = |repository: &RepositoryName| {
        let (principal, repository) = (&*caller.principal, Some(repository));
        rules.decide(Question { principal, action: Action::Pull, repository }).allowed
    };
    let repositories = near.items.into_iter().chain(far.items).filter(may_pull).collect();
    Ok(worker.db.read(WhichShow { digest, repositories }).await?)
}

/// The entries that record a mount, if it happened.
fn mounted(
    repository: RepositoryName,
    from: RepositoryName,
    digest: Digest,
) -> impl FnOnce(&Option<Linked>) -> Vec<Event> + Clone + Send {
    move |linked| {
        let Some(linked) = linked else { return Vec::new() };
        let created = Event::new(EventName::RepositoryCreated).at(&repository);
        let mounted = Event::new(EventName::BlobMounted).at(&repository).of(&digest);
        let created = linked.repository_created.then_some(created);
        created.into_iter().chain([mounted.with(json!({"from": from.as_str()}))]).collect()
    }
}

/// Whose uploads the caller may go on with: its own, and an administrator anybody's. All that did not log in are one.
fn beginner(call: &Call) -> Result<Beginner, ApiError> {
    let Some(caller) = &call.caller else { return Err(wrong_target()) };
    let principal = &caller.principal;
    Ok(match principal.has_role(ADMIN) {
        true => Beginner::Anybody,
        false => Beginner::Principal(principal.subject.clone()),
    })
}

async fn find(call: &Call) -> Result<(RepositoryName, Uuid, Handle<Session>), ApiError> {
    let Target::Upload(repository, id) = call.target.clone() else { return Err(wrong_target()) };
    let session = call
        .state
        .worker
        .uploads
        .ask(Find { id, repository: repository.clone(), by: beginner(call)? })
        .await?;
    Ok((repository, id, session))
}

/// `PATCH`: adds bytes to an upload.
pub async fn append(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let (repository, id, session) = find(call).await?;
    let written = match write_body(call, &session).await {
        Ok(writer) => writer.acknowledge().await.map_err(ApiError::from),
        Err(error) => Err(error),
    };
    match written {
        Ok(offset) => Ok(accepted(call, &repository, id, offset)),
        Err(error) => Err(with_range(call, error, &repository, id, &session).await),
    }
}

/// `PUT`: adds the last bytes, if there are any, and closes the upload.
pub async fn finish(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let digest: Digest = match call.query.get("digest") {
        Some(digest) => digest.parse()?,
        None => {
            let message = "an upload is closed with the digest of its content: ?digest=sha256:…";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, message));
        }
    };
    let (repository, id, session) = find(call).await?;
    let finished = match write_body(call, &session).await {
        Ok(writer) => writer.finish(digest, call.origin()).await.map_err(ApiError::from),
        Err(error) => Err(error),
    };
    match finished {
        Ok(_size) => Ok(created(call, &repository, &digest)),
        Err(error) => Err(with_range(call, error, &repository, id, &session).await),
    }
}

/// `GET` or `HEAD`: how far an upload has come.
pub async fn status(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let (repository, id, session) = find(call).await?;
    let status = session.ask(GetStatus).await?;
    let mut response = accepted(call, &repository, id, status.acknowledged);
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// `DELETE`: ends an upload and forgets what came.
pub async fn cancel(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Upload(repository, id) = call.target.clone() else { return Err(wrong_target()) };
    let cancel = Cancel { id, repository, by: beginner(call)?, origin: call.origin(), caller: None };
    call.state.worker.uploads.ask(cancel).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What a request says of its body.
#[derive(Clone, Copy)]
struct Announced {
    chunk: Option<Chunk>,
    length: Option<u64>,
}

impl Announced {
    fn of(call: &Call) -> Result<Self, ApiError> {
        let (chunk, length) = (content_range(call)?, content_length(call)?);
        match (chunk, length) {
            (Some(chunk), Some(length)) if chunk.length != length => Err(wrong_length(chunk.length, length)),
            _ => Ok(Self { chunk, length }),
        }
    }

    fn request(self) -> BeginRequest {
        BeginRequest { at: self.chunk.map(|chunk| chunk.start), length: self.length }
    }
}

/// Takes the turn and sends the body; what came is not acknowledged yet.
async fn write_body(call: &mut Call, session: &Handle<Session>) -> Result<Writer, ApiError> {
    let announced = Announced::of(call)?;
    // A session that is gone has ended, or left its upload on disk: whoever asks again learns which.
    let writer = session.ask(announced.request()).await?;
    send_body(call, announced, writer).await
}

async fn send_body(call: &mut Call, announced: Announced, mut writer: Writer) -> Result<Writer, ApiError> {
    let read_timeout = call.state.options.read_timeout;
    let received = receive(&mut call.body, &mut writer, read_timeout).await?;
    match announced.chunk {
        Some(chunk) if chunk.length != received => Err(wrong_length(chunk.length, received)),
        _ => Ok(writer),
    }
}

fn content_range(call: &Call) -> Result<Option<Chunk>, ApiError> {
    let Some(value) = call.request.headers().get(header::CONTENT_RANGE) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(chunk);
    parsed.map(Some).ok_or_else(|| {
        let message = "Content-Range is written <first byte>-<last byte>";
        ApiError::new(StatusCode::BAD_REQUEST, Code::BlobUploadInvalid, message)
    })
}

fn content_length(call: &Call) -> Result<Option<u64>, ApiError> {
    let Some(value) = call.request.headers().get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|value| value.trim().parse().ok());
    length.map(Some).ok_or_else(|| {
        ApiError::new(StatusCode::BAD_REQUEST, Code::SizeInvalid, "Content-Length is not a number of bytes")
    })
}

fn wrong_length(claimed: u64, found: u64) -> ApiError {
    let message = format!("Content-Range says {claimed} bytes, the body has {found}");
    ApiError::new(StatusCode::BAD_REQUEST, Code::SizeInvalid, message)
        .detail(json!({"claimed": claimed, "found": found}))
}

fn upload_path(repository: &RepositoryName, id: Uuid) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

/// `0-<last byte>`, without `bytes=`; an upload without bytes says `0-0`, since clients want the header.
fn range_of(acknowledged: u64) -> String {
    format!("0-{}", acknowledged.saturating_sub(1))
}

fn accepted(call: &Call, repository: &RepositoryName, id: Uuid, acknowledged: u64) -> HttpResponse {
    HttpResponse::Accepted()
        .insert_header((header::LOCATION, location(&call.state.options, &upload_path(repository, id))))
        .insert_header((header::RANGE, range_of(acknowledged)))
        .insert_header(("docker-upload-uuid", id.to_string()))
        .finish()
}

fn created(call: &Call, repository: &RepositoryName, digest: &Digest) -> HttpResponse {
    let path = format!("/v2/{repository}/blobs/{digest}");
    HttpResponse::Created()
        .insert_header((header::LOCATION, location(&call.state.options, &path)))
        .insert_header((DOCKER_CONTENT_DIGEST, digest.to_string()))
        .finish()
}

/// A 416 tells where the upload really stands, so that the client can go on from there.
async fn with_range(
    call: &Call,
    error: ApiError,
    repository: &RepositoryName,
    id: Uuid,
    session: &Handle<Session>,
) -> ApiError {
    if error.status() != StatusCode::RANGE_NOT_SATISFIABLE {
        return error;
    }
    match session.ask(GetStatus).await {
        Ok(status) => error
            .header(header::LOCATION, location(&call.state.options, &upload_path(repository, id)))
            .header(header::RANGE, range_of(status.acknowledged)),
        Err(_) => error,
    }
}

//! Manifests: reading, publishing and deleting.

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::manifests::{
    DeleteManifest, FindManifest, FindManifestHead, KeepManifest, ManifestHead, PublishIf, PublishManifest,
    Published,
};
use mcr_actors::db::queries::repositories::RepositoryExists;
use mcr_actors::db::queries::tags::DeleteTag;
use mcr_actors::domain::{
    Action, Algorithm, Digest, Event, EventName, Manifest, MediaType, Reference, RepositoryName, Tag,
};
use serde_json::json;
use tokio::sync::Semaphore;

use super::call::Call;
use super::{DOCKER_CONTENT_DIGEST, location, name_unknown, wrong_target};
use crate::admin::refusal::Refusal;
use crate::http::auth;
use crate::http::body::of_length;
use crate::http::error::{ApiError, Code};
use crate::http::path::Target;
use crate::http::precondition::precondition;
use crate::http::range::matches_etag;
use crate::http::small_body::{Bounds, announced, collect};

/// Most tags set by one push; what is more does not fit into a URL that proxies take either.
const MAX_TAGS: usize = 100;
/// Most bytes of a manifest that a worker reads itself: less than a millisecond. Images have a few thousand.
const SMALL: usize = 64 * 1024;
/// How many larger ones are read at once, on threads where nobody waits for them.
static READERS: Semaphore = Semaphore::const_new(2);

fn manifest_unknown(repository: &RepositoryName, reference: &Reference) -> ApiError {
    let message = format!("{repository} has no manifest {reference}");
    ApiError::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, message)
        .detail(json!({"reference": reference.to_string()}))
}

/// The repository is not there, or only the manifest is not.
async fn unknown(call: &Call, repository: RepositoryName, reference: &Reference) -> ApiError {
    match call.state.worker.db.read(RepositoryExists(repository.clone())).await {
        Ok(true) => manifest_unknown(&repository, reference),
        Ok(false) => name_unknown(&repository),
        Err(error) => error.into(),
    }
}

fn describe(call: &Call, head: &ManifestHead, by_tag: bool) -> Result<HttpResponseBuilder, HttpResponse> {
    let etag = format!("\"{}\"", head.digest);
    // A tag moves, a digest does not.
    let cache = if by_tag { "private, no-cache" } else { "private, max-age=31536000, immutable" };
    let asked = call.request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = asked.is_some_and(|tags| matches_etag(tags, &etag));
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((DOCKER_CONTENT_DIGEST, head.digest.to_string()));
    if unchanged {
        return Err(response.finish());
    }
    // The type is the pusher's choice, and may be one that browsers show.
    response
        .content_type(head.media_type.as_str())
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"));
    Ok(response)
}

/// Extends the manifest's protection when sweeps take manifests and less than `grace` is left, so that most requests write
/// nothing. Says whether it is still there.
async fn keep(call: &Call, repository: &RepositoryName, head: &ManifestHead) -> Result<bool, ApiError> {
    let worker = &call.state.worker;
    let now = worker.clock.now();
    let Some(caller) = call.caller.as_ref().filter(|_| worker.takes_untagged) else { return Ok(true) };
    if head.kept_until >= now.after(worker.grace.promised())
        || !auth::may(&call.state, &caller.principal, Action::Push, Some(repository)).await?
    {
        return Ok(true);
    }
    let (repository, digest, kept_until) = (repository.clone(), head.digest, now.after(worker.grace.kept()));
    Ok(worker.db.write(KeepManifest { repository, digest, kept_until }).await?)
}

/// `HEAD /v2/<name>/manifests/<reference>`: a pusher that hears 200 may rely on the manifest for at least `grace`.
pub async fn head(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Manifest(repository, reference) = call.target.clone() else { return Err(wrong_target()) };
    let query = FindManifestHead { repository: repository.clone(), reference: reference.clone() };
    let Some(head) = call.state.worker.db.recall(query).await? else {
        return Err(unknown(call, repository, &reference).await);
    };
    if !keep(call, &repository, &head).await? {
        return Err(unknown(call, repository, &reference).await);
    }
    Ok(match describe(call, &head, matches!(reference, Reference::Tag(_))) {
        Ok(mut response) => response.body(of_length(head.size)),
        Err(not_modified) => not_modified,
    })
}

/// `GET /v2/<name>/manifests/<reference>`: the bytes that were pushed, with the type that was pushed, whatever `Accept`
/// says: every client takes what is stored. It protects like HEAD.
pub async fn get(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Manifest(repository, reference) = call.target.clone() else { return Err(wrong_target()) };
    let query = FindManifest { repository: repository.clone(), reference: reference.clone() };
    let Some((head, body)) = call.state.worker.db.recall(query).await? else {
        return Err(unknown(call, repository, &reference).await);
    };
    if !keep(call, &repository, &head).await? {
        return Err(unknown(call, repository, &reference).await);
    }
    let mut event = Event::new(EventName::ManifestPulled).at(&repository).of(&head.digest);
    if let Reference::Tag(tag) = &reference {
        event = event.tagged(tag);
    }
    call.record_pull(event).await?;
    Ok(match describe(call, &head, matches!(reference, Reference::Tag(_))) {
        Ok(mut response) => response.body(body),
        Err(not_modified) => not_modified,
    })
}

fn media_type(call: &Call) -> Result<MediaType, ApiError> {
    let header = call.request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    header.and_then(MediaType::parse).filter(|media_type| !media_type.is_form()).ok_or_else(|| {
        let message = "a manifest is pushed with its media type as Content-Type, such as \
                       application/vnd.oci.image.manifest.v1+json";
        ApiError::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, message)
    })
}

/// The tags of the `tag` parameters, each once, for a push by digest.
fn tag_parameters(call: &Call) -> Result<Vec<Tag>, ApiError> {
    let mut tags: Vec<Tag> = Vec::new();
    for tag in call.query.all("tag") {
        let tag = tag.parse()?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > MAX_TAGS {
        let message = format!("one push sets at most {MAX_TAGS} tags");
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, Code::ManifestInvalid, message));
    }
    Ok(tags)
}

/// Reads a manifest; a large one where no other request waits for it.
async fn parse(algorithm: Algorithm, media_type: MediaType, body: Bytes) -> Result<Manifest, ApiError> {
    if body.len() <= SMALL {
        return Ok(Manifest::parse(algorithm, media_type, body)?);
    }
    let place = READERS.acquire().await;
    let read = tokio::task::spawn_blocking(move || {
        // Whoever asked may go away: the place is taken until it is read.
        let _place = place;
        Manifest::parse(algorithm, media_type, body)
    });
    Ok(read.await.map_err(|error| ApiError::from(Refusal::unavailable(&error)))??)
}

/// `PUT /v2/<name>/manifests/<reference>[?tag=…]`: 201 means that the manifest, its references, its referrer entry and its
/// tags are visible and last. `If-Match` and `If-None-Match` are decided in the same transaction; 412 changes nothing.
pub async fn put(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Manifest(repository, reference) = call.target.clone() else { return Err(wrong_target()) };
    let options = call.state.options.clone();
    let media_type = media_type(call)?;
    let (algorithm, tags, named) = match &reference {
        Reference::Tag(tag) => (Algorithm::Sha256, vec![tag.clone()], None),
        Reference::Digest(digest) => (digest.algorithm(), tag_parameters(call)?, Some(*digest)),
    };
    let bounds = Bounds {
        announced: announced(&call.request),
        limit: options.max_manifest_size,
        read_timeout: options.read_timeout,
        code: Code::ManifestInvalid,
    };
    let holder = call.holder();
    let body = collect(&mut call.body, bounds, holder).await?;
    let manifest = parse(algorithm, media_type, body.bytes.clone()).await?;
    if let Some(claimed) = named {
        mcr_actors::upload::state::verify(claimed, manifest.digest)?;
    }
    let (digest, subject) = (manifest.digest, manifest.subject);
    let (now, origin) = (call.state.worker.clock.now(), call.origin());
    let publish = PublishManifest {
        repository: repository.clone(),
        manifest,
        tags: tags.clone(),
        allow_sparse: options.allow_sparse,
        now,
        kept_until: now.after(call.state.worker.grace.kept()),
        pushed_by: origin.actor_name.clone(),
    };
    let query =
        PublishIf { reference: reference.clone(), precondition: precondition(&call.request), publish };
    let describe = published(repository.clone(), digest, tags.clone());
    call.state.worker.db.write(Audited { query, origin, now, describe }).await?;
    let tags = if named.is_some() { tags } else { Vec::new() };
    let path = format!("/v2/{repository}/manifests/{reference}");
    Ok(created(&location(&options, &path), &digest, subject.as_ref(), &tags))
}

/// The entries that record a push.
fn published(
    repository: RepositoryName,
    digest: Digest,
    tags: Vec<Tag>,
) -> impl FnOnce(&Published) -> Vec<Event> + Clone + Send {
    move |published| {
        let mut events = Vec::new();
        if published.repository_created {
            events.push(Event::new(EventName::RepositoryCreated).at(&repository));
        }
        let mut pushed = Event::new(EventName::ManifestPushed).at(&repository).of(&digest);
        if let Some(tag) = tags.first() {
            let all: Vec<&str> = tags.iter().map(Tag::as_str).collect();
            pushed = pushed.tagged(tag).with(json!({"tags": all}));
        }
        events.push(pushed);
        events.extend(published.moved.iter().map(|(tag, before)| {
            Event::new(EventName::TagMoved)
                .at(&repository)
                .of(&digest)
                .tagged(tag)
                .with(json!({"from": before}))
        }));
        events
    }
}

fn created(location: &str, digest: &Digest, subject: Option<&Digest>, tags: &[Tag]) -> HttpResponse {
    let mut response = HttpResponse::Created();
    response
        .insert_header((header::LOCATION, location))
        .insert_header((DOCKER_CONTENT_DIGEST, digest.to_string()));
    if let Some(subject) = subject {
        response.insert_header(("oci-subject", subject.to_string()));
    }
    for tag in tags {
        response.append_header(("oci-tag", tag.as_str()));
    }
    response.finish()
}

/// `DELETE /v2/<name>/manifests/<reference>`: by digest the manifest with its tags, by tag the tag alone where that is
/// configured.
pub async fn delete(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Manifest(repository, reference) = call.target.clone() else { return Err(wrong_target()) };
    let worker = &call.state.worker;
    let (origin, now) = (call.origin(), worker.clock.now());
    let deleted = match &reference {
        Reference::Digest(digest) => {
            let kept_until = now.after(worker.grace.kept());
            let query = DeleteManifest { repository: repository.clone(), digest: *digest, kept_until };
            let event = Event::new(EventName::ManifestDeleted).at(&repository).of(digest);
            let describe = move |deleted: &bool| deleted.then_some(event).into_iter().collect();
            worker.db.write(Audited { query, origin, now, describe }).await?
        }
        Reference::Tag(_) if !call.state.options.allow_tag_delete => {
            let query = FindManifestHead { repository: repository.clone(), reference: reference.clone() };
            if worker.db.read(query).await?.is_none() {
                return Err(unknown(call, repository, &reference).await);
            }
            let message =
                "tags cannot be deleted here; delete the manifest by its digest, or set allow_tag_delete";
            let methods =
                [Method::GET, Method::HEAD, Method::PUT].map(|method| method.to_string()).join(", ");
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
                .header(header::ALLOW, methods));
        }
        Reference::Tag(tag) => {
            let query = DeleteTag { repository: repository.clone(), tag: tag.clone(), now };
            let event = Event::new(EventName::TagDeleted).at(&repository).tagged(tag);
            let describe = move |deleted: &bool| deleted.then_some(event).into_iter().collect();
            worker.db.write(Audited { query, origin, now, describe }).await?
        }
    };
    if deleted {
        Ok(HttpResponse::Accepted().finish())
    } else {
        Err(unknown(call, repository, &reference).await)
    }
}

//! The manifests that refer to a manifest, as an image index.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>

use actix_web::HttpResponse;
use actix_web::http::header;
use mcr_actors::db::queries::referrers::{ListReferrers, Referrer};
use mcr_actors::domain::MediaType;
use serde_json::{Value, json};

use super::{next_page, wrong_target};
use crate::http::error::ApiError;
use crate::http::path::Target;
use crate::http::routes::Call;

/// Most entries of one page.
const MAX_ENTRIES: usize = 1000;
/// Most bytes of the entries of one page: clients read no more than 4 MiB of an index.
const MAX_BYTES: usize = 3 * 1024 * 1024;

fn descriptor(referrer: &Referrer) -> Value {
    let mut descriptor = json!({
        "mediaType": referrer.media_type,
        "digest": referrer.digest,
        "size": referrer.size,
    });
    if let Some(artifact_type) = &referrer.artifact_type {
        descriptor["artifactType"] = json!(artifact_type);
    }
    if let Some(annotations) =
        referrer.annotations.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok())
    {
        descriptor["annotations"] = annotations;
    }
    descriptor
}

/// As many entries as fit into one answer, and whether that was all of them.
fn fitting(referrers: &[Referrer]) -> (Vec<Value>, bool) {
    let mut bytes = 0;
    let mut entries = Vec::with_capacity(referrers.len());
    for referrer in referrers {
        bytes += 256 + referrer.annotations.as_ref().map_or(0, String::len);
        if bytes > MAX_BYTES && !entries.is_empty() {
            return (entries, false);
        }
        entries.push(descriptor(referrer));
    }
    (entries, true)
}

/// `GET /v2/<name>/referrers/<digest>`: an index, also when there are none.
pub async fn list(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Referrers(repository, subject) = &call.target else { return Err(wrong_target()) };
    let limit = call.query.page_size()?.min(MAX_ENTRIES);
    let artifact_type = call.query.get("artifactType").map(str::to_owned);
    let query = ListReferrers {
        repository: repository.clone(),
        subject: *subject,
        artifact_type: artifact_type.clone(),
        after: call.query.last(),
        limit,
    };
    let page = call.state.worker.db.read(query).await?;
    let (entries, all) = fitting(&page.items);
    let mut response = HttpResponse::Ok();
    response.content_type(MediaType::OCI_INDEX);
    if let (true, Some(last)) = (page.more || !all, entries.len().checked_sub(1)) {
        let limit = limit.to_string();
        let mut pairs = vec![("last", page.items[last].digest.as_str()), ("n", limit.as_str())];
        pairs.extend(artifact_type.as_deref().map(|artifact_type| ("artifactType", artifact_type)));
        let path = format!("/v2/{repository}/referrers/{subject}");
        response.insert_header((header::LINK, next_page(&path, &pairs)));
    }
    if artifact_type.is_some() {
        response.insert_header(("oci-filters-applied", "artifactType"));
    }
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": entries});
    Ok(response.body(index.to_string()))
}

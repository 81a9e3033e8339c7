//! The manifests that refer to a manifest, as an image index.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>

use actix_web::HttpResponse;
use actix_web::http::header;
use mcr_actors::db::queries::referrers::{ListReferrers, Referrer};
use mcr_actors::domain::MediaType;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::{next_page, wrong_target};
use crate::http::error::ApiError;
use crate::http::path::Target;

/// Most entries of one page.
const MAX_ENTRIES: usize = 1000;

fn descriptor(referrer: &Referrer) -> Value {
    let mut descriptor = json!({
        "mediaType": referrer.media_type,
        "digest": referrer.digest,
        "size": referrer.size,
    });
    if let Some(artifact_type) = &referrer.artifact_type {
        descriptor["artifactType"] = json!(artifact_type);
    }
    let annotations = referrer.annotations.as_deref();
    if let Some(mut annotations) =
        annotations.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok())
    {
        // Pushes were not always held to this, and Go refuses a whole list for one value that is no string.
        annotations.retain(|_, value| value.is_string());
        descriptor["annotations"] = annotations.into();
    }
    descriptor
}

/// `GET /v2/<name>/referrers/<digest>`: an index, also when there are none.
pub async fn list(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Referrers(repository, subject) = &call.target else { return Err(wrong_target()) };
    let limit = call.query.page_size()?.min(MAX_ENTRIES);
    let artifact_type = call.query.media_type("artifactType");
    let query = ListReferrers {
        repository: repository.clone(),
        subject: *subject,
        artifact_type: artifact_type.clone(),
        after: call.query.last(),
        limit,
    };
    let page = call.state.worker.db.read(query).await?;
    let entries: Vec<Value> = page.items.iter().map(descriptor).collect();
    let mut response = HttpResponse::Ok();
    response.content_type(MediaType::OCI_INDEX);
    if let (true, Some(last)) = (page.more, page.items.last()) {
        let limit = limit.to_string();
        let mut pairs = vec![("last", last.digest.as_str()), ("n", limit.as_str())];
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

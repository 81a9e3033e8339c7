//! The list of a repository's tags.

use actix_web::HttpResponse;
use actix_web::http::header;
use mcr_actors::db::queries::tags::ListTags;
use serde_json::json;

use super::call::Call;
use super::{name_unknown, next_page, wrong_target};
use crate::http::error::ApiError;
use crate::http::path::Target;

/// `GET /v2/<name>/tags/list`: tags in byte order, from `last` on, at most `n`.
pub async fn list(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let Target::Tags(repository) = &call.target else { return Err(wrong_target()) };
    let n = call.query.page_size()?;
    let query = ListTags { repository: repository.clone(), after: call.query.last(), limit: n };
    let page = call.state.worker.db.read(query).await?.ok_or_else(|| name_unknown(repository))?;
    let mut response = HttpResponse::Ok();
    if let Some(last) = page.items.last().filter(|_| page.more) {
        let path = format!("/v2/{repository}/tags/list");
        response.insert_header((header::LINK, next_page(&path, &[("last", last), ("n", &n.to_string())])));
    }
    Ok(response.json(json!({"name": repository.as_str(), "tags": page.items})))
}

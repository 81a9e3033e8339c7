//! The handlers of `/v2`: each parses, asks and answers.

pub mod blobs;
pub mod call;
pub mod catalog;
pub mod manifests;
pub mod referrers;
pub mod routes;
pub mod tags;
pub mod token;
pub mod uploads;

use actix_web::http::StatusCode;
use mcr_actors::domain::RepositoryName;
use serde_json::json;

use super::error::{ApiError, Code};
use super::state::HttpOptions;

/// A header of every answer that names content.
pub(crate) const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";

/// A route's table row and its target disagree: a mistake of ours that no request can cause.
fn wrong_target() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, Code::Unsupported, "there is nothing at this path")
}

/// A `Location`: a path, which suits every client, or a URL when there is a public one.
fn location(options: &HttpOptions, path: &str) -> String {
    format!("{}{path}", options.public_url.as_deref().unwrap_or_default())
}

/// The `Link` to the next page, relative, since clients refuse another host.
fn next_page(path: &str, query: &[(&str, &str)]) -> String {
    format!("<{path}?{}>; rel=\"next\"", super::query::encode(query))
}

fn name_unknown(repository: &RepositoryName) -> ApiError {
    let message = format!("there is no repository {repository}");
    ApiError::new(StatusCode::NOT_FOUND, Code::NameUnknown, message)
        .detail(json!({"name": repository.as_str()}))
}

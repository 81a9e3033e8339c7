//! The version check and the list of repositories.

use actix_web::HttpResponse;
use actix_web::http::{Method, header};
use mcr_actors::db::queries::repositories::ListRepositories;
use mcr_actors::domain::{Action, RepositoryName};
use mcr_actors::policy::{Question, Rules};
use serde_json::json;

use super::next_page;
use crate::http::body::of_length;
use crate::http::error::ApiError;
use crate::http::query::MAX_PAGE;
use crate::http::routes::Call;

/// Most repositories looked at for one page, whether they may be shown or not.
const EXAMINED: usize = MAX_PAGE;

/// `GET /v2/`: this is a registry, and the token is valid.
pub async fn version(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let mut response = HttpResponse::Ok();
    response.content_type("application/json");
    if call.request.method() == Method::HEAD {
        return Ok(response.body(of_length(2)));
    }
    Ok(response.body("{}"))
}

/// `GET /v2/_catalog`: the repositories that the caller may pull. A page may be short and still have a `Link`.
pub async fn list(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let n = call.query.page_size()?;
    let after = call.query.last();
    let Some(caller) = &call.caller else { return Ok(HttpResponse::Unauthorized().finish()) };
    if n == 0 {
        return Ok(HttpResponse::Ok().json(json!({"repositories": []})));
    }
    let rules = call.state.worker.policy.ask(Rules).await?;
    let page = call.state.worker.db.read(ListRepositories { after, limit: EXAMINED }).await?;
    let may_pull = |repository: &&RepositoryName| {
        let repository = Some(*repository);
        rules.decide(Question { principal: &caller.principal, action: Action::Pull, repository }).allowed
    };
    let mut visible = page.items.iter().filter(may_pull);
    let names: Vec<&str> = visible.by_ref().take(n).map(RepositoryName::as_str).collect();
    // The next page begins after the last name shown, or after the last one looked at when none is left to show.
    let last = if visible.next().is_some() {
        names.last().copied()
    } else {
        page.items.last().filter(|_| page.more).map(RepositoryName::as_str)
    };
    let mut response = HttpResponse::Ok();
    if let Some(last) = last {
        let link = next_page("/v2/_catalog", &[("last", last), ("n", &n.to_string())]);
        response.insert_header((header::LINK, link));
    }
    Ok(response.json(json!({"repositories": names})))
}

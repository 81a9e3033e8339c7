//! The version check and the list of repositories.

use actix_web::HttpResponse;
use actix_web::http::{Method, header};
use mcr_actors::db::Db;
use mcr_actors::db::queries::repositories::ListRepositories;
use mcr_actors::domain::{Action, RepositoryName};
use mcr_actors::policy::{Question, Rules};
use serde_json::json;

use super::call::Call;
use super::next_page;
use crate::http::body::of_length;
use crate::http::error::ApiError;
use crate::http::query::MAX_PAGE;

/// Most repositories looked at for one page, whether they may be shown or not.
const EXAMINED: usize = MAX_PAGE;
/// The fewest looked at at once, so that the work tells little of how many are passed over.
const AT_ONCE: usize = 256;
/// What cursors of this list are bound to.
const CATALOG: &str = "/v2/_catalog";

/// `GET /v2/`: this is a registry, and the token is valid.
pub async fn version(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let mut response = HttpResponse::Ok();
    response.content_type("application/json");
    if call.request.method() == Method::HEAD {
        return Ok(response.body(of_length(2)));
    }
    Ok(response.body("{}"))
}

/// `GET /v2/_catalog`: the repositories that the caller may pull. A page may be short and still have a `Link`, whose
/// `last` is then sealed: it stands for a repository that the caller may not see. A client may give any name as `last`.
pub async fn list(call: &mut Call) -> Result<HttpResponse, ApiError> {
    let n = call.query.page_size()?;
    let Some(caller) = &call.caller else { return Ok(HttpResponse::Unauthorized().finish()) };
    if n == 0 {
        return Ok(HttpResponse::Ok().json(json!({"repositories": []})));
    }
    let rules = call.state.worker.policy.ask(Rules).await?;
    let may_pull = |repository: &RepositoryName| {
        let repository = Some(repository);
        rules.decide(Question { principal: &caller.principal, action: Action::Pull, repository }).allowed
    };
    let (cursors, reader) = (&call.state.cursors, &caller.principal.subject);
    let after = cursors.open(CATALOG, reader, &call.query.last())?;
    let (names, next) = visible(&call.state.worker.db, after, n, may_pull).await?;
    let mut response = HttpResponse::Ok();
    let last = match next {
        Next::Shown(last) => Some(last),
        Next::Examined(last) => Some(cursors.seal(CATALOG, reader, &last)?),
        Next::Nothing => None,
    };
    if let Some(last) = last {
        let link = next_page(CATALOG, &[("last", &last), ("n", &n.to_string())]);
        response.insert_header((header::LINK, link));
    }
    let names: Vec<&str> = names.iter().map(RepositoryName::as_str).collect();
    Ok(response.json(json!({"repositories": names})))
}

/// Where the next page begins.
enum Next {
    /// There is none.
    Nothing,
    /// After this one, which was shown.
    Shown(String),
    /// After this one, which was looked at and may be hidden.
    Examined(String),
}

/// The most looked at for a page of few: drawn anew for each, so that nobody finds a hidden name by moving the page's
/// begin until its end moves.
fn bound() -> usize {
    let half = EXAMINED / 2;
    half + getrandom::u32().map_or(half, |drawn| drawn as usize % half)
}

/// The first `n` repositories after `after` that may be shown, and where the next page begins: after the last one shown,
/// or after the last one looked at when as many were as may be.
async fn visible(
    db: &Db,
    mut after: String,
    n: usize,
    may_pull: impl Fn(&RepositoryName) -> bool,
) -> Result<(Vec<RepositoryName>, Next), ApiError> {
    let (mut names, mut examined, mut limit) = (Vec::new(), 0, n.saturating_add(1).max(AT_ONCE));
    let most = bound().max(n.saturating_add(1));
    while examined < most {
        limit = limit.min(most - examined);
        let page = db.read(ListRepositories { after: after.clone(), limit }).await?;
        if let Some(last) = page.items.last() {
            after = last.as_str().to_owned();
        }
        for name in page.items.into_iter().filter(&may_pull) {
            if names.len() == n {
                let last = names.last().map(|name: &RepositoryName| name.as_str().to_owned());
                return Ok((names, last.map_or(Next::Nothing, Next::Shown)));
            }
            names.push(name);
        }
        if !page.more {
            return Ok((names, Next::Nothing));
        }
        (examined, limit) = (examined + limit, limit.saturating_mul(4));
    }
    Ok((names, Next::Examined(after)))
}

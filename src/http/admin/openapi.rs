//! The description of the admin API, made from its handlers.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use bytes::Bytes;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use super::call::AdminCall;
use super::{
    audit, deletions, gc, manifests, oneself, policy, repositories, rights, session, snapshots, system, tags,
    tokens, uploads, users,
};
use crate::admin::refusal::Reason;
use crate::http::error::ApiError;

#[derive(OpenApi)]
#[openapi(
    info(title = "MCR admin API", description = "What administrators of a registry and their scripts use. Beside what each operation \
lists, any may answer 408 when a body does not come in time, 429 when too many answers to its address or account are under way, 503 when the \
registry is busy or stopping, and one that adds something 507 when the disk is full."),
    paths(
        system::health, system::ready, system::show, system::actors, system::metrics, session::login, session::logout, session::me, document,
        oneself::list_own_tokens, oneself::create_own_token, oneself::renew_own_token, oneself::revoke_own_token, oneself::renew,
        oneself::change_password,
        repositories::list, repositories::show, repositories::delete, repositories::delete_tag, rights::show, tags::list,
        manifests::list, manifests::show, deletions::delete,
        policy::list, policy::create, policy::show, policy::update, policy::delete, policy::test,
        users::list, users::create, users::show, users::update, users::delete,
        tokens::list_tokens, tokens::create_token, tokens::renew_token, tokens::revoke_token,
        uploads::list, uploads::cancel, audit::list,
        gc::start, gc::stop, gc::status, gc::list, gc::items,
        snapshots::start, snapshots::list,
    ),
    modifiers(&Bearer, &Words),
    security(("bearer" = []))
)]
struct Document;

/// How callers show who they are.
struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    }
}

/// Which words a refusal can have.
struct Words;

impl utoipa::Modify for Words {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let schemas = openapi.components.as_mut().map(|components| &mut components.schemas);
        let problem = schemas.and_then(|schemas| schemas.get_mut("Problem"));
        let Some(RefOr::T(Schema::Object(problem))) = problem else { return };
        if let Some(RefOr::T(Schema::Object(code))) = problem.properties.get_mut("code") {
            code.enum_values = Some(Reason::ALL.iter().map(|reason| reason.as_str().into()).collect());
        }
    }
}

/// The document as pretty JSON.
pub fn text() -> String {
    Document::openapi().to_pretty_json().unwrap_or_default()
}

/// It never changes.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| text().into());

/// The document itself.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "system", responses(
    (status = 200, body = Object), (status = 401, body = crate::model::Problem)))]
pub async fn document(_: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().content_type("application/json").body(TEXT.clone()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::admin::routes::ROUTES;
    use crate::http::api::Shape;

    #[test]
    fn the_document_describes_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(&text()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let routes: BTreeSet<(String, String)> = ROUTES
            .iter()
            .map(|route| (route.method.to_string(), route.shape.template().to_owned()))
            .collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn the_document_has_every_word_of_a_refusal() {
        let document: serde_json::Value = serde_json::from_str(&text()).unwrap();
        let words = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].clone();
        assert_eq!(words.as_array().map(Vec::len), Some(Reason::ALL.len()));
    }

    /// `UPDATE_SNAPSHOTS=1` writes it anew.
    #[test]
    fn the_document_is_the_committed_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, text() + "\n").unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(committed, text() + "\n", "docs/openapi.json is not what the code says");
    }
}

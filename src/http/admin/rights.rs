//! Who may do what to a repository, and by which rules.

use actix_web::HttpResponse;
use mcr_actors::domain::Principal;
use mcr_actors::policy::access::Rights;

use super::call::AdminCall;
use super::path::Target;
use super::{listed, not_found, page, policy};
use crate::admin::rights::{self, Access, Account, Tokens};
use crate::http::error::ApiError;
use crate::model::{AccessModel, AccountAccess, KindAccess, Problem, RightsModel, TokensAccess};

fn rights_model(Rights { pull, push, delete }: Rights) -> RightsModel {
    let model = policy::decision;
    RightsModel { pull: model(pull), push: model(push), delete: model(delete) }
}

fn tokens_model(Tokens { roles, total, names, rights }: Tokens) -> TokensAccess {
    TokensAccess { roles, total, names, rights: rights_model(rights) }
}

fn account_model(Account { user, rights, tokens }: Account) -> AccountAccess {
    AccountAccess {
        name: user.name,
        account_type: user.account_type.as_str().to_owned(),
        roles: user.roles,
        disabled: user.disabled,
        rights: rights_model(rights),
        tokens: tokens.into_iter().map(tokens_model).collect(),
    }
}

fn kind_model((kind, rights): (Principal, Rights)) -> KindAccess {
    let Principal { account_type, roles, .. } = kind;
    KindAccess { account_type: account_type.as_str().to_owned(), roles, rights: rights_model(rights) }
}

pub(super) fn model(access: Access) -> AccessModel {
    AccessModel {
        repository: access.repository.to_string(),
        anonymous: access.anonymous,
        kinds: access.kinds.into_iter().map(kind_model).collect(),
        accounts: access.accounts.map(|accounts| listed(accounts, account_model)),
        rules: access.rules.into_iter().map(policy::model).collect(),
    }
}

/// Tells who may pull from a repository, push to it and delete from it, and by which rules: kinds of callers that rules tell apart,
/// whoever there is, and a page of the accounts by name, each with its robot tokens that have other roles. Where accounts are
/// managed elsewhere there are only the kinds.
#[utoipa::path(get, path = "/v1/repositories/{name}/access", tag = "repositories", params(("name" = String, Path),
    ("n" = Option<u64>, Query), ("offset" = Option<u64>, Query)), responses(
    (status = 200, body = AccessModel), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn show(call: &mut AdminCall) -> Result<HttpResponse, ApiError> {
    let Target::RepositoryAccess(name) = call.target.clone() else { return Err(not_found("repository")) };
    let access = rights::show(&call.plain(), name, page(call)?).await?;
    Ok(HttpResponse::Ok().json(model(access)))
}

//! Each use case, called with the arguments of a case; what it answers, in the words of the API.

use mcr_actors::auth_cache::Credentials;
use mcr_actors::db::queries::audit_pages::AuditPlace;
use mcr_actors::db::queries::repository_pages::RepositoryOrder;
use mcr_actors::db::queries::tag_pages::TagOrder;
use mcr_actors::domain::{EventName, Precondition};
use mcr_actors::policy::RuleId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cases::Case;
use crate::admin::call::Call;
use crate::admin::page::Page;
use crate::admin::refusal::Refusal;
use crate::admin::use_case::UseCase;
use crate::admin::{
    audit, collection, deletions, manifests, oneself, repositories, rights, rules, session, snapshots,
    system, tags, tokens, uploads, users,
};
use crate::http::admin as rest;
use crate::model::{Deleted, Health, NewDeletions, SnapshotStarted, SweepStarted};

/// The answer as it goes over the wire.
fn said(answer: impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap()
}

/// Nothing is said of what is gone.
fn gone<T>(((), _): ((), T)) -> Value {
    Value::Null
}

fn body<T: DeserializeOwned>(case: &Case) -> T {
    serde_json::from_value(case.body.clone()).unwrap()
}

fn page(case: &Case) -> Result<Page, Refusal> {
    Page::new(case.n, case.offset)
}

fn rule(case: &Case) -> RuleId {
    RuleId(case.id.parse().unwrap())
}

fn seen(case: &Case) -> Precondition {
    Precondition::read(case.if_match, None)
}

fn filter(case: &Case) -> audit::Filter {
    let of_name = |name: &str| EventName::ALL.iter().find(|event| event.as_str() == name).copied().unwrap();
    let events = case.event.iter().flat_map(|events| events.split(',')).map(of_name).collect();
    audit::Filter { events, actor: case.actor.map(str::to_owned), ..audit::Filter::default() }
}

/// What a use case answers.
pub(super) async fn answer(
    use_case: UseCase,
    call: &Call,
    case: &Case,
    shown: Option<Credentials>,
) -> Result<Value, Refusal> {
    use UseCase as U;
    Ok(match use_case {
        U::ReadHealth | U::ReadReadiness | U::ReadSystem | U::ListActors => of_system(use_case, call).await?,
        U::LogIn => said(rest::session::login_model(&session::log_in(call, body(case)).await?.0)),
        U::LogOut => gone(session::log_out(call, shown).await?),
        U::ReadCaller => said(rest::session::me_model(&session::who(call).await?)),
        U::ListOwnTokens | U::CreateOwnToken | U::RenewOwnToken | U::RevokeOwnToken => {
            of_oneself(use_case, call, case).await?
        }
        U::RenewToken | U::ChangePassword => of_oneself(use_case, call, case).await?,
        // What HTTP answers by itself.
        U::DescribeApi | U::ReadMetrics => Value::Null,
        U::ListTags | U::ListManifests | U::ReadManifest | U::DeleteContent => {
            of_content(use_case, call, case).await?
        }
        U::ListRepositories | U::ReadRepository | U::ReadAccess | U::DeleteRepository | U::DeleteTag => {
            of_repositories(use_case, call, case).await?
        }
        U::ListUsers | U::CreateUser | U::ReadUser | U::UpdateUser | U::DeleteUser => {
            of_users(use_case, call, case).await?
        }
        U::ListTokens | U::CreateToken | U::RenewRobotToken | U::RevokeToken => {
            of_tokens(use_case, call, case).await?
        }
        U::ListUploads => said(rest::listed(uploads::list(call, page(case)?).await?, rest::uploads::model)),
        U::CancelUpload => gone(uploads::cancel(call, case.id.parse().unwrap()).await?),
        U::StartSweep | U::StopSweep | U::ReadCollector | U::ListSweeps | U::ListFindings => {
            of_collector(use_case, call, case).await?
        }
        U::StartSnapshot => said(SnapshotStarted { id: snapshots::start(call, body(case)).await?.0 }),
        U::ListSnapshots => {
            said(rest::listed(snapshots::list(call, page(case)?).await?, rest::snapshots::model))
        }
        U::ListAudit => {
            let place = case.after.map_or_else(AuditPlace::default, AuditPlace::After);
            let (filter, page, is_whole) = (filter(case), page(case)?, case.offset.is_some());
            let entries = audit::list(call, audit::Wanted { filter, place, page, is_whole }).await?;
            said(rest::audit::list_model(entries, None))
        }
        U::ListRules | U::CreateRule | U::ReadRule | U::UpdateRule | U::DeleteRule | U::TestRules => {
            of_rules(use_case, call, case).await?
        }
    })
}

async fn of_system(use_case: UseCase, call: &Call) -> Result<Value, Refusal> {
    Ok(match use_case {
        UseCase::ReadHealth => system::health(call).await.map(|()| said(Health { status: "ok".into() }))?,
        UseCase::ReadReadiness => said(rest::system::ready_model(system::readiness(call).await?)),
        UseCase::ReadSystem => said(rest::system::model(system::show(call).await?)),
        _ => said(rest::system::actors_model(system::actors(call).await?)),
    })
}

async fn of_tokens(use_case: UseCase, call: &Call, case: &Case) -> Result<Value, Refusal> {
    Ok(match use_case {
        UseCase::ListTokens => said(rest::listed(
            tokens::list(call, case.user.map(str::to_owned), page(case)?).await?,
            rest::tokens::model,
        )),
        UseCase::CreateToken => said(rest::tokens::made_model(tokens::create(call, body(case)).await?.0)),
        UseCase::RenewRobotToken => {
            let made = tokens::renew(call, case.id.clone(), body(case)).await?.0;
            said(rest::tokens::made_model(made))
        }
        _ => gone(tokens::revoke(call, case.id.clone()).await?),
    })
}

async fn of_oneself(use_case: UseCase, call: &Call, case: &Case) -> Result<Value, Refusal> {
    Ok(match use_case {
        UseCase::ListOwnTokens => {
            said(rest::listed(oneself::list_tokens(call, page(case)?).await?, rest::tokens::model))
        }
        UseCase::CreateOwnToken => {
            said(rest::tokens::made_model(oneself::create_token(call, body(case)).await?.0))
        }
        UseCase::RenewOwnToken => {
            let made = oneself::renew_token(call, case.id.clone(), body(case)).await?.0;
            said(rest::tokens::made_model(made))
        }
        UseCase::RevokeOwnToken => gone(oneself::revoke_token(call, case.id.clone()).await?),
        UseCase::RenewToken => said(rest::session::login_model(&oneself::renew(call).await?.0)),
        _ => said(rest::users::changed_model(oneself::change_password(call, body(case)).await?.0)),
    })
}

async fn of_repositories(use_case: UseCase, call: &Call, case: &Case) -> Result<Value, Refusal> {
    let name = || case.name.parse().unwrap();
    Ok(match use_case {
        UseCase::ListRepositories => {
            let order = case.sort.map_or(Ok(RepositoryOrder::Name), repositories::order)?;
            let text = |given: Option<&str>| given.unwrap_or_default().to_owned();
            let (part, prefix, page) = (text(case.part), text(case.prefix), page(case)?);
            let wanted = repositories::Wanted { part, prefix, order, after: None, page };
            said(rest::repositories::list_model(repositories::list(call, wanted).await?, None))
        }
        UseCase::ReadAccess => said(rest::rights::model(rights::show(call, name(), page(case)?).await?)),
        UseCase::ReadRepository => {
            said(rest::repositories::detail(repositories::show(call, name(), String::new()).await?))
        }
        UseCase::DeleteRepository => {
            repositories::delete(call, name()).await?;
            said(Deleted { deleted: "repository".into(), repository: case.name.to_owned(), tag: None })
        }
        _ => {
            repositories::delete_tag(call, name(), case.tag.parse().unwrap()).await?;
            let (repository, tag) = (case.name.to_owned(), Some(case.tag.to_owned()));
            said(Deleted { deleted: "tag".into(), repository, tag })
        }
    })
}

async fn of_content(use_case: UseCase, call: &Call, case: &Case) -> Result<Value, Refusal> {
    let name = case.name.parse().unwrap();
    Ok(match use_case {
        UseCase::ListTags => {
            let order = case.sort.map_or(Ok(TagOrder::Name), tags::order)?;
            let part = case.part.unwrap_or_default().to_owned();
            let wanted = tags::Wanted { part, order, after: None, n: case.n };
            said(rest::tags::list_model(tags::list(call, name, wanted).await?, None))
        }
        UseCase::ListManifests => {
            let state = case.state.map(manifests::state).transpose()?;
            let wanted = manifests::Wanted { state, after: None, n: case.n };
            said(rest::manifests::list_model(manifests::list(call, name, wanted).await?, None))
        }
        UseCase::ReadManifest => {
            let digest = case.digest.parse().unwrap();
            said(rest::manifests::detail(manifests::show(call, name, digest).await?))
        }
        _ => {
            let wanted: NewDeletions = body(case);
            let dry_run = wanted.dry_run.unwrap_or_default();
            let (done, _) = deletions::delete(call, name, wanted).await?;
            said(deletions::model(done, dry_run))
        }
    })
}

async fn of_users(use_case: UseCase, call: &Call, case: &Case) -> Result<Value, Refusal> {
    let name = case.name.to_owned();
    Ok(match use_case {
        UseCase::ListUsers => said(rest::listed(
            users::list(call, case.part.unwrap_or_default().to_owned(), page(case)?).await?,
            rest::users::user_model,
        )),
        UseCase::CreateUser => said(rest::users::user_model(users::create(call, body(case)).await?.0)),
        UseCase::ReadUser => said(rest::users::user_model(users::show(call, name).await?)),
        UseCase::UpdateUser => {
            let (changed, _) = users::update(call, name, body(case), seen(case)).await?;
            said(rest::users::changed_model(changed))
        }
        _ => gone(users::delete(call, name, seen(case)).await?),
    })
}

async fn of_collector(use_case: UseCase, call: &Call, case: &Case) -> Result<Value, Refusal> {
    Ok(match use_case {
        UseCase::StartSweep => said(SweepStarted { id: collection::start(call, body(case)).await?.0 }),
        UseCase::StopSweep => said(SweepStarted { id: collection::stop(call).await?.0 }),
        UseCase::ReadCollector => said(rest::gc::status_model(collection::status(call).await?)),
        UseCase::ListSweeps => {
            said(rest::listed(collection::list(call, page(case)?).await?, rest::gc::model))
        }
        _ => {
            let page = Page::far(case.n, case.offset);
            let found = collection::findings(call, case.id.parse().unwrap(), page).await?;
            said(rest::listed(found, rest::gc::item_model))
        }
    })
}

async fn of_rules(use_case: UseCase, call: &Call, case: &Case) -> Result<Value, Refusal> {
    let model = rest::policy::model;
    Ok(match use_case {
        UseCase::ListRules => said(rest::listed(rules::list(call, page(case)?).await?, model)),
        UseCase::CreateRule => said(model(rules::create(call, body(case)).await?.0)),
        UseCase::ReadRule => said(model(rules::show(call, rule(case)).await?)),
        UseCase::UpdateRule => said(model(rules::update(call, rule(case), body(case), seen(case)).await?.0)),
        UseCase::DeleteRule => gone(rules::delete(call, rule(case), seen(case)).await?),
        _ => said(rest::policy::tested_model(rules::test(call, body(case)).await?.0)),
    })
}

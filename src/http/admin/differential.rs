//! Each use case called directly and over REST gives the same, refusals included.
//!
//! Two registries are set up alike. Each caller asks the one by calls and the other by requests, for everything in
//! [`cases`]; a use case that is not there, or not in [`direct`], does not compile.

mod cases;
mod direct;
mod world;

use std::collections::BTreeSet;

use mcr_actors::db::queries::audit_pages::{AuditFilter, ListAudit};
use mcr_actors::domain::EventName;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::cases::Case;
use self::world::{Who, World};
use super::routes::{ROUTES, Route};
use crate::admin::access::Access;
use crate::admin::call::Call;
use crate::admin::refusal::{Kind, Refusal};
use crate::admin::use_case::UseCase;

/// What HTTP answers by itself: only who is let in can be compared.
const OF_HTTP: [UseCase; 2] = [UseCase::DescribeApi, UseCase::ReadMetrics];

/// The route of a use case.
fn route(use_case: UseCase) -> &'static Route {
    ROUTES.iter().find(|route| route.access == use_case).unwrap()
}

/// The status of a refusal, as it is promised.
fn status(kind: Kind) -> u16 {
    match kind {
        Kind::Invalid => 400,
        Kind::NoCredentials | Kind::BadCredentials => 401,
        Kind::Denied | Kind::Lost => 403,
        Kind::NotFound => 404,
        Kind::Exists | Kind::Conflict => 409,
        Kind::Stale => 412,
        Kind::TooLarge => 413,
        Kind::TooMany => 429,
        Kind::Unavailable => 503,
        Kind::NoRoom => 507,
        Kind::Ours => 500,
    }
}

/// What differs between two registries that were asked the same.
const OWN: [&str; 7] = ["detail", "in_flight", "longest_write_us", "mean_us", "messages", "next", "refused"];

/// The same without what is random or measured. What has an own number in the audit log has another one where denials were
/// recorded before it.
fn alike(use_case: UseCase, value: Value) -> Value {
    let alike = |value| alike(use_case, value);
    let is_own =
        |key: &str| OWN.contains(&key) || (use_case == UseCase::ListAudit && ["after", "id"].contains(&key));
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(key, _)| !is_own(key));
            Value::Object(kept.map(|(key, value)| (key, alike(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(alike).collect()),
        Value::String(text) if Uuid::try_parse(&text).is_ok() => json!("an id"),
        Value::String(text) if text.starts_with("mcr_") => json!("a token"),
        other => other,
    }
}

/// Holds what a call gave against the answer to the same request.
fn compare(about: &str, use_case: UseCase, called: Result<Value, Refusal>, asked: (u16, Value)) {
    let (answered, body) = asked;
    match called {
        Ok(value) => {
            let is_good = (200..300).contains(&answered) || use_case == UseCase::ReadReadiness;
            assert!(is_good, "{about}: {answered} {body}");
            if !OF_HTTP.contains(&use_case) {
                assert_eq!(alike(use_case, value), alike(use_case, body), "{about}");
            }
        }
        Err(refusal) => {
            let mut said = json!({"error": refusal.message, "code": refusal.reason.as_str()});
            if let Some(field) = refusal.field {
                said["field"] = json!(field);
            }
            if let Some(deletions) = &refusal.deletions {
                said["deletions"] = json!(deletions);
            }
            assert_eq!((answered, body), (status(refusal.kind()), said), "{about}");
        }
    }
}

/// All that the audit log has but for denials, which only an API records.
async fn audited(world: &World) -> Vec<String> {
    let mut entries = Vec::new();
    for event in EventName::ALL.iter().filter(|event| **event != EventName::AccessDenied) {
        let filter = AuditFilter { events: vec![event.as_str().to_owned()], ..AuditFilter::default() };
        let query = ListAudit { filter, limit: 1000, ..ListAudit::default() };
        for entry in world.state.worker.db.read(query).await.unwrap().entries {
            let details = serde_json::from_str(&entry.details).unwrap_or_default();
            let details = alike(UseCase::ListAudit, details);
            entries.push(format!(
                "{} {} {} {} {details} {}",
                entry.event, entry.actor_name, entry.address, entry.request_id, entry.count
            ));
        }
    }
    entries
}

#[actix_web::test]
async fn each_use_case_called_directly_and_over_rest_gives_the_same() {
    let (direct, rest) = (World::start().await, World::start().await);
    // A token is given back at the end.
    let (last, first): (Vec<UseCase>, Vec<UseCase>) =
        UseCase::ALL.iter().partition(|use_case| **use_case == UseCase::LogOut);
    let mut reasons = BTreeSet::new();
    for who in Who::ALL {
        for use_case in first.iter().chain(&last) {
            let (ours, theirs) = (cases::of(*use_case, &direct.things), cases::of(*use_case, &rest.things));
            for (our, their) in ours.into_iter().zip(theirs) {
                let about = format!("{who:?} {use_case:?} {their:?}");
                let called = called(&direct, who, *use_case, &our).await;
                let asked = rest.ask(who, route(*use_case), &their).await;
                reasons.extend(called.as_ref().err().map(|refusal| refusal.reason.as_str()));
                compare(&about, *use_case, called, asked);
                direct.settle().await;
                rest.settle().await;
            }
        }
    }
    assert_eq!(audited(&direct).await, audited(&rest).await);
    let expected = [
        "BAD_CREDENTIALS",
        "BUILT_IN_RULE",
        "DELETION_REFUSED",
        "DENIED",
        "INVALID",
        "LAST_ADMINISTRATOR",
        "NAME_TAKEN",
        "NOT_FOUND",
        "NO_CREDENTIALS",
        "NO_SWEEP_RUNS",
        "PRECONDITION_FAILED",
        "ROLE_NOT_HELD",
        "TOKEN_NEEDED",
        "TOO_MANY_TOKENS",
        "WRONG_PASSWORD",
    ];
    assert_eq!(reasons, BTreeSet::from(expected));
    direct.finish().await;
    rest.finish().await;
}

/// What a call gives: its caller is judged first, as every API does.
async fn called(world: &World, who: Who, use_case: UseCase, case: &Case) -> Result<Value, Refusal> {
    let call = world.call(who, use_case).await;
    let judged = use_case.access().judge(&call.worker, &call.registry, call.caller.as_ref()).await;
    judged?;
    direct::answer(use_case, &call, case, world.credentials(who, use_case)).await
}

#[test]
fn every_use_case_has_a_route_and_every_route_a_use_case() {
    for use_case in UseCase::ALL {
        let route = route(*use_case);
        let reads = ["GET", "HEAD"].contains(&route.method.as_str());
        // What can change something is asked of somebody who can be told apart, but for the login itself.
        assert!(reads || use_case.access() != Access::Open || *use_case == UseCase::LogIn, "{use_case:?}");
    }
}

/// An API that answers on threads of its own can call every use case.
#[test]
fn a_call_can_go_to_another_thread() {
    fn is_send<T: Send>(_: impl Fn(UseCase, &'static Call, &'static Case) -> T) {}
    is_send(|use_case, call, case| direct::answer(use_case, call, case, None));
}

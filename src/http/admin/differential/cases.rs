//! What is asked of each use case: at least once what it does, and what it refuses.

use serde_json::{Value, json};

use super::world::Things;
use crate::admin::use_case::UseCase;
use crate::http::admin::path::encode;
use crate::http::query;

/// An id that nothing has.
const NO_ID: &str = "8d6f3bd5-7d8c-4f4b-9df3-7e1e3c2fd6ae";
/// The digest of nothing that is there.
const NO_DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// What nothing is.
const STALE: &str = "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";

/// The arguments of a use case, as far as it takes any.
#[derive(Debug, Clone, Default)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) tag: &'static str,
    pub(super) digest: String,
    pub(super) id: String,
    pub(super) n: Option<usize>,
    pub(super) offset: Option<usize>,
    pub(super) part: Option<&'static str>,
    pub(super) user: Option<&'static str>,
    pub(super) prefix: Option<&'static str>,
    pub(super) sort: Option<&'static str>,
    pub(super) state: Option<&'static str>,
    pub(super) event: Option<&'static str>,
    pub(super) actor: Option<&'static str>,
    pub(super) after: Option<i64>,
    pub(super) body: Value,
    pub(super) if_match: Option<&'static str>,
}

impl Case {
    /// The path and query of the request.
    pub(super) fn path(&self, template: &str) -> String {
        let (n, offset) = (self.n.map(|n| n.to_string()), self.offset.map(|offset| offset.to_string()));
        let after = self.after.map(|after| after.to_string());
        let (part, prefix, sort) = (("q", self.part), ("prefix", self.prefix), ("sort", self.sort));
        let pairs = [
            ("n", n.as_deref()),
            ("offset", offset.as_deref()),
            ("event_type", self.event),
            ("actor", self.actor),
            ("after", after.as_deref()),
            ("state", self.state),
            ("user", self.user),
            part,
            prefix,
            sort,
        ];
        let pairs: Vec<(&str, &str)> =
            pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let path = template.replace("{name}", &encode(self.name)).replace("{tag}", self.tag);
        let path = path.replace("{digest}", &self.digest);
        format!("{}?{}", path.replace("{id}", &encode(&self.id)), query::encode(&pairs))
    }
}

fn page(n: Option<usize>, offset: Option<usize>) -> Case {
    Case { n, offset, ..Case::default() }
}

/// A list as a whole, a part of it, and one that is too deep.
fn pages() -> Vec<Case> {
    vec![
        page(None, None),
        page(Some(1), Some(1)),
        page(Some(0), Some(1_000_000)),
        page(None, Some(1_000_001)),
    ]
}

fn bodies<const N: usize>(bodies: [Value; N]) -> Vec<Case> {
    bodies.into_iter().map(|body| Case { body, ..Case::default() }).collect()
}

fn named<const N: usize>(names: [&'static str; N]) -> Vec<Case> {
    names.into_iter().map(|name| Case { name, ..Case::default() }).collect()
}

fn numbered<const N: usize>(ids: [&str; N]) -> Vec<Case> {
    ids.into_iter().map(|id| Case { id: id.to_owned(), ..Case::default() }).collect()
}

fn once() -> Vec<Case> {
    vec![Case::default()]
}

/// What is asked of a use case. Identifiers that the registry chose are those of `things`.
pub(super) fn of(use_case: UseCase, things: &Things) -> Vec<Case> {
    use UseCase as U;
    match use_case {
        U::ReadAccess => rights(),
        U::ReadHealth | U::ReadReadiness | U::ReadSystem => once(),
        U::LogOut | U::ReadCaller | U::DescribeApi => once(),
        U::LogIn => logins(),
        U::ListOwnTokens => pages(),
        U::CreateOwnToken => new_own_tokens(),
        U::RenewOwnToken => renewals([&things.token, &things.own[0], &things.own[1], NO_ID]),
        U::RevokeOwnToken => numbered([&things.token, &things.own[0], &things.own[1], NO_ID]),
        U::RenewToken => once(),
        U::ChangePassword => passwords(),
        U::ReadMetrics | U::ListActors | U::StopSweep | U::ReadCollector => once(),
        U::ListRepositories => repository_lists(),
        U::ListUsers => [pages(), vec![Case { part: Some("VIC"), ..Case::default() }]].concat(),
        U::ListTokens => token_lists(),
        U::ListUploads => pages(),
        U::ListSweeps | U::ListSnapshots | U::ListRules => pages(),
        U::ReadRepository => named(["team/app", "nothing"]),
        U::DeleteRepository => named(["team/old", "team/old"]),
        U::ListTags => tag_lists(),
        U::ListManifests => manifest_lists(),
        U::ReadManifest => manifests(things),
        U::DeleteContent => deletions(things),
        U::DeleteTag => tag_deletions(),
        U::CreateUser => new_users(),
        U::ReadUser => named(["victim", "nobody"]),
        U::UpdateUser => user_changes(),
        U::DeleteUser => {
            let stale = Case { name: "gone", if_match: Some(STALE), ..Case::default() };
            [vec![stale], named(["gone", "gone", "admin"])].concat()
        }
        U::CreateToken => new_tokens(),
        U::RenewRobotToken => renewals([&things.token, NO_ID]),
        U::RevokeToken => numbered([&things.token, NO_ID]),
        U::CancelUpload => numbered([NO_ID, &things.upload]),
        U::StartSweep => bodies([json!({"dry_run": true})]),
        U::ListFindings => {
            let of = |offset| Case { id: "1".to_owned(), offset, ..Case::default() };
            vec![of(None), of(Some(usize::MAX))]
        }
        U::StartSnapshot => bodies([json!({"name": "NOT A WORD"}), json!({"name": "nightly"})]),
        U::ListAudit => audits(),
        U::CreateRule => new_rules(),
        U::ReadRule => numbered(["1", "-1", "4711"]),
        U::UpdateRule => rule_changes(),
        U::DeleteRule => {
            let stale = Case { id: "2".to_owned(), if_match: Some(STALE), ..Case::default() };
            [vec![stale], numbered(["2", "2", "-1"])].concat()
        }
        U::TestRules => questions(),
    }
}

fn rights() -> Vec<Case> {
    let few = Case { name: "team/app", n: Some(1), offset: Some(2), ..Case::default() };
    let far = Case { name: "team/app", offset: Some(1_000_001), ..Case::default() };
    [named(["team/app", "nothing"]), vec![few, far]].concat()
}

fn audits() -> Vec<Case> {
    let of = |event| Case { event: Some(event), ..Case::default() };
    let by_admin = Case { actor: Some("admin"), n: Some(1), ..of("user_created,policy_created") };
    let as_they_came = Case { after: Some(0), ..of("user_created,gc_started") };
    let single = ["user_created", "policy_updated", "gc_started"].map(of);
    [&single[..], &[by_admin, as_they_came, page(None, Some(1_000_001))]].concat()
}

fn token_lists() -> Vec<Case> {
    let of = |user| Case { user: Some(user), ..Case::default() };
    [pages(), vec![of("victim"), of("nobody")]].concat()
}

/// Of each of these at once, and with words that are none.
fn renewals<const N: usize>(ids: [&str; N]) -> Vec<Case> {
    let words = [
        json!({}),
        json!({"expires_in": "24h"}),
        json!({"old_ends_in": "1h"}),
        json!({"old_ends_in": "1year"}),
    ];
    let of = |id: &str| words.clone().map(|body| Case { id: id.to_owned(), body, ..Case::default() });
    ids.into_iter().flat_map(of).collect()
}

fn repository_lists() -> Vec<Case> {
    let of = |part, prefix, sort| Case { part, prefix, sort, ..Case::default() };
    let filtered = Case { offset: Some(1), ..of(Some("a"), None, None) };
    let orders = vec![
        of(Some("AP"), None, None),
        of(None, Some("team/o"), Some("updated")),
        of(None, Some("team/a"), None),
        of(None, None, Some("size")),
        filtered,
    ];
    [pages(), orders].concat()
}

fn tag_lists() -> Vec<Case> {
    let of = |part, sort| Case { name: "team/app", part, sort, ..Case::default() };
    let short = Case { n: Some(0), ..of(None, None) };
    let orders =
        vec![of(None, None), of(Some("V"), Some("updated")), of(Some("x"), None), of(None, Some("size"))];
    [orders, vec![short], named(["nothing"])].concat()
}

fn manifest_lists() -> Vec<Case> {
    let of = |state, n| Case { name: "team/app", state, n, ..Case::default() };
    let states =
        vec![of(None, None), of(Some("tagged"), Some(1)), of(Some("untagged"), None), of(Some("new"), None)];
    [states, named(["nothing"])].concat()
}

fn manifests(things: &Things) -> Vec<Case> {
    let of = |name, digest: &str| Case { name, digest: digest.to_owned(), ..Case::default() };
    vec![of("team/app", &things.digest), of("team/app", NO_DIGEST), of("nothing", &things.digest)]
}

fn tag_deletions() -> Vec<Case> {
    let of = |tag| Case { name: "team/app", tag, ..Case::default() };
    vec![of("none"), of("v1")]
}

fn deletions(things: &Things) -> Vec<Case> {
    let of = |name, body| Case { name, body, ..Case::default() };
    let digest = &things.digest;
    vec![
        of("team/app", json!({"tags": ["v1"], "with_untagged": true, "dry_run": true})),
        of("team/app", json!({"tags": ["none"], "manifests": [digest, NO_DIGEST], "dry_run": true})),
        of("team/app", json!({"tags": ["v1", "none"]})),
        of("team/app", json!({})),
        of("team/app", json!({"tags": ["a b"]})),
        of("team/app", json!({"manifests": ["latest"]})),
        of("nothing", json!({"tags": ["v1"]})),
        of("team/app", json!({"tags": ["v1", "v1"]})),
        of("team/app", json!({"manifests": [digest]})),
    ]
}

fn logins() -> Vec<Case> {
    bodies([
        json!({"username": "admin", "password": "long enough"}),
        json!({"username": "admin", "password": "not this one"}),
        json!({"username": "nobody", "password": "not this one"}),
        json!({"username": "", "password": ""}),
        json!({"username": "admin", "password": "long enough", "totp_code": "123456"}),
    ])
}

fn new_own_tokens() -> Vec<Case> {
    bodies([
        json!({"name": "own", "roles": ["dev", "admin", "ops"]}),
        json!({"name": "own", "expires_in": "soon"}),
        json!({"name": "own", "expires_in": "24h"}),
        json!({"name": "more"}),
    ])
}

/// In the end it is the one that it was.
fn passwords() -> Vec<Case> {
    bodies([
        json!({"old": "long enough", "new": "short"}),
        json!({"old": "not this one", "new": "another one"}),
        json!({"old": "long enough", "new": "another one"}),
        json!({"old": "another one", "new": "long enough", "end_tokens": true}),
    ])
}

fn new_users() -> Vec<Case> {
    bodies([
        json!({"name": "new", "account_type": "human", "password": "long enough", "roles": ["dev"]}),
        json!({"name": "new", "account_type": "human"}),
        json!({"name": "a b", "account_type": "human"}),
        json!({"name": "newer", "account_type": "anonymous"}),
        json!({"name": "newer", "account_type": "system", "roles": ["a b"]}),
        json!({"name": "newer", "account_type": "human", "password": "short"}),
    ])
}

fn user_changes() -> Vec<Case> {
    let of = |name, body| Case { name, body, ..Case::default() };
    vec![
        of("victim", json!({"roles": ["dev", "ops"], "password": "another one"})),
        of("victim", json!({"roles": ["a b"]})),
        of("victim", json!({"password": "short"})),
        Case { if_match: Some(STALE), ..of("victim", json!({"disabled": true})) },
        of("nobody", json!({"disabled": true})),
        of("admin", json!({"disabled": true})),
    ]
}

fn new_tokens() -> Vec<Case> {
    bodies([
        json!({"name": "other", "user": "victim", "roles": ["dev"], "expires_in": "24h"}),
        json!({"name": "a third", "user": "victim"}),
        json!({"name": "third", "user": "victim"}),
        json!({"name": "third", "user": "robot", "roles": ["admin"]}),
        json!({"name": "third", "user": "robot", "expires_in": "soon"}),
        json!({"name": "third", "user": "nobody"}),
    ])
}

fn new_rules() -> Vec<Case> {
    bodies([
        json!({"effect": "allow", "priority": 7, "roles": ["dev"], "actions": ["registry:push"], "repositories": ["ci/**"]}),
        json!({"effect": "allow"}),
        json!({"priority": 1}),
        json!({"effect": "allow", "priority": 0}),
        json!({"effect": "perhaps", "priority": 1}),
        json!({"effect": "allow", "priority": 1, "roles": [""]}),
        json!({"effect": "allow", "priority": 1, "account_types": ["cat"]}),
        json!({"effect": "allow", "priority": 1, "actions": ["registry:eat"]}),
        json!({"effect": "allow", "priority": 1, "repositories": ["***"]}),
    ])
}

fn rule_changes() -> Vec<Case> {
    let of = |id: &str, body| Case { id: id.to_owned(), body, ..Case::default() };
    let off = || json!({"enabled": false});
    vec![
        of("1", json!({"description": "changed", "actions": ["registry:pull"]})),
        of("1", json!({"effect": "perhaps"})),
        Case { if_match: Some(STALE), ..of("1", off()) },
        of("-1", off()),
        of("4711", off()),
    ]
}

fn questions() -> Vec<Case> {
    let who = || json!({"name": "ada", "account_type": "human", "roles": ["x"]});
    bodies([
        json!({"principal": who(), "action": "registry:pull", "repository": "team/app"}),
        json!({"principal": who(), "action": "registry:catalog"}),
        json!({"principal": {"account_type": "system"}, "action": "registry:pull", "repository": "team/app"}),
        json!({"principal": who(), "action": "registry:eat"}),
        json!({"principal": who(), "action": "registry:pull", "repository": "NOT A NAME"}),
        json!({"principal": who(), "action": "registry:pull", "repository": "team/app", "draft": {"remove": [1, 2]}}),
        json!({"questions": [{"principal": who(), "action": "registry:catalog"}], "draft": {"change": {"1": {"enabled": false}}}}),
        json!({"questions": [{"principal": who(), "action": "registry:eat"}]}),
        json!({"questions": [], "draft": {"remove": [-1]}}),
        json!({"questions": [], "draft": {"add": [{"effect": "allow"}]}}),
        json!({"questions": [], "action": "registry:catalog"}),
        json!({"draft": {}}),
    ])
}

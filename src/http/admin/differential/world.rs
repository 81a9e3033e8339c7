//! A registry with people and things in it, which can be asked by calls and by requests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::to_bytes;
use actix_web::test::TestRequest;
use actix_web::web::{Data, Payload};
use actix_web::{FromRequest, http::Method};
use mcr_actors::auth_cache::{Authenticate, Credentials, Secret};
use mcr_actors::domain::{Algorithm, Digest, Origin};
use mcr_actors::fs::fake::FakeFs;
use mcr_actors::gc::GetGcStatus;
use mcr_actors::snapshot::GetSnapshotStatus;
use mcr_actors::testing::Harness;
use serde_json::{Value, json};

use super::cases::Case;
use crate::admin::access::Access;
use crate::admin::call::Call;
use crate::admin::settings::Settings;
use crate::admin::use_case::UseCase;
use crate::caller::Caller;
use crate::http::admin::routes::Route;
use crate::http::api::Shape as _;
use crate::http::cursor::Cursors;
use crate::http::entrance;
use crate::http::metrics::{Metrics, WorkerMetrics};
use crate::http::state::{HttpOptions, State};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const REQUEST: &str = "the-request";
const PASSWORD: &str = "long enough";
const MOST_TOKENS: usize = 2;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Nobody,
    Anonymous,
    /// Somebody who is known and may nothing.
    Robot,
    Administrator,
}

impl Who {
    pub(super) const ALL: [Self; 4] = [Self::Nobody, Self::Anonymous, Self::Robot, Self::Administrator];
}

/// What there is, by ids that the registry chose.
#[derive(Debug, Clone, Default)]
pub(super) struct Things {
    pub(super) token: String,
    pub(super) upload: String,
    /// A manifest of `team/app`.
    pub(super) digest: String,
    /// Robot tokens of the robot and of the administrator.
    pub(super) own: [String; 2],
}

pub(super) struct World {
    harness: Harness,
    pub(super) state: Data<State>,
    pub(super) things: Things,
    anonymous: Secret,
    robot: Secret,
    administrator: Secret,
    /// Others of the two, to be renewed: that ends them.
    spare: [Secret; 2],
}

fn settings() -> Settings {
    let public_url = Some("https://registry.example.com".to_owned());
    Settings { public_url, allow_tag_delete: true, max_robot_tokens: MOST_TOKENS, ..Settings::default() }
}

fn options() -> HttpOptions {
    HttpOptions {
        tls: true,
        public_url: None,
        trusted_proxies: Vec::new(),
        read_timeout: Duration::from_secs(30),
        allow_tag_delete: true,
        allow_sparse: false,
        max_manifest_size: 4 << 20,
        audit_pulls: false,
        admin: Arc::new(settings()),
    }
}

async fn state(harness: &Harness) -> Data<State> {
    Data::new(State {
        worker: harness.worker.clone(),
        registry: harness.registry().clone(),
        options: Rc::new(options()),
        metrics: Rc::new(WorkerMetrics::new(Metrics::default())),
        cursors: Cursors::load(&harness.worker.db).await.unwrap(),
        denials: Rc::default(),
    })
}

/// Sends a request through the entrance of all, and answers status, `Location` and JSON.
async fn serve(state: &Data<State>, request: TestRequest, token: Option<&Secret>) -> (u16, String, Value) {
    let mut request = request.peer_addr(SocketAddr::new(ADDRESS, 1)).insert_header(("x-request-id", REQUEST));
    if let Some(token) = token {
        request = request.insert_header(("authorization", format!("Bearer {}", token.expose())));
    }
    let (request, mut payload) = request.to_http_parts();
    let payload = Payload::from_request(&request, &mut payload).await.unwrap();
    let response = entrance::serve(request, payload, state.clone()).await;
    let location =
        response.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, location) = (response.status().as_u16(), location.to_owned());
    let body = to_bytes(response.into_body()).await.unwrap_or_default();
    (status, location, serde_json::from_slice(&body).unwrap_or_default())
}

impl World {
    /// Starts a registry that is like any other of these.
    pub(super) async fn start() -> Self {
        let many = |settings: &mut mcr_actors::registry::Settings| {
            settings.auth.login_attempts_per_minute = NonZeroU32::MAX;
        };
        let harness = Harness::start_with(Arc::new(FakeFs::default()), many).await;
        harness.registry().ensure_admin("admin", &Secret::new(PASSWORD)).await.unwrap();
        let state = state(&harness).await;
        let log_in = async |name: &str| {
            let body = json!({"username": name, "password": PASSWORD});
            let request = TestRequest::post().uri("/v1/auth/login").set_payload(body.to_string());
            Secret::new(serve(&state, request, None).await.2["token"].as_str().unwrap())
        };
        let administrator = log_in("admin").await;
        let ask = async |method: Method, path: &str, kind: &str, body: Value| {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let request = TestRequest::with_uri(path).method(method).insert_header(("content-type", kind));
            let (status, location, json) =
                serve(&state, request.set_payload(body), Some(&administrator)).await;
            assert!((200..300).contains(&status), "{path}: {status} {json}");
            (location, json)
        };
        let post = async |path: &str, body: Value| ask(Method::POST, path, "application/json", body).await;
        for (name, kind) in [("robot", "system"), ("victim", "human"), ("gone", "human")] {
            let user = json!({"name": name, "account_type": kind, "password": PASSWORD, "roles": ["dev"]});
            post("/v1/users", user).await;
        }
        for priority in [1, 2] {
            let deny = json!({"effect": "deny", "priority": priority, "roles": ["x"], "description": "seen"});
            post("/v1/policy/rules", deny).await;
        }
        let index = "application/vnd.oci.image.index.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": index, "manifests": []});
        for repository in ["app", "old"] {
            let path = format!("/v2/team/{repository}/manifests/v1");
            ask(Method::PUT, &path, index, manifest.clone()).await;
        }
        let digest = Digest::of(Algorithm::Sha256, manifest.to_string().as_bytes()).to_string();
        let (_, token) = post("/v1/tokens", json!({"name": "deploy", "user": "victim"})).await;
        let (location, _) = post("/v2/team/app/blobs/uploads/", Value::Null).await;
        let upload = location.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
        let mut own = [String::new(), String::new()];
        for (id, user) in own.iter_mut().zip(["robot", "admin"]) {
            // Lists begin with the newest.
            harness.clock.advance(Duration::from_millis(1));
            let made = post("/v1/tokens", json!({"name": "own", "user": user})).await.1;
            made["id"].as_str().unwrap().clone_into(id);
        }
        harness.clock.advance(Duration::from_millis(1));
        let things = Things { token: token["id"].as_str().unwrap().to_owned(), upload, digest, own };
        let robot = log_in("robot").await;
        let spare = [log_in("robot").await, log_in("admin").await];
        let (_, _, given) = serve(&state, TestRequest::with_uri("/v2/token"), None).await;
        let anonymous = Secret::new(given["token"].as_str().unwrap());
        Self { state, things, anonymous, robot, administrator, spare, harness }
    }

    /// What this caller shows.
    pub(super) fn credentials(&self, who: Who, use_case: UseCase) -> Option<Credentials> {
        self.token(who, use_case).map(|token| Credentials::Token(token.clone()))
    }

    fn token(&self, who: Who, use_case: UseCase) -> Option<&Secret> {
        let [robot, administrator] = &self.spare;
        match who {
            Who::Robot if use_case == UseCase::RenewToken => Some(robot),
            Who::Administrator if use_case == UseCase::RenewToken => Some(administrator),
            Who::Nobody => None,
            Who::Anonymous => Some(&self.anonymous),
            Who::Robot => Some(&self.robot),
            Who::Administrator => Some(&self.administrator),
        }
    }

    /// A call by somebody, who is not judged yet. Where nobody need be known only how the registry is looks who asks.
    pub(super) async fn call(&self, who: Who, use_case: UseCase) -> Call {
        let state = self.state.get_ref();
        let looks = [UseCase::ReadReadiness, UseCase::ReadSystem].contains(&use_case);
        let is_asked = use_case.access() != Access::Open || looks;
        let mut caller = None;
        if let Some(credentials) = self.credentials(who, use_case).filter(|_| is_asked) {
            let authenticate = Authenticate { credentials, address: Some(ADDRESS) };
            caller = Some(Caller::from(state.worker.auth.ask(authenticate).await.unwrap()));
        }
        let judged = caller.as_ref().filter(|_| use_case.access() != Access::Open);
        let principal = judged.map(|caller| caller.principal.as_ref().clone());
        let (actor_id, actor_name) =
            principal.map(|principal| (principal.subject, principal.name)).unwrap_or_default();
        let origin =
            Origin { actor_id, actor_name, address: ADDRESS.to_string(), request_id: REQUEST.to_owned() };
        Call {
            worker: state.worker.clone(),
            registry: state.registry.clone(),
            use_case,
            caller,
            origin,
            address: Some(ADDRESS),
            settings: Arc::new(settings()),
        }
    }

    /// The status and JSON of the same asked by a request.
    pub(super) async fn ask(&self, who: Who, route: &Route, case: &Case) -> (u16, Value) {
        let path = case.path(route.shape.template());
        let mut request = TestRequest::with_uri(&path).method(route.method.clone());
        if let Some(tag) = case.if_match {
            request = request.insert_header(("if-match", tag));
        }
        if !case.body.is_null() {
            request = request.set_payload(case.body.to_string());
        }
        let (status, _, json) = serve(&self.state, request, self.token(who, route.access)).await;
        (status, json)
    }

    /// Waits until nothing is done in the background. What is made next is newer than what was made before: lists go by time.
    pub(super) async fn settle(&self) {
        let worker = &self.state.worker;
        loop {
            let sweep = worker.gc.ask(GetGcStatus).await.unwrap().running;
            let snapshot = worker.snapshots.ask(GetSnapshotStatus).await.unwrap().running;
            if sweep.is_none() && snapshot.is_none() {
                self.harness.clock.advance(Duration::from_millis(1));
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(super) async fn finish(self) {
        self.harness.finish().await;
    }
}

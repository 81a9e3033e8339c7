//! Every route of both tables by every kind of caller, with the status that is expected. A route without an entry fails.

use mcr::admin::access::Access as AdminAccess;
use mcr::http::admin::path::Shape as AdminShape;
use mcr::http::admin::routes::{ROUTES as ADMIN_ROUTES, Route as AdminRoute};
use mcr::http::api::Shape as _;
use mcr::http::auth::Access;
use mcr::http::oci::routes::{ROUTES, Route};
use mcr::http::path::Shape;
use serde_json::{Value, json};

use crate::support::http::{Client, Response};
use crate::support::{Data, Server};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ID: &str = "8d6f3bd5-7d8c-4f4b-9df3-7e1e3c2fd6ae";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    /// With a token whose time is over.
    Expired,
    Anonymous,
    /// A service that no rule gives anything.
    System,
    Human,
    Administrator,
}

fn value(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

/// Sends JSON as the administrator, and answers what came back.
fn set_up(server: &Server, path: &str, body: &Value) -> Value {
    let headers = [("Content-Type", "application/json")];
    let done = server.client().request("POST", path, &headers, body.to_string().as_bytes());
    assert!(done.status < 300, "{path}: {}", done.text());
    value(&done)
}

fn bearer(server: &Server, answer: &Value) -> Client {
    server.stranger().authorized(&format!("Bearer {}", answer["token"].as_str().unwrap()))
}

fn callers(server: &Server) -> [(Who, Client); 6] {
    for (name, kind) in [("person", "human"), ("robot", "system")] {
        let user = json!({"name": name, "password": "long enough", "account_type": kind});
        set_up(server, "/v1/users", &user);
    }
    let expired = bearer(server, &set_up(server, "/v1/tokens", &json!({"name": "old", "user": "person"})));
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    let lapse = "UPDATE tokens SET expires_at = unixepoch() * 1000 - 1 WHERE id IS NOT NULL";
    assert_eq!(database.execute(lapse, []).unwrap(), 1);
    let password = std::fs::read_to_string(server.data.join("admin-password")).unwrap();
    let log_in = |name: &str, password: &str| {
        let login = json!({"username": name, "password": password});
        bearer(server, &set_up(server, "/v1/auth/login", &login))
    };
    [
        (Who::Nobody, server.stranger()),
        (Who::Expired, expired),
        (Who::Anonymous, bearer(server, &value(&server.stranger().get("/v2/token")))),
        (Who::System, log_in("robot", "long enough")),
        (Who::Human, log_in("person", "long enough")),
        (Who::Administrator, log_in("admin", password.trim())),
    ]
}

fn start(data: &Data) -> Server {
    data.start(&[("MCR_AUTH_ANONYMOUS", "true"), ("MCR_AUTH_CACHE_TTL", "0s")])
}

/// What a route under `/v2` says to somebody who may not; `None` when it lets them in.
fn refusal(access: Access, who: Who) -> Option<u16> {
    match (access, who) {
        // The token endpoint takes no token that is over.
        (Access::Open, Who::Expired) => Some(401),
        (Access::Open, _) | (_, Who::Human | Who::Administrator) => None,
        (_, Who::Nobody | Who::Expired) => Some(401),
        (Access::VersionCheck, Who::Anonymous | Who::System) => None,
        (Access::Catalog | Access::Read | Access::Push | Access::Delete, Who::Anonymous) => Some(401),
        (Access::Catalog | Access::Read | Access::Push | Access::Delete, Who::System) => Some(403),
    }
}

/// What it says to who may, of things that are not there.
fn granted(route: &Route) -> u16 {
    match (route.shape, route.method.as_str()) {
        (Shape::Token, "GET" | "POST") => 200,
        (Shape::Base, "GET" | "HEAD") => 200,
        (Shape::Catalog, "GET") => 200,
        (Shape::Tags, "GET") => 404,
        (Shape::Referrers, "GET") => 200,
        (Shape::Manifest, "GET" | "HEAD") => 404,
        // Without a media type.
        (Shape::Manifest, "PUT") => 400,
        (Shape::Manifest, "DELETE") => 404,
        (Shape::Blob, "GET" | "HEAD" | "DELETE") => 404,
        (Shape::Uploads, "POST") => 202,
        (Shape::Upload, "GET" | "HEAD" | "PATCH" | "DELETE") => 404,
        // Without a digest.
        (Shape::Upload, "PUT") => 400,
        other => panic!("write down what {other:?} answers"),
    }
}

fn path(shape: Shape) -> String {
    let path = shape.template().replace("{name}", "a/b").replace("{reference}", DIGEST);
    path.replace("{digest}", DIGEST).replace("{id}", ID)
}

#[test]
fn every_route_of_the_registry_by_every_caller() {
    let data = Data::new();
    let server = start(&data);
    for (who, mut client) in callers(&server) {
        for route in ROUTES {
            let answer = client.request(route.method.as_str(), &path(route.shape), &[], b"");
            let expected = refusal(route.access, who).unwrap_or_else(|| granted(route));
            assert_eq!(answer.status, expected, "{who:?} {route:?}: {}", answer.text());
        }
    }
}

/// What a route under `/v1` says to somebody who may not; `None` when it lets them in.
fn admin_refusal(access: AdminAccess, who: Who) -> Option<u16> {
    match (access, who) {
        (AdminAccess::Open, _) | (_, Who::Administrator) => None,
        (_, Who::Nobody | Who::Expired) => Some(401),
        (AdminAccess::Anybody, _) => None,
        // A login's token is its own, whoever logged in.
        (AdminAccess::Own, Who::System | Who::Human) => None,
        (AdminAccess::Own | AdminAccess::Admin, Who::Anonymous) => Some(401),
        (AdminAccess::Accounts | AdminAccess::Rules, Who::Anonymous) => Some(401),
        (AdminAccess::Admin | AdminAccess::Accounts | AdminAccess::Rules, _) => Some(403),
    }
}

/// What it says to who may, of things that are not there and to a body that is empty.
fn admin_granted(route: &AdminRoute, who: Who) -> &'static [u16] {
    use AdminShape::*;
    match (route.shape, route.method.as_str()) {
        (Health | Ready, "GET" | "HEAD") | (System, "GET") => &[200],
        (Me | OpenApi | Metrics | Actors | Audit, "GET") => &[200],
        (Repositories | Users | Tokens | Uploads | GcStatus | Sweeps | Snapshots | Rules, "GET") => &[200],
        (OwnTokens, "GET") => &[200],
        (OwnToken, "DELETE") | (OwnTokenRenewal | TokenRenewal, "POST") => &[404],
        (Renew, "POST") => &[200],
        (Login | Users | Tokens | Rules | PolicyTest, "POST") => &[400],
        (OwnTokens | Password, "POST") => &[400],
        // The body says nothing, whoever asks.
        (RepositoryDeletions, "POST") => &[400],
        (Logout, "POST") if who == Who::Anonymous => &[400],
        (Logout, "POST") => &[204],
        (Repository | RepositoryTags | RepositoryAccess | Rule | User, "GET") => &[404],
        (RepositoryManifests | RepositoryManifest, "GET") => &[404],
        (SweepItems, "GET") => &[200, 404],
        (Repository | RepositoryTag | User | Token | Upload | Rule, "DELETE") => &[404],
        (User, "PATCH") => &[400],
        (Rule, "PATCH") => &[404],
        (Gc, "POST") => &[202],
        // The sweep that was just begun may be over.
        (Gc, "DELETE") => &[202, 409],
        // Or it still runs.
        (Snapshots, "POST") => &[202, 409],
        other => panic!("write down what {other:?} answers"),
    }
}

fn admin_path(shape: AdminShape) -> String {
    let id = if matches!(shape, AdminShape::Rule | AdminShape::SweepItems) { "4711" } else { ID };
    let path = shape.template().replace("{name}", "nothing").replace("{tag}", "v1").replace("{id}", id);
    path.replace("{digest}", DIGEST)
}

#[test]
fn every_route_of_the_admin_api_by_every_caller() {
    let data = Data::new();
    let server = start(&data);
    for (who, mut client) in callers(&server) {
        // Giving the token back comes last.
        let (last, routes): (Vec<_>, Vec<_>) =
            ADMIN_ROUTES.iter().partition(|route| route.shape == AdminShape::Logout);
        for route in routes.into_iter().chain(last) {
            let headers = [("Content-Type", "application/json")];
            let answer = client.request(route.method.as_str(), &admin_path(route.shape), &headers, b"");
            match admin_refusal(route.access.access(), who) {
                Some(expected) => assert_eq!(answer.status, expected, "{who:?} {route:?}: {}", answer.text()),
                None => {
                    let expected = admin_granted(route, who);
                    assert!(
                        expected.contains(&answer.status),
                        "{who:?} {route:?}: {} {}",
                        answer.status,
                        answer.text()
                    );
                }
            }
            if route.shape == AdminShape::Renew && answer.status == 200 {
                client = bearer(&server, &value(&answer));
            }
        }
    }
}

#[test]
fn a_token_in_a_url_is_nobodys() {
    let data = Data::new();
    let server = start(&data);
    let given = value(&server.client().get("/v2/token"));
    let token = given["token"].as_str().unwrap();
    let password = std::fs::read_to_string(server.data.join("admin-password")).unwrap();
    let pairs =
        [("access_token", token), ("token", token), ("authorization", token), ("password", password.trim())];
    for (key, secret) in pairs {
        let query = format!("?{key}={secret}&username=admin");
        let oci = ROUTES.iter().filter(|route| route.access != Access::Open);
        let oci = oci.map(|route| (route.method.as_str(), path(route.shape)));
        let closed = |route: &&AdminRoute| route.access.access() != AdminAccess::Open;
        let admin = ADMIN_ROUTES.iter().filter(closed);
        let admin = admin.map(|route| (route.method.as_str(), admin_path(route.shape)));
        for (method, path) in oci.chain(admin) {
            let answer = server.stranger().request(method, &(path.clone() + &query), &[], b"");
            assert_eq!(answer.status, 401, "{method} {path} with {key}");
        }
    }
    server.stranger().get("/v2/the/last/tags/list");
    assert!(!server.logged("/v2/the/last/tags/list").contains(token), "the token is in the log");
}

#[test]
fn two_authorization_headers_are_nobodys() {
    let data = Data::new();
    let server = start(&data);
    for headers in [[&*server.authorization, "Bearer x"], ["Bearer x", &*server.authorization]] {
        let headers = headers.map(|value| ("Authorization", value));
        for path in ["/v2/", "/v2/token", "/v1/users", "/metrics"] {
            let answer = server.stranger().request("GET", path, &headers, b"");
            assert_eq!(answer.status, 401, "{path}: {}", answer.text());
        }
    }
    assert_eq!(server.client().get("/v1/users").status, 200);
}

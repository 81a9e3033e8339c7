//! Every route of both tables below the floor of free room: what adds is refused with 507, all else goes on. A route without an
//! entry fails.

use mcr::http::admin::path::Shape as AdminShape;
use mcr::http::admin::routes::ROUTES as ADMIN_ROUTES;
use mcr::http::api::Shape as _;
use mcr::http::oci::routes::ROUTES;
use mcr::http::path::Shape;
use serde_json::{Value, json};

use crate::support::admin::{expect, send};
use crate::support::content::{MANIFEST, Noise, digest, manifest, push_blob, push_manifest};
use crate::support::http::{Client, Response};
use crate::support::{Data, Server};

const FULL: u16 = 507;
/// Room that no disk has.
const FLOOR: (&str, &str) = ("MCR_STORAGE_MIN_FREE", "1000TiB");

/// What there is before the floor is reached.
struct There {
    kept: Vec<u8>,
    image: Vec<u8>,
    loose: Vec<u8>,
    uploads: [String; 3],
    token: String,
    rule: i64,
}

fn begin(client: &mut Client) -> String {
    client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location()
}

fn prepare(server: &Server) -> There {
    let mut client = server.client();
    let (kept, loose) = (Noise::new(1).bytes(1000), Noise::new(2).bytes(1000));
    for repository in ["a", "b"] {
        for blob in [&kept, &loose] {
            assert_eq!(push_blob(&mut client, repository, blob).unwrap().status, 201);
        }
        let image = manifest(std::slice::from_ref(&kept));
        assert_eq!(push_manifest(&mut client, repository, "v1", &image).unwrap().status, 201);
    }
    for (name, kind) in [("person", "human"), ("leaves", "human"), ("robot", "system")] {
        let user = json!({"name": name, "password": "long enough", "account_type": kind});
        expect(&mut client, 201, "POST", "/v1/users", user);
    }
    let token = expect(&mut client, 201, "POST", "/v1/tokens", json!({"name": "old", "user": "robot"}));
    let rule = json!({"effect": "allow", "priority": 10, "roles": ["nobody"]});
    let rule = expect(&mut client, 201, "POST", "/v1/policy/rules", rule);
    There {
        image: manifest(std::slice::from_ref(&kept)),
        uploads: [(); 3].map(|()| begin(&mut client)),
        kept,
        loose,
        token: token["id"].as_str().unwrap().to_owned(),
        rule: rule["id"].as_i64().unwrap(),
    }
}

/// What a route of the registry is asked, and may answer.
fn registry(shape: Shape, method: &str, there: &There) -> (String, &'static str, Vec<u8>, u16) {
    let none = Vec::new;
    let (blob, loose) = (digest(&there.kept), digest(&there.loose));
    match (shape, method) {
        (Shape::Token, "GET") => ("/v2/token".to_owned(), "", none(), 200),
        (Shape::Token, "POST") => {
            let form = b"grant_type=password&username=person&password=long+enough".to_vec();
            ("/v2/token".to_owned(), "application/x-www-form-urlencoded", form, 200)
        }
        (Shape::Base, _) => ("/v2/".to_owned(), "", none(), 200),
        (Shape::Catalog, _) => ("/v2/_catalog".to_owned(), "", none(), 200),
        (Shape::Tags, _) => ("/v2/a/tags/list".to_owned(), "", none(), 200),
        (Shape::Referrers, _) => (format!("/v2/a/referrers/{blob}"), "", none(), 200),
        (Shape::Manifest, "GET" | "HEAD") => ("/v2/a/manifests/v1".to_owned(), "", none(), 200),
        (Shape::Manifest, "PUT") => ("/v2/a/manifests/v2".to_owned(), MANIFEST, there.image.clone(), FULL),
        (Shape::Manifest, "DELETE") => (format!("/v2/a/manifests/{}", digest(&there.image)), "", none(), 202),
        (Shape::Blob, "GET" | "HEAD") => (format!("/v2/a/blobs/{blob}"), "", none(), 200),
        (Shape::Blob, "DELETE") => (format!("/v2/a/blobs/{loose}"), "", none(), 202),
        (Shape::Uploads, "POST") => ("/v2/a/blobs/uploads/".to_owned(), "", none(), FULL),
        (Shape::Upload, "GET" | "HEAD") => (there.uploads[0].clone(), "", none(), 204),
        (Shape::Upload, "PATCH") => (there.uploads[0].clone(), "", b"abc".to_vec(), FULL),
        (Shape::Upload, "PUT") => {
            let path = format!("{}?digest={}", there.uploads[0], digest(b"abc"));
            (path, "", b"abc".to_vec(), FULL)
        }
        (Shape::Upload, "DELETE") => (there.uploads[1].clone(), "", none(), 204),
        other => panic!("write down what {other:?} does below the floor"),
    }
}

/// The same of the admin API. It may answer several things where it depends on what runs.
fn admin(shape: AdminShape, method: &str, there: &There) -> (String, Value, &'static [u16]) {
    use AdminShape::*;
    let template = shape.template();
    let path =
        |name: &str, id: &str| template.replace("{name}", name).replace("{id}", id).replace("{tag}", "v1");
    let (none, plain) = (Value::Null, template.to_owned());
    match (shape, method) {
        (Login, "POST") => (plain, json!({"username": "person", "password": "long enough"}), &[200]),
        // With a password there is nothing to give back.
        (Logout, "POST") => (plain, none, &[400]),
        (OwnTokens, "GET") => (plain, none, &[200]),
        (OwnTokens, "POST") => (plain, json!({"name": "new"}), &[FULL]),
        // It is another's.
        (OwnToken | OwnTokenRenewal, "DELETE" | "POST") => (path("", &there.token), none, &[404]),
        // With a password there is nothing to renew, either.
        (Renew, "POST") => (plain, none, &[400]),
        (Password, "POST") => (plain, json!({"old": "not this one", "new": "another one"}), &[403]),
        (PolicyTest, "POST") => {
            let principal = json!({"account_type": "human", "roles": []});
            (plain, json!({"principal": principal, "action": "registry:pull", "repository": "a"}), &[200])
        }
        (Users, "POST") => {
            (plain, json!({"name": "new", "password": "long enough", "account_type": "human"}), &[FULL])
        }
        (User, "GET") => (path("person", ""), none, &[200]),
        (User, "PATCH") => (path("person", ""), json!({"disabled": true}), &[200]),
        (User, "DELETE") => (path("leaves", ""), none, &[200, 204]),
        (Tokens, "POST") => (plain, json!({"name": "new", "user": "robot"}), &[FULL]),
        (TokenRenewal, "POST") => (path("", &there.token), none, &[200]),
        (Token, "DELETE") => (path("", &there.token), none, &[200, 204]),
        (Rules, "POST") => (plain, json!({"effect": "allow", "priority": 9, "roles": ["x"]}), &[FULL]),
        (Rule, "GET") => (path("", &there.rule.to_string()), none, &[200]),
        (Rule, "PATCH") => (path("", &there.rule.to_string()), json!({"enabled": false}), &[200]),
        (Rule, "DELETE") => (path("", &there.rule.to_string()), none, &[200, 204]),
        (Repository, "GET") => (path("a", ""), none, &[200]),
        (Repository, "DELETE") => (path("b", ""), none, &[200, 204]),
        (RepositoryTags | RepositoryManifests | RepositoryAccess, "GET") => (path("a", ""), none, &[200]),
        // It went through the other door.
        (RepositoryManifest, "GET") => {
            (path("a", "").replace("{digest}", &digest(&there.image)), none, &[404])
        }
        // Its manifest went through the other door.
        (RepositoryTag, "DELETE") => (path("a", ""), none, &[404]),
        (RepositoryDeletions, "POST") => (path("b", ""), json!({"tags": ["v1"]}), &[200, 404]),
        (Upload, "DELETE") => {
            let id = there.uploads[2].rsplit('/').next().unwrap();
            (path("", id), none, &[200, 204])
        }
        (Gc, "POST") => (plain, none, &[202]),
        (Gc, "DELETE") => (plain, none, &[202, 409]),
        (SweepItems, "GET") => (path("", "1"), none, &[200, 404]),
        (Snapshots, "POST") => (plain, none, &[FULL]),
        (Health | Ready, _) => (plain, none, &[200, 503]),
        (System, "GET") => (plain, none, &[200]),
        (Repositories | Users | Tokens | Uploads | GcStatus | Sweeps | Snapshots | Rules, "GET") => {
            (plain, none, &[200])
        }
        (Me | OpenApi | Metrics | Actors | Audit, "GET") => (plain, none, &[200]),
        other => panic!("write down what {other:?} does below the floor"),
    }
}

fn must_be(expected: &[u16], answer: &Response, what: &str) {
    assert!(expected.contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    if answer.status == FULL {
        assert!(answer.text().contains("full"), "{what}: {}", answer.text());
    }
}

#[test]
fn below_the_floor_every_door_that_adds_is_shut_and_every_other_is_open() {
    let data = Data::new();
    let there = prepare(&data.start(&[]));
    let server = data.start(&[FLOOR]);
    let mut client = server.client();
    for route in ROUTES {
        let (path, kind, body, expected) = registry(route.shape, route.method.as_str(), &there);
        let answer = client.request(route.method.as_str(), &path, &[("Content-Type", kind)], &body);
        must_be(&[expected], &answer, &format!("{} {path}", route.method));
    }
    let mount = format!("/v2/c/blobs/uploads/?mount={}&from=a", digest(&there.kept));
    must_be(&[FULL], &client.request("POST", &mount, &[], b""), "a mount");
    for route in ADMIN_ROUTES {
        let (path, body, expected) = admin(route.shape, route.method.as_str(), &there);
        let mut answer = send(&mut client, route.method.as_str(), &path, &body);
        while route.shape == AdminShape::Snapshots && answer.status == 409 {
            // The sweep that was just begun is not over.
            answer = send(&mut client, route.method.as_str(), &path, &body);
        }
        must_be(expected, &answer, &format!("{} {path}", route.method));
    }
}

#[test]
fn below_the_floor_a_stranger_leaves_no_entry_and_is_told_the_same() {
    let data = Data::new();
    prepare(&data.start(&[]));
    let server = data.start(&[FLOOR]);
    let mut admin = server.client();
    let total = |client: &mut Client, event: &str| {
        let list = expect(client, 200, "GET", &format!("/v1/audit?event_type={event}"), Value::Null);
        list["total"].as_u64().unwrap()
    };
    let before = ["login_failed", "access_denied"].map(|event| total(&mut admin, event));
    let wrong = json!({"username": "person", "password": "wrong"});
    expect(&mut server.stranger(), 401, "POST", "/v1/auth/login", wrong);
    let login = json!({"username": "robot", "password": "long enough"});
    let robot = expect(&mut server.stranger(), 200, "POST", "/v1/auth/login", login);
    let mut robot = server.stranger().authorized(&format!("Bearer {}", robot["token"].as_str().unwrap()));
    assert_eq!(robot.get("/v2/a/manifests/v1").status, 403);
    assert_eq!(robot.request("POST", "/v1/auth/logout", &[], b"").status, 204);
    assert_eq!(["login_failed", "access_denied"].map(|event| total(&mut admin, event)), before);
    assert!(total(&mut admin, "login_ok") > 0, "a login of somebody known is recorded");
}

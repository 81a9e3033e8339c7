//! What a caller may not see, no answer tells; and what a name means, only one thing.

use serde_json::{Value, json};

use crate::support::admin::{expect, token_of, value};
use crate::support::content::{digest, manifest, push_blob, push_manifest};
use crate::support::http::{Client, Response};
use crate::support::mcrctl::Mcrctl;
use crate::support::{Data, Server};

/// Somebody of this kind, who may do what rules say.
fn account(server: &Server, name: &str) -> Client {
    let user = json!({"name": name, "password": "long enough", "account_type": "system"});
    expect(&mut server.client(), 201, "POST", "/v1/users", user);
    token_of(server, name, "long enough")
}

fn allow(server: &Server, actions: &[&str], repositories: &[&str]) {
    let rule = json!({"effect": "allow", "priority": 1, "actions": actions, "repositories": repositories,
        "account_types": ["system"]});
    expect(&mut server.client(), 201, "POST", "/v1/policy/rules", rule);
}

fn pages(client: &mut Client, first: &str) -> Vec<Response> {
    let mut pages = vec![client.get(first)];
    while let Some(link) = pages.last().and_then(|page| page.header("link")).map(str::to_owned) {
        assert!(pages.len() < 1000, "the list never ends");
        let next = link.split(['<', '>']).nth(1).unwrap().to_owned();
        pages.push(client.get(&next));
    }
    pages
}

#[test]
fn an_upload_is_its_principals_and_an_administrators() {
    let data = Data::new();
    let server = data.start(&[]);
    let (mut ada, mut bob) = (account(&server, "ada"), account(&server, "bob"));
    allow(&server, &["registry:pull", "registry:push"], &["**"]);
    let again = &mut token_of(&server, "ada", "long enough");
    let location = ada.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    assert_eq!(ada.request("PATCH", &location, &[], b"abc").status, 202);
    let put = format!("{location}?digest={}", digest(b"abc"));
    for (method, path) in [("GET", &location), ("PATCH", &location), ("PUT", &put), ("DELETE", &location)] {
        let nothing = path.replace(&location, "/v2/a/blobs/uploads/8d6f3bd5-7d8c-4f4b-9df3-7e1e3c2fd6ae");
        let (theirs, none) = (bob.request(method, path, &[], b"x"), bob.request(method, &nothing, &[], b"x"));
        assert_eq!((theirs.status, theirs.code().as_str()), (404, "BLOB_UPLOAD_UNKNOWN"), "{method}");
        assert_eq!((theirs.status, theirs.body), (none.status, none.body), "{method} tells that it is there");
    }
    // With another token it is the same principal.
    assert_eq!(again.get(&location).header("range"), Some("0-2"));
    assert_eq!(server.client().get(&location).status, 204);
    assert_eq!(again.request("PUT", &put, &[], b"").status, 201);
}

#[test]
fn no_page_of_the_catalog_names_what_its_reader_may_not_see() {
    let data = Data::new();
    let server = data.start(&[]);
    {
        let mut database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
        let all = database.transaction().unwrap();
        for number in 0..25_000 {
            let name = if number % 9_000 == 8_999 {
                format!("x{number:05}/open")
            } else {
                format!("x{number:05}/hidden")
            };
            all.execute("INSERT INTO repositories (name, created_at) VALUES (?1, 0)", [name]).unwrap();
        }
        all.commit().unwrap();
    }
    let mut ada = account(&server, "ada");
    allow(&server, &["registry:catalog"], &[]);
    allow(&server, &["registry:pull"], &["*/open"]);
    for first in [
        "/v2/_catalog",
        "/v2/_catalog?n=1",
        "/v2/_catalog?n=2&last=x00000%2Fhidden",
        "/v2/_catalog?n=1&last=a",
    ] {
        let pages = pages(&mut ada, first);
        let mut names = Vec::new();
        for page in &pages {
            assert_eq!(page.status, 200, "{}", page.text());
            let head = page.header("link").unwrap_or_default();
            assert!(!page.text().contains("hidden") && !head.contains("hidden"), "{head}");
            let page = value(page);
            names.extend(
                page["repositories"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()),
            );
        }
        assert_eq!(names, ["x08999/open", "x17999/open"], "{first}");
        let sealed =
            pages.iter().filter_map(|page| page.header("link")).find(|link| link.contains("last=%7E"));
        let path = sealed.unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
        assert_eq!(server.client().get(&path).status, 400, "another's cursor is good");
    }
    // Whether there is a name or not changes nothing for who may not see it. How far a page looks is drawn, so whether there
    // is another one tells nothing either way.
    let mut page = |last: &str| value(&ada.get(&format!("/v2/_catalog?n=1&last={last}")));
    for there in ["x08990/hidden", "x17990/hidden"] {
        let absent = there.replace("hidden", "hiddem");
        assert_eq!(page(there), page(&absent));
    }
}

#[test]
fn a_repository_and_a_tag_of_one_spelling_are_two() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    for repository in ["team", "team/tags/v1"] {
        push_blob(&mut client, repository, b"layer").unwrap();
        let pushed = push_manifest(&mut client, repository, "v1", &manifest(&[b"layer".to_vec()])).unwrap();
        assert_eq!(pushed.status, 201);
    }
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    let deleted = mcrctl.json(&["repo", "delete", "team/tags/v1"]);
    assert_eq!(deleted["done"], "deleted the repository team/tags/v1");
    assert_eq!(client.get("/v2/team/manifests/v1").status, 200, "another thing was deleted");
    assert_eq!(client.get("/v2/team/tags/v1/manifests/v1").status, 404);
    let deleted = mcrctl.json(&["tag", "delete", "team", "v1"]);
    assert_eq!(deleted["done"], "deleted the tag v1 of team");
    assert_eq!(client.get("/v2/team/tags/list").status, 200);
}

#[test]
fn strangers_hear_only_whether_the_registry_is_ready() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut ada = account(&server, "ada");
    for path in ["/v1/ready", "/readyz"] {
        let unknown = &mut server.stranger().authorized("Bearer nonsense");
        for client in [&mut server.stranger(), &mut ada, unknown] {
            let told = client.get(path);
            assert_eq!((told.status, value(&told)), (200, json!({"ready": true})), "{path}");
        }
    }
    let all = expect(&mut server.client(), 200, "GET", "/v1/ready", Value::Null);
    assert!(all["checks"].as_array().is_some_and(|checks| checks.len() >= 5), "{all}");
    for path in ["/v1/ready", "/v1/health", "/healthz", "/livez"] {
        let head = ada.request("HEAD", path, &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
}

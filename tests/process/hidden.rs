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
fn repositories_are_listed_to_who_may_pull_and_no_page_tells_of_others() {
    let data = Data::new();
    let server = data.start(&[]);
    {
        let mut database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
        let all = database.transaction().unwrap();
        for number in 0..25_000 {
            let kind = if number % 9_000 == 8_999 { "open" } else { "hidden" };
            let name = format!("x{number:05}/{kind}");
            let insert = "INSERT INTO repositories (name, created_at, updated_at) VALUES (?1, 0, ?2)";
            all.execute(insert, (name, number)).unwrap();
        }
        all.commit().unwrap();
    }
    let mut ada = account(&server, "ada");
    allow(&server, &["registry:pull", "registry:delete"], &["*/open"]);
    let both = ["x08999/open", "x17999/open"];
    let cases = [
        ("n=1", both.to_vec()),
        ("sort=updated", vec![both[1], both[0]]),
        ("prefix=x0", vec![both[0]]),
        ("prefix=x0&sort=updated", vec![both[0]]),
        ("q=99%2FOP&n=1", both.to_vec()),
        ("q=hidden", vec![]),
    ];
    for (query, expected) in cases {
        let (mut names, mut path, mut length) = (Vec::new(), format!("/v1/repositories?{query}"), None);
        loop {
            let page = expect(&mut ada, 200, "GET", &path, Value::Null);
            assert!(!page.to_string().contains("hidden") && page["total"].is_null(), "{page}");
            for seen in page["items"].as_array().unwrap() {
                assert_eq!(seen["permissions"], json!({"pull": true, "push": false, "delete": true}));
                assert!(seen["exclusive_bytes"].is_null() && seen["logical_bytes"] == 0, "{seen}");
                names.push(seen["name"].as_str().unwrap().to_owned());
            }
            let Some(next) = page["next"].as_str() else { break };
            assert_eq!(*length.get_or_insert(next.len()), next.len(), "a cursor tells how long a name is");
            path = format!("/v1/repositories?{query}&cursor={next}");
        }
        assert_eq!(names, expected, "{query}");
        if path.contains("cursor") {
            assert_eq!(server.client().get(&path).status, 400, "another's cursor is good");
        }
    }
    expect(&mut ada, 400, "GET", "/v1/repositories?offset=1", Value::Null);
    expect(&mut ada, 400, "GET", "/v1/repositories?cursor=x00000%2Fhidden", Value::Null);
    let absent = expect(&mut ada, 404, "GET", "/v1/repositories/x00000%2Fhiddem", Value::Null);
    let hidden = expect(&mut ada, 404, "GET", "/v1/repositories/x00000%2Fhidden", Value::Null);
    assert_eq!(hidden.to_string(), absent.to_string().replace("hiddem", "hidden"));
    let open = expect(&mut ada, 200, "GET", "/v1/repositories/x08999%2Fopen", Value::Null);
    assert_eq!((&open["permissions"]["pull"], &open["exclusive_bytes"]), (&json!(true), &Value::Null));
    // An administrator sees all, and counts and passes over them as ever.
    let mut admin = server.client();
    let some = expect(&mut admin, 200, "GET", "/v1/repositories?n=2&offset=24998", Value::Null);
    assert_eq!((&some["total"], &some["items"][1]["name"]), (&json!(25_000), &json!("x24999/hidden")));
    assert_eq!((&some["next"], &some["items"][1]["exclusive_bytes"]), (&Value::Null, &json!(0)));
    let found = expect(&mut admin, 200, "GET", "/v1/repositories?q=24999", Value::Null);
    let next = format!("/v1/repositories?q=24999&cursor={}", found["next"].as_str().unwrap_or("none"));
    assert!(found["items"] == json!([]) && admin.get(&next).status == 200, "{found}");
}

#[test]
fn tags_are_listed_to_who_may_pull_and_are_nowhere_to_others() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    for repository in ["open/app", "hidden/app"] {
        push_blob(&mut admin, repository, b"layer").unwrap();
        for tag in ["v1", "v2", "w1"] {
            let pushed = push_manifest(&mut admin, repository, tag, &manifest(&[b"layer".to_vec()])).unwrap();
            assert_eq!(pushed.status, 201);
        }
    }
    let mut ada = account(&server, "ada");
    allow(&server, &["registry:pull"], &["open/**"]);
    let list = "/v1/repositories/open%2Fapp/tags";
    let first = expect(&mut ada, 200, "GET", &format!("{list}?q=V&n=1&sort=updated"), Value::Null);
    assert_eq!((&first["items"][0]["name"], &first["total"]), (&json!("v2"), &Value::Null));
    let next = format!("{list}?q=V&n=1&sort=updated&cursor={}", first["next"].as_str().unwrap());
    let second = expect(&mut ada, 200, "GET", &next, Value::Null);
    assert_eq!((&second["items"][0]["name"], &second["next"]), (&json!("v1"), &Value::Null));
    // A cursor is good for one list in one order, and for who got it.
    for (client, path) in [(&mut admin, next.clone()), (&mut ada, next.replace("updated", "name"))] {
        assert_eq!(expect(client, 400, "GET", &path, Value::Null)["field"], "cursor");
    }
    expect(&mut ada, 400, "GET", &format!("{list}?cursor=v1"), Value::Null);
    assert_eq!(expect(&mut ada, 400, "GET", &format!("{list}?sort=size"), Value::Null)["field"], "sort");
    let absent = expect(&mut ada, 404, "GET", "/v1/repositories/hiddem%2Fapp/tags", Value::Null);
    let hidden = expect(&mut ada, 404, "GET", "/v1/repositories/hidden%2Fapp/tags", Value::Null);
    assert_eq!(hidden.to_string(), absent.to_string().replace("hiddem", "hidden"));
    let all = expect(&mut admin, 200, "GET", "/v1/repositories/hidden/app/tags", Value::Null);
    assert_eq!((&all["total"], all["items"].as_array().map(Vec::len)), (&json!(3), Some(3)));
}

#[test]
fn manifests_are_shown_to_who_may_pull_and_are_nowhere_to_others() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let image = manifest(&[b"config".to_vec(), b"layer".to_vec(), b"config".to_vec()]);
    let other = manifest(&[b"layer".to_vec()]);
    for repository in ["open/app", "hidden/app"] {
        for blob in [&b"config"[..], b"layer"] {
            push_blob(&mut admin, repository, blob).unwrap();
        }
        for (reference, content) in [("v1", &image), ("v2", &image), (&*digest(&other), &other)] {
            assert_eq!(push_manifest(&mut admin, repository, reference, content).unwrap().status, 201);
        }
    }
    let mut ada = account(&server, "ada");
    allow(&server, &["registry:pull"], &["open/**"]);
    let list = "/v1/repositories/open%2Fapp/manifests";
    let untagged = expect(&mut ada, 200, "GET", &format!("{list}?state=untagged"), Value::Null);
    assert_eq!((&untagged["items"][0]["digest"], &untagged["total"]), (&json!(digest(&other)), &json!(1)));
    let first = expect(&mut ada, 200, "GET", &format!("{list}?n=1"), Value::Null);
    assert_eq!((&first["items"][0]["state"], &first["total"]), (&json!("untagged"), &json!(2)));
    let next = format!("{list}?n=1&cursor={}", first["next"].as_str().unwrap());
    let second = expect(&mut ada, 200, "GET", &next, Value::Null);
    assert_eq!((&second["items"][0]["tags"]["total"], &second["next"]), (&json!(2), &Value::Null));
    // A cursor is good for one list, and for who got it.
    for (client, path) in [(&mut admin, next.clone()), (&mut ada, format!("{next}&state=tagged"))] {
        assert_eq!(expect(client, 400, "GET", &path, Value::Null)["field"], "cursor");
    }
    assert_eq!(expect(&mut ada, 400, "GET", &format!("{list}?state=new"), Value::Null)["field"], "state");
    assert_eq!(expect(&mut ada, 400, "GET", &format!("{list}/latest"), Value::Null)["field"], "digest");
    let one = format!("{list}/{}", digest(&image));
    let shown = expect(&mut ada, 200, "GET", &one, Value::Null);
    let layers: Vec<_> =
        shown["layers"]["items"].as_array().unwrap().iter().map(|layer| &layer["digest"]).collect();
    assert_eq!(layers, [&json!(digest(b"layer")), &json!(digest(b"config"))]);
    assert_eq!(
        (&shown["config"]["is_here"], &shown["tags"]["items"][1]["name"]),
        (&json!(true), &json!("v2"))
    );
    assert!(!shown.to_string().contains("repositories"), "it tells of other repositories: {shown}");
    let told = expect(&mut admin, 200, "GET", &one, Value::Null);
    assert_eq!(told["config"]["repositories"], 2);
    for path in ["manifests".to_owned(), format!("manifests/{}", digest(&image))] {
        let absent =
            expect(&mut ada, 404, "GET", &format!("/v1/repositories/hiddem%2Fapp/{path}"), Value::Null);
        let hidden =
            expect(&mut ada, 404, "GET", &format!("/v1/repositories/hidden%2Fapp/{path}"), Value::Null);
        assert_eq!(hidden.to_string(), absent.to_string().replace("hiddem", "hidden"));
    }
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    let listed = mcrctl.json(&["manifest", "list", "open/app", "--state", "tagged"]);
    assert_eq!(listed["items"][0]["digest"], digest(&image));
    assert_eq!(mcrctl.json(&["manifest", "show", "open/app", &digest(&image)])["layers"]["total"], 2);
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

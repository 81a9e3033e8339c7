//! Robot tokens get other secrets, and are found by their accounts.

use serde_json::{Value, json};

use crate::support::admin::{expect, send, token_of, value};
use crate::support::http::Client;
use crate::support::mcrctl::Mcrctl;
use crate::support::{Data, Server};

/// Whether the secret of an answer is taken.
fn is_good(server: &Server, answer: &Value) -> bool {
    let token = answer["token"].as_str().unwrap();
    server.stranger().authorized(&format!("Bearer {token}")).get("/v1/auth/me").status == 200
}

fn account(admin: &mut Client, name: &str) {
    let user =
        json!({"name": name, "account_type": "human", "password": "long enough", "roles": ["dev", "ops"]});
    expect(admin, 201, "POST", "/v1/users", user);
}

fn code(client: &mut Client, path: &str) -> (u16, Value) {
    let refused = send(client, "POST", path, &Value::Null);
    (refused.status, value(&refused)["code"].clone())
}

#[test]
fn a_renewed_robot_is_the_same_with_another_secret_and_the_old_one_ends_when_it_is_asked_to() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    account(&mut admin, "ada");
    let made = json!({"name": "deploy", "user": "ada", "roles": ["ops"], "expires_in": "720h"});
    let first = expect(&mut admin, 201, "POST", "/v1/tokens", made);
    assert!(is_good(&server, &first));
    let path = format!("/v1/tokens/{}/renew", first["id"].as_str().unwrap());
    let second = expect(&mut admin, 200, "POST", &path, Value::Null);
    assert!(!is_good(&server, &first), "the old secret goes on");
    assert!(is_good(&server, &second));
    for field in ["id", "name", "user", "roles"] {
        assert_eq!(second[field], first[field]);
    }
    let listed = expect(&mut admin, 200, "GET", "/v1/tokens?user=ada", Value::Null);
    let used = listed["items"].as_array().unwrap().iter().find(|token| token["id"] == first["id"]).unwrap();
    assert!(used["last_used_at"].is_string() && used["revoked"] == false, "{listed}");
    let third = expect(&mut admin, 200, "POST", &path, json!({"old_ends_in": "1h", "expires_in": "24h"}));
    assert!(is_good(&server, &second) && is_good(&server, &third), "one of both is refused");
    let audit = expect(&mut admin, 200, "GET", "/v1/audit?event_type=token_renewed", Value::Null);
    assert_eq!((&audit["total"], &audit["items"][0]["details"]["token"]), (&json!(2), &first["id"]));
    assert!(!audit.to_string().contains(third["token"].as_str().unwrap()));
    let asked = json!({"old_ends_in": "31days"});
    let refused = value(&send(&mut admin, "POST", &path, &asked));
    assert_eq!((&refused["code"], &refused["field"]), (&json!("INVALID"), &json!("old_ends_in")));
    expect(&mut admin, 204, "DELETE", path.trim_end_matches("/renew"), Value::Null);
    assert!(!is_good(&server, &third));
    assert_eq!(code(&mut admin, &path), (409, json!("TOKEN_REVOKED")));
    assert_eq!(code(&mut admin, "/v1/tokens/none/renew"), (404, json!("NOT_FOUND")));
}

#[test]
fn ones_own_robots_are_renewed_by_a_login_and_no_other_and_lists_are_narrowed() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    for name in ["ada", "bob", "Adam"] {
        account(&mut admin, name);
    }
    let (mut ada, mut bob) =
        (token_of(&server, "ada", "long enough"), token_of(&server, "bob", "long enough"));
    let first = expect(&mut ada, 201, "POST", "/v1/auth/tokens", json!({"name": "ci"}));
    let path = format!("/v1/auth/tokens/{}/renew", first["id"].as_str().unwrap());
    assert_eq!(code(&mut bob, &path), (404, json!("NOT_FOUND")));
    let mut robot = server.stranger().authorized(&format!("Bearer {}", first["token"].as_str().unwrap()));
    assert_eq!(code(&mut robot, &path), (403, json!("DENIED")), "it makes itself live for ever");
    let second = expect(&mut ada, 200, "POST", &path, Value::Null);
    assert_eq!((is_good(&server, &first), is_good(&server, &second)), (false, true));
    let names = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap().to_owned()).collect()
    };
    let found = expect(&mut admin, 200, "GET", "/v1/users?q=ADA", Value::Null);
    assert_eq!((names(&found), &found["total"]), (vec!["Adam".to_owned(), "ada".to_owned()], &json!(2)));
    assert_eq!(expect(&mut admin, 200, "GET", "/v1/users?q=a_a", Value::Null)["total"], 0);
    expect(&mut admin, 201, "POST", "/v1/tokens", json!({"name": "other", "user": "bob"}));
    let of_bob = expect(&mut admin, 200, "GET", "/v1/tokens?user=bob", Value::Null);
    assert_eq!((names(&of_bob), &of_bob["total"]), (vec!["other".to_owned()], &json!(1)));
    assert_eq!(expect(&mut admin, 200, "GET", "/v1/tokens?user=nobody", Value::Null)["total"], 0);
    // The same by mcrctl.
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    assert_eq!(mcrctl.json(&["user", "show", "bob"])["name"], "bob");
    assert_eq!(mcrctl.json(&["user", "list", "--query", "ada"])["total"], 2);
    let id = mcrctl.json(&["token", "list", "--user", "bob"])["items"][0]["id"].clone();
    let third =
        mcrctl.json(&["token", "renew", id.as_str().unwrap(), "--expires-in", "1h", "--old-ends-in", "1m"]);
    assert!(is_good(&server, &third) && third["id"] == id, "{third}");
}

//! What rules would say, now and by a draft, and who may do what to a repository.

use serde_json::{Value, json};

use crate::support::Data;
use crate::support::admin::{expect, send, value};
use crate::support::content::{Noise, push_blob};
use crate::support::mcrctl::Mcrctl;

const TEST: &str = "/v1/policy/test";

fn person(role: &str) -> Value {
    json!({"account_type": "human", "roles": [role]})
}

#[test]
fn a_draft_is_compared_question_by_question_and_changes_nothing() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let deny = json!({"effect": "deny", "priority": 5, "roles": ["guest"], "actions": ["registry:push"]});
    let id = expect(&mut admin, 201, "POST", "/v1/policy/rules", deny)["id"].as_i64().unwrap();
    let question = |who: &str, action: &str| json!({"principal": person(who), "action": action, "repository": "team/app"});
    let questions = json!([
        question("guest", "registry:push"),
        question("guest", "registry:pull"),
        question("dev", "registry:delete"),
    ]);
    // Without a draft many are answered by what holds.
    let now = expect(&mut admin, 200, "POST", TEST, json!({"questions": questions}));
    let decided = |allowed: bool, rule: i64| json!({"allowed": allowed, "rule": rule});
    let by_now = [decided(false, id), decided(true, -2), decided(true, -2)];
    assert_eq!(now["answers"], json!(by_now.clone().map(|now| json!({"now": now}))));
    assert_eq!((&now["differing"], &now["draft_rules"]), (&json!([]), &Value::Null));
    assert_eq!(now["rules"].as_array().unwrap().len(), 2);
    let never = json!({"effect": "deny", "priority": 1, "actions": ["registry:delete"], "roles": ["dev"]});
    let draft = json!({"add": [never], "change": {id.to_string(): {"roles": ["stranger"]}}});
    let compared = expect(&mut admin, 200, "POST", TEST, json!({"questions": questions, "draft": draft}));
    let by_draft = [decided(true, -2), decided(true, -2), decided(false, id + 1)];
    let both: Vec<Value> =
        by_now.iter().zip(&by_draft).map(|(now, draft)| json!({"now": now, "draft": draft})).collect();
    assert_eq!((&compared["answers"], &compared["differing"]), (&json!(both), &json!([0, 2])));
    let ids = |key: &str| -> Vec<i64> {
        compared[key].as_array().unwrap().iter().map(|rule| rule["id"].as_i64().unwrap()).collect()
    };
    assert_eq!((ids("rules"), ids("draft_rules")), (vec![id, -2], vec![id + 1, -2]));
    // One question with a draft is a list of one.
    let mut one = question("guest", "registry:push");
    one["draft"] = json!({"remove": [id]});
    let one = expect(&mut admin, 200, "POST", TEST, one);
    assert_eq!((&one["answers"][0]["draft"], &one["differing"]), (&decided(true, -2), &json!([0])));
    // As it was asked before, it is answered as before, and nothing has changed.
    let one = expect(&mut admin, 200, "POST", TEST, question("guest", "registry:push"));
    assert_eq!(
        (&one["allowed"], &one["rule"]["id"], &one["matching"][0]["id"]),
        (&json!(false), &json!(id), &json!(id))
    );
    let made = expect(&mut admin, 201, "POST", "/v1/policy/rules", json!({"effect": "allow", "priority": 9}));
    assert_eq!(made["id"], id + 1, "the draft was made");
}

#[test]
fn a_draft_that_cannot_be_says_where_it_is_wrong() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    let question = json!({"principal": person("dev"), "action": "registry:pull", "repository": "a"});
    let many = vec![question.clone(); 1001];
    let cases = [
        (json!({"questions": many}), "questions", "1000"),
        (
            json!({"questions": [question, {"principal": person("x"), "action": "eat"}]}),
            "questions",
            "questions[1].action",
        ),
        (json!({"questions": [], "repository": "a"}), "questions", "not both"),
        (json!({"questions": [], "draft": {"remove": [4711]}}), "draft", "no rule 4711"),
        (json!({"questions": [], "draft": {"change": {"4711": {}}}}), "draft", "no rule 4711"),
        (
            json!({"questions": [], "draft": {"add": [{"effect": "allow", "priority": 0}]}}),
            "draft",
            "add[0].priority",
        ),
        (json!({"action": "registry:pull"}), "principal", "principal"),
        (json!({"principal": person("x")}), "action", "action"),
    ];
    for (body, field, part) in cases {
        let refused = send(&mut admin, "POST", TEST, &body);
        let said = value(&refused);
        assert_eq!((refused.status, &said["field"]), (400, &json!(field)), "{said}");
        assert!(said["error"].as_str().unwrap().contains(part), "{said}");
    }
    let built_in = json!({"questions": [], "draft": {"remove": [-1]}});
    let refused = value(&send(&mut admin, "POST", TEST, &built_in));
    assert_eq!(refused["code"], "BUILT_IN_RULE");
}

#[test]
fn who_may_do_what_is_told_of_kinds_accounts_and_tokens_with_the_rules() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut admin = server.client();
    assert_eq!(push_blob(&mut admin, "ci/app", &Noise::new(1).bytes(10)).unwrap().status, 201);
    for (name, kind, roles) in
        [("ada", "human", json!(["dev"])), ("ci", "system", json!(["builder", "reader"]))]
    {
        expect(
            &mut admin,
            201,
            "POST",
            "/v1/users",
            json!({"name": name, "account_type": kind, "roles": roles}),
        );
    }
    for (name, roles) in [("part", json!(["reader"])), ("again", json!(["reader"])), ("whole", Value::Null)] {
        let token = json!({"name": name, "user": "ci", "roles": roles});
        expect(&mut admin, 201, "POST", "/v1/tokens", token);
    }
    let rule = |effect: &str, role: &str, action: &str| json!({"effect": effect, "priority": 3, "roles": [role], "actions": [action], "repositories": ["ci/**"]});
    let push = expect(&mut admin, 201, "POST", "/v1/policy/rules", rule("allow", "builder", "registry:push"))
        ["id"]
        .clone();
    let deny =
        expect(&mut admin, 201, "POST", "/v1/policy/rules", rule("deny", "dev", "registry:delete"))["id"]
            .clone();
    let access = expect(&mut admin, 200, "GET", "/v1/repositories/ci%2Fapp/access", Value::Null);
    let line = |of: &Value| {
        ["pull", "push", "delete"].map(|action| (of[action]["allowed"].clone(), of[action]["rule"].clone()))
    };
    let by = |allowed: bool, rule: &Value| (json!(allowed), rule.clone());
    let (human, nothing) = (json!(-2), Value::Null);
    let accounts = &access["accounts"]["items"];
    let names: Vec<&str> =
        accounts.as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap()).collect();
    assert_eq!((names, &access["accounts"]["total"]), (vec!["ada", "admin", "ci"], &json!(3)));
    assert_eq!(line(&accounts[0]), [by(true, &human), by(true, &human), by(false, &deny)]);
    assert_eq!(line(&accounts[1]), [by(true, &human), by(true, &human), by(true, &human)]);
    assert_eq!(line(&accounts[2]), [by(false, &nothing), by(true, &push), by(false, &nothing)]);
    let tokens = &accounts[2]["tokens"];
    assert_eq!(tokens.as_array().unwrap().len(), 1, "one whose roles are its account's has a line: {tokens}");
    assert_eq!(
        (&tokens[0]["roles"], &tokens[0]["total"], &tokens[0]["names"]),
        (&json!(["reader"]), &json!(2), &json!(["again", "part"]))
    );
    assert_eq!(line(&tokens[0]), [by(false, &nothing), by(false, &nothing), by(false, &nothing)]);
    let kinds: Vec<String> = access["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| format!("{} {}", kind["account_type"], kind["roles"]))
        .collect();
    assert!(
        kinds.contains(&r#""anonymous" []"#.to_owned())
            && kinds.contains(&r#""system" ["builder"]"#.to_owned()),
        "{kinds:?}"
    );
    assert!(!kinds.iter().any(|kind| kind.contains("reader")), "no rule names it: {kinds:?}");
    let rules: Vec<&Value> = access["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
    assert_eq!(rules, [&deny, &json!(-2), &json!(-1), &push], "in the order in which they decide");
    let page = expect(&mut admin, 200, "GET", "/v1/repositories/ci%2Fapp/access?n=1&offset=2", Value::Null);
    assert_eq!(
        (page["accounts"]["items"].as_array().unwrap().len(), &page["accounts"]["items"][0]["name"]),
        (1, &json!("ci"))
    );
    expect(&mut admin, 404, "GET", "/v1/repositories/none/access", Value::Null);
    // What it tells is what is done.
    let mcrctl = Mcrctl::new(&data.path().join("home"));
    mcrctl.login_as_admin(&server);
    assert_eq!(mcrctl.json(&["repo", "access", "ci/app"])["accounts"]["total"], 3);
    let shown = String::from_utf8(mcrctl.run(&["repo", "access", "ci/app"], "").stdout).unwrap();
    assert!(shown.contains("ci: 2 robot tokens") && shown.contains(&format!("yes ({push})")), "{shown}");
    let file = data.path().join("draft.json");
    std::fs::write(&file, json!({"remove": [deny]}).to_string()).unwrap();
    let question =
        ["policy", "test", "--role", "dev", "--action", "registry:delete", "--repository", "ci/app"];
    let compared = mcrctl.json(&[&question[..], &["--draft", file.to_str().unwrap()]].concat());
    assert_eq!(compared["differing"], json!([0]));
    let shown = mcrctl.run(&[&question[..], &["--draft", file.to_str().unwrap()]].concat(), "");
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("denied") && shown.contains("yes"), "{shown}");
}

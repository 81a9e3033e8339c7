//! Duties of the specification, and needs of clients, that the official suite does not check.

use std::process::Command;

use crate::support::content::{
    MANIFEST, Noise, digest, manifest, push_blob, push_blob_by_patch, push_manifest,
};
use crate::support::http::{Client, Response};
use crate::support::{Data, Server, program};

fn start() -> (Data, Server) {
    let data = Data::new();
    let server = data.start(&[("MCR_REGISTRY_ALLOW_TAG_DELETE", "true")]);
    (data, server)
}

/// Pushes an image of one blob under these tags, and answers its manifest.
fn image(client: &mut Client, repository: &str, seed: u64, tags: &[&str]) -> Vec<u8> {
    let blob = Noise::new(seed).bytes(100);
    assert_eq!(push_blob(client, repository, &blob).unwrap().status, 201);
    let manifest = manifest(&[blob]);
    for tag in tags {
        assert_eq!(push_manifest(client, repository, tag, &manifest).unwrap().status, 201);
    }
    manifest
}

fn json(response: &Response) -> serde_json::Value {
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn tags_are_paged_in_byte_order() {
    let (_data, server) = start();
    let mut client = server.client();
    image(&mut client, "a", 1, &["b", "B", "a-0", "a", "a0"]);
    let page = |client: &mut Client, query: &str| {
        let response = client.get(&format!("/v2/a/tags/list{query}"));
        assert_eq!(response.status, 200, "{}", response.text());
        (json(&response)["tags"].clone(), response.header("link").map(str::to_owned))
    };
    assert_eq!(page(&mut client, ""), (serde_json::json!(["B", "a", "a-0", "a0", "b"]), None));
    assert_eq!(page(&mut client, "?n=0"), (serde_json::json!([]), None));
    let (first, link) = page(&mut client, "?n=2");
    assert_eq!(
        (first, link.as_deref()),
        (serde_json::json!(["B", "a"]), Some("</v2/a/tags/list?last=a&n=2>; rel=\"next\""))
    );
    assert_eq!(client.request("DELETE", "/v2/a/manifests/a", &[], b"").status, 202);
    assert_eq!(page(&mut client, "?n=2&last=a").0, serde_json::json!(["a-0", "a0"]));
    assert_eq!(page(&mut client, "?n=5&last=a0"), (serde_json::json!(["b"]), None));
    let unknown = client.get("/v2/nothing/here/tags/list");
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "NAME_UNKNOWN"));
}

#[test]
fn the_catalog_is_paged() {
    let (_data, server) = start();
    let mut client = server.client();
    for repository in ["c", "a/b", "a", "a-b"] {
        image(&mut client, repository, 1, &["v1"]);
    }
    let all = client.get("/v2/_catalog");
    assert_eq!(json(&all)["repositories"], serde_json::json!(["a", "a-b", "a/b", "c"]));
    let first = client.get("/v2/_catalog?n=3");
    assert_eq!(first.header("link"), Some("</v2/_catalog?last=a%2Fb&n=3>; rel=\"next\""));
    let rest = client.get("/v2/_catalog?last=a%2Fb&n=3");
    assert_eq!((json(&rest)["repositories"].clone(), rest.header("link")), (serde_json::json!(["c"]), None));
}

#[test]
fn mounts_need_pull_on_the_source_and_are_else_as_if_it_were_not_there() {
    let (_data, server) = start();
    let mut client = server.client();
    let blob = Noise::new(6).bytes(50);
    assert_eq!(push_blob_by_patch(&mut client, "team/source", &blob).unwrap().status, 201);
    let mount = |client: &mut Client, to: &str, from: &str| {
        client
            .request("POST", &format!("/v2/{to}/blobs/uploads/?mount={}{from}", digest(&blob)), &[], b"")
            .status
    };
    assert_eq!(client.get(&format!("/v2/target/blobs/{}", digest(&blob))).status, 404);
    assert_eq!(mount(&mut client, "target", "&from=team%2Fsource&origin=x"), 201);
    assert_eq!(mount(&mut client, "other", ""), 201);
    assert_eq!(mount(&mut client, "third", "&from=nothing"), 202);
    assert_eq!(mount(&mut client, "third", "&from=NOT%20VALID"), 202);
    assert_eq!(client.get(&format!("/v2/other/blobs/{}", digest(&blob))).body, blob);
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    let rule = "INSERT INTO policy_rules (priority, effect, actions, repositories)
                VALUES (1, 'deny', '[\"registry:pull\"]', '[\"team/**\"]')";
    database.execute(rule, []).unwrap();
    drop(server);
    let server = _data.start(&[]);
    assert_eq!(mount(&mut server.client(), "fourth", "&from=team%2Fsource"), 202);
}

#[test]
fn a_missing_blob_is_named() {
    let (_data, server) = start();
    let mut client = server.client();
    let (here, missing) = (Noise::new(7).bytes(10), Noise::new(8).bytes(10));
    assert_eq!(push_blob(&mut client, "a", &here).unwrap().status, 201);
    assert_eq!(push_blob(&mut client, "elsewhere", &missing).unwrap().status, 201);
    let refused = push_manifest(&mut client, "a", "v1", &manifest(&[here, missing.clone()])).unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (400, "MANIFEST_BLOB_UNKNOWN"));
    assert_eq!(json(&refused)["errors"][0]["detail"]["missing"], serde_json::json!([digest(&missing)]));
    assert_eq!(client.get("/v2/a/manifests/v1").status, 404);
}

#[test]
fn manifests_are_served_as_they_came() {
    let (_data, server) = start();
    let mut client = server.client();
    let manifest = image(&mut client, "a", 9, &["v1"]);
    let accepts = [[("Accept", "text/html")], [("Accept", "*/*")]];
    for headers in accepts {
        let got = client.request("GET", "/v2/a/manifests/v1", &headers, b"");
        assert_eq!((got.status, got.header("content-type"), &got.body), (200, Some(MANIFEST), &manifest));
    }
    let head = client.request("HEAD", "/v2/a/manifests/v1", &[], b"");
    assert_eq!(head.header("content-length"), Some(&*manifest.len().to_string()));
    assert_eq!(head.header("docker-content-digest"), Some(&*digest(&manifest)));
    let etag = head.header("etag").unwrap().to_owned();
    let unchanged = client.request("GET", "/v2/a/manifests/v1", &[("If-None-Match", &etag)], b"");
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(
        client.request("DELETE", &format!("/v2/a/manifests/{}", digest(&manifest)), &[], b"").status,
        202
    );
    let gone = client.get("/v2/a/manifests/v1");
    assert_eq!((gone.status, gone.code().as_str()), (404, "MANIFEST_UNKNOWN"));
    let tags = client.get("/v2/a/tags/list");
    assert_eq!(json(&tags)["tags"], serde_json::json!([]));
}

#[test]
fn the_token_endpoint_answers_as_clients_need() {
    let (_data, server) = start();
    let form = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
    let password = std::fs::read_to_string(server.data.join("admin-password")).unwrap();
    let body =
        format!("grant_type=password&username=admin&password={}&scope=repository:a:pull", password.trim());
    let scopes =
        "/v2/token?service=mcr&scope=repository:a:pull&scope=repository:a:pull,push&scope=repository:b:*";
    for response in
        [server.stranger().request("POST", "/v2/token", &form, body.as_bytes()), server.client().get(scopes)]
    {
        assert_eq!((response.status, response.header("cache-control")), (200, Some("no-store")));
        let given = json(&response);
        assert_eq!(given["token"], given["access_token"]);
        assert!((3500..=3540).contains(&given["expires_in"].as_u64().unwrap()), "{given}");
        let token = given["token"].as_str().unwrap();
        assert_eq!(server.stranger().authorized(&format!("Bearer {token}")).get("/v2/").status, 200);
        // A token in the password's place, as robots use it.
        let basic =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("any:{token}"));
        assert_eq!(server.stranger().authorized(&format!("Basic {basic}")).get("/v2/_catalog").status, 200);
    }
    let refused = server.stranger().get("/v2/token");
    assert_eq!((refused.status, refused.code().as_str()), (401, "UNAUTHORIZED"));
}

#[test]
fn a_damaged_blob_is_not_served_and_is_healed_by_the_next_push() {
    let (_data, server) = start();
    let mut client = server.client();
    let blob = Noise::new(10).bytes(5000);
    assert_eq!(push_blob(&mut client, "a", &blob).unwrap().status, 201);
    let path = format!("/v2/a/blobs/{}", digest(&blob));
    let file = server.files("layers").pop().unwrap();
    for damage in [Some(&blob[..100]), None] {
        match damage {
            Some(short) => std::fs::write(&file, short).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        for method in ["GET", "HEAD"] {
            assert_eq!(client.request(method, &path, &[], b"").status, 404);
        }
        assert_eq!(push_blob(&mut client, "a", &blob).unwrap().status, 201);
        assert_eq!(client.get(&path).body, blob);
    }
}

#[test]
fn a_pusher_that_hears_200_may_rely_on_the_blob_for_the_grace() {
    let (_data, server) = start();
    let mut client = server.client();
    let blob = Noise::new(11).bytes(10);
    assert_eq!(push_blob(&mut client, "a", &blob).unwrap().status, 201);
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    database.execute("UPDATE repository_blobs SET kept_until = 0", []).unwrap();
    let kept_until = || -> i64 {
        database.query_row("SELECT kept_until FROM repository_blobs", [], |row| row.get(0)).unwrap()
    };
    let path = format!("/v2/a/blobs/{}", digest(&blob));
    assert_eq!((client.get(&path).status, kept_until()), (200, 0));
    let now: i64 = database.query_row("SELECT unixepoch() * 1000", [], |row| row.get(0)).unwrap();
    assert_eq!(client.request("HEAD", &path, &[], b"").status, 200);
    let kept = kept_until();
    assert!(kept >= now + 3_600_000, "{kept} is less than an hour after {now}");
    assert_eq!(client.request("HEAD", &path, &[], b"").status, 200);
    assert_eq!(kept_until(), kept, "it was long enough and was written all the same");
}

#[test]
fn a_manifest_says_where_it_is_and_may_have_many_tags() {
    let (_data, server) = start();
    let mut client = server.client();
    let manifest = image(&mut client, "a", 20, &[]);
    let name = digest(&manifest);
    let tags: Vec<String> = (10..22).map(|number| format!("v{number}")).collect();
    let reference = format!("{name}?{}", tags.iter().map(|tag| format!("&tag={tag}")).collect::<String>());
    let pushed = push_manifest(&mut client, "a", &reference, &manifest).unwrap();
    assert_eq!((pushed.status, pushed.header("docker-content-digest")), (201, Some(name.as_str())));
    assert_eq!(pushed.location(), format!("/v2/a/manifests/{name}"));
    let said: Vec<&str> =
        pushed.headers.iter().filter(|(key, _)| key == "oci-tag").map(|(_, tag)| tag.as_str()).collect();
    assert_eq!(said, tags);
    assert_eq!(json(&client.get("/v2/a/tags/list"))["tags"], serde_json::json!(tags));
    // A delete by digest takes them all along.
    assert_eq!(client.request("DELETE", &format!("/v2/a/manifests/{name}"), &[], b"").status, 202);
    assert_eq!(json(&client.get("/v2/a/tags/list"))["tags"], serde_json::json!([]));
}

#[test]
fn manifests_of_four_megabytes_are_taken_and_larger_ones_are_not() {
    let (_data, server) = start();
    let mut client = server.client();
    let small = image(&mut client, "a", 21, &[]);
    let padded = |length: usize| {
        let mut manifest: serde_json::Value = serde_json::from_slice(&small).unwrap();
        manifest["annotations"] = serde_json::json!({"padding": ""});
        let room = length - manifest.to_string().len();
        manifest["annotations"]["padding"] = "x".repeat(room).into();
        manifest.to_string().into_bytes()
    };
    let most = 4 << 20;
    let pushed = push_manifest(&mut client, "a", "large", &padded(most)).unwrap();
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    assert_eq!(client.get("/v2/a/manifests/large").body, padded(most));
    let refused = push_manifest(&mut client, "a", "larger", &padded(most + 1)).unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (413, "SIZE_INVALID"));
}

#[test]
fn deletes_of_what_is_not_there_are_404_and_of_tags_405_where_that_is_off() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let missing = digest(b"missing");
    for path in [format!("/v2/no/such/manifests/{missing}"), format!("/v2/no/such/blobs/{missing}")] {
        let answer = client.request("DELETE", &path, &[], b"");
        assert_eq!(answer.status, 404, "{path}");
        assert!(["NAME_UNKNOWN", "BLOB_UNKNOWN"].contains(&answer.code().as_str()), "{}", answer.text());
    }
    image(&mut client, "a", 22, &["v1"]);
    let refused = client.request("DELETE", "/v2/a/manifests/v1", &[], b"");
    assert_eq!((refused.status, refused.code().as_str()), (405, "UNSUPPORTED"));
    assert_eq!(client.get("/v2/a/manifests/v1").status, 200);
}

#[test]
fn referrers_are_paged_filtered_and_gone_with_their_manifest() {
    let (_data, server) = start();
    let mut client = server.client();
    let subject = image(&mut client, "a", 23, &["v1"]);
    let subject_name = digest(&subject);
    let mut referrers = Vec::new();
    for number in 0..3 {
        let mut manifest: serde_json::Value = serde_json::from_slice(&subject).unwrap();
        manifest["subject"] =
            serde_json::json!({"mediaType": MANIFEST, "digest": subject_name, "size": subject.len()});
        manifest["artifactType"] = format!("test/type{}", number % 2).into();
        manifest["annotations"] = serde_json::json!({"number": number.to_string()});
        let manifest = manifest.to_string().into_bytes();
        let pushed = push_manifest(&mut client, "a", &digest(&manifest), &manifest).unwrap();
        assert_eq!((pushed.status, pushed.header("oci-subject")), (201, Some(subject_name.as_str())));
        referrers.push(digest(&manifest));
    }
    let path = format!("/v2/a/referrers/{subject_name}");
    let list = |client: &mut Client, path: &str| {
        let answer = client.get(path);
        let index = json(&answer);
        let found: Vec<String> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["digest"].as_str().unwrap().to_owned())
            .collect();
        let next = answer.header("link").map(|link| link[1..link.find('>').unwrap()].to_owned());
        (found, next, answer.header("oci-filters-applied").map(str::to_owned))
    };
    let (mut all, none, _) = list(&mut client, &path);
    all.sort();
    let mut expected = referrers.clone();
    expected.sort();
    assert_eq!((all, none), (expected.clone(), None));
    let (first, next, _) = list(&mut client, &format!("{path}?n=2"));
    let (rest, none, _) = list(&mut client, &next.unwrap());
    assert_eq!((first.len(), rest.len(), none), (2, 1, None));
    let mut both = [first, rest].concat();
    both.sort();
    assert_eq!(both, expected);
    let (odd, _, filters) = list(&mut client, &format!("{path}?artifactType=test%2Ftype1"));
    assert_eq!((odd, filters.as_deref()), (vec![referrers[1].clone()], Some("artifactType")));
    let gone = format!("/v2/a/manifests/{}", referrers[1]);
    assert_eq!(client.request("DELETE", &gone, &[], b"").status, 202);
    assert_eq!(list(&mut client, &path).0.len(), 2);
    // Those that point at what was deleted stay.
    assert_eq!(client.request("DELETE", &format!("/v2/a/manifests/{subject_name}"), &[], b"").status, 202);
    assert_eq!(list(&mut client, &path).0.len(), 2);
    assert_eq!(client.get("/v2/a/referrers/sha256:bad").status, 400);
}

#[test]
fn a_referrers_list_has_no_annotation_that_go_cannot_read() {
    let (_data, server) = start();
    let mut client = server.client();
    let subject = image(&mut client, "a", 25, &["v1"]);
    let subject =
        serde_json::json!({"mediaType": MANIFEST, "digest": digest(&subject), "size": subject.len()});
    let annotations = serde_json::json!({"text": "yes", "number": 1});
    let referrer = serde_json::json!({"subject": subject, "annotations": annotations}).to_string();
    let kind = [("Content-Type", "application/vnd.example+json")];
    let pushed = client.request("PUT", "/v2/a/manifests/v2", &kind, referrer.as_bytes());
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let path = format!("/v2/a/referrers/{}", subject["digest"].as_str().unwrap());
    let listed = |client: &mut Client| json(&client.get(&path))["manifests"][0]["annotations"].clone();
    assert_eq!(listed(&mut client), serde_json::json!({"text": "yes"}));
    // As it was stored by pushes that were not held to it.
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    let store = "UPDATE manifests SET annotations = ?1 WHERE subject IS NOT NULL";
    assert_eq!(database.execute(store, [annotations.to_string()]).unwrap(), 1);
    assert_eq!(listed(&mut client), serde_json::json!({"text": "yes"}));
}

#[test]
fn a_token_that_was_pasted_as_the_name_is_not_recorded() {
    let (_data, server) = start();
    let given = json(&server.client().get("/v2/token"));
    let token = given["token"].as_str().unwrap();
    for path in ["/v2/", "/v2/token"] {
        // A password that is known to be wrong is not recorded again.
        let login = format!("{token}:{path}");
        let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, login);
        assert_eq!(server.stranger().authorized(&format!("Basic {basic}")).get(path).status, 401);
    }
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    // One entry a minute tells of both; the minute may turn between them.
    let told =
        "SELECT min(actor_name), max(actor_name), sum(count) FROM audit_log WHERE event = 'login_failed'";
    let told = database.query_row(told, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let told: (String, String, i64) = told.unwrap();
    assert_eq!(told, ("mcr_…".to_owned(), "mcr_…".to_owned(), 2));
    assert!(!server.logged("GET /v2/token").contains(&token[..12]));
}

#[test]
fn what_clients_send_beside_the_protocol_changes_nothing() {
    let (_data, server) = start();
    let mut client = server.client();
    let manifest = image(&mut client, "a", 24, &["v1"]);
    // containerd names the registry that it believes to ask.
    let mirrored =
        client.request("GET", "/v2/a/manifests/v1?ns=docker.io", &[("OCI-Namespace", "x.io")], b"");
    assert_eq!((mirrored.status, mirrored.body), (200, manifest));
    let blob = Noise::new(24).bytes(100);
    let path = format!("/v2/a/blobs/{}", digest(&blob));
    let to_its_end = client.request("GET", &path, &[("Range", "bytes=50-100")], b"");
    assert_eq!((to_its_end.status, to_its_end.header("content-range")), (206, Some("bytes 50-99/100")));
    assert_eq!(to_its_end.body, blob[50..]);
    let unknown = client.request("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", &[], b"");
    assert_eq!(unknown.status, 400, "{}", unknown.text());
    let challenged = server.stranger().get("/v2/a/tags/list");
    let challenges = challenged.headers.iter().filter(|(name, _)| name == "www-authenticate").count();
    assert_eq!((challenged.status, challenges), (401, 1));
}

#[test]
fn as_many_clients_connect_as_the_hard_limit_of_open_files_has_room_for() {
    let data = Data::new();
    let directory = data.path().join("data");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 128 && exec \"$0\" \"$@\""]).arg(program());
    command.args(["dev", "--http", "--listen", "127.0.0.1:0", "--data"]).arg(&directory);
    let server = Server::spawn(command, &directory);
    let mut clients: Vec<Client> = (0..200).map(|_| server.stranger()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/v2/").status, 401);
    }
}

#[test]
fn what_is_pushed_never_becomes_a_page_in_a_browser() {
    let (_data, server) = start();
    let mut client = server.client();
    let page = br#"{"schemaVersion":2,"x":"<script>alert(1)</script>"}"#;
    let html = [("Content-Type", "text/html")];
    assert_eq!(client.request("PUT", "/v2/a/manifests/page", &html, page).status, 201);
    let served = client.get("/v2/a/manifests/page");
    assert_eq!(served.header("content-type"), Some("text/html"), "it is served as it was pushed");
    assert_eq!(served.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(served.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(push_blob(&mut client, "a", page).unwrap().status, 201);
    let served = client.get(&format!("/v2/a/blobs/{}", digest(page)));
    assert_eq!(served.header("content-type"), Some("application/octet-stream"));
    assert_eq!(served.header("x-content-type-options"), Some("nosniff"));
}

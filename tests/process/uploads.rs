//! Uploads: where they stand, what ends them, what is refused.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::admin::{expect, token_of, value};
use crate::support::content::{Noise, digest};
use crate::support::http::{Client, Response, read_head};
use crate::support::{Data, Server};

#[test]
fn uploads_say_exactly_where_they_stand() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let begun = client.request("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!((begun.header("range"), begun.header("content-length")), (Some("0-0"), Some("0")));
    let location = begun.location();
    let first = client.request("PATCH", &location, &[], b"abc");
    assert_eq!((first.status, first.header("range")), (202, Some("0-2")));
    for range in ["0-2", "2-4", "9-11"] {
        let refused = client.request("PATCH", &location, &[("Content-Range", range)], b"def");
        assert_eq!((refused.status, refused.header("range")), (416, Some("0-2")), "{range}");
        assert_eq!(refused.location(), location);
    }
    let refused = client.request(
        "PUT",
        &format!("{location}?digest={}", digest(b"x")),
        &[("Content-Range", "9-11")],
        b"def",
    );
    assert_eq!(refused.status, 416);
    // A digest in the query of a PATCH or a status request means nothing.
    let second =
        client.request("PATCH", &format!("{location}?digest=x"), &[("Content-Range", "3-5")], b"def");
    assert_eq!((second.status, second.header("range")), (202, Some("0-5")));
    let status = client.get(&format!("{location}?digest=sha256%3Aab"));
    assert_eq!((status.status, status.header("range")), (204, Some("0-5")));
    let done = client.request("PUT", &format!("{location}?digest={}", digest(b"abcdef")), &[], b"");
    assert_eq!((done.status, done.header("docker-content-digest")), (201, Some(&*digest(b"abcdef"))));
    let head = client.request("HEAD", &done.location(), &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("6")));
    let over = client.get(&location);
    assert_eq!((over.status, over.code().as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
}

#[test]
fn a_wrong_digest_ends_the_upload_and_a_cancel_forgets_it() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let location = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    let wrong = client.request("PUT", &format!("{location}?digest={}", digest(b"x")), &[], b"y");
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(client.get(&location).status, 404);
    let location = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    assert_eq!(client.request("PATCH", &location, &[], b"abc").status, 202);
    assert_eq!(client.request("DELETE", &location, &[], b"").status, 204);
    assert_eq!(client.request("DELETE", &location, &[], b"").status, 404);
    let elsewhere =
        client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location().replace("/v2/a/", "/v2/b/");
    assert_eq!(client.get(&elsewhere).status, 404);
    assert!(server.files("uploads").is_empty());
}

/// Sends three quarters of a body of 2 MB, then resets the connection, or ends it as if that had been all.
fn cut(server: &Server, method: &str, path: &str, reset: bool) {
    let mut client = server.client();
    let mut stream = client.connect().unwrap();
    let head = client.head(method, path, &[("Content-Length", "2000000")]);
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    stream.get_mut().write_all(&vec![7; 1_500_000]).unwrap();
    if reset {
        // Nothing is read from it; what the server still sends is answered with a reset.
        drop(stream);
    } else {
        stream.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_head(&mut stream).unwrap().status, 400);
    }
}

/// Sends it until the server has seen the end of the request before, and answers what it says then.
fn after_a_cut(client: &mut Client, method: &str, path: &str, range: &str, body: &[u8]) -> Response {
    let began = Instant::now();
    loop {
        let answer = client.request(method, path, &[("Content-Range", range)], body);
        if answer.status != 416 {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the cut request never ends");
    }
}

#[test]
fn a_request_that_is_cut_never_happened() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    for reset in [false, true] {
        let location = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
        assert_eq!(client.request("PATCH", &location, &[], b"abc").status, 202);
        cut(&server, "PATCH", &location, reset);
        let whole = after_a_cut(&mut client, "PATCH", &location, "3-5", b"def");
        assert_eq!((whole.status, whole.header("range")), (202, Some("0-5")), "{}", whole.text());
        // containerd and oras send the same PUT to the same URL again.
        let put = format!("{location}?digest={}", digest(b"abcdefghi"));
        cut(&server, "PUT", &put, reset);
        let done = after_a_cut(&mut client, "PUT", &put, "6-8", b"ghi");
        assert_eq!(done.status, 201, "{}", done.text());
        assert_eq!(client.get(&done.location()).body, b"abcdefghi");
    }
}

#[test]
fn empty_blobs_come_by_every_way() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let empty = digest(b"");
    let chunked = [("Transfer-Encoding", "chunked")];
    for repository in ["patch", "put", "post"] {
        let location =
            client.request("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"").location();
        let done = match repository {
            "patch" => {
                assert_eq!(client.request("PATCH", &location, &chunked, b"0\r\n\r\n").status, 202);
                client.request("PUT", &format!("{location}?digest={empty}"), &[], b"")
            }
            "put" => client.request("PUT", &format!("{location}?digest={empty}"), &chunked, b"0\r\n\r\n"),
            _ => client.request("POST", &format!("/v2/{repository}/blobs/uploads/?digest={empty}"), &[], b""),
        };
        assert_eq!(done.status, 201, "{repository} {}", done.text());
        let blob = client.get(&format!("/v2/{repository}/blobs/{empty}"));
        assert_eq!((blob.status, blob.header("content-length")), (200, Some("0")));
    }
}

#[test]
fn sha512_from_announcement_to_pull() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let content = Noise::new(5).bytes(700_000);
    let name = mcr_actors::domain::Digest::of(mcr_actors::domain::Algorithm::Sha512, &content);
    for query in ["", "?digest-algorithm=sha512"] {
        let location = client.request("POST", &format!("/v2/a/blobs/uploads/{query}"), &[], b"").location();
        let done = client.request("PUT", &format!("{location}?digest={name}"), &[], &content);
        assert_eq!((done.status, done.header("docker-content-digest")), (201, Some(&*name.to_string())));
    }
    assert_eq!(client.get(&format!("/v2/a/blobs/{name}")).body, content);
}

#[test]
fn too_many_uploads_and_too_large_blobs_are_refused_with_the_bound() {
    let data = Data::new();
    let server = data.start(&[("MCR_REGISTRY_MAX_UPLOADS", "2"), ("MCR_REGISTRY_MAX_BLOB_SIZE", "1KiB")]);
    let mut client = server.client();
    let first = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    let large = client.request("PATCH", &first, &[], &[0; 1025]);
    assert_eq!((large.status, large.code().as_str()), (413, "SIZE_INVALID"));
    let chunked = [("Transfer-Encoding", "chunked")];
    let mut body = b"401\r\n".to_vec();
    body.extend_from_slice(&[0; 1025]);
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    assert_eq!(client.request("PATCH", &first, &chunked, &body).status, 413);
    assert_eq!(client.get(&first).header("range"), Some("0-0"));
    assert_eq!(client.request("POST", "/v2/a/blobs/uploads/", &[], b"").status, 202);
    let refused = client.request("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("10")));
    assert_eq!(client.request("DELETE", &first, &[], b"").status, 204);
    assert_eq!(client.request("POST", "/v2/a/blobs/uploads/", &[], b"").status, 202);
}

#[test]
fn nobody_is_refused_for_the_places_that_somebody_else_holds() {
    let data = Data::new();
    let server = data.start(&[("MCR_REGISTRY_MAX_UPLOADS", "6")]);
    let account = json!({"name": "mallory", "account_type": "human", "password": "a long enough password"});
    expect(&mut server.client(), 201, "POST", "/v1/users", account);
    let mut greedy = token_of(&server, "mallory", "a long enough password");
    let begin = |client: &mut Client| client.request("POST", "/v2/a/blobs/uploads/", &[], b"");
    let with_bytes = begin(&mut greedy).location();
    assert_eq!(greedy.request("PATCH", &with_bytes, &[], b"bytes").status, 202);
    for _ in 1..6 {
        assert_eq!(begin(&mut greedy).status, 202);
    }
    assert_eq!(begin(&mut greedy).status, 429, "who holds the most waits");
    let mut pusher = server.client();
    let mine: Vec<String> = (0..3)
        .map(|_| begin(&mut pusher))
        .map(|begun| {
            assert_eq!(begun.status, 202, "{}", begun.text());
            begun.location()
        })
        .collect();
    assert_eq!(begin(&mut pusher).status, 429, "half of the places are its own by now");
    assert_eq!(greedy.get(&with_bytes).header("range"), Some("0-4"), "those without a byte went first");
    for location in mine {
        assert_eq!(pusher.get(&location).status, 204);
    }
}

#[test]
fn one_request_uploads_that_are_refused_or_cut_leave_room_for_good_ones() {
    let data = Data::new();
    let server = data.start(&[("MCR_REGISTRY_MAX_UPLOADS", "6"), ("MCR_REGISTRY_MAX_BLOB_SIZE", "3MiB")]);
    let mut client = server.client();
    let post = format!("/v2/a/blobs/uploads/?digest={}", digest(b"abc"));
    for _ in 0..4 {
        for (range, status) in [("5-7", 416), ("0-9", 400), ("from here", 400)] {
            let refused = client.request("POST", &post, &[("Content-Range", range)], b"abc");
            assert_eq!(refused.status, status, "{range} {}", refused.text());
        }
        assert_eq!(client.request("POST", &post, &[], &[0; (3 << 20) + 1]).status, 413);
        assert_eq!(client.request("POST", &post, &[], b"another").status, 400);
    }
    let began = Instant::now();
    for number in 0..8 {
        cut(&server, "POST", &post, number % 2 == 0);
        // The server need not have seen the end of the cut ones yet.
        while client.request("POST", &post, &[], b"abc").status != 201 {
            assert!(began.elapsed() < Duration::from_secs(30), "their places are lost");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(client.request("POST", "/v2/a/blobs/uploads/", &[], b"").status, 202);
}

#[test]
fn a_long_upload_outlives_its_token_and_nothing_else_does() {
    let data = Data::new();
    let server = data.start(&[("MCR_AUTH_CACHE_TTL", "0s")]);
    let given = value(&server.client().get("/v2/token"));
    let token = format!("Bearer {}", given["token"].as_str().unwrap());
    let mut holder = server.stranger().authorized(&token);
    let location = holder.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    let others = server.client().request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    let database = rusqlite::Connection::open(server.data.join("mcr.db")).unwrap();
    database.execute("UPDATE tokens SET expires_at = unixepoch() * 1000 - 1", []).unwrap();
    let lapsed = holder.get("/v2/");
    assert_eq!(lapsed.status, 401);
    assert!(lapsed.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
    assert_eq!(holder.request("PATCH", &location, &[], b"abc").status, 202);
    assert_eq!(holder.get(&location).status, 204);
    assert_eq!(holder.request("PATCH", &others, &[], b"abc").status, 401);
    assert_eq!(holder.request("POST", "/v2/a/blobs/uploads/", &[], b"").status, 401);
    database.execute("UPDATE tokens SET revoked_at = 1", []).unwrap();
    assert_eq!(holder.request("PATCH", &location, &[], b"def").status, 401, "it was revoked");
}

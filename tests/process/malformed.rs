//! Nonsense gets a 4xx that says what was wrong: never a 5xx, never silence, and the server goes on.

use std::io::{Read, Write};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use h2::client::{ResponseFuture, SendRequest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::support::content::{MANIFEST, Noise, digest, manifest, push_blob, push_manifest};
use crate::support::http::Client;
use crate::support::{Data, Server, program};

const GOOD: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn refused(client: &mut Client, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
    let response = client.request(method, path, headers, body);
    let what = format!("{method} {path:.100} {headers:?} -> {} {}", response.status, response.text());
    assert!((400..500).contains(&response.status), "{what}");
    // What is no HTTP at all never comes as far as the API.
    let is_http = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let reaches_us = is_http(path) && headers.iter().all(|(_, value)| is_http(value));
    if method != "HEAD" && path.starts_with("/v2/") && reaches_us {
        assert!(!response.code().is_empty(), "{what}");
    }
}

/// Texts that name no repository.
fn bad_names() -> Vec<String> {
    let names = [
        "",
        "A",
        "a/",
        "/a",
        "a//b",
        "..",
        "../..",
        "a/../b",
        ".",
        "a.",
        "-a",
        "a%20b",
        "a%00b",
        "%00",
        "a%2Fb",
        "a%2fb",
        "%2e%2e",
        "%252e%252e",
        "%ff%fe",
        "%zz",
        "%",
        "a:b",
        "a@b",
        "a;b",
        "a*",
        "\u{e4}",
        "%c3%a4",
    ];
    names.into_iter().map(str::to_owned).chain(["a".repeat(300)]).collect()
}

/// Texts that are neither a tag nor a digest.
fn bad_references() -> Vec<String> {
    let references =
        ["", ".a", "-a", "a%00", "a%2Fb", "sha256:", "sha256:xyz", "sha256:ABC", "md5:00", ":", "a:b", "%ff"];
    let long = ["t".repeat(129), format!("sha256:{}", "A".repeat(64))];
    references.into_iter().map(str::to_owned).chain(long).collect()
}

#[test]
fn paths() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let json = [("Content-Type", MANIFEST)];
    for name in bad_names() {
        refused(&mut client, "GET", &format!("/v2/{name}/tags/list"), &[], b"");
        refused(&mut client, "POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"");
        refused(&mut client, "PUT", &format!("/v2/{name}/manifests/v1"), &json, b"{}");
        refused(&mut client, "GET", &format!("/v2/{name}/blobs/{GOOD}"), &[], b"");
    }
    for reference in bad_references() {
        for method in ["GET", "HEAD", "DELETE"] {
            refused(&mut client, method, &format!("/v2/a/manifests/{reference}"), &[], b"");
        }
        refused(&mut client, "PUT", &format!("/v2/a/manifests/{reference}"), &json, b"{}");
        refused(&mut client, "GET", &format!("/v2/a/blobs/{reference}"), &[], b"");
        refused(&mut client, "GET", &format!("/v2/a/referrers/{reference}"), &[], b"");
        refused(&mut client, "PATCH", &format!("/v2/a/blobs/uploads/{reference}"), &[], b"x");
    }
    for path in
        ["/v2/a", "/v2/a/b/c", "/v2//", "/v2/a/nothing/b", "/v1/search?q=x", "/", "/v2x", "/metrics/../v2"]
    {
        refused(&mut client, "GET", path, &[], b"");
    }
    for method in ["POST", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        refused(&mut client, method, "/v2/a/tags/list", &[], b"");
    }
    assert_eq!(client.get("/v2/").status, 200);
}

#[test]
fn queries_and_headers() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    for n in ["-1", "x", "1e3", "0x10", "%00", "1%202", "\u{661}"] {
        refused(&mut client, "GET", &format!("/v2/_catalog?n={n}"), &[], b"");
        refused(&mut client, "GET", &format!("/v2/a/tags/list?n={n}"), &[], b"");
    }
    let bad_digests =
        ["x", "sha256:", "sha256:zz", "md5:d41d8cd98f00b204e9800998ecf8427e", "%00", "sha512:00"];
    for digest in bad_digests {
        refused(&mut client, "POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], b"x");
        let begun = client.request("POST", "/v2/a/blobs/uploads/", &[], b"");
        refused(&mut client, "PUT", &format!("{}?digest={digest}", begun.location()), &[], b"x");
    }
    refused(&mut client, "POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", &[], b"");
    let begun = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    refused(&mut client, "PUT", &begun, &[], b"x");
    for range in [
        "",
        "x",
        "5-1",
        "1-",
        "-1",
        "0-99",
        "5-9",
        "0-18446744073709551615",
        "bytes=0-0",
        "0-0, 1-1",
        "\u{1}",
    ] {
        refused(&mut client, "PATCH", &begun, &[("Content-Range", range)], b"xyz");
    }
    assert_eq!(client.get(&begun).header("range"), Some("0-0"));
    assert_eq!(client.request("PATCH", &begun, &[("Content-Range", "0-2")], b"xyz").status, 202);
    let blob = Noise::new(1).bytes(100);
    assert_eq!(push_blob(&mut client, "a", &blob).unwrap().status, 201);
    let path = format!("/v2/a/blobs/{}", digest(&blob));
    for range in
        ["", "x", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,x-3", "items=0-1", "bytes=--1"]
    {
        assert_eq!(client.request("GET", &path, &[("Range", range)], b"").body, blob, "{range}");
    }
    for range in ["bytes=100-", "bytes=5-1", "bytes=-0", "bytes=99999999999999999999-"] {
        let response = client.request("GET", &path, &[("Range", range)], b"");
        assert_eq!(
            (response.status, response.header("content-range")),
            (416, Some("bytes */100")),
            "{range}"
        );
    }
}

#[test]
fn manifests() {
    let data = Data::new();
    let server = data.start(&[]);
    let mut client = server.client();
    let blob = Noise::new(1).bytes(10);
    assert_eq!(push_blob(&mut client, "a", &blob).unwrap().status, 201);
    let good = manifest(&[blob]);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    let huge = format!("{{\"x\":\"{}\"}}", "y".repeat(5 << 20)).into_bytes();
    let annotated = String::from_utf8(good.clone()).unwrap().replacen('{', r#"{"annotations":{"a":1},"#, 1);
    let bodies: [&[u8]; 12] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"{\"schemaVersion\":1}",
        b"{\"config\":{},\"layers\":[]}",
        b"{\"config\":null,\"layers\":null}",
        annotated.as_bytes(),
        &deep,
        &huge,
    ];
    for body in bodies {
        refused(&mut client, "PUT", "/v2/a/manifests/v1", &[("Content-Type", MANIFEST)], body);
    }
    for content_type in
        ["", "x", "text/plain, y", "application/", "\u{1}", "application/vnd.oci.image.index.v1+json"]
    {
        refused(&mut client, "PUT", "/v2/a/manifests/v1", &[("Content-Type", content_type)], &good);
    }
    refused(&mut client, "PUT", "/v2/a/manifests/v1", &[], &good);
    let wrong = format!("/v2/a/manifests/{GOOD}");
    refused(&mut client, "PUT", &wrong, &[("Content-Type", MANIFEST)], &good);
    let tags: String = (0..101).map(|tag| format!("&tag=t{tag}")).collect();
    let path = format!("/v2/a/manifests/{}?{tags}", digest(&good));
    assert_eq!(client.request("PUT", &path, &[("Content-Type", MANIFEST)], &good).status, 414);
    refused(
        &mut client,
        "PUT",
        &format!("/v2/a/manifests/{}?tag=.bad", digest(&good)),
        &[("Content-Type", MANIFEST)],
        &good,
    );
    let with_parameters = [("Content-Type", &*format!("{MANIFEST}; charset=utf-8"))];
    assert_eq!(client.request("PUT", "/v2/a/manifests/v1", &with_parameters, &good).status, 201);
    assert_eq!(client.get("/v2/a/manifests/v1").header("content-type"), Some(MANIFEST));
    assert_eq!(push_manifest(&mut client, "a", "v2", &good).unwrap().status, 201);
}

/// Bytes that are no request of a client's library.
fn raw(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = server.stranger().connect().unwrap();
    stream.get_mut().set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    // The server may have answered and closed before all is written.
    let _cut = stream.get_mut().write_all(bytes);
    let mut answer = Vec::new();
    let _cut = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn bytes_that_are_no_request() {
    let data = Data::new();
    let server = data.start(&[]);
    let login = format!("Authorization: {}\r\n", server.authorization);
    let requests = [
        "\u{16}\u{3}\u{1}\u{0}\u{a5}\u{1}\r\n\r\n".to_owned(),
        "\r\n\r\n\r\n".to_owned() + "x y z\r\n\r\n",
        "GET /v2/ HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /v2/ HTTP/1.1\r\n{login}Connection: close\r\n\r\n"),
        format!("PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\n{login}Content-Length: -1\r\n\r\n"),
        format!(
            "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\n{login}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"
        ),
        format!(
            "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\n{login}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nab"
        ),
        format!(
            "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\n{login}Transfer-Encoding: gzip\r\nConnection: close\r\n\r\nab"
        ),
        // What a proxy in front could read as another request.
        "POST /v2/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_owned(),
        "POST /v2/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n".to_owned(),
        "POST /v2/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "POST /v2/token HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "POST /v2/token HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nab".to_owned(),
        "POST /v2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab".to_owned(),
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: a\r\n folded\r\n\r\n".to_owned(),
        format!("GET /v2/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000)),
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(140_000)),
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(200)),
    ];
    for request in requests {
        let answer = raw(&server, request.as_bytes());
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        assert!(line.starts_with("HTTP/1.1 4"), "{:.80}: {line}", request.escape_default());
    }
    // Chunks that are none end the connection, with or without an answer.
    let broken = "Host: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n";
    let answer = raw(
        &server,
        format!("POST /v2/a/blobs/uploads/?digest={GOOD} HTTP/1.1\r\n{login}{broken}").as_bytes(),
    );
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"));
    assert_eq!(server.client().get("/v2/").status, 200);
}

#[test]
fn tokens_and_forms() {
    let data = Data::new();
    let server = data.start(&[]);
    let form = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
    let cases: [&[u8]; 7] = [
        b"",
        b"grant_type=",
        b"grant_type=refresh_token&refresh_token=x",
        b"grant_type=password&username=admin&password=no",
        b"grant_type=password",
        b"\xff%00%zz=&&&==",
        b"grant_type=%00",
    ];
    for case in cases {
        let response = server.stranger().request("POST", "/v2/token", &form, case);
        assert!([400, 401].contains(&response.status), "{} {}", response.status, response.text());
        assert!(!response.code().is_empty());
    }
    let response = server.stranger().request("POST", "/v2/token", &form, &vec![b'a'; 1 << 20]);
    assert_eq!(response.status, 413);
}

#[test]
fn long_urls_are_refused_before_anybody_is_asked_for_and_logged_short() {
    let data = Data::new();
    let server = data.start(&[]);
    let long = "a".repeat(16 * 1024);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for (method, path) in [
        ("GET", format!("/v2/{long}")),
        ("GET", format!("/v2/a/tags/list?last={long}")),
        ("POST", format!("/v2/token?{}", "a&".repeat(8 * 1024))),
    ] {
        let refused = server.stranger().request(method, &path, &form, b"");
        assert_eq!((refused.status, refused.code().as_str()), (414, "SIZE_INVALID"), "{path:.40}");
    }
    assert_eq!(server.stranger().get(&format!("/{long}")).status, 414);
    let log = server.logged(&format!("GET /{}…", "a".repeat(511)));
    assert!(!log.contains(&"a".repeat(512)));
    // A body that is still on its way does not hold the answer up.
    let mut slow = server.stranger().connect().unwrap();
    slow.get_mut().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!("POST /v2/{long} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
    slow.get_mut().write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    slow.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 414");
}

#[test]
fn headers_of_more_than_64_kib_are_refused() {
    let data = Data::new();
    let server = data.start(&[]);
    let value = "y".repeat(64 * 1024);
    let refused = server.client().request("GET", "/v2/", &[("X", &value)], b"");
    assert_eq!((refused.status, refused.code().as_str()), (431, "SIZE_INVALID"));
    let refused = server.client().request("GET", "/v1/health", &[("X", &value)], b"");
    let body: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert!(refused.status == 431 && body["error"].is_string(), "{body}");
    assert_eq!(server.client().request("GET", "/v2/", &[("X", &value[..60 * 1024])], b"").status, 200);
}

/// An HTTP/2 connection to a server that speaks TLS.
async fn http2(server: &Server) -> SendRequest<bytes::Bytes> {
    http2_with(server, &h2::client::Builder::new()).await
}

/// The same with settings of the client's own.
pub(crate) async fn http2_with(server: &Server, settings: &h2::client::Builder) -> SendRequest<bytes::Bytes> {
    let mut roots = rustls::RootCertStore::empty();
    let authority = server.data.join("tls/ca.crt");
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let localhost = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(localhost, stream).await.unwrap();
    let (requests, connection) = settings.handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    requests
}

/// Sends the head of a request; what is returned second sends its body.
async fn send(
    requests: &SendRequest<bytes::Bytes>,
    request: http::Request<()>,
    ends: bool,
) -> (ResponseFuture, h2::SendStream<bytes::Bytes>) {
    let mut ready = requests.clone().ready().await.unwrap();
    ready.send_request(request, ends).unwrap()
}

/// The status and the body of an answer.
async fn read(answer: ResponseFuture) -> (u16, String) {
    let (head, mut body) = answer.await.unwrap().into_parts();
    let mut text = Vec::new();
    while let Some(piece) = body.data().await {
        text.extend_from_slice(&piece.unwrap());
    }
    (head.status.as_u16(), String::from_utf8(text).unwrap())
}

#[test]
fn an_http2_client_has_as_many_requests_at_once_as_the_server_bears_and_a_proxy_more() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request = |method: &str| {
        http::Request::builder().method(method).uri("https://localhost/v2/token").body(()).unwrap()
    };
    for (proxies, status) in [("192.0.2.1", 503), ("127.0.0.1", 401)] {
        let data = Data::new();
        let directory = data.path().join("data");
        let mut command = Command::new(program());
        command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(&directory);
        command.env("MCR_SERVER_TRUSTED_PROXIES", proxies).env("MCR_SERVER_HTTP2", "true");
        let server = Server::spawn(command, &directory);
        runtime.block_on(async {
            let requests = http2(&server).await;
            let mut held = Vec::new();
            for _ in 0..128 {
                // The form never comes.
                held.push(send(&requests, request("POST"), false).await);
            }
            let (found, text) = read(send(&requests, request("GET"), true).await.0).await;
            assert_eq!(found, status, "{proxies}: {text}");
            assert_eq!(text.contains("UNAVAILABLE"), status == 503, "{text}");
            for (_, mut form) in held {
                form.send_reset(h2::Reason::CANCEL);
            }
            let mut last = 0;
            for _ in 0..100 {
                last = read(send(&requests, request("GET"), true).await.0).await.0;
                if last == 401 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_eq!(last, 401, "{proxies}: those that ended are still counted");
        });
    }
}

#[test]
fn an_http2_request_has_few_headers() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let data = Data::new();
    let server = data.start_tls(&[("MCR_SERVER_HTTP2", "true")]);
    runtime.block_on(async {
        let requests = http2(&server).await;
        for (headers, status) in [(100, 401), (129, 431)] {
            let mut request = http::Request::get("https://localhost/v2/");
            for _ in 0..headers {
                request = request.header("x", "y");
            }
            let (answer, _) = send(&requests, request.body(()).unwrap(), true).await;
            assert_eq!(read(answer).await.0, status, "{headers}");
        }
    });
}

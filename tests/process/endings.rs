//! All ways in which a request and its connection can end: each has an answer with a final status, and a connection either
//! serves the next request or was announced to close.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::content::{Noise, digest};
use crate::support::http::{Client, Response, read_head};
use crate::support::{Data, Server};

/// How long an answer may take.
const SOON: Duration = Duration::from_secs(5);

/// How long a connection whose client sends nothing may be silent before its answer, and after it.
const IN_TIME: Duration = Duration::from_secs(20);

/// One request, written by hand.
#[derive(Debug)]
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    version: &'a str,
    headers: &'a str,
    body: &'a [u8],
}

impl Request<'_> {
    fn head(&self, client: &Client) -> String {
        let head = client.head(self.method, self.path, &[]);
        let head = head.strip_suffix("\r\n").unwrap().replace("HTTP/1.1", self.version);
        format!("{head}{}\r\n", self.headers)
    }

    /// Sends it; its body too, unless it waits to be asked for that.
    fn send(&self, client: &Client, stream: &mut BufReader<TcpStream>) {
        let mut bytes = self.head(client).into_bytes();
        if !self.waits() {
            bytes.extend_from_slice(self.body);
        }
        stream.get_mut().write_all(&bytes).unwrap();
    }

    fn waits(&self) -> bool {
        self.headers.contains("Expect: ")
    }

    /// Its final answer; an interim one is answered with the body.
    fn answer(&self, stream: &mut BufReader<TcpStream>) -> std::io::Result<Response> {
        loop {
            let mut response = read_head(stream)?;
            if response.status >= 200 {
                if self.method != "HEAD" && response.status != 204 && response.status != 304 {
                    response.body = body_of(stream, &response)?;
                }
                return Ok(response);
            }
            stream.get_mut().write_all(if self.waits() { self.body } else { b"" })?;
        }
    }

    /// Whether its client may send another request after this answer.
    fn is_kept(&self, answered: &Response) -> bool {
        let connection = answered.header("connection").unwrap_or_default().to_ascii_lowercase();
        match self.version {
            "HTTP/1.0" => connection == "keep-alive",
            _ => !connection.split(',').any(|option| option.trim() == "close"),
        }
    }
}

fn body_of(stream: &mut BufReader<TcpStream>, head: &Response) -> std::io::Result<Vec<u8>> {
    let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// The final answer; interim ones are passed over.
fn answer(stream: &mut BufReader<TcpStream>, is_head: bool) -> std::io::Result<Response> {
    let method = if is_head { "HEAD" } else { "GET" };
    Request { method, path: "", version: "HTTP/1.1", headers: "", body: b"" }.answer(stream)
}

fn connect(client: &mut Client) -> BufReader<TcpStream> {
    let stream = client.connect().unwrap();
    stream.get_ref().set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Sends the request and then another one: what it was answered with, and whether the connection went on.
fn try_it(server: &Server, client: &mut Client, request: &Request<'_>) -> Response {
    let mut stream = connect(client);
    request.send(client, &mut stream);
    let what = format!("{request:?}");
    let answered = request.answer(&mut stream).unwrap_or_else(|error| panic!("{what}: {error}"));
    let connection = answered.header("connection").unwrap_or_default().to_ascii_lowercase();
    assert!(!connection.contains("upgrade"), "{what}: it announces an upgrade that never comes");
    if request.is_kept(&answered) {
        // A moment later, since a server that wants to close does it right after its answer.
        std::thread::sleep(Duration::from_millis(5));
        stream.get_mut().write_all(server.stranger().head("GET", "/v1/health", &[]).as_bytes()).unwrap();
        let next = answer(&mut stream, false);
        assert_eq!(
            next.unwrap_or_else(|error| panic!("{what}: the next request: {error}")).status,
            200,
            "{what}"
        );
    } else {
        let mut rest = Vec::new();
        stream.get_mut().shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut rest).unwrap_or_else(|error| panic!("{what}: it does not end: {error}"));
        assert!(rest.is_empty(), "{what}: {:?}", String::from_utf8_lossy(&rest));
    }
    answered
}

#[test]
fn every_request_is_answered_and_every_connection_ends_with_a_word() {
    let data = Data::new();
    let server = data
        .start(&[("MCR_REGISTRY_MAX_BLOB_SIZE", "1000"), ("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "100000")]);
    let offers = [
        "",
        "Connection: keep-alive\r\n",
        "Connection: close\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        "Connection: upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n",
    ];
    let bodies: [(&str, &[u8]); 8] = [
        ("", b""),
        ("Content-Length: 5\r\n", b"hello"),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        ("Content-Length: 5000\r\n", &[b'x'; 5000]),
        // Malformed at once, and after a good chunk.
        ("Transfer-Encoding: chunked\r\n", b"zz\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\nzz\r\n"),
        ("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        ("Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello"),
    ];
    let paths = ["/v2/", "/v2/a/tags/list", "/v2/a/blobs/uploads/?digest=sha256:00", "/v1/users", "/nothing"];
    for (name, client) in [("the administrator", server.client()), ("a stranger", server.stranger())] {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            for (method, path) in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
                .iter()
                .flat_map(|method| paths.map(|path| (method, path)))
            {
                for offer in offers {
                    for (length, body) in bodies {
                        if version == "HTTP/1.0"
                            && (length.contains("Transfer") || length.is_empty() && *method == "POST")
                        {
                            continue;
                        }
                        let headers = format!("{offer}{length}");
                        let request = Request { method, path, version, headers: &headers, body };
                        let mut client = clone(&server, &client);
                        let answered = try_it(&server, &mut client, &request);
                        assert!(answered.status < 500, "{name}: {method} {path}: {}", answered.status);
                    }
                }
            }
        }
    }
}

#[test]
fn a_body_that_does_not_end_keeps_no_connection() {
    let data = Data::new();
    let server =
        data.start(&[("MCR_SERVER_READ_TIMEOUT", "1s"), ("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "100000")]);
    let bodies: [(&str, &[u8]); 7] = [
        ("Transfer-Encoding: chunked\r\n", b""),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nhel"),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\nTrailer: "),
        ("Content-Length: 10\r\n", b"hello"),
        ("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", b"5\r\nhel"),
        ("Expect: 100-continue\r\nContent-Length: 10\r\n", b"hello"),
    ];
    let paths = ["/v1/health", "/v2/", "/v2/a/blobs/uploads/", "/nothing"];
    std::thread::scope(|all| {
        for client in [server.client(), server.stranger()] {
            for (method, path) in
                ["GET", "HEAD", "POST", "PUT"].iter().flat_map(|method| paths.map(|path| (method, path)))
            {
                for version in ["HTTP/1.1", "HTTP/1.0"] {
                    for offer in ["", "Connection: keep-alive\r\n", "Connection: close\r\n"] {
                        for (length, body) in bodies {
                            if version == "HTTP/1.0" && length.contains("Transfer") {
                                continue;
                            }
                            let (server, mut client) = (&server, clone(&server, &client));
                            all.spawn(move || {
                                let headers = format!("{offer}{length}");
                                let request = Request { method, path, version, headers: &headers, body };
                                ends_in_time(server, &mut client, &request);
                            });
                        }
                    }
                }
            }
        }
    });
}

/// Sends a request whose body does not end, and waits: it is answered, and then the connection ends, announced.
fn ends_in_time(server: &Server, client: &mut Client, request: &Request<'_>) {
    let _server = server;
    let mut stream = connect(client);
    stream.get_ref().set_read_timeout(Some(IN_TIME)).unwrap();
    let began = Instant::now();
    request.send(client, &mut stream);
    let answered = request.answer(&mut stream).unwrap_or_else(|error| panic!("{request:?}: {error}"));
    assert!(!request.is_kept(&answered), "{request:?}: {answered:?}");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap_or_else(|error| panic!("{request:?}: it does not end: {error}"));
    assert!(rest.is_empty(), "{request:?}: {:?}", String::from_utf8_lossy(&rest));
    assert!(began.elapsed() < 2 * IN_TIME, "{request:?}");
}

/// Another connection of the same caller.
fn clone(server: &Server, client: &Client) -> Client {
    match client.is_stranger() {
        true => server.stranger(),
        false => server.client(),
    }
}

#[test]
fn what_is_no_request_is_refused_with_a_word() {
    let data = Data::new();
    let server = data.start(&[]);
    let upload = server.client().request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    let authorization = format!("Authorization: {}\r\n", server.authorization);
    let cases = [
        format!("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n{authorization}\r\n"),
        format!("CONNECT /v2/ HTTP/1.1\r\nHost: x\r\n{authorization}\r\n"),
        format!(
            "PATCH {upload} HTTP/1.1\r\nHost: x\r\n{authorization}Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n"
        ),
        format!(
            "PATCH {upload} HTTP/1.1\r\nHost: x\r\n{authorization}Transfer-Encoding: chunked\r\n\r\n5\r\nhello world"
        ),
        format!(
            "PATCH {upload} HTTP/1.1\r\nHost: x\r\n{authorization}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"
        ),
        "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n".to_owned(),
        "GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(),
        "GET /v2/\r\n\r\n".to_owned(),
        "\u{1}\u{2}\u{3}\r\n\r\n".to_owned(),
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n".to_owned(),
        "GET /v2/ HTTP/1.1\r\n\r\n".to_owned(),
    ];
    for case in cases {
        let mut stream = connect(&mut server.stranger());
        stream.get_mut().write_all(case.as_bytes()).unwrap();
        let began = Instant::now();
        let answered = answer(&mut stream, false).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        assert!((400..500).contains(&answered.status), "{case:?}: {}", answered.status);
        assert_eq!(
            answered.header("connection").map(str::to_ascii_lowercase).as_deref(),
            Some("close"),
            "{case:?}"
        );
        assert!(began.elapsed() < SOON, "{case:?}");
        stream.get_mut().shutdown(Shutdown::Write).unwrap();
        // What it sends after that is nothing, whether it closes or resets.
        let mut rest = Vec::new();
        let _end = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{case:?}: {:?}", String::from_utf8_lossy(&rest));
    }
}

/// The first answer to a head that waits to be asked for its body.
fn expecting(
    server: &Server,
    client: &mut Client,
    method: &str,
    path: &str,
    length: usize,
) -> (u16, BufReader<TcpStream>) {
    let _server = server;
    let length = length.to_string();
    let head = client.head(method, path, &[("Expect", "100-continue"), ("Content-Length", &length)]);
    let mut stream = connect(client);
    // In pieces, as a slow network brings them.
    for piece in head.as_bytes().chunks(7) {
        stream.get_mut().write_all(piece).unwrap();
        std::thread::sleep(Duration::from_micros(200));
    }
    (read_head(&mut stream).unwrap().status, stream)
}

#[test]
fn whoever_waits_for_a_word_before_a_body_hears_a_refusal_in_its_place() {
    let data = Data::new();
    let server =
        data.start(&[("MCR_REGISTRY_MAX_BLOB_SIZE", "1MB"), ("MCR_REGISTRY_MAX_MANIFEST_SIZE", "64KiB")]);
    let blob = Noise::new(1).bytes(100_000);
    let upload =
        |server: &Server| server.client().request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
    let whole = format!("/v2/a/blobs/uploads/?digest={}", digest(&blob));
    let refused = [
        (server.stranger(), "POST", whole.clone(), blob.len(), 401),
        (server.client(), "POST", whole.clone(), 2_000_000, 413),
        (server.client(), "PATCH", upload(&server), 2_000_000, 413),
        (server.client(), "PUT", "/v2/a/manifests/v1".to_owned(), 5000, 400),
        (server.client(), "PUT", "/v2/a/nothing".to_owned(), 5000, 404),
        (server.client(), "PUT", format!("{}?digest=x", upload(&server)), 5000, 400),
        (server.stranger(), "POST", "/v1/users".to_owned(), 5000, 401),
    ];
    for (mut client, method, path, length, expected) in refused {
        let (status, _stream) = expecting(&server, &mut client, method, &path, length);
        assert_eq!(status, expected, "{method} {path}");
    }
    let mut client = server.client();
    let (status, mut stream) = expecting(&server, &mut client, "POST", &whole, blob.len());
    assert_eq!(status, 100, "it was not asked for the body");
    stream.get_mut().write_all(&blob).unwrap();
    assert_eq!(answer(&mut stream, false).unwrap().status, 201);
    // The connection goes on, and asks again.
    let begun = upload(&server);
    let head = client.head("PATCH", &begun, &[("Expect", "100-continue"), ("Content-Length", "5")]);
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    assert_eq!(read_head(&mut stream).unwrap().status, 100);
    stream.get_mut().write_all(b"hello").unwrap();
    assert_eq!(answer(&mut stream, false).unwrap().status, 202);
}

#[test]
fn plain_http_on_a_port_that_speaks_tls_is_told_so() {
    let data = Data::new();
    let server = data.start_tls(&[]);
    for method in ["GET", "POST", "HEAD", "CONNECT"] {
        let mut stream = connect(&mut server.stranger());
        stream.get_mut().write_all(format!("{method} /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let answered = answer(&mut stream, false).unwrap();
        assert_eq!((answered.status, answered.header("connection")), (400, Some("close")), "{method}");
        assert!(answered.text().contains("https://"), "{}", answered.text());
    }
}

#[test]
fn a_program_that_ends_blames_no_body() {
    let data = Data::new();
    for (headers, body) in
        [("Content-Length: 5\r\n", &b"he"[..]), ("Transfer-Encoding: chunked\r\n", &b"5\r\nhello\r\n"[..])]
    {
        let server = data.start(&[("MCR_SERVER_SHUTDOWN_TIMEOUT", "0s")]);
        let mut client = server.client();
        let path = client.request("POST", "/v2/a/blobs/uploads/", &[], b"").location();
        let request = Request { method: "PATCH", path: &path, version: "HTTP/1.1", headers, body };
        let mut stream = connect(&mut client);
        request.send(&client, &mut stream);
        std::thread::sleep(Duration::from_millis(200));
        server.stop();
        let mut rest = Vec::new();
        let _end = stream.read_to_end(&mut rest);
        let heard = String::from_utf8_lossy(&rest);
        assert!(!heard.contains(" 400 "), "{headers}: {heard}");
    }
}

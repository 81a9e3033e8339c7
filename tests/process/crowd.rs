//! Many clients at once who mean no good: what they hold is bounded for all of them together, and whoever works goes on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::support::admin::{expect, token_of};
use crate::support::content::{Noise, digest, manifest, push_blob, push_manifest};
use crate::support::{Data, Server};

/// The most memory that all of it may take, above what an idle server has: both budgets, and what the library reads of each
/// connection before anybody looks at it, 128 KiB.
const ALLOWED: u64 = 160 << 20;
/// How long a push may take meanwhile.
const SOON: Duration = Duration::from_secs(5);

/// Requests that announce a body of this length and send all but its last byte.
fn unended(server: &Server, count: usize, head: &str, length: usize) -> Vec<TcpStream> {
    let body = vec![b'a'; length - 1];
    let mut streams = Vec::new();
    for _ in 0..count {
        let Ok(mut stream) = TcpStream::connect(server.address) else { break };
        stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        let head = format!("{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        // One that is refused meanwhile is no less of a crowd.
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_ok() {
            streams.push(stream);
        }
    }
    streams
}

fn push(server: &Server, seed: u64) -> Duration {
    let (began, blob, mut client) = (Instant::now(), Noise::new(seed).bytes(100_000), server.client());
    assert_eq!(push_blob(&mut client, "a", &blob).unwrap().status, 201);
    assert_eq!(push_manifest(&mut client, "a", "v1", &manifest(&[blob])).unwrap().status, 201);
    began.elapsed()
}

#[test]
fn bodies_that_never_end_hold_little_and_nobody_waits_for_them() {
    let data = Data::new();
    let server = data.start(&[("MCR_AUTH_LOGIN_ATTEMPTS_PER_MINUTE", "100000")]);
    push(&server, 1);
    let idle = server.resident();
    let account = json!({"name": "mallory", "account_type": "human", "password": "a long enough password"});
    expect(&mut server.client(), 201, "POST", "/v1/users", account);
    let basic = STANDARD.encode("mallory:a long enough password");
    let authorization = format!("\r\nAuthorization: Basic {basic}\r\nContent-Type: application/json");
    let logins = unended(&server, 300, "POST /v1/auth/login", 4096);
    let too_long = unended(&server, 100, "POST /v1/auth/login", 255 * 1024);
    let forms = unended(&server, 300, "POST /v2/token", 16 * 1024);
    let manifest = format!("PUT /v2/a/manifests/v2 HTTP/1.1{authorization}\r\nX: ");
    let manifests = unended(&server, 60, &manifest, 4 << 20);
    let grown = server.resident().saturating_sub(idle);
    println!(
        "{} MiB more for {} requests",
        grown >> 20,
        logins.len() + too_long.len() + forms.len() + manifests.len()
    );
    assert!(grown <= ALLOWED, "memory grew by {} MiB", grown >> 20);
    let took = push(&server, 2);
    assert!(took < SOON, "a push took {took:?}");
    assert_eq!(server.stranger().get("/v1/health").status, 200);
}

#[test]
fn one_address_does_not_keep_the_others_out() {
    let data = Data::new();
    let server = data.start(&[("MCR_SERVER_MAX_CONNECTIONS", "40"), ("MCR_SERVER_WORKERS", "2")]);
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(TcpStream::connect(server.address).unwrap());
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut ended = 0;
    for stream in &mut held {
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        ended += usize::from(matches!(stream.read(&mut [0]), Ok(0)));
    }
    assert!((20..=40).contains(&ended), "{ended} of 60 were closed, of 40 that there may be");
    let said = server.logged("half of all connections");
    assert_eq!(
        said.matches("half of all connections").count(),
        1,
        "it is said once a minute for each address"
    );
    // Somebody from elsewhere comes in meanwhile.
    let mut elsewhere = from(Ipv4Addr::new(127, 0, 0, 2), server.address);
    elsewhere.set_read_timeout(Some(SOON)).unwrap();
    elsewhere.write_all(b"GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    elsewhere.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(held);
    push(&server, 3);
}

/// A connection of another address of this machine.
fn from(address: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    socket.into()
}

/// What the registry says of its upload places.
fn places(server: &Server) -> String {
    let report = expect(&mut server.client(), 200, "GET", "/v1/ready", json!(null));
    let mut checks = report["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["name"] == "upload places").unwrap();
    check["detail"].as_str().unwrap().to_owned()
}

/// Waits until the registry says so of its upload places.
fn until_places(server: &Server, said: &str) {
    let began = Instant::now();
    while !places(server).starts_with(said) {
        assert!(began.elapsed() < 4 * SOON, "{} instead of {said}", places(server));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn one_request_uploads_of_one_account_leave_places_for_the_others() {
    let data = Data::new();
    let server = data.start(&[("MCR_REGISTRY_MAX_UPLOADS", "6")]);
    for name in ["mallory", "other"] {
        let account = json!({"name": name, "account_type": "human", "password": "a long enough password"});
        expect(&mut server.client(), 201, "POST", "/v1/users", account);
    }
    let basic = STANDARD.encode("mallory:a long enough password");
    let content = digest(&vec![b'a'; 100_000]);
    let post =
        format!("POST /v2/a/blobs/uploads/?digest={content} HTTP/1.1\r\nAuthorization: Basic {basic}\r\nX: ");
    let mut held = unended(&server, 3, &post, 100_000);
    until_places(&server, "3 of 6");
    // More than half is not to be had, although there is room.
    let refused = &mut unended(&server, 1, &post, 2000)[0];
    let mut answer = [0; 12];
    refused.write_all(b"a").unwrap();
    refused.set_read_timeout(Some(SOON)).unwrap();
    refused.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 429");
    let mut pusher = server.client();
    let mut begin = || pusher.request("POST", "/v2/a/blobs/uploads/", &[], b"").status;
    assert_eq!([begin(), begin(), begin()], [202; 3]);
    until_places(&server, "all 6");
    // A third one finds a place in one request, since one of whoever holds the most gives way.
    let mut other = token_of(&server, "other", "a long enough password");
    let whole = format!("/v2/a/blobs/uploads/?digest={}", digest(b"abc"));
    assert_eq!(other.request("POST", &whole, &[], b"abc").status, 201);
    until_places(&server, "5 of 6");
    for stream in &mut held {
        stream.write_all(b"a").unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 201", "what was under way goes on to its end");
    }
    until_places(&server, "2 of 6");
}

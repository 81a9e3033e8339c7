//! Answers that nobody reads: what they hold is bounded for all of them together, and whoever reads goes on.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::malformed::http2_with;
use crate::support::admin::{expect, password, token_of};
use crate::support::content::{Noise, digest, push_blob};
use crate::support::http::{Client, read_head};
use crate::support::{Data, Server, StopLater, program};

/// The most files that the server may have open: a quarter of it is for answers, and half of that for one address.
const FILES: usize = 800;
const OF_ADDRESS: usize = FILES / 4 / 2;
/// The most memory that answers of one address may take, above what the server has that has just sent one: pieces of 256 KiB, and
/// as much again in the buffer of each connection, up to a half of the half of 256 MiB to which answers may grow, what the library
/// keeps for each connection, and what the allocator has not given back yet.
const ALLOWED: u64 = (64 + 16) << 20;
/// The same of answers over HTTP/2, whose pieces do not grow.
const ALLOWED_HTTP2: u64 = 48 << 20;
/// How long somebody else's pull may take meanwhile.
const SOON: Duration = Duration::from_secs(10);
const BLOB: usize = 8 << 20;
const CROWD: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Starts a server that may have few files open, with a blob in it; answers the blob's path too.
fn start(data: &Data, more: &[&str], settings: &[(&str, &str)]) -> Server {
    let directory = data.path().join("data");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {FILES} && exec \"$0\" \"$@\"")).arg(program());
    command.args(["dev", "--no-web", "--listen", "127.0.0.1:0", "--data"]).arg(&directory).args(more);
    command.envs(settings.iter().copied());
    let mut server = Server::spawn(command, &directory);
    server.authorization = format!("Basic {}", STANDARD.encode(format!("admin:{}", password(&server))));
    server
}

/// A connection from an address of this machine, for which the kernel takes little.
fn from(address: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Asks for it and reads the head of the answer.
fn ask(server: &Server, client: &Client, path: &str, address: Ipv4Addr) -> (u16, BufReader<TcpStream>) {
    let mut stream = BufReader::with_capacity(1024, from(address, server.address));
    stream.get_mut().write_all(client.head("GET", path, &[]).as_bytes()).unwrap();
    (read_head(&mut stream).unwrap().status, stream)
}

/// Reads so many bytes and throws them away; answers how many came.
fn take(stream: &mut impl Read, bytes: usize) -> usize {
    let (mut left, mut buffer) = (bytes, vec![0; 64 * 1024]);
    while left > 0 {
        let most = left.min(buffer.len());
        match stream.read(&mut buffer[..most]) {
            Ok(0) | Err(_) => break,
            Ok(read) => left -= read,
        }
    }
    bytes - left
}

/// Pulls the blob as somebody else from elsewhere until it is over; answers how long the slowest pull took.
fn pull_until(server: &Server, client: &Client, path: &str, over: &AtomicBool) -> Duration {
    let mut slowest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let (status, mut stream) = ask(server, client, path, ELSEWHERE);
        assert_eq!((status, take(&mut stream, BLOB)), (200, BLOB), "a pull from elsewhere");
        slowest = slowest.max(began.elapsed());
        sleep(Duration::from_millis(100));
    }
    slowest
}

#[test]
fn what_nobody_reads_is_little_and_gives_way_and_whoever_reads_goes_on() {
    let data = Data::new();
    let server = start(&data, &["--http"], &[]);
    let (blob, mut admin) = (Noise::new(1).bytes(BLOB), server.client());
    assert_eq!(push_blob(&mut admin, "a", &blob).unwrap().status, 201);
    let path = format!("/v2/a/blobs/{}", digest(&blob));
    let account = json!({"name": "other", "account_type": "human", "password": "a long enough password"});
    expect(&mut admin, 201, "POST", "/v1/users", account);
    let other = token_of(&server, "other", "a long enough password");
    assert_eq!(take(&mut ask(&server, &admin, &path, CROWD).1, BLOB), BLOB);
    let idle = server.resident();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = StopLater(&over);
        let elsewhere = scope.spawn(|| pull_until(&server, &other, &path, &over));
        let slow = scope.spawn(|| {
            let (status, mut stream) = ask(&server, &admin, &path, CROWD);
            let mut taken = 0;
            while !over.load(Ordering::Relaxed) && taken < BLOB / 2 {
                taken += take(&mut stream, 64 * 1024);
                sleep(Duration::from_millis(250));
            }
            (status, taken + take(&mut stream, BLOB - taken))
        });
        sleep(Duration::from_millis(500));
        crowd(&server, &admin, &path, idle);
        drop(stop);
        assert_eq!(slow.join().unwrap(), (200, BLOB), "who takes bytes is not cut, however slowly");
        let slowest = elsewhere.join().unwrap();
        assert!(slowest < SOON, "a pull from elsewhere took {slowest:?}");
    });
}

/// Asks for twice as much as an address may hold, and reads nothing.
fn crowd(server: &Server, client: &Client, path: &str, idle: u64) {
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..2 * OF_ADDRESS {
        match ask(server, client, path, CROWD) {
            (200, stream) => held.push(stream),
            (status, _) => {
                assert_eq!(status, 429);
                refused += 1;
            }
        }
    }
    let (files, grown) = (server.open_files("layers"), server.resident().saturating_sub(idle));
    println!("{} answers, {refused} refused, {files} files, {} MiB more", held.len(), grown >> 20);
    assert!(held.len() >= OF_ADDRESS - 1, "its share is there for it: {}", held.len());
    // Somebody from elsewhere has one, too.
    assert!(files <= OF_ADDRESS + 1, "{files} files are open");
    assert!(grown <= ALLOWED, "memory grew by {} MiB", grown >> 20);
    sleep(Duration::from_secs(6));
    let mut later = Vec::new();
    for _ in 0..OF_ADDRESS / 2 {
        let (status, stream) = ask(server, client, path, CROWD);
        assert_eq!(status, 200, "what nobody reads gives way");
        later.push(stream);
    }
    let began = Instant::now();
    while server.open_files("layers") > OF_ADDRESS + 1 {
        assert!(began.elapsed() < SOON, "{} files are open", server.open_files("layers"));
        sleep(Duration::from_millis(20));
    }
    // Which were filled first is for the kernel, and how many of them it was that gave way is not.
    let cut = held.iter_mut().filter_map(|stream| (take(stream, BLOB) < BLOB).then_some(())).count();
    assert!(cut >= OF_ADDRESS / 2 - 1, "only {cut} of the idle were cut");
}

#[test]
fn http2_streams_that_may_not_send_hold_little_and_end() {
    let data = Data::new();
    let settings = [("MCR_SERVER_HTTP2", "true"), ("MCR_SERVER_WRITE_TIMEOUT", "3s")];
    let server = start(&data, &[], &settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let blob = Noise::new(2).bytes(BLOB);
    let (path, location) = runtime.block_on(push_http2(&server, &blob));
    assert!(location.contains(&path));
    let idle = server.resident();
    runtime.block_on(async {
        let mut closed = h2::client::Builder::new();
        closed.initial_window_size(0);
        let (mut connections, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let requests = http2_with(&server, &closed).await;
            for _ in 0..100 {
                let mut ready = requests.clone().ready().await.unwrap();
                answers.push(ready.send_request(get(&server, &path), true).unwrap().0);
            }
            connections.push(requests);
        }
        let (mut bodies, mut refused) = (Vec::new(), 0);
        for answer in answers {
            let answer = answer.await.unwrap();
            match answer.status().as_u16() {
                200 => bodies.push(answer.into_body()),
                status => {
                    assert_eq!(status, 429);
                    refused += 1;
                }
            }
        }
        let (files, grown) = (server.open_files("layers"), server.resident().saturating_sub(idle));
        println!("{} streams, {refused} refused, {files} files, {} MiB more", bodies.len(), grown >> 20);
        assert!(bodies.len() + 1 >= OF_ADDRESS, "only {} are answered", bodies.len());
        assert!(files <= OF_ADDRESS, "{files} files are open");
        assert!(grown <= ALLOWED_HTTP2, "memory grew by {} MiB", grown >> 20);
        // Nothing is taken of any of them, and their connections end.
        let ended = tokio::time::timeout(3 * SOON, async {
            for mut body in bodies {
                assert!(body.data().await.is_none_or(|piece| piece.is_err()));
            }
        });
        ended.await.expect("the connections end");
        let began = Instant::now();
        while server.open_files("layers") > 0 {
            assert!(began.elapsed() < SOON, "files stay open");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}

fn get(server: &Server, path: &str) -> http::Request<()> {
    let request = http::Request::get(format!("https://localhost{path}"));
    request.header("authorization", &server.authorization).body(()).unwrap()
}

/// Pushes a blob; answers its path, and where the registry says it is.
async fn push_http2(server: &Server, blob: &[u8]) -> (String, String) {
    let digest = digest(blob);
    let mut requests = http2_with(server, &h2::client::Builder::new()).await.ready().await.unwrap();
    let request = http::Request::post(format!("https://localhost/v2/a/blobs/uploads/?digest={digest}"));
    let request = request.header("authorization", &server.authorization);
    let request = request.header("content-length", blob.len()).body(()).unwrap();
    let (answer, mut body) = requests.send_request(request, false).unwrap();
    body.send_data(blob.to_vec().into(), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    (format!("/v2/a/blobs/{digest}"), location)
}

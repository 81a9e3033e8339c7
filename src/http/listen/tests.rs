use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, web};
use mcr_actors::domain::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::tls::{self, authority};

/// More than fits into a window of HTTP/2 or a write buffer.
const SLOW_BODY: usize = 4 * 1024 * 1024;

const PATIENCE: Duration = Duration::from_secs(20);

fn options() -> ListenOptions {
    ListenOptions {
        workers: 1,
        // The number of TLS handshakes follows it, for all servers of the process.
        max_connections: 400,
        trusted_proxies: Vec::new(),
        handshake_timeout: Duration::from_secs(5),
        head_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_secs(1),
        write_timeout: Duration::ZERO,
        shutdown_timeout: Duration::from_secs(30),
    }
}

/// What the application saw.
#[derive(Debug, Default)]
struct Seen {
    slow_began: AtomicBool,
    endless_ended: AtomicBool,
    /// Bytes of endless bodies that were handed over.
    handed: AtomicUsize,
    /// Endless answers that are under way.
    endless: AtomicUsize,
}

/// Says that a body was thrown away.
struct Endless(Arc<Seen>);

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.endless.fetch_sub(1, Ordering::SeqCst);
        self.0.endless_ended.store(true, Ordering::SeqCst);
    }
}

fn wait_for(what: &AtomicBool) {
    let began = Instant::now();
    while !what.load(Ordering::SeqCst) {
        assert!(began.elapsed() < PATIENCE, "it does not happen");
        thread::yield_now();
    }
}

/// A server on a thread of its own, stopped by [`Running::stop`].
struct Running {
    address: SocketAddr,
    handle: actix_server::ServerHandle,
    thread: thread::JoinHandle<io::Result<()>>,
    tls: tempfile::TempDir,
    seen: Arc<Seen>,
}

impl Running {
    /// Waits until all endless answers were given up.
    fn nothing_is_left(&self) {
        let began = Instant::now();
        while self.seen.endless.load(Ordering::SeqCst) > 0 {
            assert!(began.elapsed() < PATIENCE, "{:?} are left", self.seen.endless);
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn start(options: ListenOptions, http2: Option<bool>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made =
            authority::prepare(directory.path(), &[], Timestamp::from_millis(1_790_000_000_000)).unwrap();
        let certificate = tls::Certificate::load(&made.certificate, &made.key).unwrap();
        let tls = http2.map(|http2| tls::server_config(certificate, http2).unwrap());
        let seen = Arc::new(Seen::default());
        let seen_there = Arc::clone(&seen);
        let (started, start) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
                let address = listener.local_addr().unwrap();
                let server = serve(listener, tls, &options, move || app(&seen_there)).unwrap();
                started.send((address, server.handle())).unwrap();
                server.await
            })
        });
        let (address, handle) = start.recv().unwrap();
        Self { address, handle, thread, tls: directory, seen }
    }

    fn plain(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn tls(&self, alpn: &[&str]) -> StreamOwned<ClientConnection, TcpStream> {
        let mut stream = StreamOwned::new(client(self.tls.path(), alpn), self.plain());
        stream.conn.complete_io(&mut stream.sock).unwrap();
        stream
    }

    /// Stops gracefully, and tells how long that took.
    fn stop(self) -> Duration {
        let began = Instant::now();
        drop(self.handle.stop(true));
        self.thread.join().unwrap().unwrap();
        began.elapsed()
    }
}

fn app(
    seen: &Arc<Seen>,
) -> App<
    impl actix_service::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .app_data(web::Data::from(Arc::clone(seen)))
        .route("/slow", web::get().to(slow))
        .route("/endless", web::get().to(endless))
        .default_service(web::to(|| async { HttpResponse::Ok().body("hello") }))
}

async fn slow(seen: web::Data<Seen>) -> HttpResponse {
    seen.slow_began.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    HttpResponse::Ok().body(vec![b'x'; SLOW_BODY])
}

async fn endless(seen: web::Data<Seen>) -> HttpResponse {
    seen.endless.fetch_add(1, Ordering::SeqCst);
    let endless = Endless(seen.into_inner());
    HttpResponse::Ok().streaming(futures_util::stream::repeat_with(move || {
        endless.0.handed.fetch_add(64 * 1024, Ordering::SeqCst);
        Ok::<_, io::Error>(bytes::Bytes::from_static(&[0; 64 * 1024]))
    }))
}

fn client(authority: &Path, alpn: &[&str]) -> ClientConnection {
    let localhost = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(client_config(authority, alpn), localhost).unwrap()
}

fn client_config(authority: &Path, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.join("ca.crt")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Reads one answer whose body ends with `end`.
fn read_until(stream: &mut impl Read, end: &str) -> String {
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    while !text.ends_with(end) {
        let read = stream.read(&mut piece).unwrap();
        assert_ne!(read, 0, "ended early: {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    text
}

/// Reads to the end, however the connection ends.
fn read_to_end(stream: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("the connection stays open"),
        _ => all,
    }
}

#[test]
fn a_tls_hello_on_the_plain_port_is_answered_at_once() {
    let server = Running::start(options(), None);
    let mut stream = server.plain();
    let began = Instant::now();
    let mut hello = Vec::new();
    client(server.tls.path(), &[]).write_tls(&mut hello).unwrap();
    stream.write_all(&hello).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 400");
    assert!(began.elapsed() < Duration::from_secs(1), "clients that try TLS first wait for this");
    server.stop();
}

#[test]
fn alpn_says_what_the_configuration_says() {
    for (http2, offered, chosen) in [
        (true, ["h2", "http/1.1"].as_slice(), Some("h2")),
        (true, &["http/1.1"], Some("http/1.1")),
        (false, &["h2", "http/1.1"], Some("http/1.1")),
        (false, &[], None),
    ] {
        let server = Running::start(options(), Some(http2));
        let mut stream = server.tls(offered);
        assert_eq!(stream.conn.alpn_protocol(), chosen.map(str::as_bytes));
        if chosen != Some("h2") {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            assert!(read_until(&mut stream, "hello").starts_with("HTTP/1.1 200"));
        }
        drop(stream);
        server.stop();
    }
}

/// Makes a TLS handshake, of which this client sends its first bytes and its last ones after a pause.
fn slow_handshake(server: &Running, pause: Duration) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut stream = StreamOwned::new(client(server.tls.path(), &["http/1.1"]), server.plain());
    let mut hello = Vec::new();
    stream.conn.write_tls(&mut hello)?;
    stream.sock.write_all(&hello[..hello.len() / 2])?;
    thread::sleep(pause);
    stream.sock.write_all(&hello[hello.len() / 2..])?;
    while !stream.conn.wants_write() {
        if stream.conn.read_tls(&mut stream.sock)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        stream.conn.process_new_packets().map_err(io::Error::other)?;
    }
    thread::sleep(pause);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

#[test]
fn a_handshake_may_take_as_long_as_the_setting_says() {
    let pause = Duration::from_millis(600);
    for (handshake_timeout, passes) in [(pause / 3, false), (PATIENCE, true)] {
        let options = ListenOptions { handshake_timeout, head_timeout: PATIENCE, ..options() };
        let server = Running::start(options, Some(false));
        let shaken = slow_handshake(&server, pause);
        assert_eq!(shaken.is_ok(), passes, "{handshake_timeout:?}: {:?}", shaken.err());
        if let Ok(mut stream) = shaken {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            assert!(read_until(&mut stream, "hello").starts_with("HTTP/1.1 200"));
        }
        // Who is silent is let go, too.
        if !passes {
            assert!(read_to_end(&mut server.plain()).is_empty());
        }
        server.stop();
    }
}

#[test]
fn clients_that_connect_and_are_silent_do_not_keep_others_out() {
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let server = Running::start(ListenOptions { trusted_proxies, ..options() }, Some(false));
    let silent: Vec<TcpStream> = (0..300).map(|_| server.plain()).collect();
    let began = Instant::now();
    let mut stream = server.tls(&["http/1.1"]);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(read_until(&mut stream, "hello").starts_with("HTTP/1.1 200"));
    let took = began.elapsed();
    assert!(took < options().handshake_timeout / 2, "it waited {took:?} for others to be given up");
    drop((silent, stream));
    server.stop();
}

#[test]
fn an_idle_connection_does_not_hold_a_stop_up() {
    let server = Running::start(ListenOptions { idle_timeout: Duration::from_secs(60), ..options() }, None);
    let mut stream = server.plain();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    read_until(&mut stream, "hello");
    let took = server.stop();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(read_to_end(&mut stream).is_empty());
}

#[test]
fn a_request_in_flight_is_answered_before_a_stop() {
    let server = Running::start(options(), None);
    let mut stream = server.plain();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    wait_for(&server.seen.slow_began);
    let reader = thread::spawn(move || read_to_end(&mut stream).len());
    server.stop();
    assert!(reader.join().unwrap() > SLOW_BODY);
}

#[test]
fn a_head_that_never_ends_closes_a_kept_alive_connection() {
    let server = Running::start(options(), None);
    let mut stream = server.plain();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    read_until(&mut stream, "hello");
    stream.write_all(b"GET / HTTP/1.1\r\nx-slow: ").unwrap();
    assert!(read_to_end(&mut stream).is_empty());
    server.stop();
}

#[test]
fn a_first_head_that_never_ends_is_told_so() {
    let server = Running::start(options(), None);
    let mut stream = server.plain();
    stream.write_all(b"GET / HTTP/1.1\r\nx-slow: ").unwrap();
    let answer = read_to_end(&mut stream);
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    server.stop();
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let server =
        Running::start(ListenOptions { write_timeout: Duration::from_millis(500), ..options() }, None);
    let mut stream = server.plain();
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    wait_for(&server.seen.endless_ended);
    // What is in the buffers of both sides comes, and then the end.
    assert!(!read_to_end(&mut stream).is_empty());
    server.stop();
}

/// An HTTP/2 client: its requests, and its connection, on a task that ends with it.
async fn http2(server: &Running) -> (h2::client::SendRequest<bytes::Bytes>, tokio::task::JoinHandle<()>) {
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(client_config(server.tls.path(), &["h2"]));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(async move { drop(connection.await) });
    (requests.ready().await.unwrap(), connection)
}

async fn http2_get(requests: &mut h2::client::SendRequest<bytes::Bytes>, path: &str) -> usize {
    let request = http::Request::get(format!("https://localhost{path}")).body(()).unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        length += piece.len();
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    length
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client says first that opens windows of this size for its streams, and all of the connection's.
fn preface(window: u32) -> Vec<u8> {
    let settings = [&[0, 4], &window.to_be_bytes()[..]].concat();
    let opened = frame(8, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &settings), opened].concat()
}

/// Asks for what has no end.
fn ask(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, b"\x82\x87\x04\x08/endless\x41\x01x")
}

#[test]
fn an_http2_client_that_does_not_read_its_socket_is_given_little() {
    let server =
        Running::start(ListenOptions { idle_timeout: Duration::from_secs(60), ..options() }, Some(true));
    let mut stream = server.tls(&["h2"]);
    stream.write_all(&preface(0x7fff_ffff)).unwrap();
    (0..100).for_each(|number| stream.write_all(&ask(2 * number + 1)).unwrap());
    let handed = || server.seen.handed.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(1500));
    let given = handed();
    // A piece and what waits for each stream, and what both sockets take.
    assert!(given < 24 << 20, "{} MiB", given >> 20);
    let mut left = vec![0; 32 << 20];
    stream.read_exact(&mut left).unwrap();
    assert!(handed() > given, "it goes on when the client reads");
    drop(stream);
    // Those that waited for room end with the connection.
    server.nothing_is_left();
    server.stop();
}

#[test]
fn http2_streams_that_were_given_up_leave_their_room() {
    let server =
        Running::start(ListenOptions { idle_timeout: Duration::from_secs(60), ..options() }, Some(true));
    let mut stream = server.tls(&["h2"]);
    stream.write_all(&preface(0)).unwrap();
    for number in 0..200 {
        stream.write_all(&ask(2 * number + 1)).unwrap();
        if number % 20 == 19 {
            thread::sleep(Duration::from_millis(100));
            let given_up = |number: u32| frame(3, 0, 2 * number + 1, &8_u32.to_be_bytes());
            (number - 19..=number).for_each(|number| stream.write_all(&given_up(number)).unwrap());
        }
    }
    stream.write_all(&ask(999)).unwrap();
    stream.write_all(&frame(8, 0, 999, &0x7fff_0000_u32.to_be_bytes())).unwrap();
    stream.read_exact(&mut vec![0; 4 << 20]).unwrap();
    drop(stream);
    server.nothing_is_left();
    server.stop();
}

#[test]
fn an_idle_http2_connection_does_not_hold_a_stop_up() {
    let server =
        Running::start(ListenOptions { idle_timeout: Duration::from_secs(60), ..options() }, Some(true));
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut requests, connection) = client.block_on(http2(&server));
    assert_eq!(client.block_on(http2_get(&mut requests, "/")), "hello".len());
    let took = server.stop();
    assert!(took < Duration::from_secs(5), "{took:?}");
    client.block_on(async { tokio::time::timeout(PATIENCE, connection).await }).unwrap().unwrap();
}

#[test]
fn an_http2_connection_without_requests_is_closed_in_the_end() {
    let server = Running::start(options(), Some(true));
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut requests, connection) = client.block_on(http2(&server));
    assert_eq!(client.block_on(http2_get(&mut requests, "/slow")), SLOW_BODY);
    client.block_on(async { tokio::time::timeout(PATIENCE, connection).await }).unwrap().unwrap();
    server.stop();
}

#[test]
fn an_http2_request_in_flight_is_answered_in_full_before_a_stop() {
    let server =
        Running::start(ListenOptions { idle_timeout: Duration::from_secs(60), ..options() }, Some(true));
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut requests, _connection) = client.block_on(http2(&server));
    let seen = Arc::clone(&server.seen);
    let stopper = thread::spawn(move || {
        wait_for(&seen.slow_began);
        server.stop()
    });
    assert_eq!(client.block_on(http2_get(&mut requests, "/slow")), SLOW_BODY);
    let took = stopper.join().unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn an_http2_connection_with_far_too_many_requests_ends_and_they_with_it() {
    // The library counts a time-out from a clock that stood still while the worker was busy.
    let server = Running::start(ListenOptions { head_timeout: PATIENCE, ..options() }, Some(true));
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (requests, connection) = client.block_on(http2(&server));
    client.block_on(async {
        let (mut requests, mut unread) = (requests, Vec::new());
        for _ in 0..=connection::MOST_IN_FLIGHT {
            // Refused once the server has given the connection up.
            let Ok(ready) = requests.ready().await else { break };
            requests = ready;
            let request = http::Request::get("https://localhost/endless").body(()).unwrap();
            match requests.send_request(request, true) {
                Ok((answer, _)) => unread.push(answer),
                Err(_) => break,
            }
        }
        tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap();
    });
    wait_for(&server.seen.endless_ended);
    let (mut requests, _connection) = client.block_on(http2(&server));
    assert_eq!(client.block_on(http2_get(&mut requests, "/")), "hello".len());
    drop(requests);
    server.stop();
}

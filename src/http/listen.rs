//! A listening socket with an application behind it: protocols, limits, time-outs of connections, and how they end.
//!
//! actix-web's own `HttpServer` cannot be asked for TLS without HTTP/2 once its `http2` feature is compiled in: it puts
//! `h2` in front of whatever the TLS configuration offers. So the pieces that it is made of are put together here, and
//! ALPN says what the configuration says. It does not know routes, credentials or actors.

mod activity;
mod connection;
mod deadline;
mod guests;
mod heads;
mod interim;
mod plain;
mod pulse;
mod queue;
mod unread;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{ConnectionType, HttpService, Method, Protocol, Request, Response};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, fn_service,
    map_config,
};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_tls::accept::{TlsError, max_concurrent_tls_connect};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::AppConfig;
use actix_web::{HttpMessage, HttpRequest};
use ipnet::IpNet;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

use activity::{Activity, InFlight, Place};
use connection::{Connection, Times, Tracked, serve as serve_connection};
use guests::{Guests, Mishap};
pub(super) use interim::is_awaited;
use interim::{Awaited, Body100, ask_when_read};
pub(super) use pulse::{GaveWay, Pulse, now};
use unread::Unread;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 2048;

/// How long an early refusal lingers, so that a client that is still sending reads it. With none, up to 85 % of Go
/// clients saw a broken pipe in place of the answer.
const LINGER: Duration = Duration::from_secs(5);

/// After how many bytes what is gathered is written to an HTTP/1.1 connection, and the next piece of an answer waits until there
/// are fewer: what nobody reads holds no more. The first piece of a blob is as long, later ones are longer, and each goes at once.
const WRITE_BUFFER: usize = 32 * 1024;

/// How connections are served.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// Threads that serve; 1 to 512.
    pub workers: usize,
    /// The most connections at once, over all workers; the rest wait to be accepted. One address has half of them.
    pub max_connections: usize,
    /// Who may have more than its share of the connections.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// How long a connection may stay without a request.
    pub idle_timeout: Duration,
    /// How long a write may make no progress; zero for as long as it likes.
    pub write_timeout: Duration,
    /// How long requests in flight may take when the server stops; counted in whole seconds, rounded up.
    pub shutdown_timeout: Duration,
}

/// Binds `address`, ready to be given to [`serve`]. Clients can connect from now on, and wait.
///
/// # Errors
///
/// When the address is not this machine's, is in use, or is not ours to take.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// How many requests of its connection were not answered in full yet when this one began, with itself.
pub(super) fn in_flight(request: &HttpRequest) -> usize {
    request.extensions().get::<Place>().map_or(1, |place| place.0)
}

/// The signs of life of a request's connection.
pub(super) fn pulse(request: &HttpRequest) -> Option<Arc<Pulse>> {
    request.conn_data::<Rc<Activity>>().map(|activity| activity.pulse())
}

/// Serves the application on the socket: HTTP/1.1, and over TLS whatever protocols `tls` offers by ALPN.
///
/// Nothing happens until the server is polled; the first poll starts the workers and blocks until each has made its
/// application. To stop, `handle().stop(true)` lets requests in flight finish and closes idle connections at once;
/// dropping the server meanwhile ends it at once. Signals are the caller's business.
///
/// # Errors
///
/// When the socket cannot be used. That a worker could not make its application is an error of the server's future.
pub fn serve<F, I, S>(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    options: &ListenOptions,
    app: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<BoxBody>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
{
    let address = listener.local_addr()?;
    let connections = (options.max_connections / options.workers).max(1);
    if tls.is_some() {
        // For each worker. With fewer than connections, a few clients that connect and are silent keep everybody out.
        max_concurrent_tls_connect(connections);
    }
    let builder = Server::build()
        .workers(options.workers)
        .max_concurrent_connections(connections)
        .shutdown_timeout(whole_seconds(options.shutdown_timeout))
        .disable_signals();
    let http = Http {
        address,
        secure: tls.is_some(),
        options: options.clone(),
        stop: builder.graceful_shutdown_signal(),
    };
    let guests = Guests::new(options.max_connections, options.trusted_proxies.clone());
    let builder = match tls {
        None => builder.listen("registry", listener, move || {
            let (http, guests) = (http.clone(), Arc::clone(&guests));
            let service = http.service(app());
            let served = fn_service(move |io: TcpStream| {
                let connection = http.connection(io, Protocol::Http1, |io| io);
                async move { Ok::<_, DispatchError>(connection) }
            });
            welcomed(served.and_then(service), guests)
        })?,
        Some(tls) => builder.listen("registry", listener, move || {
            let (http, guests) = (http.clone(), Arc::clone(&guests));
            let service = http.service(app());
            let patience = http.options.handshake_timeout;
            let served = fn_service(move |io: TcpStream| plain::refuse(io, patience))
                .map_err(TlsError::Tls)
                .and_then(acceptor(&tls, patience))
                .map(move |io| {
                    let protocol = negotiated(&io);
                    http.connection(io, protocol, |io| io.get_ref().0)
                })
                .and_then(service.map_err(TlsError::Service));
            welcomed(served, guests)
        })?,
    };
    Ok(builder.run())
}

/// Serves the connections of each address up to its share, and tells how they end when they do not end well.
fn welcomed<S>(
    service: S,
    guests: Arc<Guests>,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = S::Error, InitError = S::InitError>
where
    S: ServiceFactory<TcpStream, Config = (), Response = ()> + 'static,
    S::Error: Mishap,
{
    apply_fn_factory(service, move |io: TcpStream, service: &_| {
        let peer = io.peer_addr().map(|peer| peer.ip()).ok();
        let guests = Arc::clone(&guests);
        let place = peer.and_then(|peer| guests.welcome(peer));
        let served = place.is_some().then(|| Service::call(service, io));
        async move {
            let Some(served) = served else { return Ok(()) };
            let ended = serve_connection(served).await;
            if let (Err(error), Some(peer)) = (&ended, peer) {
                guests.tell(peer, error.level(), error);
            }
            drop(place);
            ended
        }
    })
}

/// What is the same for all connections of a socket.
#[derive(Clone)]
struct Http {
    address: SocketAddr,
    secure: bool,
    options: ListenOptions,
    stop: GracefulShutdownSignal,
}

impl Http {
    fn times(&self) -> Times {
        Times {
            write: self.options.write_timeout,
            between_requests: self.options.idle_timeout + self.options.head_timeout,
        }
    }

    /// Wraps an accepted stream; `socket` finds the socket in it.
    fn connection<IO: AsyncWrite + Unpin>(
        &self,
        io: IO,
        protocol: Protocol,
        socket: impl Fn(&IO) -> &TcpStream,
    ) -> (Connection<IO>, Protocol, Option<SocketAddr>) {
        let peer = socket(&io).peer_addr().ok();
        // Head and body of an answer are two segments; waiting to join them costs 40 ms with delayed acknowledgements.
        if let Err(error) = socket(&io).set_nodelay(true) {
            log::debug!("cannot switch off Nagle's algorithm: {error}");
        }
        (Connection::new(io, protocol, self.times(), self.stop.clone()), protocol, peer)
    }

    /// The application as a service of connections, with requests counted so that a connection knows when it is idle.
    fn service<IO, I, S>(
        &self,
        app: I,
    ) -> impl ServiceFactory<
        (Connection<IO>, Protocol, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<IO, I, S>
    where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<actix_web::Error> + 'static,
        S::InitError: std::fmt::Debug,
        S::Response: Into<Response<BoxBody>> + 'static,
        <S::Service as Service<Request>>::Future: 'static,
        S::Service: 'static,
    {
        let (secure, address) = (self.secure, self.address);
        let app = app.into_factory().map_err(|error: S::Error| error.into().error_response());
        // The only public way to say "secure" to an application that `HttpServer` does not run; actix-test does it too.
        let app = map_config(app, move |()| AppConfig::__priv_test_new(secure, address.to_string(), address));
        let app = apply_fn_factory(app, |request: Request, service: &_| {
            let in_flight = Activity::begin(&request);
            let awaited = in_flight.as_ref().and_then(InFlight::awaited);
            // Only a pipelined request can have made an offer that is heard here, and CONNECT is no method of a registry.
            let ends = request.head().upgrade() || request.method() == Method::CONNECT;
            let (request, unread) = Unread::of(request);
            let request = match &awaited {
                Some(awaited) => ask_when_read(request, awaited),
                None => request,
            };
            let answer = Service::call(service, request);
            async move {
                let answer = answer.await;
                let unread = rest(unread, awaited.as_ref()).await;
                if let Some(in_flight) = &in_flight {
                    in_flight.is_answered();
                }
                if let Some(awaited) = awaited {
                    awaited.is_over();
                }
                let mut response: Response<BoxBody> = answer.map_or_else(Response::from, Into::into);
                if ends || unread.is_some() {
                    response.head_mut().set_connection_type(ConnectionType::Close);
                }
                Ok::<_, actix_web::HttpResponse>(response.map_body(|_, body| {
                    let body = match unread {
                        Some(unread) => unread.held_with(body),
                        None => body,
                    };
                    Tracked::new(body, in_flight).boxed()
                }))
            }
        });
        let stop = self.stop.clone();
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stop = stop.clone();
                async move { stop.notified().await }
            })
            .keep_alive(self.options.idle_timeout)
            .client_request_timeout(self.options.head_timeout)
            .client_disconnect_timeout(LINGER)
            .h1_write_buffer_size(WRITE_BUFFER)
            .local_addr(address)
            .on_connect_ext(|connection: &Connection<IO>, extensions| {
                extensions.insert(connection.activity());
            })
            .finish(app)
    }
}

/// The request's body, when its end is not to be seen now that there is an answer.
async fn rest(unread: Option<Unread>, awaited: Option<&Awaited>) -> Option<Unread> {
    let mut unread = unread?;
    // A client that waits to be asked for it sends nothing.
    if awaited.is_none_or(Awaited::is_asked) {
        unread.finish().await;
    }
    (!unread.is_whole()).then_some(unread)
}

/// Makes TLS streams of accepted ones.
fn acceptor(
    tls: &Arc<ServerConfig>,
    patience: Duration,
) -> impl ServiceFactory<
    TcpStream,
    Config = (),
    Response = TlsStream<TcpStream>,
    Error = TlsError<io::Error, DispatchError>,
    InitError = (),
> + use<> {
    let mut acceptor = Acceptor::new(ServerConfig::clone(tls));
    acceptor.set_handshake_timeout(patience);
    acceptor.map_err(TlsError::into_service_error)
}

fn negotiated(io: &TlsStream<TcpStream>) -> Protocol {
    match io.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;

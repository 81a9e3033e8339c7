//! Whom to speak to, and connections to it. Certificates are not checked: what is measured is the server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(120);

/// A server, as a URL names it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    /// What goes into the Host header.
    pub(crate) host: String,
    tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// Reads `http://HOST:PORT` or `https://HOST:PORT`.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let (scheme, rest) = url.split_once("://").context("a URL begins with http:// or https://")?;
        let host = rest.trim_end_matches('/').to_owned();
        let address = host.to_socket_addrs().with_context(|| format!("no address: {host}"))?.next();
        let address = address.with_context(|| format!("no address: {host}"))?;
        if !address.ip().is_loopback() {
            bail!("{host} is not on this machine");
        }
        let tls = match scheme {
            "http" => None,
            "https" => Some(Arc::new(client_config()?)),
            other => bail!("no such scheme: {other}"),
        };
        Ok(Self { address, host, tls })
    }

    /// Opens a connection; its handshake is over when this returns.
    pub(crate) fn connect(&self) -> io::Result<Stream> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE))?;
        socket.set_write_timeout(Some(SILENCE))?;
        let Some(config) = &self.tls else { return Ok(Stream::Plain(socket)) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, socket))))
    }
}

fn client_config() -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Go's clients remember no sessions.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A connection, with or without TLS.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Without.
    Plain(TcpStream),
    /// With.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// The socket underneath.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Takes `length` bytes off the connection; those of a plain one are not even copied.
    pub(crate) fn discard(&mut self, mut length: u64, buffer: &mut [u8]) -> io::Result<()> {
        while length > 0 {
            let most = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
            let taken = match self {
                Self::Plain(socket) => {
                    rustix::net::recv(&*socket, &mut buffer[..most], rustix::net::RecvFlags::TRUNC)?.1
                }
                Self::Tls(stream) => stream.read(&mut buffer[..most])?,
            };
            if taken == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            length -= taken as u64;
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Believes every certificate.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

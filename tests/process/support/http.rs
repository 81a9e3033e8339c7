//! A small HTTP/1.1 client: it hides nothing and mends nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    address: SocketAddr,
    authorization: Option<String>,
    connection: Option<BufReader<TcpStream>>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of the first error, as the specification's JSON has it.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The path of the Location header.
    pub(crate) fn location(&self) -> String {
        let location = self.header("location").expect("a Location");
        assert!(location.starts_with('/'), "{location}");
        location.to_owned()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr, authorization: Option<String>) -> Self {
        Self { address, authorization, connection: None }
    }

    pub(crate) fn authorized(mut self, authorization: &str) -> Self {
        self.authorization = Some(authorization.to_owned());
        self
    }

    pub(crate) fn is_stranger(&self) -> bool {
        self.authorization.is_none()
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send("GET", path, &[], b"").unwrap()
    }

    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.send(method, path, headers, body).unwrap()
    }

    /// Sends a request with a length and reads the answer. A connection that the server closed is opened again once.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let kept = self.connection.is_some();
        match self.exchange(method, path, headers, body) {
            Err(_) if kept => self.exchange(method, path, headers, body),
            result => result,
        }
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let length = body.len().to_string();
        let mut all = vec![("Content-Length", length.as_str())];
        if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding")) {
            all.clear();
        }
        all.extend_from_slice(headers);
        let head = self.head(method, path, &all);
        let mut stream = self.connect()?;
        let answered = write_and_read(&mut stream, &head, body, method == "HEAD");
        if let Ok(response) = &answered
            && response.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"))
        {
            self.connection = Some(stream);
        }
        answered
    }

    /// The head of a request as it goes onto the wire.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if let Some(authorization) = &self.authorization
            && headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("authorization"))
        {
            head.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    }

    /// The kept connection, or a new one.
    pub(crate) fn connect(&mut self) -> io::Result<BufReader<TcpStream>> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }
}

fn write_and_read(
    stream: &mut BufReader<TcpStream>,
    head: &str,
    body: &[u8],
    is_head: bool,
) -> io::Result<Response> {
    let mut message = head.as_bytes().to_vec();
    if body.len() < 1 << 20 {
        message.extend_from_slice(body);
        stream.get_mut().write_all(&message)?;
    } else {
        stream.get_mut().write_all(&message)?;
        stream.get_mut().write_all(body)?;
    }
    let mut response = read_head(stream)?;
    if !is_head {
        response.body = read_body(stream, &response)?;
    }
    Ok(response)
}

/// Reads the status line and the headers of an answer.
pub(crate) fn read_head(stream: &mut impl BufRead) -> io::Result<Response> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => return Ok(Response { status, headers, body: Vec::new() }),
        }
    }
}

fn read_body(stream: &mut impl BufRead, response: &Response) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if response.header("transfer-encoding").is_some() {
        return Err(io::Error::other("a chunked answer"));
    }
    let length = response.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    stream.take(length).read_to_end(&mut body)?;
    if body.len() as u64 == length { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What comes in chunks, joined, while it comes. That the end was cut off is an error.
pub(crate) struct Chunks<R> {
    stream: R,
    left: usize,
    is_over: bool,
}

impl<R: BufRead> Chunks<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, left: 0, is_over: false }
    }

    fn size(&mut self) -> io::Result<usize> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim_end(), 16);
        size.map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, format!("no chunk: {line:?}")))
    }
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.is_over {
            self.left = self.size()?;
            self.is_over = self.left == 0;
        }
        if self.is_over {
            return Ok(0);
        }
        let most = self.left.min(buffer.len());
        let read = self.stream.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        if self.left == 0 {
            let mut end = [0; 2];
            self.stream.read_exact(&mut end)?;
        }
        Ok(read)
    }
}

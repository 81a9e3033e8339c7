//! One client with one connection, that asks and waits; for what needs several requests in a row.

use std::io::{Read, Write};

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::reply::{Head, Reply};
use crate::target::{Stream, Target};

/// How a client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Auth {
    /// Not at all.
    None,
    /// By name and password, with each request.
    Basic,
    /// By a token that it got for them before.
    Token,
}

/// Whom to speak to, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Registry {
    /// http://127.0.0.1:PORT or https://…
    #[arg(long)]
    pub(crate) url: String,
    /// NAME:PASSWORD
    #[arg(long, env = "BENCH_USER", hide_env_values = true)]
    user: Option<String>,
    /// How to log in
    #[arg(long, value_enum, default_value_t = Auth::None)]
    auth: Auth,
    /// Processes of the server to look at
    #[arg(long, value_delimiter = ',')]
    pub(crate) pid: Vec<u32>,
}

impl Registry {
    /// The server and the Authorization header, if any; asks for a token where one is wanted.
    pub(crate) fn open(&self) -> anyhow::Result<Client> {
        let target = Target::parse(&self.url)?;
        let stranger = Client { target, authorization: String::new() };
        if self.auth == Auth::None {
            return Ok(stranger);
        }
        let user = self.user.as_deref().context("--auth needs --user")?;
        let basic = format!("Authorization: Basic {}\r\n", STANDARD.encode(user));
        let known = Client { authorization: basic, ..stranger };
        if self.auth == Auth::Basic {
            return Ok(known);
        }
        let mut session = Session::new(&known)?;
        let answer = session.ask("GET", "/v2/token?service=mcr", "", b"")?;
        ensure!(answer.head.status == 200, "no token: {}", answer.head.status);
        let token: serde_json::Value = serde_json::from_slice(&answer.body)?;
        let token = token["token"].as_str().context("no token in the answer")?;
        Ok(Client { authorization: format!("Authorization: Bearer {token}\r\n"), ..known })
    }
}

/// A server, and who one is there.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The server.
    pub(crate) target: Target,
    authorization: String,
}

impl Client {
    /// A request's head as it goes onto the wire. `headers` are whole lines.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}{headers}\r\n",
            self.target.host, self.authorization
        )
    }
}

/// An answer with its body.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status and headers.
    pub(crate) head: Head,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The answer, when it has this status.
    pub(crate) fn expect(self, status: u16, what: &str) -> anyhow::Result<Self> {
        let text = String::from_utf8_lossy(&self.body);
        ensure!(self.head.status == status, "{what}: {} instead of {status}: {text}", self.head.status);
        Ok(self)
    }

    /// The path and query of the Location header.
    pub(crate) fn location(&self) -> anyhow::Result<String> {
        let location = self.head.location.as_deref().context("no Location")?;
        match location.split_once("://") {
            Some((_, rest)) => Ok(rest[rest.find('/').context("a Location without a path")?..].to_owned()),
            None => Ok(location.to_owned()),
        }
    }
}

/// A connection that is kept as long as the server keeps it.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    stream: Option<Stream>,
    buffer: Vec<u8>,
    /// Requests so far.
    pub(crate) requests: u64,
}

impl Session {
    /// Connects.
    pub(crate) fn new(client: &Client) -> anyhow::Result<Self> {
        let stream = Some(client.target.connect()?);
        Ok(Self { client: client.clone(), stream, buffer: vec![0; 1 << 18], requests: 0 })
    }

    /// Sends a request with a body of known length, and reads the answer. `headers` are whole lines.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let length = if body.is_empty() && matches!(method, "GET" | "HEAD") {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let mut message = self.client.head(method, path, &(headers.to_owned() + &length)).into_bytes();
        message.extend_from_slice(body);
        self.send(&message)?;
        self.answer(method == "HEAD")
    }

    /// Sends the head of a request whose body follows by [`Session::send`].
    pub(crate) fn begin(&mut self, method: &str, path: &str, headers: &str) -> anyhow::Result<()> {
        let head = self.client.head(method, path, headers);
        self.send(head.as_bytes())
    }

    /// Sends bytes; opens a new connection when the last answer ended the old one.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(self.client.target.connect()?),
        };
        stream.write_all(bytes)?;
        Ok(stream.flush()?)
    }

    /// Reads an answer, with its body.
    pub(crate) fn answer(&mut self, bodiless: bool) -> anyhow::Result<Answer> {
        self.requests += 1;
        let mut reply = Reply::new(bodiless, true);
        let stream = self.stream.as_mut().context("not connected")?;
        loop {
            let length = stream.read(&mut self.buffer)?;
            if length == 0 {
                bail!("the server closed the connection");
            }
            if reply.feed(&self.buffer[..length])? {
                break;
            }
        }
        let (head, body) = reply.into_parts()?;
        if head.close {
            self.stream = None;
        }
        Ok(Answer { head, body })
    }

    /// Gets something large and throws it away; answers its length in bytes.
    pub(crate) fn fetch(&mut self, path: &str) -> anyhow::Result<u64> {
        self.begin("GET", path, "")?;
        self.requests += 1;
        let stream = self.stream.as_mut().context("not connected")?;
        let mut have = 0;
        let (head, size) = loop {
            // A small piece: what comes with the head is copied, what follows is not.
            let length = stream.read(&mut self.buffer[have..have + 4096])?;
            if length == 0 {
                bail!("the server closed the connection");
            }
            have += length;
            if let Some(parsed) = Head::parse(&self.buffer[..have])? {
                break parsed;
            }
        };
        ensure!(head.status == 200, "GET {path}: {}", head.status);
        let length = head.length.context("a blob without a length")?;
        let here = (have - size) as u64;
        ensure!(here <= length, "bytes after the end of an answer");
        stream.discard(length - here, &mut self.buffer)?;
        if head.close {
            self.stream = None;
        }
        Ok(length)
    }

    /// Pushes a blob of a few bytes by POST and PUT.
    pub(crate) fn push_blob(&mut self, repository: &str, content: &[u8]) -> anyhow::Result<()> {
        let digest = mcr_bench::content::digest(content);
        let begun = self.begin_upload(repository)?;
        let path = with_digest(&begun, &digest.to_string());
        self.ask("PUT", &path, "Content-Type: application/octet-stream\r\n", content)?
            .expect(201, "PUT of a blob")
            .map(drop)
    }

    /// Begins an upload; answers where it goes on.
    pub(crate) fn begin_upload(&mut self, repository: &str) -> anyhow::Result<String> {
        self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"")?
            .expect(202, "POST of an upload")?
            .location()
    }

    /// Pushes a manifest.
    pub(crate) fn push_manifest(&mut self, repository: &str, tag: &str, body: &str) -> anyhow::Result<()> {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
        self.ask("PUT", &path, kind, body.as_bytes())?.expect(201, "PUT of a manifest").map(drop)
    }
}

/// The place of an upload with the digest that ends it.
pub(crate) fn with_digest(location: &str, digest: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

//! Which registry, whom it trusts, and with which token: flags, then variables, then what `login` wrote.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use mcr::config::path_argument;
use mcr::durable_file::{self, Readers};
use mcr_actors::mend::{self, Use};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::print;

/// Where the help of each command has the options that every command takes.
pub(crate) const HEADING: &str = "Global options";

/// The options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Connection {
    /// The registry's URL [env: MCRCTL_SERVER]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// A certificate authority to trust in place of the system's, in PEM form [env: MCRCTL_CA_CERT]
    #[arg(long, global = true, value_name = "FILE", value_parser = mcr::config::path_argument)]
    ca_cert: Option<PathBuf>,
    /// The token to come with; a variable keeps it off the list of processes [env: MCRCTL_TOKEN]
    #[arg(long, global = true)]
    token: Option<String>,
    /// Send passwords and tokens to another machine though everybody on the way can read them [env: MCRCTL_INSECURE_HTTP]
    #[arg(long, global = true)]
    insecure_http: bool,
}

/// What `login` writes. All of it belongs to the one registry.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered {
    /// The registry's URL.
    #[serde(default)]
    server: Option<Address>,
    /// A certificate authority to trust.
    #[serde(default)]
    ca_cert: Option<PathBuf>,
    /// The token.
    #[serde(default)]
    token: Option<String>,
    /// Whether its owner knows that others can read what is sent.
    #[serde(default)]
    insecure_http: bool,
}

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Settings {
    server: Option<Address>,
    /// A certificate authority to trust.
    pub(crate) ca_cert: Option<PathBuf>,
    /// The token.
    pub(crate) token: Option<String>,
    /// Whether secrets may go where others can read them.
    pub(crate) insecure_http: bool,
    place: Option<PathBuf>,
    /// What is wrong with the file, if there is one that cannot be used.
    damage: Option<String>,
    /// Whether the token is the one of the file.
    is_remembered: bool,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where `login` writes; nowhere for who has no home.
fn place() -> Option<PathBuf> {
    let directory = match variable("XDG_CONFIG_HOME") {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(&variable("HOME")?).join(".config"),
    };
    Some(directory.join("mcrctl/config.toml"))
}

fn unreadable(file: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!("{} cannot be read: {error}{}", file.display(), mend::of_file(file, Use::Read, error))
}

/// Reads what `login` wrote; it holds a token, so nobody else may read it, and no error shows a line of it.
fn remembered(file: &Path) -> anyhow::Result<Remembered> {
    let metadata = match fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Remembered::default());
        }
        Err(error) => return Err(unreadable(file, &error)),
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        bail!("{} can be read by others: run chmod 600 {0}", file.display());
    }
    let text = fs::read(file).map_err(|error| unreadable(file, &error))?;
    let text =
        String::from_utf8(text).map_err(|_| anyhow!("{} is damaged: it is no text", file.display()))?;
    toml::from_str(&text).map_err(|error| {
        let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        anyhow!("{} is damaged: line {line}: {}", file.display(), error.message())
    })
}

impl Settings {
    /// Gathers them. A file that cannot be used is an error only for who needs it.
    ///
    /// # Errors
    /// When a URL is none.
    pub(crate) fn find(connection: Connection) -> anyhow::Result<Self> {
        let place = place();
        let (remembered, damage) = match place.as_deref().map(remembered) {
            Some(Ok(remembered)) => (remembered, None),
            Some(Err(damage)) => (Remembered::default(), Some(format!("{damage:#}"))),
            None => (Remembered::default(), None),
        };
        let server = connection.server.or_else(|| variable("MCRCTL_SERVER"));
        let server = server.as_deref().map(Address::parse).transpose()?;
        // What is remembered is for the registry that it was given with: its token, and whom it is trusted by.
        let is_other = server.is_some() && server != remembered.server;
        let remembered = if is_other { Remembered::default() } else { remembered };
        let token = connection.token.or_else(|| variable("MCRCTL_TOKEN"));
        let ca_cert = match (connection.ca_cert, variable("MCRCTL_CA_CERT")) {
            (None, Some(path)) => {
                Some(path_argument(&path).map_err(|error| anyhow!("MCRCTL_CA_CERT={path}: {error}"))?)
            }
            (given, _) => given,
        };
        let said = variable("MCRCTL_INSECURE_HTTP").is_some_and(|value| matches!(&*value, "true" | "1"));
        Ok(Self {
            is_remembered: token.is_none() && remembered.token.is_some(),
            server: server.or(remembered.server),
            ca_cert: ca_cert.or(remembered.ca_cert),
            token: token.or(remembered.token),
            insecure_http: connection.insecure_http || said || remembered.insecure_http,
            place,
            damage,
        })
    }

    /// Sees to it that a damaged file is told of, and that nobody goes on who needs what may be in it.
    ///
    /// # Errors
    /// When the file cannot be used, and server or token did not come otherwise.
    pub(crate) fn usable(&self) -> anyhow::Result<()> {
        let Some(damage) = &self.damage else { return Ok(()) };
        if self.server.is_none() || self.token.is_none() {
            bail!("{damage}: mend it, or run mcrctl login --server URL, which keeps a copy of it");
        }
        print::complain(&format!("{damage}: it was passed over"));
        Ok(())
    }

    /// The same without a token, for who does not have one yet.
    pub(crate) fn without_token(self) -> Self {
        Self { token: None, is_remembered: false, ..self }
    }

    /// Whether the token is the one that `login` wrote.
    pub(crate) fn is_remembered(&self) -> bool {
        self.is_remembered
    }

    /// The registry's URL.
    ///
    /// # Errors
    /// When nobody said.
    pub(crate) fn server(&self) -> anyhow::Result<&Address> {
        self.server.as_ref().context("which registry? give --server, set MCRCTL_SERVER, or run mcrctl login")
    }

    /// Where `login` writes.
    ///
    /// # Errors
    /// When there is no such place.
    pub(crate) fn place(&self) -> anyhow::Result<&Path> {
        self.place.as_deref().context(
            "neither XDG_CONFIG_HOME nor HOME is set, so nothing can be remembered: set one, or come with \
             MCRCTL_SERVER and MCRCTL_TOKEN instead of logging in",
        )
    }

    /// Writes what the next command shall find, for its owner only. A file that cannot be used is moved beside it.
    ///
    /// # Errors
    /// When a system call fails.
    pub(crate) fn remember(&self, token: Option<String>) -> anyhow::Result<()> {
        let place = self.place()?;
        let ca_cert = self.ca_cert.as_deref().map(std::path::absolute).transpose()?;
        let (server, insecure_http) = (self.server.clone(), self.insecure_http);
        let text = toml::to_string(&Remembered { server, ca_cert, token, insecure_http })
            .context("cannot write the settings")?;
        if let Some(damage) = &self.damage {
            let kept = set_aside(place).with_context(|| format!("cannot move {} aside", place.display()))?;
            print::complain(&format!("{damage}: it is kept as {}", kept.display()));
        }
        let written = || {
            if let Some(directory) = place.parent() {
                durable_file::make_directory(directory)?;
            }
            durable_file::write(place, text.as_bytes(), Readers::Owner)
        };
        written().with_context(|| format!("cannot write {}", place.display()))
    }

    /// Writes that there is no token any more, where it was the remembered one.
    ///
    /// # Errors
    /// When a system call fails.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        if self.is_remembered { self.remember(None) } else { Ok(()) }
    }
}

/// Moves a file to a free name beside its own, for its owner only.
fn set_aside(file: &Path) -> io::Result<PathBuf> {
    let names =
        std::iter::once(".damaged".to_owned()).chain((2..100).map(|number| format!(".damaged-{number}")));
    for name in names {
        let mut path = file.as_os_str().to_owned();
        path.push(name);
        let path = PathBuf::from(path);
        if fs::symlink_metadata(&path).is_err() {
            fs::rename(file, &path)?;
            let mode = if path.is_dir() { 0o700 } else { 0o600 };
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            return Ok(path);
        }
    }
    Err(io::Error::other("there are a hundred copies of it; remove some"))
}

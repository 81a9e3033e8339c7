//! Which registry, whom it trusts, and with which token: flags, then variables, then what `login` wrote.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mcr::durable_file::{self, Readers};
use serde::{Deserialize, Serialize};

/// The options that every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// The registry's URL [env: MCRCTL_SERVER]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// A certificate authority to trust, in PEM form [env: MCRCTL_CA_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// The token to come with; a variable keeps it off the list of processes [env: MCRCTL_TOKEN]
    #[arg(long, global = true)]
    token: Option<String>,
}

/// What `login` writes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// The registry's URL.
    #[serde(default)]
    pub(crate) server: Option<String>,
    /// A certificate authority to trust.
    #[serde(default)]
    pub(crate) ca_cert: Option<PathBuf>,
    /// The token.
    #[serde(default)]
    pub(crate) token: Option<String>,
}

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The registry's URL, without a slash at its end.
    pub(crate) server: Option<String>,
    /// A certificate authority to trust.
    pub(crate) ca_cert: Option<PathBuf>,
    /// The token.
    pub(crate) token: Option<String>,
    file: PathBuf,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn file() -> anyhow::Result<PathBuf> {
    let directory = match (variable("XDG_CONFIG_HOME"), variable("HOME")) {
        (Some(directory), _) => PathBuf::from(directory),
        (None, Some(home)) => Path::new(&home).join(".config"),
        (None, None) => {
            bail!("neither XDG_CONFIG_HOME nor HOME is set, so there is no place for mcrctl's file")
        }
    };
    Ok(directory.join("mcrctl/config.toml"))
}

/// Reads what `login` wrote; it holds a token, so nobody else may read it.
fn remembered(file: &Path) -> anyhow::Result<Remembered> {
    let Ok(metadata) = fs::metadata(file) else { return Ok(Remembered::default()) };
    if metadata.permissions().mode() & 0o077 != 0 {
        bail!("{} can be read by others: run chmod 600 {0}", file.display());
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not valid: run mcrctl login again", file.display()))
}

impl Settings {
    /// Gathers them.
    pub(crate) fn find(connection: Connection) -> anyhow::Result<Self> {
        let file = file()?;
        let remembered = remembered(&file)?;
        let server = connection.server.or_else(|| variable("MCRCTL_SERVER"));
        let server = server.map(|url| url.trim_end_matches('/').to_owned());
        // A remembered token is for the registry that gave it.
        let is_other = server.is_some() && server != remembered.server;
        let token = connection.token.or_else(|| variable("MCRCTL_TOKEN"));
        Ok(Self {
            server: server.or(remembered.server),
            ca_cert: connection
                .ca_cert
                .or_else(|| variable("MCRCTL_CA_CERT").map(PathBuf::from))
                .or(remembered.ca_cert),
            token: token.or(remembered.token.filter(|_| !is_other)),
            file,
        })
    }

    /// The same without a token, for who does not have one yet.
    pub(crate) fn without_token(&self) -> Self {
        let (server, ca_cert, file) = (self.server.clone(), self.ca_cert.clone(), self.file.clone());
        Self { server, ca_cert, token: None, file }
    }

    /// The registry's URL.
    pub(crate) fn server(&self) -> anyhow::Result<&str> {
        self.server
            .as_deref()
            .context("which registry? give --server, set MCRCTL_SERVER, or run mcrctl login")
    }

    /// Writes what the next command shall find, for its owner only.
    pub(crate) fn remember(&self, token: Option<String>) -> anyhow::Result<()> {
        let ca_cert = self.ca_cert.as_deref().map(std::path::absolute).transpose()?;
        let remembered = Remembered { server: self.server.clone(), ca_cert, token };
        let text = toml::to_string(&remembered).context("cannot write the settings")?;
        let written = || {
            if let Some(directory) = self.file.parent() {
                durable_file::make_directory(directory)?;
            }
            durable_file::write(&self.file, text.as_bytes(), Readers::Owner)
        };
        written().with_context(|| format!("cannot write {}", self.file.display()))
    }
}

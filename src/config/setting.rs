//! Values of settings: what each kind accepts, in a file and in a variable.
//!
//! A kind says what it accepts in words, for whoever gave something else. It does not know keys.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use actix_web::http::Uri;
use bytesize::ByteSize;
use ipnet::IpNet;
use log::LevelFilter;
use toml::de::DeValue;

/// A value as it was given, before anybody knows what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    /// A string of a file.
    Text(String),
    /// An integer of a file.
    Integer(i64),
    /// A boolean of a file.
    Boolean(bool),
    /// An array of a file.
    List(Vec<Raw>),
    /// Something that no setting accepts, by its name.
    Other(&'static str),
    /// The text of a variable, which can be any of these.
    Variable(String),
}

impl From<&DeValue<'_>> for Raw {
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Boolean(boolean) => Self::Boolean(*boolean),
            DeValue::Array(list) => Self::List(list.iter().map(|item| item.get_ref().into()).collect()),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map_or(Self::Other("an integer that is too large"), Self::Integer),
            DeValue::Float(_) => Self::Other("a float"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Variable(text) => write!(f, "{text:?}"),
            Self::Integer(integer) => write!(f, "the integer {integer}"),
            Self::Boolean(boolean) => write!(f, "{boolean}"),
            Self::List(list) => {
                let list: Vec<String> = list.iter().map(Self::to_string).collect();
                write!(f, "[{}]", list.join(", "))
            }
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// A kind of value.
pub(super) trait Setting: Sized {
    /// What it accepts, in words.
    const ACCEPTS: &'static str;

    /// The value that the text stands for.
    fn from_text(text: &str) -> Option<Self>;

    /// The value, where it is what this kind accepts. Kinds that are strings in a file need not say more.
    fn from_raw(raw: &Raw) -> Option<Self> {
        match raw {
            Raw::Text(text) | Raw::Variable(text) => Self::from_text(text),
            _ => None,
        }
    }
}

/// A kind of value that has an order, so that it can be held within bounds.
pub(super) trait Bounded: Setting + PartialOrd {
    /// The value as it is written.
    fn written(&self) -> String;
}

impl Setting for bool {
    const ACCEPTS: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_raw(raw: &Raw) -> Option<Self> {
        match raw {
            Raw::Boolean(boolean) => Some(*boolean),
            Raw::Variable(text) => Self::from_text(text),
            _ => None,
        }
    }
}

impl Setting for usize {
    const ACCEPTS: &'static str = "a whole number";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_raw(raw: &Raw) -> Option<Self> {
        match raw {
            Raw::Integer(integer) => Self::try_from(*integer).ok(),
            Raw::Variable(text) => Self::from_text(text),
            _ => None,
        }
    }
}

impl Bounded for usize {
    fn written(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    const ACCEPTS: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Setting for PathBuf {
    const ACCEPTS: &'static str = "a path, written out: nobody makes a home directory of ~ here";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains('\0') && !text.starts_with('~')).then(|| Self::from(text))
    }
}

/// A path of a command line: one that a shell has left a `~` in, as in `--config=~/mcr.toml`, is nobody's.
///
/// # Errors
/// A sentence that says what to write.
pub fn path_argument(text: &str) -> Result<PathBuf, String> {
    PathBuf::from_text(text).ok_or_else(|| match text.strip_prefix('~') {
        Some(_) => {
            "shells replace ~ at the beginning of a word only: write a blank before it, or $HOME in its place"
                .to_owned()
        }
        None => "a path is not empty".to_owned(),
    })
}

impl Setting for SocketAddr {
    const ACCEPTS: &'static str = r#"an IP address with a port, such as "0.0.0.0:443" or "[::]:443""#;

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Setting for IpNet {
    const ACCEPTS: &'static str = r#"an IP address or a network such as "10.0.0.0/8""#;

    fn from_text(text: &str) -> Option<Self> {
        text.parse().or_else(|_| text.parse::<IpAddr>().map(Self::from)).ok()
    }
}

/// What a list of this kind accepts, in words.
pub(super) trait Listed: Setting {
    const LIST_ACCEPTS: &'static str;
}

impl Listed for IpNet {
    const LIST_ACCEPTS: &'static str =
        r#"a list of IP addresses and networks, such as ["127.0.0.1", "10.0.0.0/8"]"#;
}

impl Listed for String {
    const LIST_ACCEPTS: &'static str = r#"a list of texts, such as ["one", "two"]"#;
}

impl<T: Listed> Setting for Vec<T> {
    const ACCEPTS: &'static str = T::LIST_ACCEPTS;

    /// In a variable: separated by commas, or as in a file.
    fn from_text(text: &str) -> Option<Self> {
        if text.trim_start().starts_with('[') {
            return Self::from_raw(&Raw::from(DeValue::parse(text).ok()?.get_ref()));
        }
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(T::from_text).collect()
    }

    fn from_raw(raw: &Raw) -> Option<Self> {
        match raw {
            Raw::List(list) => list.iter().map(T::from_raw).collect(),
            Raw::Variable(text) => Self::from_text(text),
            _ => None,
        }
    }
}

impl Setting for Duration {
    const ACCEPTS: &'static str = r#"a duration such as "30s", "5m" or "24h""#;

    fn from_text(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok()
    }
}

impl Bounded for Duration {
    fn written(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

/// A number of bytes, written `"4MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// From bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Setting for Size {
    const ACCEPTS: &'static str = r#"a size such as "64KiB", "4MiB" or "1GiB""#;

    fn from_text(text: &str) -> Option<Self> {
        text.parse::<ByteSize>().ok().map(|size| Self(size.as_u64()))
    }
}

impl Bounded for Size {
    fn written(&self) -> String {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
        let whole = units.into_iter().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes));
        whole.map_or_else(|| self.0.to_string(), |(unit, bytes)| format!("{}{unit}", self.0 / bytes))
    }
}

/// The URL that clients reach the registry by: scheme, host and port, and no slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PublicUrl {
    /// That of a server of ours at an address, by a scheme.
    pub fn of_server(is_secure: bool, host: &str) -> Self {
        Self(format!("{}://{host}", if is_secure { "https" } else { "http" }))
    }

    /// Its host, and its port where it names one.
    pub fn authority(&self) -> &str {
        self.0.split_once("://").map_or(&self.0, |(_, authority)| authority)
    }

    /// Whether what is sent there can be read on the way: by plain HTTP, and to another machine.
    pub fn is_open(&self) -> bool {
        let host = self.authority().rsplit_once(':').map_or(self.authority(), |(host, _)| host);
        let here = host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.0.starts_with("http://") && !here
    }
}

impl Setting for PublicUrl {
    const ACCEPTS: &'static str = r#"a URL without a path, such as "https://registry.example.com""#;

    fn from_text(text: &str) -> Option<Self> {
        let url: Uri = text.parse().ok()?;
        let authority = url.authority().filter(|authority| !authority.host().is_empty())?;
        let plain = matches!(url.scheme_str(), Some("http" | "https"))
            && matches!(url.path(), "" | "/")
            && !text.contains(['?', '#', '@']);
        plain.then(|| Self(format!("{}://{authority}", url.scheme_str().unwrap_or_default())))
    }
}

/// The URL of a service that is told secrets: HTTPS, and no slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for ServiceUrl {
    const ACCEPTS: &'static str = r#"a URL with https, such as "https://mcias.example.com""#;

    fn from_text(text: &str) -> Option<Self> {
        let url: Uri = text.parse().ok()?;
        let host = url.authority().is_some_and(|authority| !authority.host().is_empty());
        let plain = host && url.scheme_str() == Some("https") && !text.contains(['?', '#', '@']);
        plain.then(|| Self(text.trim_end_matches('/').to_owned()))
    }
}

impl Setting for LevelFilter {
    const ACCEPTS: &'static str = r#""off", "error", "warn", "info", "debug" or "trace""#;

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

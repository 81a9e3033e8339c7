//! Where settings come from: a file, the environment, a command line. It knows sections by name, and no keys.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcr_actors::mend::{self, Use};
use toml::de::DeTable;

use super::orchestrator::is_of_a_service;
use super::problem::{Origin, Problem};
use super::setting::Raw;

/// The sections, by name.
pub(super) const SECTIONS: [&str; 10] =
    ["server", "database", "storage", "auth", "mcias", "registry", "gc", "audit", "log", "web"];

/// A value and where it was given.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// Values by section and key; a later source wins over an earlier one.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) given: BTreeMap<(String, String), Given>,
    pub(super) problems: Vec<Problem>,
    /// Whether a file could not be understood, so that what seems to be missing may be in it.
    pub(super) broken: bool,
    /// Variables of an orchestrator's services, which are none of ours.
    pub(super) passed_over: Vec<String>,
}

impl Sources {
    pub(super) fn set(&mut self, section: &str, key: &str, raw: Raw, origin: Origin) {
        self.given.insert((section.to_owned(), key.to_owned()), Given { raw, origin });
    }

    pub(super) fn get(&self, section: &str, key: &str) -> Option<&Given> {
        self.given.get(&(section.to_owned(), key.to_owned()))
    }

    /// Adds what a file says.
    pub(super) fn file(&mut self, path: &Path) {
        let text = match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => return self.unreadable(path, "it is not UTF-8 text"),
            Err(error) => {
                let why = format!("{error}{}", mend::of_file(path, Use::Read, &error));
                return self.unreadable(path, &why);
            }
        };
        let path: Arc<Path> = path.into();
        let at = |offset: usize| Origin::File(Arc::clone(&path), line(&text, offset));
        let (document, errors) = DeTable::parse_recoverable(&text);
        for error in errors {
            let origin = at(error.span().map_or(0, |span| span.start));
            self.problems.push(Problem::new(Some(origin), format!("not TOML: {}", error.message())));
            self.broken = true;
        }
        for (name, content) in document.get_ref() {
            let origin = at(name.span().start);
            let name: &str = name.get_ref();
            match content.get_ref().as_table() {
                Some(keys) if SECTIONS.contains(&name) => {
                    for (key, value) in keys {
                        self.set(name, key.get_ref(), Raw::from(value.get_ref()), at(value.span().start));
                    }
                }
                None if SECTIONS.contains(&name) => {
                    self.problems
                        .push(Problem::new(Some(origin), format!("{name}: is a section: write [{name}]")));
                }
                table => {
                    let what = if table.is_some() { "section" } else { "key outside of all sections" };
                    let message = format!("{name}: unknown {what}; the sections are {}", SECTIONS.join(", "));
                    self.problems.push(Problem::new(Some(origin), message));
                }
            }
        }
    }

    fn unreadable(&mut self, path: &Path, why: &str) {
        let message = format!("{}: the configuration cannot be read: {why}", path.display());
        self.problems.push(Problem::new(None, message));
        self.broken = true;
    }

    /// Adds what variables `MCR_<SECTION>_<KEY>` say; an empty one says nothing.
    ///
    /// Variables of other names are not ours: an orchestrator sets `MCR_PORT` and the like for a service named `mcr`, and
    /// for one named `mcr-server` what [`is_of_a_service`] knows.
    pub(super) fn environment(&mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) {
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some((section, key)) = section_and_key(name) else { continue };
            let origin = Origin::Variable(name.to_owned());
            match value.into_string() {
                Ok(value) if value.is_empty() => {}
                // What another container has in its variables need not be text.
                value if is_of_a_service(name, value.as_deref().unwrap_or_default()) => {
                    self.passed_over.push(name.to_owned());
                }
                Ok(value) => self.set(section, &key, Raw::Variable(value), origin),
                Err(_) => {
                    self.problems.push(Problem::new(Some(origin), "its value is not UTF-8 text".to_owned()))
                }
            }
        }
    }
}

fn section_and_key(variable: &str) -> Option<(&'static str, String)> {
    let rest = variable.strip_prefix("MCR_")?.to_ascii_lowercase();
    SECTIONS.iter().find_map(|section| {
        let key = rest.strip_prefix(section)?.strip_prefix('_')?;
        Some((*section, key.to_owned()))
    })
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// What `mcrsrv dev` starts from in place of a file.
#[derive(Debug, Clone)]
pub struct Dev {
    /// The directory of everything.
    pub data: PathBuf,
    /// The address given on the command line.
    pub listen: Option<std::net::SocketAddr>,
    /// Whether plain HTTP was asked for on the command line.
    pub http: bool,
}

impl Dev {
    /// Where the certificates are.
    pub fn tls_directory(&self) -> PathBuf {
        self.data.join("tls")
    }

    /// Adds the defaults of `mcrsrv dev`, the environment, and what the command line says.
    pub(super) fn sources(&self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Sources {
        let mut sources = Sources::default();
        let mut set = |section, key, value: &Path| {
            // A path that is not UTF-8 cannot be written in a file either.
            sources.set(section, key, Raw::Text(value.to_string_lossy().into_owned()), Origin::Dev);
        };
        set("server", "listen_addr", Path::new("127.0.0.1:5000"));
        set("database", "path", &self.data.join("mcr.db"));
        set("storage", "layers_path", &self.data.join("layers"));
        set("storage", "uploads_path", &self.data.join("uploads"));
        set("storage", "snapshots_path", &self.data.join("snapshots"));
        set("auth", "provider", Path::new("local"));
        sources.environment(variables);
        if let Some(address) = self.listen {
            sources.set("server", "listen_addr", Raw::Text(address.to_string()), Origin::Flag("--listen"));
        }
        if self.http {
            sources.set("server", "insecure_http", Raw::Boolean(true), Origin::Flag("--http"));
        }
        let secure = sources.get("server", "insecure_http").is_none_or(|given| {
            !matches!(&given.raw, Raw::Boolean(true)) && given.raw != Raw::Variable("true".into())
        });
        for (key, file) in [("tls_cert", "server.crt"), ("tls_key", "server.key")] {
            if secure && sources.get("server", key).is_none() {
                let path = self.tls_directory().join(file).to_string_lossy().into_owned();
                sources.set("server", key, Raw::Text(path), Origin::Dev);
            }
        }
        sources
    }
}

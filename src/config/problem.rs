//! What is wrong with a configuration, and where it was given.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// In a file, at a line; the first is 1.
    File(Arc<Path>, usize),
    /// By a variable.
    Variable(String),
    /// On the command line.
    Flag(&'static str),
    /// Nobody gave it: `mcrsrv dev` sets it.
    Dev,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Dev => f.write_str("mcrsrv dev"),
        }
    }
}

/// Something wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) origin: Option<Origin>,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(origin: Option<Origin>, message: String) -> Self {
        Self { origin, message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Everything that is wrong with the configuration, a line for each.
#[derive(Debug)]
pub struct ConfigError {
    pub(super) problems: Vec<Problem>,
}

impl ConfigError {
    /// Something about a key that only shows when what it names is used.
    pub fn new(key: &str, what: impl fmt::Display) -> Self {
        Self { problems: vec![Problem::new(None, format!("{key}: {what}"))] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is invalid")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

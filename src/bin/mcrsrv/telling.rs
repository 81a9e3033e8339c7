//! What the program tells whoever started it: text, why it failed, and exit codes.

use std::fmt;
use std::io::Write;

use mcr::config::ConfigError;
use mcr::said_once::said_once;

/// What the exit codes mean, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 it failed, 2 the command line was wrong, 64 the configuration is invalid.
Every key of the configuration can be set by a variable MCR_<SECTION>_<KEY>, which wins.";

/// Why the program ends before it is done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line was wrong.
    Usage(String),
    /// The configuration is invalid.
    Config(ConfigError),
    /// It failed.
    Failed(anyhow::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Config(_) => 64,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Config(error) => error.fmt(f),
            Self::Failed(error) => f.write_str(&said_once(error)),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        // Some of what is wrong with the configuration shows only when it is put to use.
        error.downcast().map_or_else(Self::Failed, Self::Config)
    }
}

/// Prints for whoever started the program, at once. That nobody reads it is no failure.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

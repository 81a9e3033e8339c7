//! The registry: its command line, and what it tells whoever started it when something fails.

mod dev;
mod init;
mod open_files;
mod restore;
mod server;
mod setup;
mod snapshot;
mod verify;
mod whose;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mcr::config::ConfigError;

/// A container registry for people who run their own.
#[derive(Debug, Parser)]
#[command(name = "mcrsrv", version, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 it failed, 2 the command line was wrong, 64 the configuration is invalid.
Every key of the configuration can be set by a variable MCR_<SECTION>_<KEY>, which wins.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a whole registry on this machine with nothing prepared
    #[command(after_help = EXIT_CODES)]
    Dev(dev::Arguments),
    /// Prepare what a server needs: directories, database, first administrator
    #[command(after_help = EXIT_CODES)]
    Init(init::Arguments),
    /// Run the registry
    #[command(after_help = EXIT_CODES)]
    Server(server::Arguments),
    /// Take a snapshot of a registry that does not run
    #[command(after_help = EXIT_CODES)]
    Snapshot(snapshot::Arguments),
    /// Restore a snapshot where there is neither database nor blobs
    #[command(after_help = EXIT_CODES)]
    Restore(restore::Arguments),
    /// Read everything that is kept, and say what is wrong with it
    #[command(after_help = EXIT_CODES)]
    Verify(verify::Arguments),
}

/// Why the program ends before it is done.
#[derive(Debug)]
enum Failure {
    /// The command line was wrong.
    Usage(String),
    /// The configuration is invalid.
    Config(ConfigError),
    /// It failed.
    Failed(anyhow::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
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
            Self::Failed(error) => f.write_str(&once(error)),
        }
    }
}

/// An error and its causes, each said once: many errors say their cause themselves, and libraries repeat it in other words.
fn once(error: &anyhow::Error) -> String {
    let (mut said, mut last) = (String::new(), String::new());
    for cause in error.chain().map(ToString::to_string) {
        // A cause that is the one before it and a number more says nothing new either.
        let is_said = said.contains(&cause) || (!last.is_empty() && cause.contains(&last));
        if !is_said {
            let colon = if said.is_empty() { "" } else { ": " };
            said = format!("{said}{colon}{cause}");
        }
        last = cause;
    }
    said
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

fn main() -> ExitCode {
    let done = match CommandLine::parse().verb {
        Verb::Dev(arguments) => dev::run(&arguments),
        Verb::Init(arguments) => init::run(&arguments),
        Verb::Server(arguments) => server::run(&arguments),
        Verb::Snapshot(arguments) => snapshot::run(&arguments),
        Verb::Restore(arguments) => restore::run(&arguments),
        Verb::Verify(arguments) => verify::run(&arguments),
    };
    log::logger().flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to do when nobody reads standard error.
            let _ = writeln!(std::io::stderr(), "mcrsrv: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Prints for whoever started the program, at once. That nobody reads it is no failure.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_is_said_once() {
        let disk = anyhow!("Error code 4874: disk I/O error");
        let error = disk.context("disk I/O error").context("the database failed: disk I/O error");
        assert_eq!(
            once(&error.context("the registry cannot start")),
            "the registry cannot start: the database failed: disk I/O error"
        );
        let code =
            anyhow!("Error code 14: unable to open database file").context("unable to open database file");
        assert_eq!(
            once(&code.context("no snapshot was taken")),
            "no snapshot was taken: unable to open database file"
        );
        let io = anyhow!("No space left on device (os error 28)").context("cannot write /a");
        assert_eq!(once(&io), "cannot write /a: No space left on device (os error 28)");
    }
}

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
            Self::Failed(error) => write!(f, "{error:#}"),
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

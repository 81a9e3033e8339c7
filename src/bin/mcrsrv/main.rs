//! The registry: its command line.

mod admin;
mod dev;
mod init;
mod open_files;
mod restore;
mod server;
mod setup;
mod snapshot;
mod telling;
mod verify;
mod whose;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

use self::telling::EXIT_CODES;

/// A container registry for people who run their own.
#[derive(Debug, Parser)]
#[command(name = "mcrsrv", version, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

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
    /// Accounts, for whoever has the registry's machine
    #[command(subcommand, after_help = EXIT_CODES)]
    Admin(admin::Admin),
}

/// Gives large pieces back to the system soon after they are freed. The C library's keeps what bodies took, in each thread's arena,
/// from the first large one on: see `docs/limits.md`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let done = match CommandLine::parse().verb {
        Verb::Dev(arguments) => dev::run(&arguments),
        Verb::Init(arguments) => init::run(&arguments),
        Verb::Server(arguments) => server::run(&arguments),
        Verb::Snapshot(arguments) => snapshot::run(&arguments),
        Verb::Restore(arguments) => restore::run(&arguments),
        Verb::Verify(arguments) => verify::run(&arguments),
        Verb::Admin(verb) => verb.run(),
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

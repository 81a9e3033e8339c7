//! `mcrctl`: what administrators do, from a terminal or a script, over the admin API.
//!
//! One file for each noun. It keeps nothing but what `login` writes, and prints nothing but through `print`.

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "strangers choose names: `print` is the one door"
)]

mod address;
mod audit;
mod client;
mod deletions;
mod gc;
mod manifests;
mod oneself;
mod output;
mod policy;
mod print;
mod repositories;
mod session;
mod settings;
mod snapshots;
mod uploads;
mod users;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use mcr::said_once::said_once;

use crate::client::Client;
use crate::output::Output;
use crate::settings::{Connection, Settings};

/// Administers a registry over its admin API.
#[derive(Debug, Parser)]
#[command(name = "mcrctl", version, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// Print the API's JSON, for scripts
    #[arg(long, global = true, help_heading = settings::HEADING)]
    json: bool,
    /// Do not ask before deleting
    #[arg(long, short, global = true, help_heading = settings::HEADING)]
    yes: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  mcrctl login --server https://registry.example.com -u admin
  mcrctl user create ci --system --role builder
  mcrctl token create deploy --user ci --role builder --expires-in 720h
  mcrctl policy create --effect allow --priority 10 --role builder --action registry:push --repository 'ci/**'
  mcrctl gc run --dry-run --wait
  mcrctl snapshot create --name before-upgrade --wait
  mcrctl audit list --event access_denied
  mcrctl repo list --json

Exit codes: 0 done, 1 it failed, 2 the command line was wrong, 141 whoever reads has stopped.
A list is printed page by page. When one does not come, the code is 1, and JSON ends without its last bracket.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Log in and remember the token
    Login(session::Login),
    /// Give the remembered token back
    Logout,
    /// Exchange the token of a login for a new one, up to 12 hours after it; a token that was not remembered is printed
    Renew,
    /// Change your own password
    Passwd(oneself::Passwd),
    /// Show how the registry is
    Status,
    /// Repositories
    #[command(subcommand)]
    Repo(repositories::Repo),
    /// Tags
    #[command(subcommand)]
    Tag(repositories::Tag),
    /// Manifests, those without a tag too
    #[command(subcommand)]
    Manifest(manifests::Manifest),
    /// Rules: who may do what
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Accounts of the embedded provider
    #[command(subcommand)]
    User(users::User),
    /// Robot tokens of the embedded provider
    #[command(subcommand)]
    Token(users::Token),
    /// Uploads in progress
    #[command(subcommand)]
    Upload(uploads::Upload),
    /// The collector of what nothing refers to
    #[command(subcommand)]
    Gc(gc::Gc),
    /// Consistent copies of the registry, taken while it serves
    #[command(subcommand)]
    Snapshot(snapshots::Snapshot),
    /// What happened
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return print::usage(&error),
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::complain(&said_once(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { connection, json, yes, command } = arguments;
    if let Command::Completions { shell } = command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "mcrctl", &mut script);
        print::own(&script);
        return Ok(());
    }
    let settings = Settings::find(connection)?;
    let output = Output::new(json, yes);
    if let Command::Login(login) = command {
        return login.run(settings.without_token(), &output);
    }
    settings.usable()?;
    let client = Client::new(&settings)?;
    match command {
        Command::Login(_) | Command::Completions { .. } => Ok(()),
        Command::Logout => session::logout(&client, &settings, &output),
        Command::Renew => oneself::renew(&client, &settings, &output),
        Command::Passwd(verb) => verb.run(&client, &output),
        Command::Status => session::status(&client, &output),
        Command::Repo(verb) => verb.run(&client, &output),
        Command::Tag(verb) => verb.run(&client, &output),
        Command::Manifest(verb) => verb.run(&client, &output),
        Command::Policy(verb) => verb.run(&client, &output),
        Command::User(verb) => verb.run(&client, &output),
        Command::Token(verb) => verb.run(&client, &output),
        Command::Upload(verb) => verb.run(&client, &output),
        Command::Gc(verb) => verb.run(&client, &output),
        Command::Snapshot(verb) => verb.run(&client, &output),
        Command::Audit(verb) => verb.run(&client, &output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// `UPDATE_SNAPSHOTS=1` writes it anew.
    #[test]
    fn the_committed_help_is_the_programs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mcrctl.md");
        let help = output::help_as_markdown(&mut Arguments::command());
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, &help).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap_or_default(),
            help,
            "docs/mcrctl.md is not what --help says"
        );
    }
}

//! `mcrsrv admin`: what whoever has the registry's machine may do to its accounts, also beside a server that runs.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use mcr::config::Config;
use mcr::data_lock::{DataLock, LockError};
use mcr_actors::auth_cache::Secret;
use mcr_actors::auth_cache::local::reset::{Reset, end_logins, reset_password};
use mcr_actors::auth_cache::password::NewPassword;
use mcr_actors::clock::Clock;

use crate::setup;
use crate::telling::{EXIT_CODES, Failure, say};
use crate::whose::{self, Whose};

/// By when a server that runs has seen that somebody else has written to its database.
const SEEN: Duration = Duration::from_secs(3);

/// The verbs of `mcrsrv admin`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Admin {
    /// Give an account a new password, whether a server runs or not
    #[command(after_help = EXIT_CODES)]
    ResetPassword(Arguments),
}

/// The command line of `mcrsrv admin reset-password`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    whose: Whose,
    /// The name of the account
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Take the password from standard input; without this a person at a terminal is asked, and else one is made up
    #[arg(long)]
    password_stdin: bool,
    /// Switch the account on, if it is off
    #[arg(long)]
    enable: bool,
    /// Give it the role admin, if it has not
    #[arg(long)]
    make_admin: bool,
    /// End the tokens of its robots, too; those of its logins always end
    #[arg(long)]
    end_tokens: bool,
}

impl Admin {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::ResetPassword(arguments) => reset(arguments),
        }
    }
}

fn reset(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.whose.config()?;
    if config.mcias.is_some() {
        let message = "accounts are those of MCIAS: passwords are changed there";
        return Err(Failure::Usage(message.to_owned()));
    }
    setup::log(&config)?;
    whose::must_have_database(&config)?;
    let given = password(arguments)?;
    let password = given.clone().map_or_else(setup::new_password, Ok)?;
    let password = NewPassword::try_from(password).map_err(|error| Failure::Usage(error.to_string()))?;
    let lock = lock_unless_served(&config)?;
    let Arguments { user, enable, make_admin, end_tokens, .. } = arguments;
    let (name, enable, make_admin, end_tokens) = (user.clone(), *enable, *make_admin, *end_tokens);
    let (database, clock) = (&config.database.path, Clock::system());
    let what = Reset { name, password: password.clone(), enable, make_admin, end_tokens };
    let changed = reset_password(database, what, clock.now()).context("nothing was changed")?;
    if lock.is_none() {
        std::thread::sleep(SEEN);
        let late = end_logins(database, &changed, clock.now());
        late.context("the password was changed, but a token of the old one may go on: repeat this")?;
    }
    say(&format!("the account {user} has a new password, and {} of its tokens ended", changed.ended));
    if changed.live.total > 0 {
        say(&format!("{} tokens of its robots go on: --end-tokens ends them", changed.live.total));
    }
    if changed.user.disabled {
        say("it is switched off, so nobody can log in with it: --enable switches it on");
    }
    if given.is_none() {
        say(&format!("the password, shown this once: {}", password.secret().expose()));
    }
    Ok(())
}

/// The password that somebody gives; none where one is to be made up.
fn password(arguments: &Arguments) -> anyhow::Result<Option<Secret>> {
    if arguments.password_stdin {
        return setup::read_password(std::io::stdin()).map(Some);
    }
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let ask = format!("new password of {} (nothing: one is made up): ", arguments.user.escape_debug());
    let password = rpassword::prompt_password(ask).context("the password cannot be read")?;
    Ok(Some(password).filter(|password| !password.is_empty()).map(Secret::new))
}

/// Takes the data for this process, unless it is a server's: the two write one transaction after the other. No other program
/// is worked beside.
fn lock_unless_served(config: &Config) -> anyhow::Result<Option<DataLock>> {
    match setup::lock(config, "mcrsrv admin reset-password") {
        Ok(lock) => Ok(Some(lock)),
        Err(error) => match error.downcast_ref() {
            Some(LockError::Held { holder, .. })
                if ["mcrsrv server,", "mcrsrv dev,"].iter().any(|server| holder.starts_with(server)) =>
            {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

//! `mcrsrv init`: prepares what a server needs, as often as it is called.

use std::path::PathBuf;

use mcr::config::Config;
use mcr_actors::auth_cache::Secret;
use mcr_actors::auth_cache::local::{EnsureError, Ensured};
use mcr_actors::auth_cache::password::NewPassword;
use mcr_actors::domain::AccountName;

use crate::setup;
use crate::telling::{Failure, say};

/// The command line of `mcrsrv init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE", value_parser = mcr::config::path_argument)]
    config: PathBuf,
    /// The name of the first administrator, where accounts are kept in the registry [default: admin]
    #[arg(long, value_name = "NAME", value_parser = user_name)]
    admin: Option<String>,
    /// Take the administrator's password from standard input instead of making one up
    #[arg(long)]
    password_stdin: bool,
}

/// A name that an account has or may once have been given. What a new one may be called, [`AccountName`] says.
fn user_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= 255 && !text.contains(|c: char| c == ':' || c.is_control());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 255 bytes and neither colon nor control".to_owned())
    }
}

/// Makes directories, database and administrator, where they are not there yet. With MCIAS, accounts are not ours to
/// make.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config, std::env::vars_os())?;
    let is_local = config.mcias.is_none();
    if !is_local && (arguments.admin.is_some() || arguments.password_stdin) {
        let message = "with MCIAS no administrator is made: leave out --admin and --password-stdin";
        return Err(Failure::Usage(message.to_owned()));
    }
    setup::log(&config)?;
    setup::certificate(&config)?;
    let given = if arguments.password_stdin { Some(setup::read_password(std::io::stdin())?) } else { None };
    let name = arguments.admin.as_deref().unwrap_or("admin");
    if is_local && !setup::is_there(&config.database.path)? {
        may_be_made(name, given.as_ref())?;
    }
    let _lock = setup::lock(&config, "mcrsrv init")?;
    let made = actix_rt::System::new().block_on(async {
        let registry = setup::registry(&config).await?;
        let password = given.clone().map_or_else(setup::new_password, Ok)?;
        let ensured = if is_local { Some(registry.ensure_admin(name, &password).await) } else { None };
        registry.stop().await;
        anyhow::Ok((ensured, password))
    });
    let (ensured, password) = made?;
    let ensured = ensured.transpose().map_err(refused)?;
    say(&format!("the database {} is ready", config.database.path.display()));
    say(&match (ensured, given) {
        (None, _) => "no administrator was made: accounts are those of MCIAS, where the role admin makes one"
            .to_owned(),
        (Some(Ensured::AlreadyThere), _) => {
            format!(
                "the account {name} was there before; its password is unchanged (mcrsrv admin reset-password gives it \
                 a new one)"
            )
        }
        (Some(Ensured::Created), Some(_)) => {
            format!("the administrator {name} was made with the password given")
        }
        (Some(Ensured::Created), None) => {
            format!("the administrator {name} was made; the password, shown this once: {}", password.expose())
        }
    });
    Ok(())
}

/// Refuses what no account is given, before anything is made.
fn may_be_made(name: &str, password: Option<&Secret>) -> Result<(), Failure> {
    name.parse::<AccountName>().map_err(|error| Failure::Usage(error.to_string()))?;
    let rule = password.cloned().map(NewPassword::try_from).transpose();
    rule.map(|_| ()).map_err(|error| Failure::Usage(error.to_string()))
}

fn refused(error: EnsureError) -> Failure {
    match error {
        EnsureError::Name(_) | EnsureError::Rule(_) => Failure::Usage(error.to_string()),
        _ => anyhow::Error::new(error).context("cannot make the administrator").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_into_credentials() {
        assert_eq!(user_name("ada").as_deref(), Ok("ada"));
        for name in ["", "a:b", "a\nb"] {
            assert!(user_name(name).is_err(), "{name:?}");
        }
    }
}

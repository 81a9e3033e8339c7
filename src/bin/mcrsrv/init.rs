//! `mcrsrv init`: prepares what a server needs, as often as it is called.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, bail};
use mcr::config::Config;
use mcr_actors::auth_cache::Secret;
use mcr_actors::auth_cache::local::Ensured;

use crate::{Failure, say, setup};

/// The longest password that is read, in bytes.
const LONGEST_PASSWORD: u64 = 1024;

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

/// A name that can stand before the colon of Basic credentials and on one line of a log.
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
    let given = if arguments.password_stdin { Some(read_password(std::io::stdin())?) } else { None };
    let _lock = setup::lock(&config, "mcrsrv init")?;
    let name = arguments.admin.as_deref().unwrap_or("admin");
    let made = actix_rt::System::new().block_on(async {
        let registry = setup::registry(&config).await?;
        let password = given.clone().map_or_else(setup::new_password, Ok)?;
        let ensured = if is_local {
            let ensured = registry.ensure_admin(name, &password).await;
            Some(ensured.context("cannot make the administrator")?)
        } else {
            None
        };
        registry.stop().await;
        anyhow::Ok((ensured, password))
    });
    let (ensured, password) = made?;
    say(&format!("the database {} is ready", config.database.path.display()));
    say(&match (ensured, given) {
        (None, _) => "no administrator was made: accounts are those of MCIAS, where the role admin makes one"
            .to_owned(),
        (Some(Ensured::AlreadyThere), _) => {
            format!("the account {name} was there before; its password is unchanged")
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

/// The first line of the input.
fn read_password(input: impl Read) -> anyhow::Result<Secret> {
    let mut text = String::new();
    input.take(LONGEST_PASSWORD + 1).read_to_string(&mut text).context("cannot read the password")?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() || text.len() as u64 > LONGEST_PASSWORD {
        bail!("the password on standard input must have 1 to {LONGEST_PASSWORD} bytes");
    }
    Ok(Secret::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line() {
        assert_eq!(read_password("secret word\r\n".as_bytes()).unwrap().expose(), "secret word");
        assert!(read_password("\n".as_bytes()).is_err());
        assert!(read_password([b'x'; 1025].as_slice()).is_err());
    }

    #[test]
    fn a_name_fits_into_credentials() {
        assert_eq!(user_name("ada").as_deref(), Ok("ada"));
        for name in ["", "a:b", "a\nb"] {
            assert!(user_name(name).is_err(), "{name:?}");
        }
    }
}

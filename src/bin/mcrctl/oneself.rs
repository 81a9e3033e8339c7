//! `passwd` and `renew`: what is one's own.

use std::io::{IsTerminal, Read};

use anyhow::{Context, bail};
use mcr::model::PasswordChange;
use serde_json::json;
use ureq::http::Method;

use crate::client::Client;
use crate::output::Output;
use crate::print;
use crate::settings::Settings;
use crate::users::tell_of_tokens;

/// The command line of `mcrctl passwd`.
#[derive(Debug, clap::Args)]
pub(crate) struct Passwd {
    /// Read the old password and the new one from standard input, a line each
    #[arg(long)]
    password_stdin: bool,
    /// End your robot tokens, too; those of your other logins always end
    #[arg(long)]
    end_tokens: bool,
}

fn asked(what: &str) -> anyhow::Result<String> {
    print::ask(&format!("{what}: "));
    Ok(rpassword::read_password()?)
}

impl Passwd {
    /// Changes the password of whoever is logged in.
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        client.try_the_way()?;
        let (old, new) = self.passwords()?;
        let body = json!(PasswordChange { old, new, end_tokens: self.end_tokens });
        let changed = client.call(Method::POST, "/v1/auth/password", Some(&body))?;
        if output.is_json() {
            output.one(&changed, &[]);
        } else {
            output.done("the password is changed");
            tell_of_tokens(&changed, "mcrctl token revoke ID --own ends one of a robot", output);
        }
        Ok(())
    }

    fn passwords(&self) -> anyhow::Result<(String, String)> {
        if self.password_stdin {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            let mut lines = text.lines().map(str::to_owned);
            let (Some(old), Some(new), None) = (lines.next(), lines.next(), lines.next()) else {
                bail!("give the old password and the new one, a line each");
            };
            return Ok((old, new));
        }
        if !std::io::stdin().is_terminal() {
            bail!("give the passwords with --password-stdin");
        }
        let (old, new, again) = (asked("old password")?, asked("new password")?, asked("once more")?);
        if new != again {
            bail!("the two new passwords differ");
        }
        Ok((old, new))
    }
}

/// Renews the token: the one that is remembered is replaced, one that was given is printed. The old one ends a minute later.
pub(crate) fn renew(client: &Client, settings: &Settings, output: &Output) -> anyhow::Result<()> {
    if settings.is_remembered() {
        settings.place()?;
    }
    let answer = client.call(Method::POST, "/v1/auth/renew", None)?;
    let token = answer["token"].as_str().context("the server gave no token")?;
    if settings.is_remembered() {
        settings.remember(Some(token.to_owned()))?;
        output.done(&format!("logged in until {}", answer["expires_at"].as_str().unwrap_or("its end")));
    } else if output.is_json() {
        output.one(&answer, &[]);
    } else {
        print::say(token);
    }
    Ok(())
}

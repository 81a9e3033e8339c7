//! `login`, `logout`, `status`.

use std::io::{IsTerminal, Read};

use anyhow::{Context, bail};
use mcr::model::LoginRequest;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::Client;
use crate::output::Output;
use crate::print::{self, say};
use crate::settings::Settings;

/// The command line of `mcrctl login`.
#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    /// The user name
    #[arg(long, short, default_value = "admin")]
    user: String,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

impl Login {
    /// Logs in and remembers registry, authority and token.
    pub(crate) fn run(&self, settings: Settings, output: &Output) -> anyhow::Result<()> {
        settings.place()?;
        let client = Client::new(&settings)?;
        // Before anybody is asked for a password that cannot be sent.
        client.try_the_way()?;
        let password = self.password()?;
        let body = json!(LoginRequest { username: self.user.clone(), password });
        let answer = client.call(Method::POST, "/v1/auth/login", Some(&body))?;
        let token = answer["token"].as_str().context("the server gave no token")?;
        settings.remember(Some(token.to_owned()))?;
        let until = answer["expires_at"].as_str().unwrap_or("its end");
        output.done(&format!("logged in to {} as {} until {until}", settings.server()?, self.user));
        Ok(())
    }

    fn password(&self) -> anyhow::Result<String> {
        let mut password = String::new();
        if self.password_stdin {
            std::io::stdin().read_to_string(&mut password)?;
        } else if std::io::stdin().is_terminal() {
            print::ask(&format!("password of {}: ", self.user));
            password = rpassword::read_password()?;
        } else {
            bail!("give the password with --password-stdin");
        }
        Ok(password.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// Gives the token back and forgets it.
pub(crate) fn logout(client: &Client, settings: &Settings, output: &Output) -> anyhow::Result<()> {
    if client.has_token() {
        client.call(Method::POST, "/v1/auth/logout", None)?;
    }
    settings.forget()?;
    output.done("logged out");
    Ok(())
}

/// Shows whether the registry is ready, who asks, and what its actors say. Fails when it is not ready.
pub(crate) fn status(client: &Client, output: &Output) -> anyhow::Result<()> {
    let (me, ready, actors) = (client.get("/v1/auth/me")?, client.ready()?, client.get("/v1/actors")?);
    let repositories = client.get("/v1/repositories?n=1")?;
    let uploads = client.get("/v1/uploads?n=1")?;
    let status = json!({
        "principal": me["principal"], "ready": ready["ready"], "checks": ready["checks"], "actors": actors["actors"],
        "repositories": repositories["total"], "uploads": uploads["total"],
    });
    if output.is_json() {
        output.one(&status, &[]);
    } else {
        show(&status, output);
    }
    if ready["ready"] == true { Ok(()) } else { bail!("the registry is not ready: a check says no") }
}

fn show(status: &Value, output: &Output) {
    output.one(status, &[("ready", "ready"), ("repositories", "repositories"), ("uploads", "uploads")]);
    output.one(&status["principal"], &[("logged in as", "name"), ("roles", "roles")]);
    say("");
    output.table(&status["checks"], &[("CHECK", "name"), ("OK", "ok"), ("DETAIL", "detail")]);
    say("");
    output.table(
        &status["actors"],
        &[
            ("ACTOR", "name"),
            ("ALIVE", "alive"),
            ("WAITING", "in_flight"),
            ("ANSWERED", "messages"),
            ("MEAN US", "mean_us"),
        ],
    );
}

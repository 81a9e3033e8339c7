//! `login`, `logout`, `status`.

use std::io::{IsTerminal, Read};

use anyhow::{Context, bail};
use mcr::model::LoginRequest;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::Client;
use crate::output::{Column, Output};
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
    /// A one-time code, where the account wants one
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
}

impl Login {
    /// Logs in and remembers registry, authority and token.
    pub(crate) fn run(&self, settings: Settings, output: &Output) -> anyhow::Result<()> {
        settings.place()?;
        let client = Client::new(&settings)?;
        // Before anybody is asked for a password that cannot be sent.
        client.try_the_way()?;
        let password = self.password()?;
        let body =
            json!(LoginRequest { username: self.user.clone(), password, totp_code: self.code.clone() });
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

/// Shows whether the registry is ready, what it is and has, who asks, and what its actors say. Fails when it is not ready.
pub(crate) fn status(client: &Client, output: &Output) -> anyhow::Result<()> {
    let (me, ready, actors) = (client.get("/v1/auth/me")?, client.ready()?, client.get("/v1/actors")?);
    let system = client.get("/v1/system")?;
    let uploads = client.get("/v1/uploads?n=1")?;
    let status = json!({
        "principal": me["principal"], "ready": ready["ready"], "checks": ready["checks"], "actors": actors["actors"],
        "repositories": system["totals"]["repositories"], "uploads": uploads["total"], "system": system,
    });
    if output.is_json() {
        output.one(&status, &[]);
    } else {
        show(&status, output);
    }
    if ready["ready"] == true { Ok(()) } else { bail!("the registry is not ready: a check says no") }
}

/// What is said in a line each, before the tables.
const LINES: [Column; 18] = [
    ("ready", "ready"),
    ("registry", "name"),
    ("version", "version"),
    ("up since", "started_at"),
    ("public URL", "public_url"),
    ("accounts", "provider"),
    ("logged in as", "user"),
    ("roles", "roles"),
    ("repositories", "repositories"),
    ("tags", "tags"),
    ("manifests", "manifests"),
    ("blobs", "blobs"),
    ("stored", "stored_bytes"),
    ("as pushed", "logical_bytes"),
    ("saved by sharing", "saved_bytes"),
    ("free", "free_bytes"),
    ("uploads", "uploads"),
    ("next sweep", "next_at"),
];

fn show(status: &Value, output: &Output) {
    let (system, principal) = (&status["system"], &status["principal"]);
    let mut line = json!({
        "ready": status["ready"], "user": principal["name"], "roles": principal["roles"], "uploads": status["uploads"],
    });
    for part in [system, &system["totals"], &system["disk"], &system["gc"]] {
        for (field, value) in part.as_object().into_iter().flatten().filter(|(_, value)| !value.is_object()) {
            line[field] = value.clone();
        }
    }
    output.one(&line, &LINES);
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

//! `user` and `token`: accounts and robot tokens of the embedded provider.

use std::io::Read;

use anyhow::Context;
use mcr::model::{AccountTypeModel, NewOwnToken, NewToken, NewUser, TokenRenewal, UserChange};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::output::{Column, Output};
use crate::print;
use crate::repositories::Paging;

const USERS: &[Column] = &[
    ("NAME", "name"),
    ("TYPE", "account_type"),
    ("ROLES", "roles"),
    ("DISABLED", "disabled"),
    ("MADE", "created_at"),
    ("ID", "id"),
];
const LIVE: &[Column] =
    &[("KIND", "kind"), ("ID", "id"), ("NAME", "name"), ("MADE", "created_at"), ("EXPIRES", "expires_at")];
const TOKENS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("USER", "user"),
    ("ROLES", "roles"),
    ("EXPIRES", "expires_at"),
    ("LAST USED", "last_used_at"),
    ("REVOKED", "revoked"),
];

/// The verbs of `mcrctl user`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum User {
    /// List accounts
    List {
        #[command(flatten)]
        paging: Paging,
        /// Only those whose name has this in it
        #[arg(long, default_value = "", hide_default_value = true, value_name = "PART")]
        query: String,
    },
    /// Show an account
    Show {
        /// Its name
        name: String,
    },
    /// Make an account
    Create {
        /// Its name
        name: String,
        /// A robot's or service's account instead of a person's
        #[arg(long)]
        system: bool,
        /// A role (repeatable)
        #[arg(long = "role")]
        roles: Vec<String>,
        /// Read its password from standard input; without one it has robot tokens only
        #[arg(long)]
        password_stdin: bool,
    },
    /// Change an account's roles or password
    Update {
        /// Its name
        name: String,
        /// A role; all that it shall have (repeatable)
        #[arg(long = "role", conflicts_with = "no_roles")]
        roles: Option<Vec<String>>,
        /// Take all roles away
        #[arg(long)]
        no_roles: bool,
        /// Read a new password from standard input; tokens of its logins end with the old one
        #[arg(long)]
        password_stdin: bool,
        /// End all its tokens, those of robots too
        #[arg(long)]
        end_tokens: bool,
    },
    /// Switch an account off, at once
    Disable {
        /// Its name
        name: String,
    },
    /// Switch an account on again
    Enable {
        /// Its name
        name: String,
    },
    /// Delete an account with its tokens
    Delete {
        /// Its name
        name: String,
    },
}

fn password(wanted: bool) -> anyhow::Result<Option<String>> {
    if !wanted {
        return Ok(None);
    }
    let mut password = String::new();
    std::io::stdin().read_to_string(&mut password).context("cannot read the password")?;
    Ok(Some(password.trim_end_matches(['\r', '\n']).to_owned()))
}

fn path(name: &str) -> String {
    format!("/v1/users/{}", segment(name))
}

impl User {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        let patch =
            |name: &str, change: UserChange| client.call(Method::PATCH, &path(name), Some(&json!(change)));
        let switched = |disabled| UserChange { disabled: Some(disabled), ..UserChange::default() };
        match self {
            Self::List { paging, query } => {
                let query = [("q", query.as_str())];
                output.stream(client.pages("/v1/users", &query, paging.limit(), paging.offset), USERS)?;
            }
            Self::Show { name } => output.one(&client.get(&path(name))?, USERS),
            Self::Create { name, system, roles, password_stdin } => {
                let account_type = if *system { AccountTypeModel::System } else { AccountTypeModel::Human };
                let (name, roles, password) = (name.clone(), roles.clone(), password(*password_stdin)?);
                let body = json!(NewUser { name, password, account_type, roles });
                output.one(&client.call(Method::POST, "/v1/users", Some(&body))?, USERS);
            }
            Self::Update { name, roles, no_roles, password_stdin, end_tokens } => {
                let roles = roles.clone().or(no_roles.then(Vec::new));
                let (password, end_tokens) = (password(*password_stdin)?, *end_tokens);
                let change = UserChange { roles, password, end_tokens, ..UserChange::default() };
                let changed = patch(name, change)?;
                output.one(&changed, USERS);
                if *password_stdin && !output.is_json() {
                    let end = format!("mcrctl user update {name} --end-tokens ends them all");
                    tell_of_tokens(&changed, &end, output);
                }
            }
            Self::Disable { name } => output.one(&patch(name, switched(true))?, USERS),
            Self::Enable { name } => output.one(&patch(name, switched(false))?, USERS),
            Self::Delete { name } => {
                output.confirm(&format!("delete the account {name} with its tokens"))?;
                client.call(Method::DELETE, &path(name), None)?;
                output.done(&format!("deleted the account {name}"));
            }
        }
        Ok(())
    }
}

/// Which tokens outlive the old password, and how they are ended.
pub(crate) fn tell_of_tokens(changed: &Value, end: &str, output: &Output) {
    let (ended, live) = (&changed["ended_tokens"], changed["tokens"]["total"].as_u64().unwrap_or_default());
    print::say(&format!("{ended} tokens ended, {live} go on"));
    if live > 0 {
        output.table(&changed["tokens"]["items"], LIVE);
        print::say(end);
    }
}

/// The verbs of `mcrctl token`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Token {
    /// List robot tokens, the newest first
    List {
        /// Your own only, which needs no administrator
        #[arg(long)]
        own: bool,
        /// Only those of this account
        #[arg(long, conflicts_with = "own")]
        user: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Make a robot token; it is shown this once
    Create {
        /// What it is for
        name: String,
        /// Its account; your own when none is given, which needs no administrator
        #[arg(long)]
        user: Option<String>,
        /// A role; the account's own when none is given (repeatable)
        #[arg(long = "role")]
        roles: Option<Vec<String>>,
        /// How long it lives, such as 720h
        #[arg(long)]
        expires_in: Option<String>,
    },
    /// Give a robot token another secret and another end; its id, name and roles stay, and the secret is shown this once
    Renew {
        /// Its id
        id: String,
        /// It is your own, which needs no administrator
        #[arg(long)]
        own: bool,
        /// How long it lives from now on, such as 720h; as long as it was made for when it is not said
        #[arg(long)]
        expires_in: Option<String>,
        /// How long the old secret goes on, such as 1h; it ends at once when it is not said
        #[arg(long)]
        old_ends_in: Option<String>,
    },
    /// Revoke a robot token, at once
    Revoke {
        /// Its id
        id: String,
        /// It is your own, which needs no administrator
        #[arg(long)]
        own: bool,
    },
}

/// Where one's own tokens are, and where all are.
fn tokens(own: bool) -> &'static str {
    if own { "/v1/auth/tokens" } else { "/v1/tokens" }
}

/// A token with its secret, which is shown this once.
fn show_secret(made: &Value, output: &Output) -> anyhow::Result<()> {
    output.one(made, TOKENS);
    if !output.is_json() {
        let token = made["token"].as_str().context("the server gave no token")?;
        print::lines(["", token, "", "Keep it: it is not shown again."]);
    }
    Ok(())
}

impl Token {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::List { own, user, paging } => {
                let query: Vec<(&str, &str)> = user.iter().map(|user| ("user", user.as_str())).collect();
                output.stream(client.pages(tokens(*own), &query, paging.limit(), paging.offset), TOKENS)?;
            }
            Self::Create { name, user, roles, expires_in } => {
                let (name, roles, expires_in) = (name.clone(), roles.clone(), expires_in.clone());
                let own = user.is_none();
                let body = match user.clone() {
                    Some(user) => json!(NewToken { name, user, roles, expires_in }),
                    None => json!(NewOwnToken { name, roles, expires_in }),
                };
                show_secret(&client.call(Method::POST, tokens(own), Some(&body))?, output)?;
            }
            Self::Renew { id, own, expires_in, old_ends_in } => {
                let (expires_in, old_ends_in) = (expires_in.clone(), old_ends_in.clone());
                let path = format!("{}/{}/renew", tokens(*own), segment(id));
                let body = json!(TokenRenewal { expires_in, old_ends_in });
                show_secret(&client.call(Method::POST, &path, Some(&body))?, output)?;
            }
            Self::Revoke { id, own } => {
                output.confirm(&format!("revoke the token {id}"))?;
                client.call(Method::DELETE, &format!("{}/{}", tokens(*own), segment(id)), None)?;
                output.done(&format!("revoked the token {id}"));
            }
        }
        Ok(())
    }
}

//! `policy`: rules, and what they would say.

use std::path::{Path, PathBuf};

use anyhow::Context;
use mcr::model::RuleDraft;
use serde_json::{Map, Value, json};
use ureq::http::Method;

use crate::client::Client;
use crate::output::{Column, Output};
use crate::print::say;
use crate::repositories::Paging;

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("PRIORITY", "priority"),
    ("EFFECT", "effect"),
    ("ENABLED", "enabled"),
    ("ROLES", "roles"),
    ("ACCOUNTS", "account_types"),
    ("ACTIONS", "actions"),
    ("REPOSITORIES", "repositories"),
    ("DESCRIPTION", "description"),
];
const DETAIL: &[Column] = &[
    ("id", "id"),
    ("priority", "priority"),
    ("effect", "effect"),
    ("enabled", "enabled"),
    ("roles", "roles"),
    ("account types", "account_types"),
    ("subject", "subject_uuid"),
    ("actions", "actions"),
    ("repositories", "repositories"),
    ("description", "description"),
    ("built in", "builtin"),
    ("made by", "created_by"),
    ("made", "created_at"),
    ("changed", "updated_at"),
];

/// The fields of a rule; a list that is not given matches anything.
#[derive(Debug, clap::Args)]
pub(crate) struct Fields {
    /// allow or deny
    #[arg(long)]
    effect: Option<String>,
    /// The lowest decides among those that allow; 1 or more
    #[arg(long)]
    priority: Option<i64>,
    /// The principal has this role (repeatable)
    #[arg(long = "role")]
    roles: Option<Vec<String>>,
    /// The principal is human, system or anonymous (repeatable)
    #[arg(long = "account-type")]
    account_types: Option<Vec<String>>,
    /// The principal is this one, by its id
    #[arg(long = "subject")]
    subject_uuid: Option<String>,
    /// The action, such as registry:push (repeatable)
    #[arg(long = "action")]
    actions: Option<Vec<String>>,
    /// A pattern of repositories; ** crosses slashes (repeatable)
    #[arg(long = "repository")]
    repositories: Option<Vec<String>>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// Take the fields from a JSON file; other options win
    #[arg(long, value_name = "FILE", value_parser = mcr::config::path_argument)]
    file: Option<PathBuf>,
}

impl Fields {
    fn json(&self) -> anyhow::Result<Value> {
        let mut fields: Map<String, Value> = match &self.file {
            Some(file) => {
                let text = std::fs::read_to_string(file);
                let text = text.with_context(|| format!("cannot read {}", file.display()))?;
                serde_json::from_str(&text).with_context(|| format!("{} is not a rule", file.display()))?
            }
            None => Map::new(),
        };
        let given = [
            ("effect", json!(self.effect)),
            ("priority", json!(self.priority)),
            ("roles", json!(self.roles)),
            ("account_types", json!(self.account_types)),
            ("subject_uuid", json!(self.subject_uuid)),
            ("actions", json!(self.actions)),
            ("repositories", json!(self.repositories)),
            ("description", json!(self.description)),
        ];
        fields.extend(
            given
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.to_owned(), value)),
        );
        Ok(Value::Object(fields))
    }
}

/// The verbs of `mcrctl policy`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Policy {
    /// List rules in the order in which they decide
    List(Paging),
    /// Show a rule
    Show {
        /// Its number
        #[arg(allow_negative_numbers = true)]
        id: i64,
    },
    /// Make a rule
    Create {
        #[command(flatten)]
        fields: Fields,
        /// Make it without letting it take part yet
        #[arg(long)]
        disabled: bool,
    },
    /// Change the given fields of a rule
    Update {
        /// Its number
        id: i64,
        #[command(flatten)]
        fields: Fields,
    },
    /// Let a rule take part
    Enable {
        /// Its number
        id: i64,
    },
    /// Let a rule not take part
    Disable {
        /// Its number
        id: i64,
    },
    /// Delete a rule
    Delete {
        /// Its number
        id: i64,
    },
    /// Ask what policy would say
    Test(Question),
}

/// A question to policy.
#[derive(Debug, clap::Args)]
pub(crate) struct Question {
    /// The principal is human, system or anonymous
    #[arg(long, default_value = "human")]
    account_type: String,
    /// A role of the principal (repeatable)
    #[arg(long = "role")]
    roles: Vec<String>,
    /// The principal's id
    #[arg(long, default_value = "")]
    subject: String,
    /// What it wants to do, such as registry:pull
    #[arg(long, required_unless_present = "questions")]
    action: Option<String>,
    /// Where
    #[arg(long, default_value = "")]
    repository: String,
    /// Ask the questions of a JSON file instead: a list, each with "principal", "action" and "repository"
    #[arg(long, value_name = "FILE", value_parser = mcr::config::path_argument,
        conflicts_with_all = ["action", "repository", "account_type", "roles", "subject"])]
    questions: Option<PathBuf>,
    /// Compare with the rules of a JSON file: "add" is a list of rules, "change" has fields by number, "remove" is a list of numbers
    #[arg(long, value_name = "FILE", value_parser = mcr::config::path_argument)]
    draft: Option<PathBuf>,
}

/// The JSON of a file.
fn read(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}

/// The columns of answers that are compared.
const COMPARED: &[Column] = &[
    ("QUESTION", "question"),
    ("NOW", "now"),
    ("BY RULE", "rule"),
    ("WITH THE DRAFT", "draft"),
    ("BY RULE", "draft_rule"),
    ("DIFFERS", "differs"),
];

fn path(id: i64) -> String {
    format!("/v1/policy/rules/{id}")
}

impl Policy {
    pub(crate) fn run(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        let patch = |id: i64, body: Value| client.call(Method::PATCH, &path(id), Some(&body));
        let switched = |enabled| json!(RuleDraft { enabled: Some(enabled), ..RuleDraft::default() });
        match self {
            Self::List(paging) => {
                output
                    .stream(client.pages("/v1/policy/rules", &[], paging.limit(), paging.offset), COLUMNS)?;
            }
            Self::Show { id } => output.one(&client.get(&path(*id))?, DETAIL),
            Self::Create { fields, disabled } => {
                let mut body = fields.json()?;
                if *disabled {
                    body["enabled"] = json!(false);
                }
                output.one(&client.call(Method::POST, "/v1/policy/rules", Some(&body))?, DETAIL);
            }
            Self::Update { id, fields } => output.one(&patch(*id, fields.json()?)?, DETAIL),
            Self::Enable { id } => output.one(&patch(*id, switched(true))?, DETAIL),
            Self::Disable { id } => output.one(&patch(*id, switched(false))?, DETAIL),
            Self::Delete { id } => {
                output.confirm(&format!("delete rule {id}"))?;
                client.call(Method::DELETE, &path(*id), None)?;
                output.done(&format!("deleted rule {id}"));
            }
            Self::Test(question) => question.ask(client, output)?,
        }
        Ok(())
    }
}

/// A decision in a word.
fn word(decision: &Value) -> &'static str {
    match decision["allowed"].as_bool() {
        Some(true) => "allowed",
        _ => "denied",
    }
}

/// What each question is answered now and by the draft, and the rules that decide.
fn compared(answer: &Value, output: &Output) {
    let list = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
    let differing = list("differing");
    let row = |(place, of): (usize, &Value)| {
        let drafted = of["draft"].is_object().then(|| word(&of["draft"]));
        let differs = differing.contains(&json!(place)).then_some("yes");
        json!({
            "question": place + 1, "now": word(&of["now"]), "rule": of["now"]["rule"], "draft": drafted,
            "draft_rule": of["draft"]["rule"], "differs": differs,
        })
    };
    output.table(&list("answers").iter().enumerate().map(row).collect(), COMPARED);
    for (title, key) in
        [("rules that decide now:", "rules"), ("rules that decide with the draft:", "draft_rules")]
    {
        if answer[key].is_array() {
            say("");
            say(title);
            output.table(&answer[key], COLUMNS);
        }
    }
}

impl Question {
    fn body(&self) -> anyhow::Result<Value> {
        let mut body = match &self.questions {
            Some(file) => json!({"questions": read(file)?}),
            None => json!({
                "principal": {"subject": self.subject, "account_type": self.account_type, "roles": self.roles},
                "action": self.action,
                "repository": self.repository,
            }),
        };
        if let Some(file) = &self.draft {
            body["draft"] = read(file)?;
        }
        Ok(body)
    }

    fn ask(&self, client: &Client, output: &Output) -> anyhow::Result<()> {
        let answer = client.call(Method::POST, "/v1/policy/test", Some(&self.body()?))?;
        if output.is_json() {
            output.one(&answer, &[]);
            return Ok(());
        }
        if self.questions.is_some() || self.draft.is_some() {
            compared(&answer, output);
            return Ok(());
        }
        let decision = word(&answer);
        match answer["rule"]["id"].as_i64() {
            Some(id) => say(&format!("{decision} by rule {id}; all that match:")),
            None => say(&format!("{decision}: no rule matches")),
        }
        if answer["rule"].is_object() {
            output.table(&answer["matching"], COLUMNS);
        }
        Ok(())
    }
}

//! What is printed: tables for people, the API's JSON for scripts; and the question before a delete.

use std::io::{IsTerminal, Write};

use anyhow::bail;
use mcr::logging::Escaped;
use serde_json::Value;

/// How to print, and whether to ask.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    yes: bool,
}

/// A column: its head, and the field that it shows.
pub(crate) type Column = (&'static str, &'static str);

impl Output {
    pub(crate) fn new(json: bool, yes: bool) -> Self {
        Self { json, yes }
    }

    /// Prints a list as a table, or as it is.
    pub(crate) fn list(&self, list: &Value, columns: &[Column]) {
        if self.json {
            return print(list);
        }
        let empty = Vec::new();
        let items = list["items"].as_array().unwrap_or(&empty);
        let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        table(std::iter::once(heads).chain(rows(items, columns)).collect());
        let total = list["total"].as_u64().unwrap_or_default();
        if (items.len() as u64) < total {
            say(&format!("{} of {total}; --all shows the rest", items.len()));
        }
    }

    /// Prints what came after a list: rows without the table's head, or one thing on each line.
    pub(crate) fn more(&self, items: &[Value], columns: &[Column]) {
        if self.json {
            return items.iter().for_each(|item| say(&item.to_string()));
        }
        table(rows(items, columns).collect());
    }

    /// Prints one thing as lines of field and value, or as it is.
    pub(crate) fn one(&self, thing: &Value, columns: &[Column]) {
        if self.json {
            return print(thing);
        }
        let width = columns.iter().map(|(head, _)| head.len()).max().unwrap_or_default();
        for (head, field) in columns {
            say(&format!("{head:width$}  {}", cell(field, &thing[*field])));
        }
    }

    /// Prints a sentence to people; scripts get JSON.
    pub(crate) fn done(&self, sentence: &str) {
        if self.json {
            print(&serde_json::json!({"done": sentence}));
        } else {
            say(sentence);
        }
    }

    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Asks a person whether it shall really be done; a script must have said so.
    pub(crate) fn confirm(&self, what: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            bail!("{what}? Nobody can be asked here: say --yes");
        }
        eprint!("{what}? [y/N] ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { bail!("nothing was done") }
    }
}

/// A line to standard output; one that cannot be written ends the program in silence, as a closed pipe does.
pub(crate) fn say(line: &str) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(1);
    }
}

fn print(value: &Value) {
    say(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A value as people read it.
fn cell(field: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        // A stranger chooses some of it, such as the name of a failed login.
        Value::String(text) => Escaped(text.clone()).to_string(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(|item| cell("", item)).collect::<Vec<_>>().join(","),
        Value::Number(bytes) if field.ends_with("bytes") || field == "size" => {
            bytesize::ByteSize(bytes.as_u64().unwrap_or_default()).to_string()
        }
        Value::Object(object) if object.is_empty() => "-".to_owned(),
        other => Escaped(other.to_string()).to_string(),
    }
}

fn rows(items: &[Value], columns: &[Column]) -> impl Iterator<Item = Vec<String>> {
    items.iter().map(|item| columns.iter().map(|(_, field)| cell(field, &item[*field])).collect())
}

fn table(rows: Vec<Vec<String>>) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |index: usize| rows.iter().map(|row| row[index].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        say(cells.join("  ").trim_end());
    }
}

/// The help of a command and all below it, for `docs/mcrctl.md`.
#[cfg(test)]
pub(crate) fn help_as_markdown(command: &mut clap::Command) -> String {
    command.build();
    let mut text = String::from("# mcrctl\n\nWhat the program says of itself with `--help`.\n");
    describe(command, &mut text);
    text
}

#[cfg(test)]
fn describe(command: &mut clap::Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    for below in command.get_subcommands_mut().filter(|below| !below.is_hide_set()) {
        describe(below, text);
    }
}

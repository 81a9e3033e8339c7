//! What is shown: tables for people, the API's JSON for scripts; and the question before a delete.

use std::io::IsTerminal;

use anyhow::bail;
use serde_json::{Map, Value};

use crate::client::Page;
use crate::print::{self, ask, say};

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

    /// Prints a list page by page as the pages come, as a table or as JSON; nothing of it is held.
    pub(crate) fn stream(
        &self,
        pages: impl IntoIterator<Item = anyhow::Result<Page>>,
        columns: &[Column],
    ) -> anyhow::Result<()> {
        if self.json {
            return self.stream_below(&Map::new(), "items", pages);
        }
        let mut table = Table::new(columns);
        let (mut shown, mut is_cut, mut total) = (0, false, None);
        for (number, page) in pages.into_iter().enumerate() {
            let page = page?;
            match number {
                0 => table.begin(&page.items),
                _ => table.rows(&page.items),
            }
            shown += page.items.len();
            (is_cut, total) = (page.is_cut, page.total);
        }
        if is_cut {
            let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
            say(&format!("{shown}{of}; --all shows the rest"));
        }
        Ok(())
    }

    /// Prints JSON with these fields, and below `key` a list page by page: nothing before the first page is there. When a later one
    /// does not come, the list stays open, so that nobody takes it for the whole.
    pub(crate) fn stream_below(
        &self,
        fields: &Map<String, Value>,
        key: &str,
        pages: impl IntoIterator<Item = anyhow::Result<Page>>,
    ) -> anyhow::Result<()> {
        let mut text = String::from("{");
        for (field, value) in fields.iter().filter(|(field, _)| *field != key) {
            text.push_str(&format!("\n  {}: {},", Value::from(field.as_str()), print::pretty(value, 2)));
        }
        text.push_str(&format!("\n  \"{key}\": ["));
        let (mut total, mut between) = (None, "");
        for page in pages {
            let page = page?;
            for item in &page.items {
                text.push_str(&format!("{between}\n    {}", print::pretty(item, 4)));
                between = ",";
            }
            print::json_text(&std::mem::take(&mut text));
            total = page.total;
        }
        text.push_str(if between.is_empty() { "]" } else { "\n  ]" });
        if let Some(total) = total {
            text.push_str(&format!(",\n  \"total\": {total}"));
        }
        print::json_text(&format!("{text}\n}}\n"));
        Ok(())
    }

    /// Prints a short list as a table.
    pub(crate) fn table(&self, items: &Value, columns: &[Column]) {
        Table::new(columns).begin(items.as_array().map(Vec::as_slice).unwrap_or_default());
    }

    /// Prints what came after a list: rows without the table's head, or one thing on each line.
    pub(crate) fn more(&self, items: &[Value], columns: &[Column]) {
        if self.json {
            let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
            return print::json_text(&lines);
        }
        Table::new(columns).rows(items);
    }

    /// Prints one thing as lines of field and value, or as it is.
    pub(crate) fn one(&self, thing: &Value, columns: &[Column]) {
        if self.json {
            return print::json(thing);
        }
        let width = columns.iter().map(|(head, _)| head.len()).max().unwrap_or_default();
        for (head, field) in columns {
            say(&format!("{head:width$}  {}", cell(field, &thing[*field])));
        }
    }

    /// Prints a sentence to people; scripts get JSON.
    pub(crate) fn done(&self, sentence: &str) {
        if self.json {
            print::json(&serde_json::json!({"done": sentence}));
        } else {
            say(sentence);
        }
    }

    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person is asked, and can look first.
    pub(crate) fn asks(&self) -> bool {
        !self.yes && !self.json && std::io::stdin().is_terminal()
    }

    /// Asks a person whether it shall really be done; a script must have said so.
    pub(crate) fn confirm(&self, what: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            bail!("{what}? Nobody can be asked here: say --yes");
        }
        ask(&format!("{what}? [y/N] "));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { bail!("nothing was done") }
    }
}

/// A value as people read it, before the door escapes it.
fn cell(field: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        // Escaped here already, so that it has its width in a table.
        Value::String(text) => mcr::escape::Escaped(text).to_string(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(|item| cell("", item)).collect::<Vec<_>>().join(","),
        Value::Number(bytes) if field.ends_with("bytes") || field == "size" => {
            bytesize::ByteSize(bytes.as_u64().unwrap_or_default()).to_string()
        }
        Value::Object(object) if object.is_empty() => "-".to_owned(),
        other => mcr::escape::json(&other.to_string()),
    }
}

/// Columns that become wider as rows come, and never narrower.
struct Table<'a> {
    columns: &'a [Column],
    widths: Vec<usize>,
}

impl<'a> Table<'a> {
    fn new(columns: &'a [Column]) -> Self {
        Self { columns, widths: vec![0; columns.len()] }
    }

    /// Prints the heads above the first rows, in the widths that both need.
    fn begin(&mut self, items: &[Value]) {
        let heads = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let rows = std::iter::once(heads).chain(self.cells(items)).collect::<Vec<_>>();
        self.print(&rows);
    }

    fn rows(&mut self, items: &[Value]) {
        self.print(&self.cells(items));
    }

    fn cells(&self, items: &[Value]) -> Vec<Vec<String>> {
        let row = |item: &Value| self.columns.iter().map(|(_, field)| cell(field, &item[*field])).collect();
        items.iter().map(row).collect()
    }

    fn print(&mut self, rows: &[Vec<String>]) {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let lines = rows.iter().map(|row| {
            let cells = row.iter().zip(&self.widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        });
        print::lines(lines);
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

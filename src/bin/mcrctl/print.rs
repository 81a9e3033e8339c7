//! The one door through which anything is printed: strangers choose names, and a terminal obeys what it reads.
//!
//! Whoever stops reading ends the program quietly, with the status that shells give to a program ended by a closed pipe.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use mcr::escape::{self, Escaped};
use serde_json::Value;

/// What a shell says of a program that a closed pipe ended: 128 and the number of SIGPIPE.
const CLOSED: u8 = 128 + 13;

/// Lines to standard output.
pub(crate) fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) {
    let lines = lines.into_iter().map(|line| format!("{}\n", Escaped(line)));
    out(lines.collect::<String>().as_bytes());
}

/// A line to standard output.
pub(crate) fn say(line: &str) {
    lines([line]);
}

/// JSON as people and programs read it, to standard output.
pub(crate) fn json(value: &Value) {
    json_text(&pretty(value, 0));
    out(b"\n");
}

/// A part of JSON that is already written.
pub(crate) fn json_text(text: &str) {
    out(escape::json(text).as_bytes());
}

/// JSON with this many spaces before each line but the first.
pub(crate) fn pretty(value: &Value, indent: usize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.replace('\n', &format!("\n{:indent$}", ""))
}

/// What the program itself wrote, and no stranger: completions.
pub(crate) fn own(text: &[u8]) {
    out(text);
}

/// Sentences of the program about itself, to standard error, which may be closed.
pub(crate) fn complain(text: &str) {
    err(&format!("mcrctl: {}\n", Escaped(text)));
}

/// A question to whoever sits there.
pub(crate) fn ask(question: &str) {
    err(&Escaped(question).to_string());
}

/// How far something is, in place of what was said of it before; and its end.
pub(crate) fn progress(text: Option<&str>) {
    if io::stderr().is_terminal() {
        err(&text.map_or_else(|| "\n".to_owned(), |text| format!("\r\x1b[K{}", Escaped(text))));
    }
}

/// What the command line's own parser has to say: help, or what is wrong. It shows arguments, which scripts take from
/// strangers, so of those that cannot be shown we say it.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let arguments = || std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    if error.use_stderr() && arguments().any(|argument| argument.contains(escape::is_hostile)) {
        let all = arguments().collect::<Vec<_>>().join(" ");
        complain(&format!("the command line is not understood: {all}"));
        return ExitCode::from(2);
    }
    match error.print() {
        Err(failed) if !error.use_stderr() => ExitCode::from(unwritable(&failed)),
        _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
    }
}

fn out(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
        std::process::exit(i32::from(unwritable(&error)));
    }
}

/// The status with which the program ends that cannot write.
fn unwritable(error: &io::Error) -> u8 {
    if error.kind() == ErrorKind::BrokenPipe {
        return CLOSED;
    }
    complain(&format!("cannot write to standard output: {error}"));
    1
}

fn err(text: &str) {
    // There is nowhere left to say that it could not be said.
    let _ = io::stderr().write_all(text.as_bytes());
}

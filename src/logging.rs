//! The log: one line for each record on standard error, as text or JSON.
//!
//! What a client sent can be part of a record, so control characters and those that reorder text are escaped: a line is
//! always ours. The level can be changed while the program runs. It does not know what is logged.
//!
//! A thread of its own writes the lines, a few milliseconds later; where standard error is not read, lines are lost and
//! counted rather than waited for. Who ends the program calls `log::logger().flush()` first; a panic of the main thread
//! ends it too.

mod lines;

use std::fmt::Display;
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};

use env_logger::{Builder, Logger, Target, WriteStyle};
use log::kv::{self, Key, Value, VisitSource};
use log::{LevelFilter, Log as Logs, Metadata, Record};
use serde_json::{Map, json};

use self::lines::Lines;
use crate::config::{Log, LogFormat};
use crate::escape::Escaped;

/// Begins to log. Panics are logged too, in place of the several lines that they print.
///
/// # Errors
///
/// When somebody logs already, or there is no thread to be had.
pub fn start(config: &Log) -> io::Result<()> {
    let format = config.format;
    let lines = Lines::start(io::stderr())?;
    // Everything of ours passes here, and `set_level` decides; of other libraries only what goes wrong.
    let logger = Builder::new()
        .filter_level(LevelFilter::Warn)
        .filter_module("mcr", LevelFilter::Trace)
        // It tells of each client that goes away, without an address; how connections end is told by `http::listen`.
        .filter_module("actix_http::h1::dispatcher", LevelFilter::Off)
        .target(Target::Pipe(Box::new(lines.clone())))
        .write_style(WriteStyle::Never)
        .format(move |out, record| {
            let time = out.timestamp_millis();
            match format {
                LogFormat::Text => write_text(out, &time, record),
                LogFormat::Json => write_json(out, &time, record),
            }
        })
        .build();
    log::set_boxed_logger(Box::new(Queued { logger, lines })).map_err(io::Error::other)?;
    set_level(config.level);
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Formats records where they are made, and leaves the writing to [`Lines`].
struct Queued {
    logger: Logger,
    lines: Lines,
}

impl Logs for Queued {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.logger.log(record);
    }

    fn flush(&self) {
        self.lines.flush();
    }
}

/// Logs what is at least of this level from now on.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message =
        message.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    match info.location() {
        Some(location) => log::error!("thread {thread} panicked at {location}: {message}"),
        None => log::error!("thread {thread} panicked: {message}"),
    }
    // Any other thread goes on, and requests with it.
    if thread == "main" {
        log::logger().flush();
    }
}

fn write_text(out: &mut impl Write, time: &dyn Display, record: &Record<'_>) -> io::Result<()> {
    let message = Escaped(record.args().to_string());
    write!(out, "{time} {:<5} {}: {message}", record.level(), record.target())?;
    let mut pairs = TextPairs { out, result: Ok(()) };
    // The visitor keeps its own error, of the kind that is returned here.
    let _ = record.key_values().visit(&mut pairs);
    pairs.result?;
    writeln!(out)
}

struct TextPairs<'a, W> {
    out: &'a mut W,
    result: io::Result<()>,
}

impl<'kvs, W: Write> VisitSource<'kvs> for TextPairs<'_, W> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let text = value.to_string();
        let plain = |character: char| character.is_ascii_graphic() && !matches!(character, '"' | '=' | '\\');
        let written = if !text.is_empty() && text.chars().all(plain) {
            write!(self.out, " {key}={text}")
        } else {
            write!(self.out, " {key}={text:?}")
        };
        if self.result.is_ok() {
            self.result = written;
        }
        Ok(())
    }
}

fn write_json(out: &mut impl Write, time: &dyn Display, record: &Record<'_>) -> io::Result<()> {
    let mut line = JsonPairs(Map::new());
    let _ = record.key_values().visit(&mut line);
    // After the pairs, so that none of them can pass for one of these.
    line.0.insert("time".to_owned(), json!(time.to_string()));
    line.0.insert("level".to_owned(), json!(record.level().as_str().to_ascii_lowercase()));
    line.0.insert("target".to_owned(), json!(record.target()));
    line.0.insert("message".to_owned(), json!(Escaped(record.args().to_string()).to_string()));
    serde_json::to_writer(&mut *out, &line.0)?;
    writeln!(out)
}

struct JsonPairs(Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for JsonPairs {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let json = match (value.to_bool(), value.to_u64(), value.to_i64(), value.to_f64()) {
            (Some(boolean), ..) => json!(boolean),
            (_, Some(whole), ..) => json!(whole),
            (_, _, Some(whole), _) => json!(whole),
            (.., Some(float)) => json!(float),
            _ => json!(Escaped(value.to_string()).to_string()),
        };
        self.0.insert(key.to_string(), json);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;
    use crate::escape::is_hostile;

    type Writer = fn(&mut Vec<u8>, &dyn Display, &Record<'_>) -> io::Result<()>;

    fn line(write: Writer, message: &str, pairs: &[(&str, Value<'_>)]) -> String {
        let mut out = Vec::new();
        let mut record = Record::builder();
        record.level(Level::Info).target("mcr").key_values(&pairs);
        write(&mut out, &"noon", &record.args(format_args!("{message}")).build()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_has_what_was_said_and_its_pairs() {
        let pairs = [("status", Value::from(201)), ("name", Value::from("a \"b\"\n"))];
        let line = line(write_text, "done", &pairs);
        assert_eq!(line, "noon INFO  mcr: done status=201 name=\"a \\\"b\\\"\\n\"\n");
    }

    #[test]
    fn json_has_what_was_said_and_its_pairs() {
        let pairs =
            [("status", Value::from(201)), ("level", Value::from("forged")), ("ok", Value::from(true))];
        let json: serde_json::Value = serde_json::from_str(&line(write_json, "done", &pairs)).unwrap();
        let expected = json!({"time": "noon", "level": "info", "target": "mcr", "message": "done", "status": 201, "ok": true});
        assert_eq!(json, expected);
    }

    #[test]
    fn nobody_can_forge_a_line() {
        let hostile = "a\nnoon ERROR mcr: forged\r\u{1b}[2J\u{85}\u{2028}\u{202e}";
        for write in [write_text as Writer, write_json] {
            let line = line(write, hostile, &[("key", Value::from(hostile))]);
            let body = line.strip_suffix('\n').unwrap();
            assert!(!body.contains(is_hostile), "{body:?}");
        }
    }
}

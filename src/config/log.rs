//! `[log]`: how much is logged, and in what form.

use log::LevelFilter;

use super::reader::Section;
use super::setting::Setting;

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least level that is logged.
    pub level: LevelFilter,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Setting for LogFormat {
    const ACCEPTS: &'static str = r#""text" or "json""#;

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl Log {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        Some(Self {
            level: section.or("level", LevelFilter::Info),
            format: section.or("format", LogFormat::Text),
        })
    }
}

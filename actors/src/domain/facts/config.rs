//! What the config of an image says. <https://github.com/opencontainers/image-spec/blob/main/config.md>

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::document::platform;
use super::text;
use crate::domain::Timestamp;

/// The labels and annotations that people look for, all under this prefix.
const PREFIX: &str = "org.opencontainers.image.";
/// Which of them.
const LOOKED_FOR: [&str; 9] =
    ["title", "description", "version", "revision", "source", "url", "documentation", "licenses", "vendor"];

/// What is said of an image in its config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigFacts {
    /// The platform it is for: `os/architecture`, and the variant where there is one.
    pub platform: Option<String>,
    /// When it was made, as its builder says.
    pub created: Option<Timestamp>,
    /// The labels that people look for, without their common prefix.
    pub labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config<'d> {
    #[serde(borrow)]
    os: Option<Cow<'d, str>>,
    #[serde(borrow)]
    architecture: Option<Cow<'d, str>>,
    #[serde(borrow)]
    variant: Option<Cow<'d, str>>,
    #[serde(borrow)]
    created: Option<Cow<'d, str>>,
    #[serde(borrow)]
    config: Option<Run<'d>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Run<'d> {
    #[serde(rename = "Labels", borrow)]
    labels: Option<BTreeMap<Cow<'d, str>, Cow<'d, str>>>,
}

impl ConfigFacts {
    /// The longest config that is read, in bytes. Real ones have some thousands.
    pub const MAX_BYTES: u64 = 1024 * 1024;

    /// What a config says; what cannot be read says nothing.
    pub fn of(body: &[u8]) -> Self {
        let Config { os, architecture, variant, created, config } =
            serde_json::from_slice(body).unwrap_or_default();
        let labels = config.and_then(|run| run.labels).unwrap_or_default();
        Self {
            platform: platform(
                &os.unwrap_or_default(),
                &architecture.unwrap_or_default(),
                variant.as_deref(),
            ),
            created: created.as_deref().and_then(Timestamp::parse),
            labels: looked_for(labels.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))),
        }
    }
}

/// Those of labels or annotations that people look for, without their common prefix.
pub(crate) fn looked_for<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let wanted = |(key, value): (&'a str, &'a str)| {
        let name = key.strip_prefix(PREFIX).filter(|name| LOOKED_FOR.contains(name))?;
        Some((name.to_owned(), text(value)))
    };
    all.filter_map(wanted).collect()
}

//! Reads a section key by key, and remembers what was asked and what was wrong, so that all of it is said at once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::problem::Problem;
use super::setting::{Bounded, Setting};
use super::source::{Given, Sources};

/// Reads settings, and gathers what is wrong with them.
#[derive(Debug)]
pub(super) struct Reader {
    sources: Sources,
    /// The keys that were asked for, by section.
    asked: BTreeMap<&'static str, Vec<&'static str>>,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, asked: BTreeMap::new() }
    }

    pub(super) fn section(&mut self, name: &'static str) -> Section<'_> {
        self.asked.entry(name).or_default();
        Section { reader: self, name }
    }

    /// Every problem; a key that was given and never asked for is one.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        for ((section, key), given) in &self.sources.given {
            let Some(asked) = self.asked.get(section.as_str()) else { continue };
            if !asked.contains(&key.as_str()) {
                let message =
                    format!("{section}.{key}: unknown key; [{section}] accepts {}", asked.join(", "));
                self.sources.problems.push(Problem::new(Some(given.origin.clone()), message));
            }
        }
        self.sources.problems.sort_by(|one, other| one.origin.cmp(&other.origin));
        self.sources.problems
    }

    #[cfg(test)]
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked
            .iter()
            .flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}.{key}")))
            .collect()
    }
}

/// One section of the settings.
#[derive(Debug)]
pub(super) struct Section<'a> {
    reader: &'a mut Reader,
    name: &'static str,
}

impl Section<'_> {
    fn given(&mut self, key: &'static str) -> Option<Given> {
        self.reader.asked.entry(self.name).or_default().push(key);
        self.reader.sources.get(self.name, key).cloned()
    }

    /// Whether somebody gave the key a value, good or bad.
    pub(super) fn is_given(&self, key: &'static str) -> bool {
        self.reader.sources.get(self.name, key).is_some()
    }

    /// Reports what is wrong with a key.
    pub(super) fn problem(&mut self, key: &'static str, what: &str) {
        let origin = self.reader.sources.get(self.name, key).map(|given| given.origin.clone());
        let message = format!("{}.{key}: {what}", self.name);
        self.reader.sources.problems.push(Problem::new(origin, message));
    }

    /// The value of a key that may be absent.
    pub(super) fn optional<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let given = self.given(key)?;
        let value = T::from_raw(&given.raw);
        if value.is_none() {
            self.problem(key, &format!("accepts {}, not {}", T::ACCEPTS, given.raw));
        }
        value
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let value = self.optional(key);
        if !self.is_given(key) {
            self.missing(key, T::ACCEPTS);
        }
        value
    }

    /// Reports that a key must be there.
    pub(super) fn missing(&mut self, key: &'static str, accepts: &str) {
        let variable = format!("MCR_{}_{key}", self.name).to_uppercase();
        self.problem(key, &format!("is required: {accepts}; set it in [{}] or by {variable}", self.name));
    }

    /// The value of a key, or its default.
    pub(super) fn or<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value of a key, which must lie within bounds, or its default.
    pub(super) fn bounded<T: Bounded>(
        &mut self,
        key: &'static str,
        default: T,
        bounds: RangeInclusive<T>,
    ) -> T {
        let value = self.or(key, default);
        if !bounds.contains(&value) {
            let (least, most) = (bounds.start().written(), bounds.end().written());
            let value = value.written();
            self.problem(key, &format!("accepts {} from {least} to {most}, not {value}", T::ACCEPTS));
        }
        value
    }
}

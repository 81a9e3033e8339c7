//! A list as its pages, each asked for when the one before has been used.

use serde_json::Value;

use super::Client;

/// Entries asked for at once when all are wanted.
const PAGE: usize = 1000;

/// A part of a list.
pub(crate) struct Page {
    /// How many entries the whole list has, where the server says so.
    pub(crate) total: Option<u64>,
    /// The entries.
    pub(crate) items: Vec<Value>,
    /// Whether it is the last one asked for though there are more.
    pub(crate) is_cut: bool,
}

/// The pages of a list.
pub(crate) struct Pages<'a> {
    client: &'a Client,
    path: String,
    query: Vec<(String, String)>,
    page: usize,
    left: Option<usize>,
    offset: usize,
    /// Where the server says that the next page begins; it does so where nothing must be passed over to get there.
    cursor: Option<String>,
    has_ended: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(
        client: &'a Client,
        path: &str,
        query: &[(&str, &str)],
        limit: Option<usize>,
        offset: usize,
    ) -> Self {
        let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let path = path.to_owned();
        Self { client, path, query, page: PAGE, left: limit, offset, cursor: None, has_ended: false }
    }

    /// The same in pages of at most so many.
    pub(crate) fn of(self, page: usize) -> Self {
        Self { page, ..self }
    }

    fn fetch(&mut self) -> anyhow::Result<Page> {
        let wanted = self.left.unwrap_or(self.page).min(self.page);
        let begin = match &self.cursor {
            Some(cursor) => ("last", cursor.clone()),
            None => ("offset", self.offset.to_string()),
        };
        let n = wanted.to_string();
        let mut pairs: Vec<(&str, &str)> =
            self.query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        pairs.extend([("n", n.as_str()), (begin.0, begin.1.as_str())]);
        let page = self.client.get(&format!("{}?{}", self.path, mcr::http::query::encode(&pairs)))?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        let total = page["total"].as_u64();
        self.offset += items.len();
        self.left = self.left.map(|left| left.saturating_sub(items.len()));
        self.cursor = page["next"].as_str().map(str::to_owned);
        self.has_ended = items.len() < wanted || items.is_empty() || self.left == Some(0);
        let is_cut = self.left == Some(0) && total.is_some_and(|total| (self.offset as u64) < total);
        Ok(Page { total, items, is_cut })
    }
}

impl Iterator for Pages<'_> {
    type Item = anyhow::Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let page = self.fetch();
        self.has_ended |= page.is_err();
        Some(page)
    }
}

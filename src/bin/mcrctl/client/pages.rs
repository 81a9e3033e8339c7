//! A list as its pages, each asked for when the one before has been used.

use serde_json::Value;

use super::Client;

/// Entries asked for at once when all are wanted.
const PAGE: usize = 1000;

/// A part of a list.
pub(crate) struct Page {
    /// The entries.
    pub(crate) items: Vec<Value>,
    /// How many entries the whole list has, as far as that is known by now.
    pub(crate) total: Option<u64>,
    /// Whether it is the last one asked for though there are more.
    pub(crate) is_cut: bool,
}

/// The pages of a list.
pub(crate) struct Pages<'a> {
    client: &'a Client,
    path: String,
    query: Vec<(String, String)>,
    left: Option<usize>,
    begin: usize,
    /// The place after the last entry seen.
    offset: usize,
    /// Where the server says that the next page begins; it does so where nothing must be passed over to get there.
    cursor: Option<String>,
    /// As what it wants that back.
    cursor_key: &'static str,
    /// What the first page said. Those that begin at a cursor count from there.
    total: Option<u64>,
    has_ended: bool,
}

impl Client {
    /// A list from `offset` on, page by page: at most `limit` entries, or all of them.
    pub(crate) fn pages(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: Option<usize>,
        offset: usize,
    ) -> Pages<'_> {
        Pages {
            client: self,
            path: path.to_owned(),
            query: query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            left: limit,
            begin: offset,
            offset,
            cursor: None,
            cursor_key: "last",
            total: None,
            has_ended: false,
        }
    }
}

impl Pages<'_> {
    /// The same of a list that is gone through by `cursor` alone, whose pages may be short, or empty, and the list still go on.
    pub(crate) fn by_cursor(self) -> Self {
        Self { cursor_key: "cursor", ..self }
    }

    /// So many entries after what was seen.
    fn ask(&self, wanted: usize) -> anyhow::Result<Value> {
        let begin = match &self.cursor {
            Some(cursor) => Some((self.cursor_key, cursor.clone())),
            // Whoever passes over entries by their number does not want short pages.
            None if self.offset == 0 && self.cursor_key == "cursor" => None,
            None => Some(("offset", self.offset.to_string())),
        };
        let n = wanted.to_string();
        let mut pairs: Vec<(&str, &str)> =
            self.query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        pairs.push(("n", n.as_str()));
        pairs.extend(begin.as_ref().map(|(key, value)| (*key, value.as_str())));
        self.client.get(&format!("{}?{}", self.path, mcr::http::query::encode(&pairs)))
    }

    fn fetch(&mut self) -> anyhow::Result<Page> {
        let wanted = self.left.unwrap_or(PAGE).min(PAGE);
        let page = self.ask(wanted)?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        if self.offset == self.begin {
            self.total = page["total"].as_u64();
        }
        self.offset += items.len();
        self.left = self.left.map(|left| left.saturating_sub(items.len()));
        let next = page["next"].as_str().map(str::to_owned);
        // One that pays no heed to where a page begins would give the same for ever.
        let goes_on = self.cursor_key == "cursor" && next.is_some() && next != self.cursor;
        self.cursor = next;
        let is_short = items.len() < wanted && self.total.is_none_or(|total| total <= self.offset as u64);
        let is_whole = match self.cursor_key {
            "cursor" => !goes_on,
            _ => is_short,
        };
        self.has_ended = is_whole || (items.is_empty() && !goes_on) || self.left == Some(0);
        let is_cut = self.has_ended && !is_whole && self.goes_on()?;
        let total = self.total(is_whole, is_cut);
        Ok(Page { items, total, is_cut })
    }

    /// Whether there are more entries than were asked for. A server that does not count a long list out says less than there are,
    /// and where the next page begins; whether there is one is asked.
    fn goes_on(&self) -> anyhow::Result<bool> {
        if self.cursor_key == "cursor" && self.cursor.is_some() {
            return Ok(true);
        }
        if self.total.is_some_and(|total| total > self.offset as u64) {
            return Ok(true);
        }
        let more = self.cursor.is_some().then(|| self.ask(1)).transpose()?;
        Ok(more.is_some_and(|page| page["items"].as_array().is_some_and(|items| !items.is_empty())))
    }

    /// How many there are: as many as were seen when all were, else what the server said, unless more were seen.
    fn total(&self, is_whole: bool, is_cut: bool) -> Option<u64> {
        let (seen, is_past_the_end) = (self.offset as u64, self.offset == self.begin && self.begin > 0);
        match self.total {
            total if is_past_the_end => total,
            _ if is_whole => Some(seen),
            Some(total) if total > seen => Some(total),
            _ if is_cut || !self.has_ended => None,
            _ => Some(seen),
        }
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

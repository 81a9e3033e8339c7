//! Pages of lists.

use super::refusal::Refusal;

/// Entries of a page when none are asked for.
pub const PAGE: usize = 100;
/// Entries of a page at most.
pub const MAX_PAGE: usize = 1000;
/// The deepest page of a list whose entries are passed over one by one.
const MAX_OFFSET: usize = 1_000_000;
/// The deepest of any: the largest number that SQLite has.
const FAR: usize = usize::MAX >> 1;

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many entries at most.
    pub(super) limit: usize,
    /// How many are passed over.
    pub(super) offset: usize,
}

impl Page {
    /// `n` entries, of which no more than [`MAX_PAGE`] are given, from `offset` on.
    ///
    /// # Errors
    /// When `offset` is larger than a million.
    pub fn new(n: Option<usize>, offset: Option<usize>) -> Result<Self, Refusal> {
        let page = Self::far(n, offset);
        if page.offset > MAX_OFFSET {
            let message = format!("offset may be {MAX_OFFSET} at most: narrow the list instead");
            return Err(Refusal::invalid("offset", message));
        }
        Ok(page)
    }

    /// The same for a list in which nothing has to be passed over to begin far behind its start.
    pub fn far(n: Option<usize>, offset: Option<usize>) -> Self {
        Self { limit: n.unwrap_or(PAGE).min(MAX_PAGE), offset: offset.unwrap_or_default().min(FAR) }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// How many there are in all.
    pub total: u64,
    /// Those of this part.
    pub items: Vec<T>,
}

impl<T> From<(Vec<T>, u64)> for Listed<T> {
    fn from((items, total): (Vec<T>, u64)) -> Self {
        Self { total, items }
    }
}

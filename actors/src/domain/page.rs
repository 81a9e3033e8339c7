//! One page of a listing.

/// Items in the order of the listing, and whether there are more after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether the listing goes on.
    pub more: bool,
}

impl<T> Page<T> {
    /// Makes a page of at most `limit` from a query that was asked for one more than that.
    pub fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

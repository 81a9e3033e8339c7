//! What the door gives: that a caller was asked for. No API can say so by itself.

/// Says that the caller was asked for in the transaction of the change, and still had the right. An API makes the answer to
/// whatever can change something from this alone.
#[derive(Debug)]
pub struct Asked(());

impl Asked {
    /// The caller was asked for.
    pub(super) fn made() -> Self {
        Self(())
    }

    /// Nobody need be asked for: what changes is what the request itself shows and nothing else, its password's or token's own
    /// life; or nothing changes, though it could.
    pub(in crate::admin) fn of_own_or_nothing() -> Self {
        Self(())
    }
}

//! A repository's tags, for whoever may pull from it.

use mcr_actors::db::queries::tag_pages::{PageTags, TagOrder, TagPage, TagPlace};
use mcr_actors::domain::RepositoryName;

use super::call::Call;
use super::page::{MAX_PAGE, PAGE};
use super::refusal::Refusal;
use super::sight::{Sight, unknown};

/// Which tags, and in which order.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only those whose name has this in it, in any letter case; empty for all.
    pub part: String,
    /// In which order.
    pub order: TagOrder,
    /// Where the page begins: what comes after this.
    pub after: Option<TagPlace>,
    /// How many at most; no more than [`MAX_PAGE`] are given.
    pub n: Option<usize>,
}

/// Reads the name of an order.
///
/// # Errors
/// When there is no such order.
pub fn order(word: &str) -> Result<TagOrder, Refusal> {
    match word {
        "name" => Ok(TagOrder::Name),
        "updated" => Ok(TagOrder::Updated),
        _ => Err(Refusal::invalid("sort", "sort is one of name, updated")),
    }
}

/// Lists tags. A page may be short, or empty, and the list still go on.
///
/// # Errors
/// When there is no such repository, or none that the caller may pull from.
pub async fn list(call: &Call, name: RepositoryName, wanted: Wanted) -> Result<TagPage, Refusal> {
    Sight::of(call).await?.look_at(&name)?;
    let Wanted { part, order, after, n } = wanted;
    let limit = n.unwrap_or(PAGE).min(MAX_PAGE);
    let query = PageTags { repository: name.clone(), part, order, after, limit };
    call.worker.db.read(query).await?.ok_or_else(|| unknown(&name))
}

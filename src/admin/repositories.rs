//! Repositories: which there are, their sizes and tags, their end. Whoever may pull from one sees it, and an administrator all.

use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::descriptions::{DescribeRepository, TagSummary};
use mcr_actors::db::queries::repositories::{DeleteRepository, RepositorySummary};
use mcr_actors::db::queries::repository_pages::{
    CountRepositories, PageRepositories, RepositoryOrder, RepositoryPlace,
};
use mcr_actors::db::queries::tags::DeleteTag;
use mcr_actors::domain::{Action, Event, EventName, RepositoryName, Tag, Timestamp};

use super::call::Call;
use super::door::{self, Asked};
use super::page::{MAX_PAGE, Page};
use super::refusal::Refusal;
use super::sight::{Sight, unknown};

/// Most repositories looked at for one page, whether they are of it or not.
const EXAMINED: usize = 10_000;
/// The fewest looked at at once, so that the work tells little of how many are passed over.
const AT_ONCE: usize = 256;

/// A repository as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The repository, without what the caller may not know.
    pub summary: RepositorySummary,
    /// Whether the caller may read it.
    pub pull: bool,
    /// Whether the caller may write to it.
    pub push: bool,
    /// Whether the caller may delete from it.
    pub delete: bool,
}

/// A repository with its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The repository.
    pub seen: Seen,
    /// A page of its tags, by name.
    pub tags: Vec<TagSummary>,
}

/// Which repositories, and in which order.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only those whose name has this in it, in any letter case; empty for all.
    pub part: String,
    /// Only those whose name begins with this; empty for all.
    pub prefix: String,
    /// In which order.
    pub order: RepositoryOrder,
    /// Where the page begins: what comes after this.
    pub after: Option<RepositoryPlace>,
    /// How many; only an administrator, who sees all, can pass over some.
    pub page: Page,
}

/// A page of repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repositories {
    /// The repositories; fewer than were asked for, or none, where many were passed over.
    pub items: Vec<Seen>,
    /// How many there are in all, for an administrator who asks for all from the first on.
    pub total: Option<u64>,
    /// After what the next page begins, unless this was the last. That may be a repository that the caller may not see.
    pub next: Option<RepositoryPlace>,
}

/// Reads the name of an order.
///
/// # Errors
/// When there is no such order.
pub fn order(word: &str) -> Result<RepositoryOrder, Refusal> {
    match word {
        "name" => Ok(RepositoryOrder::Name),
        "updated" => Ok(RepositoryOrder::Updated),
        _ => Err(Refusal::invalid("sort", "sort is one of name, updated")),
    }
}

impl Seen {
    fn of(sight: &Sight, mut summary: RepositorySummary) -> Self {
        let may = |action| sight.may(action, &summary.name);
        let (pull, push, delete) = (may(Action::Pull), may(Action::Push), may(Action::Delete));
        // It tells of others' content.
        summary.exclusive_bytes = summary.exclusive_bytes.filter(|_| sight.is_administrators());
        Self { summary, pull, push, delete }
    }
}

impl Wanted {
    /// Whether it leaves none out.
    fn is_all(&self) -> bool {
        self.part.is_empty() && self.prefix.is_empty() && self.after.is_none()
    }

    fn has(&self, name: &RepositoryName) -> bool {
        name.as_str().starts_with(&self.prefix) && name.as_str().contains(&self.part.to_ascii_lowercase())
    }

    /// Whether none can come after this one.
    fn ends_at(&self, name: &RepositoryName) -> bool {
        let is_behind = !name.as_str().starts_with(&self.prefix) && *name.as_str() > *self.prefix;
        self.order == RepositoryOrder::Name && is_behind
    }

    /// Where to begin to look.
    fn begin(&self) -> Option<RepositoryPlace> {
        match self.order {
            RepositoryOrder::Name if self.after.is_none() => before(&self.prefix),
            _ => self.after.clone(),
        }
    }
}

/// A place in the order of names behind which all come that begin so. No name ends in a slash.
fn before(prefix: &str) -> Option<RepositoryPlace> {
    let mut name = prefix.to_owned();
    let last = name.pop()?;
    let updated_at = Timestamp::from_millis(0);
    // What is less than the last character by one, and then the greatest there is.
    name.extend(char::from_u32(u32::from(last).saturating_sub(1)));
    name.push(char::MAX);
    Some(RepositoryPlace { name, updated_at })
}

/// Lists the repositories that the caller sees. A page may be short, or empty, and the list still go on.
///
/// # Errors
/// When some are to be passed over by who does not see all, or of a list that leaves some out.
pub async fn list(call: &Call, wanted: Wanted) -> Result<Repositories, Refusal> {
    let sight = Sight::of(call).await?;
    let is_whole = wanted.is_all() && sight.is_administrators();
    if wanted.page.offset > 0 && !(is_whole && wanted.order == RepositoryOrder::Name) {
        let message = "offset is for administrators and the whole list by name: go on with cursor instead";
        return Err(Refusal::invalid("offset", message));
    }
    let total = match is_whole {
        true => Some(call.worker.db.read(CountRepositories).await?),
        false => None,
    };
    let (items, next) = match wanted.page.limit {
        0 => (Vec::new(), None),
        _ => walk(call, &sight, &wanted).await?,
    };
    Ok(Repositories { items, total, next })
}

/// The most looked at for a page: drawn anew for each, so that nobody finds a hidden name by moving the page's begin until its
/// end moves.
fn bound() -> usize {
    let half = EXAMINED / 2;
    half + getrandom::u32().map_or(half, |drawn| drawn as usize % half)
}

/// Goes through the list until the page is full, or as many were looked at as may be. Whether a repository is seen is asked
/// before anything else, so that the work is the same whatever the hidden ones are called.
async fn walk(
    call: &Call,
    sight: &Sight,
    wanted: &Wanted,
) -> Result<(Vec<Seen>, Option<RepositoryPlace>), Refusal> {
    let Page { limit, mut offset } = wanted.page;
    let (mut found, mut after) = (Vec::<Seen>::new(), wanted.begin());
    let (mut left, mut rows) = (bound(), limit.saturating_add(1).max(AT_ONCE));
    while left > 0 {
        rows = rows.min(left);
        let query = PageRepositories { order: wanted.order, after, offset, limit: rows };
        let page = call.worker.db.read(query).await?;
        for summary in page.items.into_iter().filter(|summary| sight.shows(&summary.name)) {
            if wanted.ends_at(&summary.name) {
                return Ok((found, None));
            }
            if !wanted.has(&summary.name) {
                continue;
            }
            if found.len() == limit {
                let last = found.last().map(|seen| RepositoryPlace::from(&seen.summary));
                return Ok((found, last));
            }
            found.push(Seen::of(sight, summary));
        }
        if page.next.is_none() {
            return Ok((found, None));
        }
        (after, offset) = (page.next, 0);
        (left, rows) = (left - rows, rows.saturating_mul(4));
    }
    Ok((found, after))
}

/// Shows a repository with its tags after this one.
///
/// # Errors
/// When there is none of this name, or none that the caller may see.
pub async fn show(call: &Call, name: RepositoryName, after: String) -> Result<Described, Refusal> {
    let sight = Sight::of(call).await?;
    sight.look_at(&name)?;
    let query = DescribeRepository { name: name.clone(), after, limit: MAX_PAGE };
    let (summary, tags) = call.worker.db.read(query).await?.ok_or_else(|| unknown(&name))?;
    Ok(Described { seen: Seen::of(&sight, summary), tags })
}

/// Deletes a repository with all in it.
///
/// # Errors
/// When there is none of this name.
pub async fn delete(call: &Call, name: RepositoryName) -> Result<((), Asked), Refusal> {
    let event = Event::new(EventName::RepositoryDeleted).at(&name);
    let describe = move |deleted: &bool| deleted.then_some(event).into_iter().collect();
    let now = call.worker.clock.now();
    let query = DeleteRepository { name: name.clone(), kept_until: now.after(call.worker.grace.kept()) };
    match door::write(call, Audited { query, origin: call.origin.clone(), now, describe }).await? {
        (true, asked) => Ok(((), asked)),
        (false, _) => Err(unknown(&name)),
    }
}

/// Deletes a tag; the manifest stays.
///
/// # Errors
/// When there is none of this name.
pub async fn delete_tag(call: &Call, repository: RepositoryName, tag: Tag) -> Result<((), Asked), Refusal> {
    let event = Event::new(EventName::TagDeleted).at(&repository).tagged(&tag);
    let describe = move |deleted: &bool| deleted.then_some(event).into_iter().collect();
    let now = call.worker.clock.now();
    let query = DeleteTag { repository: repository.clone(), tag: tag.clone(), now };
    match door::write(call, Audited { query, origin: call.origin.clone(), now, describe }).await? {
        (true, asked) => Ok(((), asked)),
        (false, _) => Err(Refusal::not_found(format_args!("tag {tag} in {repository}"))),
    }
}

//! Repositories: their sizes, their tags, their end.

use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::descriptions::{DescribeRepository, TagSummary};
use mcr_actors::db::queries::repositories::{DeleteRepository, RepositorySummary, SummarizeRepositories};
use mcr_actors::db::queries::tags::DeleteTag;
use mcr_actors::domain::{Event, EventName, RepositoryName, Tag};

use super::call::Call;
use super::door::{self, Asked};
use super::page::{Listed, MAX_PAGE, Page};
use super::refusal::Refusal;

/// A repository with its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The repository.
    pub summary: RepositorySummary,
    /// A page of its tags, by name.
    pub tags: Vec<TagSummary>,
}

/// Lists repositories by name.
///
/// # Errors
/// When the database does not answer.
pub async fn list(call: &Call, page: Page) -> Result<Listed<RepositorySummary>, Refusal> {
    let Page { limit, offset } = page;
    Ok(call.worker.db.read(SummarizeRepositories { offset, limit }).await?.into())
}

/// Shows a repository with its tags after this one.
///
/// # Errors
/// When there is none of this name.
pub async fn show(call: &Call, name: RepositoryName, after: String) -> Result<Described, Refusal> {
    let query = DescribeRepository { name: name.clone(), after, limit: MAX_PAGE };
    let (summary, tags) = call.worker.db.read(query).await?.ok_or_else(|| unknown(&name))?;
    Ok(Described { summary, tags })
}

fn unknown(name: &RepositoryName) -> Refusal {
    Refusal::not_found(format_args!("repository {name}"))
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

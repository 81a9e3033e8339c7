//! Several tags and manifests of a repository deleted at once, and what that would do; for whoever may delete there.

use std::fmt::Write as _;
use std::str::FromStr;

use mcr_actors::db::queries::audit::Audited;
use mcr_actors::db::queries::deletions::{
    Delete, Deletion, Deletions, Item, Judged, Obstacle, Outcome, Preview,
};
use mcr_actors::db::queries::manifest_pages::Beginning;
use mcr_actors::db::queries::permission::Right;
use mcr_actors::domain::{Action, Event, EventName, RepositoryName};

use super::call::Call;
use super::door::{self, Asked};
use super::refusal::{Denied, Reason, Refusal};
use super::sight::{Sight, unknown};
use crate::model::{DeletionItemModel, DeletionsModel, List, NewDeletions};

/// Most tags and manifests that are named at once.
pub const MOST: usize = 1000;
/// Most obstacles that a refusal names.
const NAMED: usize = 3;

/// Deletes, or says what that would do.
///
/// # Errors
/// When the caller may not delete there, there is no such repository, it is too much at once, or something of it cannot be deleted;
/// then nothing is.
pub async fn delete(
    call: &Call,
    repository: RepositoryName,
    wanted: NewDeletions,
) -> Result<(Deletions, Asked), Refusal> {
    let sight = Sight::of(call).await?;
    let decision = sight.decide(Action::Delete, &repository);
    if !decision.allowed {
        return Err(denied(
            call,
            &repository,
            Denied { action: Action::Delete.as_str(), rule: decision.rule },
        )?);
    }
    let dry_run = wanted.dry_run.unwrap_or_default();
    let may_untag = call.settings.allow_tag_delete || sight.is_administrators();
    let deletion = parse(repository.clone(), wanted, may_untag)?;
    let (judged, asked) = match dry_run {
        true => (call.worker.db.read(Preview(deletion)).await?, Asked::of_own_or_nothing()),
        false => done(call, deletion).await?,
    };
    match judged {
        Judged::NoRepository => Err(unknown(&repository)),
        Judged::TooMuch => {
            let message = "this is more than can be deleted at once: name fewer tags and manifests";
            Err(Refusal::new(Reason::TooLarge, message))
        }
        Judged::Deletions(deletions) if deletions.is_done || dry_run => Ok((deletions, asked)),
        Judged::Deletions(deletions) => Err(refused(&repository, deletions)),
    }
}

/// The refusal of who may not, with what it is for who records it.
fn denied(call: &Call, repository: &RepositoryName, denied: Denied) -> Result<Refusal, Refusal> {
    let caller = call.caller.as_ref().ok_or_else(Refusal::nobody)?;
    // Whoever did not log in could be helped by it.
    let reason = if caller.principal.is_anonymous() { Reason::NoCredentials } else { Reason::Denied };
    let message = caller.denied(denied.action, Some(repository.as_str()));
    Ok(Refusal { denied: Some(denied), ..Refusal::new(reason, message) })
}

async fn done(call: &Call, deletion: Deletion) -> Result<(Judged, Asked), Refusal> {
    let repository = deletion.repository.clone();
    let right = Right::Delete {
        repository: repository.clone(),
        builtin_human_access: call.registry.set_up().builtin_human_access,
    };
    let describe = move |judged: &Judged| match judged {
        Judged::Deletions(deletions) if deletions.is_done => events(&repository, &deletions.items),
        _ => Vec::new(),
    };
    let now = call.worker.clock.now();
    let query = Delete { deletion, now, kept_until: now.after(call.worker.grace.kept()) };
    door::write_by(call, right, Audited { query, origin: call.origin.clone(), now, describe }).await
}

/// An entry for each thing that went.
fn events(repository: &RepositoryName, items: &[Item]) -> Vec<Event> {
    let event = |item: &Item| {
        let mut event = match &item.tag {
            Some(tag) => Event::new(EventName::TagDeleted).at(repository).tagged(tag),
            None => Event::new(EventName::ManifestDeleted).at(repository),
        };
        event.digest = item.digest.clone().unwrap_or_default();
        event
    };
    items.iter().map(event).collect()
}

/// Reads what is wanted.
fn parse(repository: RepositoryName, wanted: NewDeletions, may_untag: bool) -> Result<Deletion, Refusal> {
    let NewDeletions { tags, manifests, with_untagged, dry_run: _ } = wanted;
    if tags.is_empty() && manifests.is_empty() {
        return Err(Refusal::invalid("tags", "name a tag in tags, or a digest in manifests"));
    }
    if tags.len() + manifests.len() > MOST {
        return Err(Refusal::invalid("tags", format!("no more than {MOST} tags and manifests go at once")));
    }
    Ok(Deletion {
        repository,
        tags: words("tags", &tags)?,
        manifests: words("manifests", &manifests)?,
        with_untagged: with_untagged.unwrap_or_default(),
        may_untag,
    })
}

fn words<T: FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    words: &[String],
) -> Result<Vec<T>, Refusal> {
    let read = |word: &String| word.parse().map_err(|error| Refusal::invalid(field, error));
    words.iter().map(read).collect()
}

/// Why a thing cannot be deleted, for people.
fn sentence(item: &Item, obstacle: Obstacle) -> String {
    let what = match (&item.tag, &item.digest) {
        (Some(tag), _) => format!("tag {tag}"),
        (None, digest) => format!("manifest {}", digest.as_deref().unwrap_or_default()),
    };
    match obstacle {
        Obstacle::NotFound => format!("there is no {what}"),
        Obstacle::TagsAreKept => {
            format!("{what}: tags alone cannot be deleted here; delete the manifest, or set allow_tag_delete")
        }
        Obstacle::Child => {
            let parent = item.parents.items.first().map(String::as_str).unwrap_or_default();
            format!("{what} is part of {parent}, which stays: delete that too")
        }
    }
}

fn refused(repository: &RepositoryName, deletions: Deletions) -> Refusal {
    let obstacles: Vec<String> = deletions.items.iter().filter_map(obstacle).collect();
    let mut message = format!("nothing was deleted from {repository}: {}", named(&obstacles));
    if obstacles.len() > NAMED {
        // Writing to a text does not fail.
        let _ = write!(message, "; and {} more", obstacles.len() - NAMED);
    }
    let deletions = Some(Box::new(model(deletions, false)));
    Refusal { deletions, ..Refusal::new(Reason::DeletionRefused, message) }
}

fn named(obstacles: &[String]) -> String {
    obstacles.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ")
}

fn obstacle(item: &Item) -> Option<String> {
    match item.outcome {
        Outcome::Refused(obstacle) => Some(sentence(item, obstacle)),
        Outcome::TagRemoved | Outcome::ManifestDeleted => None,
    }
}

/// What happens, as it goes over the wire.
pub fn model(deletions: Deletions, dry_run: bool) -> DeletionsModel {
    let list = |Beginning { items, total }| List { total, items };
    let count = |outcome| deletions.items.iter().filter(|item| item.outcome == outcome).count() as u64;
    DeletionsModel {
        dry_run,
        is_done: deletions.is_done,
        is_refused: deletions.is_refused(),
        tags_removed: count(Outcome::TagRemoved),
        manifests_deleted: count(Outcome::ManifestDeleted),
        freed_blobs: deletions.freed_blobs,
        freed_bytes: deletions.freed_bytes,
        items: deletions.items.into_iter().map(item_model).collect(),
        left_untagged: list(deletions.left),
    }
}

fn item_model(item: Item) -> DeletionItemModel {
    let list = |Beginning { items, total }| List { total, items };
    let (outcome, reason) = match item.outcome {
        Outcome::TagRemoved => ("tag_removed", None),
        Outcome::ManifestDeleted => ("manifest_deleted", None),
        Outcome::Refused(obstacle) => ("refused", Some(obstacle.as_str().into())),
    };
    DeletionItemModel {
        message: obstacle(&item),
        tag: item.tag.map(|tag| tag.to_string()),
        digest: item.digest,
        is_named: item.is_named,
        outcome: outcome.into(),
        reason,
        leaves_untagged: item.leaves_untagged,
        tags: list(item.tags),
        parents: list(item.parents),
    }
}

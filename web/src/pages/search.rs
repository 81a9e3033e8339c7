//! The one search box: a repository, a tag, a digest.

use mcr_api::RepositoryList;

use crate::failure::Failure;
use crate::registry::{segment, with_query};
use crate::visit::{Reply, Visit};

/// What somebody typed: a reference as clients write it, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Typed<'a> {
    repository: &'a str,
    tag: &'a str,
    digest: &'a str,
}

/// A reference, with or without the registry's name before it.
fn parse<'a>(text: &'a str, host: &str) -> Typed<'a> {
    let text = text.trim();
    let text = text.strip_prefix(host).and_then(|rest| rest.strip_prefix('/')).unwrap_or(text);
    let (text, digest) = text.split_once('@').unwrap_or((text, ""));
    let (repository, tag) = text.rsplit_once(':').unwrap_or((text, ""));
    Typed { repository, tag, digest }
}

/// Leads to what was typed, or to the repositories that have it in their name.
pub(crate) async fn find(visit: Visit) -> Result<Reply, Failure> {
    let text = visit.parameter("q").trim();
    let typed = parse(text, visit.host());
    let named = !typed.repository.is_empty() && (!typed.tag.is_empty() || !typed.digest.is_empty());
    let is_there = named && exists(&visit, typed.repository).await?;
    let at = format!("/r/{}/-", path(typed.repository));
    Ok(Reply::Redirect(match (is_there, typed.digest) {
        (true, "") => format!("{at}/t/{}", segment(typed.tag)),
        (true, digest) => format!("{at}/m/{}", segment(digest)),
        (false, _) => with_query("/repositories", &[("q", text)]),
    }))
}

/// A repository's name in a path.
pub(crate) fn path(repository: &str) -> String {
    repository.split('/').map(segment).collect::<Vec<_>>().join("/")
}

async fn exists(visit: &Visit, repository: &str) -> Result<bool, Failure> {
    let list = with_query("/v1/repositories", &[("prefix", repository), ("n", "1")]);
    let found: RepositoryList = match visit.registry().get(&visit.asker, &list).await {
        Ok(found) => found,
        // What is no part of a name is in none.
        Err(Failure::Refused { status: 400, .. }) => return Ok(false),
        Err(failure) => return Err(failure),
    };
    Ok(found.items.iter().any(|found| found.name == repository))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_taken_apart() {
        let of = |text| parse(text, "mcr.example.com:5000");
        let typed = |repository, tag, digest| Typed { repository, tag, digest };
        assert_eq!(of("team/app"), typed("team/app", "", ""));
        assert_eq!(of(" team/app:v1 "), typed("team/app", "v1", ""));
        assert_eq!(of("mcr.example.com:5000/team/app:v1"), typed("team/app", "v1", ""));
        assert_eq!(of("team/app@sha256:00"), typed("team/app", "", "sha256:00"));
        assert_eq!(of("team/app:v1@sha256:00"), typed("team/app", "v1", "sha256:00"));
        assert_eq!(of(""), typed("", "", ""));
    }
}

//! A repository and its tags.

use askama::Template;
use futures_util::future::try_join;
use mcr_api::{FactsModel, RepositoryList, RepositoryModel, TagList, TagModel};

use super::search::path;
use super::{Frame, render};
use crate::failure::Failure;
use crate::registry::{segment, with_query};
use crate::show::{self, Moment};
use crate::visit::{Reply, Visit};

/// Rows of a page.
const ROWS: &str = "50";

struct Row {
    name: String,
    path: String,
    digest: String,
    short: String,
    image: String,
    kind: String,
    platforms: String,
    size: String,
    updated: Moment,
    pushed_by: String,
}

#[derive(Template)]
#[template(path = "repository.html")]
struct RepositoryPage<'a> {
    frame: Frame,
    name: &'a str,
    path: String,
    parents: Vec<(String, String)>,
    repository: RepositoryModel,
    size: String,
    own: Option<String>,
    updated: Moment,
    commands: Vec<(&'static str, String)>,
    q: &'a str,
    sort: &'a str,
    rows: Vec<Row>,
    next: Option<String>,
    is_first: bool,
}

/// The repository of exactly this name, of the first that begin with it.
pub(crate) async fn look(visit: &Visit, name: &str) -> Result<RepositoryModel, Failure> {
    let list = with_query("/v1/repositories", &[("prefix", name), ("n", "1")]);
    let found: RepositoryList = visit.registry().get(&visit.asker, &list).await?;
    found.items.into_iter().find(|found| found.name == name).ok_or_else(|| Failure::Refused {
        status: 404,
        code: "NOT_FOUND".to_owned(),
        message: format!("There is no repository {} that you may see", show::plain(name)),
        retry_after: None,
    })
}

/// Where `team/` and `team/sub/` are listed, for `team/sub/app`.
pub(crate) fn parents(name: &str) -> Vec<(String, String)> {
    let segments: Vec<&str> = name.split('/').collect();
    let above = segments.len().saturating_sub(1);
    let place =
        |end: usize| with_query("/repositories", &[("prefix", &format!("{}/", segments[..end].join("/")))]);
    (0..above).map(|at| (segments[at].to_owned(), place(at + 1))).collect()
}

/// `amd64 · arm64`: without the system where that is Linux.
pub(crate) fn platforms(facts: &FactsModel) -> String {
    let short = |text: &str| show::plain(text.strip_prefix("linux/").unwrap_or(text));
    let names: Vec<String> = facts.platforms.iter().map(|platform| short(&platform.platform)).collect();
    if names.is_empty() { "—".to_owned() } else { names.join(" · ") }
}

/// The bytes that one machine pulls: those of the largest platform where there are several.
pub(crate) fn pull_bytes(facts: &FactsModel) -> Option<u64> {
    facts.pull_bytes.or_else(|| facts.platforms.iter().filter_map(|platform| platform.pull_bytes).max())
}

/// How each client pulls this.
pub(crate) fn commands(reference: &str, kind: &str) -> Vec<(&'static str, String)> {
    if kind == "chart" {
        let (repository, version) = reference.rsplit_once(':').unwrap_or((reference, ""));
        let by_version = if reference.contains('@') || version.contains('/') {
            format!("helm pull oci://{reference}")
        } else {
            format!("helm pull oci://{repository} --version {}", version.replace('_', "+"))
        };
        return vec![("helm", by_version), ("oras", format!("oras pull {reference}"))];
    }
    if !matches!(kind, "image" | "index" | "") {
        return vec![
            ("oras", format!("oras pull {reference}")),
            ("crane", format!("crane manifest {reference}")),
        ];
    }
    let file = "image.tar";
    vec![
        ("docker", format!("docker pull {reference}")),
        ("podman", format!("podman pull {reference}")),
        ("crane", format!("crane pull {reference} {file}")),
        ("skopeo", format!("skopeo copy docker://{reference} docker-archive:{file}")),
        ("kubernetes", format!("image: {reference}")),
    ]
}

fn row(tag: &TagModel, at: &str, visit: &Visit) -> Row {
    let facts = tag.facts.as_ref();
    Row {
        name: tag.name.clone(),
        path: format!("{at}/-/t/{}", segment(&tag.name)),
        digest: tag.digest.clone(),
        short: show::short(&tag.digest).to_owned(),
        image: format!("{at}/-/m/{}?tag={}", segment(&tag.digest), segment(&tag.name)),
        kind: facts.map(|facts| facts.kind.to_string()).unwrap_or_default(),
        platforms: facts.map_or_else(|| "—".to_owned(), platforms),
        size: show::maybe_size(facts.and_then(pull_bytes)),
        updated: show::moment(&tag.updated_at, visit.now),
        pushed_by: facts.and_then(|facts| facts.pushed_by.as_deref()).map(show::plain).unwrap_or_default(),
    }
}

/// Shows it, with a page of its tags: those set last first, unless somebody wants them by name.
pub(crate) async fn show(visit: Visit) -> Result<Reply, Failure> {
    let (name, q, cursor) = (visit.part("repository"), visit.parameter("q"), visit.parameter("cursor"));
    let sort = if visit.parameter("sort") == "name" { "name" } else { "updated" };
    let tags = format!("/v1/repositories/{}/tags", segment(name));
    let asked = with_query(&tags, &[("q", q), ("sort", sort), ("n", ROWS), ("cursor", cursor)]);
    let (repository, tags) =
        try_join(look(&visit, name), visit.registry().get::<TagList>(&visit.asker, &asked)).await?;
    let at = format!("/r/{}", path(name));
    let first = tags.items.first();
    let commands = first.map(|tag| {
        let kind = tag.facts.as_ref().map(|facts| facts.kind.as_ref()).unwrap_or_default();
        commands(&format!("{}/{name}:{}", visit.host(), tag.name), kind)
    });
    let page = RepositoryPage {
        frame: Frame::of(&visit, "repositories"),
        name,
        parents: parents(name),
        size: show::size(repository.logical_bytes),
        own: repository.exclusive_bytes.map(show::size),
        updated: show::moment(&repository.updated_at, visit.now),
        repository,
        commands: commands.unwrap_or_default(),
        q,
        sort,
        rows: tags.items.iter().map(|tag| row(tag, &at, &visit)).collect(),
        next: tags.next.map(|next| with_query(&at, &[("q", q), ("sort", sort), ("cursor", &next)])),
        is_first: cursor.is_empty(),
        path: at,
    };
    render(&page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_pulled_by_what_understands_it() {
        let of = |reference: &str, kind| commands(reference, kind)[0].1.clone();
        assert_eq!(of("h/a:v1", "index"), "docker pull h/a:v1");
        assert_eq!(
            of("h:5000/charts/web:1.2.3_build.4", "chart"),
            "helm pull oci://h:5000/charts/web --version 1.2.3+build.4"
        );
        assert_eq!(of("h:5000/a@sha256:00", "chart"), "helm pull oci://h:5000/a@sha256:00");
        assert_eq!(of("h/a:sbom", "sbom"), "oras pull h/a:sbom");
    }

    #[test]
    fn what_is_above_a_repository_is_a_list() {
        assert_eq!(parents("a/b/c").iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(parents("a/b/c")[1].1, "/repositories?prefix=a%2Fb%2F");
        assert!(parents("a").is_empty());
    }
}

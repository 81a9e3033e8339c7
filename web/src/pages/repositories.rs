//! The repositories that a person may pull from.

use askama::Template;
use mcr_api::RepositoryList;

use super::search::path;
use super::{Frame, render};
use crate::failure::Failure;
use crate::registry::with_query;
use crate::show::{self, Moment};
use crate::visit::{Reply, Visit};

/// Rows of a page.
const ROWS: &str = "50";

struct Row {
    /// What stands before the last slash, with it.
    dim: String,
    name: String,
    path: String,
    tags: String,
    size: String,
    own: Option<String>,
    updated: Moment,
}

#[derive(Template)]
#[template(path = "repositories.html")]
struct RepositoriesPage<'a> {
    frame: Frame,
    q: &'a str,
    prefix: &'a str,
    sort: &'a str,
    crumbs: Vec<(String, String)>,
    rows: Vec<Row>,
    total: Option<String>,
    next: Option<String>,
    is_first: bool,
    has_own: bool,
}

/// `team/sub/` as links to `team/` and `team/sub/`.
fn crumbs(prefix: &str) -> Vec<(String, String)> {
    let ends = prefix.char_indices().filter(|(_, character)| *character == '/').map(|(at, _)| at);
    let mut begin = 0;
    let crumb = |end: usize| {
        let name = prefix[begin..end].to_owned();
        begin = end + 1;
        (name, with_query("/repositories", &[("prefix", &prefix[..=end])]))
    };
    ends.map(crumb).collect()
}

fn row(model: &mcr_api::RepositoryModel, visit: &Visit) -> Row {
    let at = model.name.rfind('/').map_or(0, |at| at + 1);
    Row {
        dim: model.name[..at].to_owned(),
        name: model.name[at..].to_owned(),
        path: path(&model.name),
        tags: show::thousands(model.tags),
        size: show::size(model.logical_bytes),
        own: model.exclusive_bytes.map(show::size),
        updated: show::moment(&model.updated_at, visit.now),
    }
}

/// Lists them: those pushed to last first, unless somebody wants them by name.
pub(crate) async fn list(visit: Visit) -> Result<Reply, Failure> {
    let (q, prefix, cursor) = (visit.parameter("q"), visit.parameter("prefix"), visit.parameter("cursor"));
    let sort = if visit.parameter("sort") == "name" { "name" } else { "updated" };
    let asked = [("q", q), ("prefix", prefix), ("sort", sort), ("n", ROWS), ("cursor", cursor)];
    let found: RepositoryList =
        visit.registry().get(&visit.asker, &with_query("/v1/repositories", &asked)).await?;
    let next = found.next.as_deref();
    let page = RepositoriesPage {
        frame: Frame::of(&visit, "repositories"),
        q,
        prefix,
        sort,
        crumbs: crumbs(prefix),
        rows: found.items.iter().map(|model| row(model, &visit)).collect(),
        total: found.total.map(show::thousands),
        next: next.map(|next| {
            with_query("/repositories", &[("q", q), ("prefix", prefix), ("sort", sort), ("cursor", next)])
        }),
        is_first: cursor.is_empty(),
        has_own: found.items.iter().any(|model| model.exclusive_bytes.is_some()),
    };
    render(&page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_way_up() {
        let names: Vec<_> = crumbs("team/sub/").into_iter().collect();
        assert_eq!(names[0], ("team".to_owned(), "/repositories?prefix=team%2F".to_owned()));
        assert_eq!(names[1], ("sub".to_owned(), "/repositories?prefix=team%2Fsub%2F".to_owned()));
        assert!(crumbs("").is_empty() && crumbs("te").is_empty());
    }
}

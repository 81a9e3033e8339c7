//! The table of pages: method, path, who may come, and who answers. A repository's name may have several segments; `-`, which
//! no segment of a name is, stands behind it.

use std::pin::Pin;

use crate::failure::Failure;
use crate::pages;
use crate::visit::{Parts, Reply, Visit};

/// Who may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Anybody.
    Anybody,
    /// Whoever is signed in.
    Person,
}

/// What answers.
pub(crate) type Handler = fn(Visit) -> Pin<Box<dyn Future<Output = Result<Reply, Failure>>>>;

/// One page.
pub(crate) struct Route {
    /// `GET` or `POST`.
    pub(crate) method: &'static str,
    /// Its path; `{name}` takes one segment, `{name*}` all up to the next that is written out.
    pub(crate) path: &'static str,
    /// Who may come.
    pub(crate) who: Who,
    /// What answers.
    pub(crate) handler: Handler,
}

macro_rules! routes {
    ($($method:ident $path:literal $who:ident => $($handler:ident)::+;)*) => {
        [$(Route {
            method: stringify!($method),
            path: $path,
            who: Who::$who,
            handler: |visit| Box::pin(pages::$($handler)::+(visit)),
        }),*]
    };
}

/// All pages but the assets.
pub(crate) static ROUTES: &[Route] = &routes! {
    GET  "/login"                        Anybody => login::show;
    POST "/login"                        Anybody => login::log_in;
    POST "/logout"                       Person  => login::log_out;
    GET  "/"                             Person  => overview::home;
    GET  "/search"                       Person  => search::find;
    GET  "/repositories"                 Person  => repositories::list;
    GET  "/r/{repository*}"              Person  => repository::show;
    GET  "/r/{repository*}/-/t/{tag}"    Person  => image::of_tag;
    GET  "/r/{repository*}/-/m/{digest}" Person  => image::show;
    GET  "/uploads"                      Person  => uploads::list;
    POST "/uploads/{id}/cancel"          Person  => uploads::cancel;
    GET  "/audit"                        Person  => audit::list;
    GET  "/gc"                           Person  => collection::show;
    POST "/gc/start"                     Person  => collection::start;
    POST "/gc/stop"                      Person  => collection::stop;
    GET  "/gc/sweeps/{id}"               Person  => collection::items;
    GET  "/me"                           Person  => me::show;
    POST "/me/password"                  Person  => me::change_password;
    POST "/me/tokens"                    Person  => me::make_token;
    POST "/me/tokens/{id}/end"           Person  => me::end_token;
};

/// What the path has in the places of the pattern's names; nothing when it is another path.
fn fit(pattern: &'static str, path: &[String]) -> Option<Parts> {
    let pattern: Vec<&'static str> = pattern.split('/').skip(1).collect();
    let (mut parts, mut at) = (Parts::new(), 0);
    for (index, wanted) in pattern.iter().enumerate() {
        let name = wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        match name.map(|name| name.strip_suffix('*').ok_or(name)) {
            None => {
                (path.get(at)? == wanted).then_some(())?;
                at += 1;
            }
            Some(Err(name)) => {
                parts.push((name, path.get(at).filter(|segment| !segment.is_empty())?.clone()));
                at += 1;
            }
            Some(Ok(name)) => {
                let end = match pattern.get(index + 1) {
                    Some(next) => at + path[at..].iter().position(|segment| segment == next)?,
                    None if path[at..].iter().any(|segment| segment == "-") => return None,
                    None => path.len(),
                };
                let segments =
                    path.get(at..end).filter(|segments| segments.iter().all(|text| !text.is_empty()))?;
                (!segments.is_empty()).then_some(())?;
                parts.push((name, segments.join("/")));
                at = end;
            }
        }
    }
    (at == path.len()).then_some(parts)
}

/// The routes of a path, whatever their method, with its parts.
pub(crate) fn of(path: &[String]) -> Vec<(&'static Route, Parts)> {
    ROUTES.iter().filter_map(|route| Some((route, fit(route.path, path)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(path: &str) -> Vec<String> {
        path.split('/').skip(1).map(str::to_owned).collect()
    }

    fn found(path: &str) -> Vec<(&'static str, Vec<String>)> {
        let routes = of(&segments(path)).into_iter();
        routes.map(|(route, parts)| (route.path, parts.into_iter().map(|(_, text)| text).collect())).collect()
    }

    #[test]
    fn a_name_has_as_many_segments_as_it_likes() {
        let one = |path, parts: &[&str]| vec![(path, parts.iter().map(|part| (*part).to_owned()).collect())];
        assert_eq!(found("/r/a"), one("/r/{repository*}", &["a"]));
        assert_eq!(found("/r/t/m/x"), one("/r/{repository*}", &["t/m/x"]));
        assert_eq!(found("/r/a/b/-/t/v1"), one("/r/{repository*}/-/t/{tag}", &["a/b", "v1"]));
        assert_eq!(found("/r/a/-/m/sha256:0"), one("/r/{repository*}/-/m/{digest}", &["a", "sha256:0"]));
        for path in [
            "/r",
            "/r/",
            "/r//a",
            "/r/a/",
            "/r/-/t/v1",
            "/r/a/-/t",
            "/r/a/-/t/",
            "/r/a/-/t/v1/",
            "/r/a/-/x/y",
            "//",
        ] {
            assert!(found(path).is_empty(), "{path}");
        }
    }

    /// No two pages are at one address.
    #[test]
    fn no_path_has_two_routes_of_one_method() {
        for route in ROUTES {
            let path = route.path.replace("{repository*}", "a/b").replace(['{', '}'], "");
            let of_method =
                of(&segments(&path)).into_iter().filter(|(found, _)| found.method == route.method);
            assert_eq!(of_method.count(), 1, "{path}");
        }
    }

    /// A page that anybody may see says nothing of the registry but its name.
    #[test]
    fn only_the_login_is_for_anybody() {
        let open: Vec<_> = ROUTES.iter().filter(|route| route.who == Who::Anybody).collect();
        assert!(open.iter().all(|route| route.path == "/login"));
        assert_eq!(open.len(), 2);
    }
}

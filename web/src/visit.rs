//! A request whose page and person are known, and what a page answers to it.

use std::rc::Rc;

use actix_web::web::Data;
use time::OffsetDateTime;

use crate::people::Person;
use crate::registry::{Asker, Registry};
use crate::session::Token;
use crate::site::Site;

/// What a path has in the places of a route's names.
pub(crate) type Parts = Vec<(&'static str, String)>;

/// A request whose page and person are known.
pub(crate) struct Visit {
    pub(crate) site: Data<Site>,
    pub(crate) parts: Parts,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) form: Vec<(String, String)>,
    /// In whose name the registry is asked.
    pub(crate) asker: Asker,
    /// Who is signed in, where the page asks for somebody.
    pub(crate) person: Option<Rc<Person>>,
    /// When it came.
    pub(crate) now: OffsetDateTime,
}

/// What a page answers.
pub(crate) enum Reply {
    /// HTML.
    Html(String),
    /// Another page, to be fetched with GET (RFC 9110 §15.4.4).
    Redirect(String),
    /// Another page, after somebody has signed in with this token.
    SignedIn(Token, String),
    /// The login page, after the session has ended.
    SignedOut,
}

impl Visit {
    /// The registry.
    pub(crate) fn registry(&self) -> &Registry {
        &self.site.registry
    }

    /// How clients name the registry.
    pub(crate) fn host(&self) -> &str {
        &self.site.settings.registry_host
    }

    /// What the path has in this place; empty where the route has none.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.parts.iter().find(|(found, _)| *found == name).map(|(_, text)| text.as_str()).unwrap_or_default()
    }

    /// A parameter of the query; empty where there is none.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        first(&self.query, name)
    }

    /// A field of the form; empty where there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        first(&self.form, name)
    }

    /// Forgets whoever is signed in.
    pub(crate) fn forget(&self) {
        if let Some(token) = &self.asker.token {
            self.site.people.forget(token);
        }
    }
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap_or_default()
}

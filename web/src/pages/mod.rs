//! The pages: what each asks of the registry, and what it makes of the answer. Their words are in `templates/`.

pub(crate) mod audit;
pub(crate) mod collection;
pub(crate) mod image;
pub(crate) mod login;
pub(crate) mod me;
pub(crate) mod overview;
pub(crate) mod repositories;
pub(crate) mod repository;
pub(crate) mod search;
pub(crate) mod uploads;

use askama::Template;

use crate::asset::{CSS, ICON, JS};
use crate::failure::{Failure, Told};
use crate::people::Person;
use crate::visit::{Reply, Visit};

/// What is around every page.
pub(crate) struct Frame {
    /// The registry's name.
    host: String,
    /// Who is signed in.
    name: Option<String>,
    /// Whether administration is offered.
    is_admin: bool,
    /// Which of the menu's lines this is.
    current: &'static str,
}

impl Frame {
    /// Around a page for somebody.
    pub(crate) fn new(host: &str, person: Option<&Person>, current: &'static str) -> Self {
        let name = person.map(Person::name);
        Self { host: host.to_owned(), name, is_admin: person.is_some_and(Person::is_admin), current }
    }

    /// Around a page for nobody in particular.
    pub(crate) fn bare(host: &str) -> Self {
        Self::new(host, None, "")
    }

    /// Around the page of a visit.
    fn of(visit: &Visit, current: &'static str) -> Self {
        Self::new(visit.host(), visit.person.as_deref(), current)
    }

    fn css(&self) -> &'static str {
        CSS
    }

    fn js(&self) -> &'static str {
        JS
    }

    fn icon(&self) -> &'static str {
        ICON
    }
}

/// A page that was filled in.
fn render(template: &impl Template) -> Result<Reply, Failure> {
    match template.render() {
        Ok(html) => Ok(Reply::Html(html)),
        Err(error) => {
            log::error!("a page cannot be written: {error}");
            Err(Failure::Ours)
        }
    }
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    frame: Frame,
    told: Told,
    id: &'a str,
}

/// The page that tells of a failure.
pub(crate) fn failure(frame: Frame, failure: &Failure, id: &str) -> Option<String> {
    FailurePage { frame, told: failure.told(), id }.render().ok()
}

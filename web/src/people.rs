//! Who is signed in: what the registry says of a token, remembered for a moment.
//!
//! It decides what is offered, never what may be done: the registry is asked for each thing with the token itself.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::{Duration, Instant};

use lru::LruCache;
use mcr_api::Me;

use crate::session::Token;

/// How long an answer is good.
const MOMENT: Duration = Duration::from_secs(15);
/// The most people of whom a worker remembers anything.
const MOST: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// Somebody who is signed in.
#[derive(Debug)]
pub(crate) struct Person {
    /// What the registry says.
    pub(crate) me: Me,
}

impl Person {
    /// Whether administration is offered.
    pub(crate) fn is_admin(&self) -> bool {
        self.me.principal.roles.iter().any(|role| role == "admin")
    }

    /// The name to greet with.
    pub(crate) fn name(&self) -> String {
        crate::show::plain(&self.me.principal.name)
    }
}

/// Those whom a worker has asked the registry about.
pub(crate) struct People(RefCell<LruCache<Token, (Rc<Person>, Instant)>>);

impl Default for People {
    fn default() -> Self {
        Self(RefCell::new(LruCache::new(MOST)))
    }
}

impl People {
    /// Who has this token, as the registry said a moment ago.
    pub(crate) fn known(&self, token: &Token) -> Option<Rc<Person>> {
        let mut people = self.0.borrow_mut();
        let (person, asked) = people.get(token)?;
        (asked.elapsed() < MOMENT).then(|| Rc::clone(person))
    }

    /// Remembers what the registry said.
    pub(crate) fn remember(&self, token: &Token, me: Me) -> Rc<Person> {
        let person = Rc::new(Person { me });
        self.0.borrow_mut().put(token.clone(), (Rc::clone(&person), Instant::now()));
        person
    }

    /// Forgets a token that has ended.
    pub(crate) fn forget(&self, token: &Token) {
        self.0.borrow_mut().pop(token);
    }
}

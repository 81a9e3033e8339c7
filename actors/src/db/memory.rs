//! Answers that are remembered as long as nothing is written: most requests ask what others asked a moment ago.
//!
//! The writer counts its commits, each after it is durable and before anybody hears of it. An answer is remembered with the
//! count from before its query began, and is good only while the count is the same. So whoever was told of a change sees
//! it, and what is remembered never outlives a change. Pure: the count is given by the caller.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::hash::Hash;

use actix::Message;

use super::error::DbError;
use super::query::ReadQuery;

/// How many bytes of answers are remembered, about.
const MOST: usize = 8 * 1024 * 1024;
/// What an entry costs beside its answer.
const OVERHEAD: usize = 256;

/// A question whose answer may be remembered.
pub trait Memorable: ReadQuery<Output: Clone> + Clone + Eq + Hash {
    /// About how many bytes the answer takes.
    fn weight(answer: &Self::Output) -> usize;
}

/// Asks a question whose answer may be known from before; it is as good as a new one.
#[derive(Debug)]
pub struct Recall<Q>(pub Q);

impl<Q: Memorable> Message for Recall<Q> {
    type Result = Result<Q::Output, DbError>;
}

/// How many commits there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Commits(pub(super) u64);

/// What is remembered, of one count of commits.
#[derive(Default)]
pub(super) struct Memory {
    commits: Commits,
    weight: usize,
    /// For each kind of question a `HashMap<Q, Q::Output>`.
    answers: HashMap<TypeId, Box<dyn Any + Send>>,
}

impl Memory {
    /// The answer, if it is known at this count of commits.
    pub(super) fn recall<Q: Memorable>(&self, question: &Q, commits: Commits) -> Option<Q::Output> {
        if commits != self.commits {
            return None;
        }
        let answers = self.answers.get(&TypeId::of::<Q>())?.downcast_ref::<HashMap<Q, Q::Output>>()?;
        answers.get(question).cloned()
    }

    /// Remembers an answer; `commits` is the count from before it was looked up.
    pub(super) fn remember<Q: Memorable>(&mut self, question: Q, answer: Q::Output, commits: Commits) {
        let weight = Q::weight(&answer).saturating_add(OVERHEAD);
        if commits != self.commits || self.weight.saturating_add(weight) > MOST {
            (self.commits, self.weight) = (commits, 0);
            self.answers.clear();
        }
        if weight > MOST / 8 {
            return;
        }
        self.weight += weight;
        let answers =
            self.answers.entry(TypeId::of::<Q>()).or_insert_with(|| Box::new(HashMap::<Q, Q::Output>::new()));
        if let Some(answers) = answers.downcast_mut::<HashMap<Q, Q::Output>>() {
            answers.insert(question, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Length(usize);

    impl ReadQuery for Length {
        type Output = usize;

        fn run(self, _: &Connection) -> Result<usize, DbError> {
            Ok(self.0)
        }
    }

    impl Memorable for Length {
        fn weight(answer: &usize) -> usize {
            *answer
        }
    }

    #[test]
    fn an_answer_is_good_until_the_next_commit() {
        let mut memory = Memory::default();
        memory.remember(Length(3), 3, Commits(7));
        assert_eq!(memory.recall(&Length(3), Commits(7)), Some(3));
        assert_eq!(memory.recall(&Length(4), Commits(7)), None);
        assert_eq!(memory.recall(&Length(3), Commits(8)), None);
        memory.remember(Length(4), 4, Commits(8));
        assert_eq!(memory.recall(&Length(3), Commits(8)), None, "an answer from before came back");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut memory = Memory::default();
        for length in 0..100 {
            memory.remember(Length(length), MOST / 10, Commits(1));
            assert!(memory.weight <= MOST);
        }
        memory.remember(Length(1000), MOST / 2, Commits(1));
        assert_eq!(memory.recall(&Length(1000), Commits(1)), None, "one answer took the place of many");
        assert_eq!(memory.recall(&Length(99), Commits(1)), Some(MOST / 10));
    }
}

//! What an HTTP/2 connection was given and has not written: for a client that opens its windows and does not read its socket the
//! library would take 400 KiB of each stream, and one that has the last piece of its answer is no longer counted among those in flight.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// How many bytes may wait to be written, beside the last piece of each stream, which may be one that the client lets send nothing.
const MOST: usize = 256 * 1024;

/// The bytes of one connection that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Cell<usize>,
    /// The last pieces of the streams whose answers are under way.
    last: Cell<usize>,
    /// Whether something was written since all was written.
    has_written: Cell<bool>,
    /// Whether the connection has ended, so that nothing is written any more.
    is_over: Cell<bool>,
    waiters: RefCell<Vec<Waker>>,
}

impl Queue {
    fn has_room(&self) -> bool {
        self.is_over.get() || self.waiting.get() <= MOST + self.last.get()
    }

    /// Waits until a piece more may be handed over.
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        self.waiters.borrow_mut().push(context.waker().clone());
        Poll::Pending
    }

    /// A stream hands over a piece after `before`, its last one.
    pub(super) fn hand_over(&self, before: usize, piece: usize) {
        self.waiting.set(self.waiting.get() + piece);
        self.last.set(self.last.get().saturating_sub(before) + piece);
    }

    /// A stream has ended: its last piece is on its way, or was given up with it.
    pub(super) fn end(&self, last: usize) {
        self.last.set(self.last.get().saturating_sub(last));
    }

    /// So many bytes were written, of answers or of whatever else.
    pub(super) fn written(&self, bytes: usize) {
        self.has_written.set(true);
        self.leave(self.waiting.get().saturating_sub(bytes));
    }

    /// Everything was written that could be. Where that was nothing, only last pieces are left: what else seems to wait was given up
    /// with its stream. Says whether somebody waits to know that.
    pub(super) fn flushed(&self) -> bool {
        if self.has_written.replace(false) {
            return !self.waiters.borrow().is_empty();
        }
        self.leave(self.waiting.get().min(self.last.get()));
        false
    }

    /// The connection has ended: nobody waits any more for what it will not write. The library ends the streams itself.
    pub(super) fn is_over(&self) {
        self.is_over.set(true);
        self.leave(0);
    }

    fn leave(&self, waiting: usize) {
        self.waiting.set(waiting);
        if self.has_room() {
            self.waiters.take().into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_room(queue: &Queue) -> bool {
        queue.poll_room(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn what_is_not_written_is_no_more_than_the_bound_and_a_piece_for_each_stream() {
        let queue = Queue::default();
        let mut handed = 0;
        while has_room(&queue) {
            queue.hand_over(if handed > 0 { 1000 } else { 0 }, 1000);
            handed += 1000;
        }
        assert!((MOST..=MOST + 2000).contains(&handed), "{handed}");
        queue.written(1000);
        assert!(has_room(&queue));
    }

    #[test]
    fn nobody_waits_for_a_connection_that_has_ended() {
        let queue = Queue::default();
        queue.hand_over(0, 1);
        queue.hand_over(1, 2 * MOST);
        queue.end(2 * MOST);
        assert!(!has_room(&queue));
        queue.is_over();
        queue.hand_over(0, 2 * MOST);
        queue.end(2 * MOST);
        assert!(has_room(&queue) && queue.waiters.borrow().is_empty());
    }

    #[test]
    fn last_pieces_of_many_streams_keep_nobody_else_waiting() {
        let queue = Queue::default();
        (0..100).for_each(|_| queue.hand_over(0, 64 * 1024));
        assert!(has_room(&queue));
        // They are given up with their streams, and nobody says how much of them was written.
        (0..100).for_each(|_| queue.end(64 * 1024));
        assert!(!has_room(&queue));
        queue.written(9);
        assert!(queue.flushed(), "more may be left to write, and somebody waits to know");
        assert!(!has_room(&queue));
        assert!(!queue.flushed());
        assert!(has_room(&queue));
    }
}

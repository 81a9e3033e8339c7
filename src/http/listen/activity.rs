//! What the requests of a connection tell its stream: how many are in flight, and what their clients wait for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use actix_http::{HttpMessage, Method, Protocol, Request};

use super::interim::{Awaited, Body100};
use super::pulse::Pulse;
use super::queue::Queue;

/// What the requests of a connection tell its stream.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) pulse: Arc<Pulse>,
    /// What waits to be written, where streams do not wait for one another.
    pub(super) queue: Option<Queue>,
    pub(super) in_flight: Cell<usize>,
    pub(super) served: Cell<bool>,
    /// Whether everything that was handed over when the last request ended has been written to the socket.
    pub(super) flushed: Cell<bool>,
    pub(super) reader: RefCell<Option<Waker>>,
    /// Requests whose answers have not begun.
    pub(super) unanswered: Cell<usize>,
    /// Whether the request that began last is a HEAD.
    pub(super) head_only: Cell<bool>,
    /// Whether the head of a request may be read next.
    pub(super) between: Cell<bool>,
    /// What the client whose head was read waits for.
    pub(super) told: Cell<Body100>,
    /// The request whose client waits to be asked for its body.
    pub(super) awaited: RefCell<Option<Awaited>>,
}

impl Activity {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            pulse: Arc::new(Pulse::new(protocol == Protocol::Http2)),
            queue: (protocol == Protocol::Http2).then(Queue::default),
            in_flight: Cell::default(),
            served: Cell::default(),
            flushed: Cell::default(),
            reader: RefCell::default(),
            unanswered: Cell::default(),
            head_only: Cell::default(),
            between: Cell::default(),
            told: Cell::default(),
            awaited: RefCell::default(),
        }
    }

    /// The signs of life of its connection.
    pub(in crate::http) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Counts a request in, until what is returned is dropped, and leaves its [`Place`] with it.
    pub(super) fn begin(request: &Request) -> Option<InFlight> {
        let activity = Rc::clone(request.conn_data::<Rc<Activity>>()?);
        let place = activity.in_flight.get() + 1;
        activity.in_flight.set(place);
        activity.served.set(true);
        activity.unanswered.set(activity.unanswered.get() + 1);
        activity.between.set(false);
        activity.head_only.set(request.method() == Method::HEAD);
        let mut told = activity.told.take();
        activity.awaited.replace(told.take().then(Awaited::default));
        request.extensions_mut().insert(Place(place));
        Some(InFlight { activity, is_answered: Cell::default() })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.get() == 0
    }

    /// Whether an answer is on its way.
    pub(super) fn is_answering(&self) -> bool {
        self.in_flight.get() > self.unanswered.get()
    }
}

/// How many requests of its connection were in flight when a request began, with itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(pub(super) usize);

/// A request in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) activity: Rc<Activity>,
    is_answered: Cell<bool>,
}

impl InFlight {
    /// The head of its answer is there.
    pub(super) fn is_answered(&self) {
        self.activity.pulse.beat();
        self.waits_no_more();
    }

    fn waits_no_more(&self) {
        if !self.is_answered.replace(true) {
            self.activity.unanswered.set(self.activity.unanswered.get() - 1);
        }
    }

    /// The request, if its client waits to be asked for the body.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        self.activity.awaited.borrow().clone()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let activity = &self.activity;
        // A stream was given up, or its handler panicked. Over HTTP/1.1 its connection ends with it, and is to know that.
        if activity.queue.is_some() {
            self.waits_no_more();
        }
        activity.in_flight.set(activity.in_flight.get() - 1);
        if activity.is_idle() {
            activity.flushed.set(false);
            activity.between.set(true);
            if let Some(reader) = activity.reader.take() {
                reader.wake();
            }
        }
    }
}

//! Decides what happens to the files of blobs: one owner at a time for each digest, and the order of system calls of
//! [`durable`](super::durable).
//!
//! Publishes that wait together are moved together, with one sync for each directory.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ArbiterHandle, AsyncContext, Context, Handler, Message, ResponseFuture, StreamHandler};
use tokio::sync::{mpsc, oneshot};

use super::durable::{self, KnownDirs, Root};
use super::reservation::Reservation;
use super::{BlobError, Layout, Publish, Remove, RemoveAll, Reserve, ReserveIdle};
use crate::ask::Handle;
use crate::domain::Digest;
use crate::fs::Fs;
use crate::identity::marker::Marker;
use crate::priority::be_polite;

const LIMIT: usize = 20_000;
/// Whoever waits for a digest waits for the sync of who has it.
pub const DEADLINE: Duration = Duration::from_secs(300);

type PublishReply = oneshot::Sender<Result<Reservation, BlobError>>;

/// Owns the files of all blobs.
#[derive(Debug)]
pub struct BlobStore {
    fs: Arc<dyn Fs>,
    layout: Layout,
    known: KnownDirs,
    /// Who waits for each digest that is reserved now.
    reserved: HashMap<Digest, VecDeque<oneshot::Sender<Reservation>>>,
    publishing: Vec<(Publish, PublishReply)>,
    released: mpsc::UnboundedSender<Digest>,
    releases: Rc<RefCell<mpsc::UnboundedReceiver<Digest>>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct PublishAll;

impl BlobStore {
    /// Starts on `thread`, where nothing else lives, since it waits for the disk; makes the store's directory when it is missing, and
    /// again, with `marker`, when somebody removes it.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn start(
        fs: Arc<dyn Fs>,
        layout: Layout,
        marker: Marker,
        thread: &ArbiterHandle,
    ) -> io::Result<Handle<Self>> {
        durable::create_dirs(fs.as_ref(), layout.root())?;
        let known = KnownDirs::of(Root::of(fs.as_ref(), layout.root(), marker));
        let (released, releases) = mpsc::unbounded_channel();
        let addr = Self::start_in_arbiter(thread, move |_| Self {
            fs,
            layout,
            known,
            reserved: HashMap::new(),
            publishing: Vec::new(),
            released,
            releases: Rc::new(RefCell::new(releases)),
        });
        Ok(Handle::new("blob store", addr, LIMIT, DEADLINE))
    }

    fn reservation(&self, digest: Digest) -> Reservation {
        Reservation { digest, released: Some(self.released.clone()) }
    }

    /// Hands a digest to the next who still waits.
    fn release(&mut self, digest: Digest) {
        while let Some(next) = self.reserved.get_mut(&digest).and_then(VecDeque::pop_front) {
            match next.send(self.reservation(digest)) {
                Ok(()) => return,
                // The asker is gone; its reservation must not come back as a release of the one handed on.
                Err(mut unheard) => unheard.released = None,
            }
        }
        self.reserved.remove(&digest);
    }

    /// Hears of all that was let go before now: messages would else be handled first, however late they came.
    fn hear_of_releases(&mut self) {
        loop {
            let released = self.releases.borrow_mut().try_recv();
            match released {
                Ok(digest) => self.release(digest),
                Err(_) => return,
            }
        }
    }

    /// Brings all that wait into place, then syncs each directory once, then answers.
    fn publish_all(&mut self) {
        let batch = std::mem::take(&mut self.publishing);
        let mut directories: HashMap<PathBuf, Result<(), io::Error>> = HashMap::new();
        let mut moved = Vec::with_capacity(batch.len());
        for (Publish { reservation, from }, reply) in batch {
            let to = self.layout.path(&reservation.digest);
            let result = durable::bring_into_place(self.fs.as_ref(), &mut self.known, &from, &to);
            moved.push((reservation, to.parent().map(PathBuf::from), result, reply));
        }
        let touched: HashSet<PathBuf> = moved
            .iter()
            .filter(|(.., result, _)| result.is_ok())
            .filter_map(|(_, directory, ..)| directory.clone())
            .collect();
        for directory in touched {
            let synced = durable::sync_names(self.fs.as_ref(), &directory);
            directories.insert(directory, synced);
        }
        for (reservation, directory, result, reply) in moved {
            let synced = match directory.and_then(|directory| directories.get(&directory)) {
                Some(Err(error)) => Err(io::Error::new(error.kind(), error.to_string())),
                _ => Ok(()),
            };
            let answer = result.and(synced).map(|()| reservation).map_err(BlobError::from);
            // Whoever asked may be gone; the reservation is dropped with the answer.
            let _unheard = reply.send(answer);
        }
    }
}

impl Actor for BlobStore {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
        let releases = Rc::clone(&self.releases);
        let next = move |context: &mut std::task::Context<'_>| releases.borrow_mut().poll_recv(context);
        context.add_stream(futures_util::stream::poll_fn(next));
    }
}

impl StreamHandler<Digest> for BlobStore {
    fn handle(&mut self, digest: Digest, _: &mut Self::Context) {
        self.release(digest);
    }
}

impl Handler<Reserve> for BlobStore {
    type Result = ResponseFuture<Result<Reservation, BlobError>>;

    fn handle(&mut self, Reserve { digest }: Reserve, _: &mut Self::Context) -> Self::Result {
        let turn = match self.reserved.get_mut(&digest) {
            Some(waiting) => {
                let (give, turn) = oneshot::channel();
                waiting.push_back(give);
                turn
            }
            None => {
                self.reserved.insert(digest, VecDeque::new());
                let reservation = self.reservation(digest);
                return Box::pin(std::future::ready(Ok(reservation)));
            }
        };
        Box::pin(async move { turn.await.map_err(|_| io::Error::other("the blob store stopped").into()) })
    }
}

impl Handler<ReserveIdle> for BlobStore {
    type Result = Result<Vec<Reservation>, BlobError>;

    fn handle(&mut self, ReserveIdle { digests }: ReserveIdle, _: &mut Self::Context) -> Self::Result {
        self.hear_of_releases();
        let mut reservations = Vec::with_capacity(digests.len());
        for digest in digests {
            if let Entry::Vacant(idle) = self.reserved.entry(digest) {
                idle.insert(VecDeque::new());
                reservations.push(self.reservation(digest));
            }
        }
        Ok(reservations)
    }
}

impl Handler<RemoveAll> for BlobStore {
    type Result = ResponseFuture<<RemoveAll as Message>::Result>;

    /// On a thread of its own that gives way: publishers of other digests need not wait until large files are gone. Those of
    /// the same digests wait for the reservations.
    fn handle(&mut self, RemoveAll { reservations }: RemoveAll, _: &mut Self::Context) -> Self::Result {
        let (fs, layout) = (Arc::clone(&self.fs), self.layout.clone());
        let (reply, removed) = oneshot::channel();
        let remove = move || {
            be_polite();
            let remove = |reservation: Reservation| {
                let path = layout.path(&reservation.digest);
                (reservation.digest, durable::remove_measured(fs.as_ref(), &path))
            };
            // Whoever asked may be gone; the files are all the same.
            let _unheard = reply.send(reservations.into_iter().map(remove).collect());
        };
        let started = std::thread::Builder::new().name("remove".to_owned()).spawn(remove);
        Box::pin(async move {
            started?;
            removed.await.map_err(|_| io::Error::other("the thread that removes files panicked").into())
        })
    }
}

impl Handler<Publish> for BlobStore {
    type Result = ResponseFuture<Result<Reservation, BlobError>>;

    fn handle(&mut self, publish: Publish, context: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        if self.publishing.is_empty() {
            // Handled when the mailbox is empty, so all that waits there joins.
            context.notify(PublishAll);
        }
        self.publishing.push((publish, reply));
        Box::pin(async move {
            answer.await.unwrap_or_else(|_| Err(io::Error::other("the blob store stopped").into()))
        })
    }
}

impl Handler<PublishAll> for BlobStore {
    type Result = ();

    fn handle(&mut self, _: PublishAll, _: &mut Self::Context) {
        self.publish_all();
    }
}

impl Handler<Remove> for BlobStore {
    type Result = Result<Reservation, BlobError>;

    fn handle(&mut self, Remove { reservation }: Remove, _: &mut Self::Context) -> Self::Result {
        durable::remove(self.fs.as_ref(), &self.layout.path(&reservation.digest))?;
        Ok(reservation)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use uuid::Uuid;

    use super::*;
    use crate::domain::Algorithm;
    use crate::fs::fake::FakeFs;

    /// However busy the store is, whoever has let a digest go and asks for it next gets it: a sweep would else leave to the next
    /// one what it has looked at itself.
    #[actix::test]
    async fn what_was_let_go_is_idle_for_whoever_asks_next() {
        let (fs, thread) = (FakeFs::default(), actix::Arbiter::new());
        let (layout, marker) = (Layout::new("/layers"), Marker { id: Uuid::nil(), starts: 1 });
        let store = BlobStore::start(Arc::new(fs.clone()), layout.clone(), marker, &thread.handle()).unwrap();
        let [slow, digest] = [b"slow", b"idle"].map(|content| Digest::of(Algorithm::Sha256, content));
        fs.create(Path::new("/from")).unwrap();
        let reserve = |digest| store.ask(ReserveIdle { digests: vec![digest] });
        let (held, reservation) = (reserve(digest).await.unwrap(), reserve(slow).await.unwrap().remove(0));
        fs.hold_renames(Some("/layers".into()));
        let publishing = store.ask(Publish { reservation, from: "/from".into() });
        // The store waits for the disk while one is let go and the next one asks.
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(held);
        let asked = reserve(digest);
        fs.hold_renames(None);
        assert_eq!(asked.await.unwrap().len(), 1);
        publishing.await.unwrap();
        thread.stop();
    }
}

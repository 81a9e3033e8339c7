//! Whether the registry can serve: each check, looked at once a second at most for all who ask together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, ArbiterHandle, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture,
};
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::oneshot;

use crate::ask::{AskError, Handle};
use crate::auth_cache::Provider;
use crate::db::queries::commits::TryCommit;
use crate::db::queries::repositories::ListRepositories;
use crate::db::{Db, DbError};
use crate::upload::{CheckStorage, Storage, Uploads};

/// How long a report is told.
const FRESH: Duration = Duration::from_secs(1);
/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most who wait.
const LIMIT: usize = 20_000;

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// More about it, for administrators.
    pub detail: String,
}

/// All checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Each check, in order.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether all is well.
    pub fn ready(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

/// The checks of one look: what is well, or what is not.
type Looked = Vec<(&'static str, Result<String, String>)>;

/// An actor whose death is told.
#[derive(Clone)]
pub(crate) struct Watched {
    name: &'static str,
    lives: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Watched {
    pub(crate) fn new(name: &'static str, lives: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { name, lives: Arc::new(lives) }
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Watches the actor of a handle.
pub(crate) fn watched<A: Actor<Context = Context<A>>>(handle: &Handle<A>) -> Watched {
    let (name, handle) = (handle.name(), handle.clone());
    Watched::new(name, move || handle.is_alive())
}

/// What is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) watched: Vec<Watched>,
    pub(crate) db: Db,
    pub(crate) uploads: Handle<Uploads>,
    pub(crate) provider: Arc<dyn Provider>,
}

impl Places {
    /// Every check there is, each with the names it is known by. They are looked at side by side.
    fn checks(&self) -> Vec<(&'static [&'static str], BoxFuture<'static, Looked>)> {
        vec![
            (&["database"], Box::pin(database(self.db.clone()))),
            (&["commits"], Box::pin(commits(self.db.clone()))),
            (&["storage", "free space", "upload places"], Box::pin(storage(self.uploads.clone()))),
            (&["provider"], Box::pin(provider(Arc::clone(&self.provider)))),
            (&["actors"], Box::pin(std::future::ready(actors(&self.watched)))),
        ]
    }

    async fn look(self) -> Report {
        let looks = self.checks().into_iter().map(|(names, check)| async move {
            let silent = || Err("it does not answer in time".to_owned());
            tokio::time::timeout(PATIENCE, check)
                .await
                .unwrap_or_else(|_| names.iter().map(|name| (*name, silent())).collect())
        });
        let looked = join_all(looks).await.into_iter().flatten();
        let check = |(name, result)| match result {
            Ok(detail) => Check { name, ok: true, detail },
            Err(detail) => Check { name, ok: false, detail },
        };
        Report { checks: looked.map(check).collect() }
    }
}

async fn database(db: Db) -> Looked {
    let read = db.read(ListRepositories { after: String::new(), limit: 1 }).await;
    vec![("database", read.map(|_| "it answers".to_owned()).map_err(|error| error.to_string()))]
}

/// The last commit succeeded, or one succeeds now.
async fn commits(db: Db) -> Looked {
    let tried = async {
        if db.observe().await?.failing {
            db.write(TryCommit).await?;
        }
        Ok::<_, AskError<DbError>>(())
    };
    let said = tried.await.map(|()| "what is changed lasts".to_owned());
    vec![("commits", said.map_err(|error| format!("nothing can be changed: {error}")))]
}

async fn storage(uploads: Handle<Uploads>) -> Looked {
    let storage = uploads.ask(CheckStorage).await;
    let room = match &storage {
        Ok(Storage { free, enough: true, .. }) => Ok(format!("{free} bytes are free")),
        Ok(Storage { free, .. }) => Err(format!("only {free} bytes are free, less than storage.min_free")),
        Err(_) => Err("it is not known".to_owned()),
    };
    // Never a reason to be out of service: somebody gives way, and one account alone could see to it.
    let places = match &storage {
        Ok(Storage { taken, places, .. }) if taken >= places => Ok(format!(
            "all {places} are taken: whoever holds the most gives way to others, and is told to wait"
        )),
        Ok(Storage { taken, places, .. }) => Ok(format!("{taken} of {places} are taken")),
        Err(_) => Err("it is not known".to_owned()),
    };
    let writable = storage.map(|_| "it can be written to".to_owned()).map_err(|error| error.to_string());
    vec![("storage", writable), ("free space", room), ("upload places", places)]
}

async fn provider(provider: Arc<dyn Provider>) -> Looked {
    let checked = provider.check().await;
    vec![("provider", checked.map(|()| "it answers".to_owned()).map_err(|error| error.to_string()))]
}

fn actors(watched: &[Watched]) -> Looked {
    let dead = watched.iter().find(|watched| !(watched.lives)()).map(|watched| watched.name);
    vec![("actors", dead.map_or(Ok("all run".to_owned()), |name| Err(format!("{name} has died"))))]
}

/// Owns the last report.
#[derive(Debug)]
pub struct Readiness {
    places: Places,
    last: Option<(Instant, Arc<Report>)>,
    /// Those who wait for the look that is under way, if one is.
    waiting: Option<Vec<oneshot::Sender<Arc<Report>>>>,
    looks: u64,
}

impl Readiness {
    pub(crate) fn start_on(places: Places, thread: &ArbiterHandle) -> Handle<Self> {
        let readiness = Self { places, last: None, waiting: None, looks: 0 };
        let addr = Self::start_in_arbiter(thread, |_| readiness);
        Handle::new("readiness", addr, LIMIT, PATIENCE * 2)
    }

    fn told(&mut self, report: Report) {
        let report = Arc::new(report);
        self.last = Some((Instant::now(), Arc::clone(&report)));
        for waiting in self.waiting.take().unwrap_or_default() {
            // Whoever asked may be gone.
            let _unheard = waiting.send(Arc::clone(&report));
        }
    }
}

impl Actor for Readiness {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
    }
}

/// Nobody can tell how the registry is.
#[derive(Debug, thiserror::Error)]
#[error("nobody can tell whether the registry is ready")]
pub struct Untold;

/// Asks for the report, which is a second old at most.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<Report>, Untold>")]
pub struct GetReadiness;

impl Handler<GetReadiness> for Readiness {
    type Result = ResponseFuture<Result<Arc<Report>, Untold>>;

    fn handle(&mut self, _: GetReadiness, context: &mut Self::Context) -> Self::Result {
        if let Some((_, report)) = self.last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Box::pin(std::future::ready(Ok(Arc::clone(report))));
        }
        let (tell, told) = oneshot::channel();
        match &mut self.waiting {
            Some(waiting) => waiting.push(tell),
            none => {
                *none = Some(vec![tell]);
                self.looks += 1;
                let look = self.places.clone().look();
                context.spawn(look.into_actor(self).map(|report, readiness, _| readiness.told(report)));
            }
        }
        Box::pin(async move { told.await.map_err(|_| Untold) })
    }
}

/// How often it was looked.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, Untold>")]
struct CountLooks;

#[cfg(test)]
impl Handler<CountLooks> for Readiness {
    type Result = Result<u64, Untold>;

    fn handle(&mut self, _: CountLooks, _: &mut Self::Context) -> Self::Result {
        Ok(self.looks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::fake::FakeFs;
    use crate::testing::Harness;

    #[actix_rt::test]
    async fn all_who_ask_together_cost_one_look() {
        let harness = Harness::start(Arc::new(FakeFs::default())).await;
        let readiness = &harness.worker.readiness;
        let asked = join_all((0..500).map(|_| readiness.ask(GetReadiness))).await;
        assert!(asked.into_iter().all(|report| report.unwrap().ready()));
        let most = readiness.ask(CountLooks).await.unwrap();
        assert!(most <= 2, "{most} looks for those who asked together");
        tokio::time::sleep(FRESH).await;
        readiness.ask(GetReadiness).await.unwrap();
        assert!(readiness.ask(CountLooks).await.unwrap() > most, "an old report is told for ever");
        harness.finish().await;
    }
}

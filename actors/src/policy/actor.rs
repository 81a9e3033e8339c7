//! The owner of the rules, and the copies that workers decide with.

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, ArbiterHandle, AtomicResponse, Context, Handler, Message, MessageResult,
    Recipient, WrapFuture,
};

use super::builtin;
use super::rules::{Question, RuleSet};
use super::{Change, Decide, Decision, PolicyError, Reload, Rules};
use crate::ask::{AskError, Handle};
use crate::db::queries::policy_rules::ListRules;
use crate::db::{Db, WriteQuery};

const LIMIT: usize = 20_000;
const DEADLINE: Duration = Duration::from_secs(30);

/// Owns the rules.
#[derive(Debug)]
pub struct Policy {
    db: Db,
    builtin_human_access: bool,
    rules: Arc<RuleSet>,
    readers: Vec<Recipient<Replace>>,
}

/// Decides on a worker's own thread.
#[derive(Debug)]
pub struct PolicyReader {
    rules: Arc<RuleSet>,
}

/// The rules have changed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Replace(Arc<RuleSet>);

/// A reader wants to hear of changes.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), PolicyError>")]
struct Subscribe(Recipient<Replace>);

async fn load(db: Db, builtin_human_access: bool) -> Result<Arc<RuleSet>, PolicyError> {
    let stored = db.read(ListRules).await.map_err(|error| error.of_asker(PolicyError::Unavailable))??;
    Ok(Arc::new(RuleSet::new(builtin::rules(builtin_human_access).into_iter().chain(stored).collect())))
}

impl Policy {
    /// Starts on `thread` with the stored rules.
    ///
    /// # Errors
    /// When the database fails or a stored rule is not valid: without its rules nothing may be served.
    pub async fn start(
        db: Db,
        builtin_human_access: bool,
        thread: &ArbiterHandle,
    ) -> Result<Handle<Self>, PolicyError> {
        let rules = load(db.clone(), builtin_human_access).await?;
        let addr = Self::start_in_arbiter(thread, move |_| Self {
            db,
            builtin_human_access,
            rules,
            readers: Vec::new(),
        });
        Ok(Handle::new("policy", addr, LIMIT, DEADLINE))
    }
}

impl PolicyReader {
    /// Starts on the present thread. It has the rules before it answers anything.
    ///
    /// # Errors
    /// When the owner does not answer.
    pub async fn start(owner: &Handle<Policy>) -> Result<Handle<Self>, AskError<PolicyError>> {
        // Until the owner has sent the rules this one has none, and none allow nothing.
        let addr = Actor::start(Self { rules: Arc::default() });
        owner.ask(Subscribe(addr.clone().recipient())).await?;
        Ok(Handle::new("policy reader", addr, LIMIT, DEADLINE))
    }
}

impl Actor for Policy {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
    }
}

impl Actor for PolicyReader {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(LIMIT);
    }
}

impl Handler<Subscribe> for Policy {
    type Result = AtomicResponse<Self, Result<(), PolicyError>>;

    fn handle(&mut self, Subscribe(reader): Subscribe, _: &mut Self::Context) -> Self::Result {
        let replaced = reader.send(Replace(Arc::clone(&self.rules)));
        self.readers.push(reader);
        let replaced = async move { replaced.await.map_err(|_| PolicyError::Unavailable("policy reader")) };
        AtomicResponse::new(Box::pin(replaced.into_actor(self)))
    }
}

/// Reads the stored rules and gives them to every reader, and waits until they have them.
async fn load_everywhere(
    db: Db,
    builtin: bool,
    readers: Vec<Recipient<Replace>>,
) -> Result<Arc<RuleSet>, PolicyError> {
    let rules = load(db, builtin).await?;
    for reader in readers {
        // A reader that stopped meanwhile decides nothing any more.
        let _gone = reader.send(Replace(Arc::clone(&rules))).await;
    }
    Ok(rules)
}

impl Policy {
    fn load_everywhere(&mut self) -> impl Future<Output = Result<Arc<RuleSet>, PolicyError>> + use<> {
        self.readers.retain(Recipient::connected);
        load_everywhere(self.db.clone(), self.builtin_human_access, self.readers.clone())
    }
}

impl Handler<Reload> for Policy {
    type Result = AtomicResponse<Self, Result<(), PolicyError>>;

    fn handle(&mut self, _: Reload, _: &mut Self::Context) -> Self::Result {
        let reloaded = self.load_everywhere();
        AtomicResponse::new(Box::pin(
            reloaded.into_actor(self).map(|rules, policy, _| rules.map(|rules| policy.rules = rules)),
        ))
    }
}

impl<Q: WriteQuery> Handler<Change<Q>> for Policy {
    type Result = AtomicResponse<Self, Result<Q::Output, Q::Error>>;

    fn handle(&mut self, Change(change): Change<Q>, _: &mut Self::Context) -> Self::Result {
        // Loading begins when it is awaited, after the write.
        let (written, reloaded) = (self.db.write(change), self.load_everywhere());
        let changed = async move {
            let output = written.await.map_err(AskError::into_db)?;
            Ok::<_, Q::Error>((output, reloaded.await))
        };
        AtomicResponse::new(Box::pin(changed.into_actor(self).map(|changed, policy, _| {
            let (output, rules) = changed?;
            match rules {
                Ok(rules) => policy.rules = rules,
                // What is stored was checked at the door, so this is a row that somebody else wrote.
                Err(error) => log::error!("the rules that were read before still hold: {error}"),
            }
            Ok(output)
        })))
    }
}

impl Handler<Replace> for PolicyReader {
    type Result = ();

    fn handle(&mut self, Replace(rules): Replace, _: &mut Self::Context) {
        self.rules = rules;
    }
}

impl Handler<Decide> for PolicyReader {
    type Result = MessageResult<Decide>;

    fn handle(
        &mut self,
        Decide { principal, action, repository }: Decide,
        _: &mut Self::Context,
    ) -> Self::Result {
        let question = Question { principal: &principal, action, repository: repository.as_ref() };
        let decision: Decision = self.rules.decide(question);
        MessageResult(Ok(decision))
    }
}

impl Handler<Rules> for PolicyReader {
    type Result = MessageResult<Rules>;

    fn handle(&mut self, _: Rules, _: &mut Self::Context) -> Self::Result {
        MessageResult(Ok(Arc::clone(&self.rules)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Action, Principal};

    async fn may_pull(reader: &Handle<PolicyReader>) -> bool {
        let (principal, repository) = (Arc::new(Principal::anonymous()), Some("a".parse().unwrap()));
        reader.ask(Decide { principal, action: Action::Pull, repository }).await.unwrap().allowed
    }

    #[actix::test]
    async fn an_acknowledged_reload_holds_on_every_reader_and_a_bad_rule_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mcr.db");
        let db = Db::start(&path, &actix::Arbiter::current()).unwrap();
        let policy = Policy::start(db, true, &actix::Arbiter::current()).await.unwrap();
        let readers =
            [PolicyReader::start(&policy).await.unwrap(), PolicyReader::start(&policy).await.unwrap()];
        assert!(!may_pull(&readers[0]).await);
        let other = rusqlite::Connection::open(&path).unwrap();
        let insert = "INSERT INTO policy_rules (priority, effect, actions) VALUES (1, 'allow', ?1)";
        other.execute(insert, [r#"["registry:pull"]"#]).unwrap();
        policy.ask(Reload).await.unwrap();
        for reader in &readers {
            assert!(may_pull(reader).await);
        }
        other.execute(insert, [r#"["no such action"]"#]).unwrap();
        let refused = policy.ask(Reload).await;
        assert!(matches!(refused, Err(AskError::Refused(PolicyError::BadRule { id: 2, .. }))), "{refused:?}");
        assert!(may_pull(&readers[1]).await);
    }

    #[actix::test]
    async fn a_reader_whose_thread_has_ended_holds_up_no_reload() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::start(&directory.path().join("mcr.db"), &actix::Arbiter::current()).unwrap();
        let policy = Policy::start(db, true, &actix::Arbiter::current()).await.unwrap();
        let (thread, owner) = (actix::Arbiter::new(), policy.clone());
        let (started, reader) = tokio::sync::oneshot::channel();
        thread.spawn(async move { started.send(PolicyReader::start(&owner).await.unwrap()).unwrap() });
        let reader = reader.await.unwrap();
        thread.stop();
        thread.join().unwrap();
        assert!(!reader.is_alive());
        policy.ask(Reload).await.unwrap();
    }
}

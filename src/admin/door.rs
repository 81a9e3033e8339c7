//! The door of every change that an administrator makes.
//!
//! A caller was judged when its request had come whole. Whatever the change then waits for (a password that is hashed, others
//! before it in the writer), the caller is asked for once more in the transaction of the change itself, or of the first write
//! that an actor makes for it. A use case that can change something answers with [`Asked`], which comes out of this file
//! alone, and an API makes its answer from that: one that forgot its door does not compile.

mod asked;

use actix::dev::ToEnvelope;
use actix::{Actor, Handler, Message};
use mcr_actors::ask::{AskError, Handle};
use mcr_actors::auth_cache::{Administer, EndToken, TokenHash};
use mcr_actors::db::WriteQuery;
use mcr_actors::db::queries::permission::{Caller, MayBeLost, Permitted, Right};
use mcr_actors::db::queries::policy_rules::RuleChangeError;
use mcr_actors::policy::Change;

pub use self::asked::Asked;
use super::call::Call;
use super::refusal::Refusal;

/// What a change answered, unless the caller had lost the right to it.
fn made<T>(made: Option<T>) -> Result<(T, Asked), Refusal> {
    made.map(|made| (made, Asked::made())).ok_or_else(Refusal::lost)
}

/// Makes a change of the registry's content.
///
/// # Errors
/// [`Refusal::lost`] when the right was lost; else as the change.
pub async fn write<Q>(call: &Call, query: Q) -> Result<(Q::Output, Asked), Refusal>
where
    Q: WriteQuery,
    Refusal: From<Q::Error>,
{
    let permitted = Permitted { query, caller: call.permission() };
    made(call.worker.db.write(permitted).await?)
}

/// Makes a change of the registry's content by another right than its use case asks for.
///
/// # Errors
/// As [`write()`].
pub async fn write_by<Q>(call: &Call, right: Right, query: Q) -> Result<(Q::Output, Asked), Refusal>
where
    Q: WriteQuery,
    Refusal: From<Q::Error>,
{
    let caller = call.permission().map(|caller| Caller { right, ..caller });
    made(call.worker.db.write(Permitted { query, caller }).await?)
}

/// Makes a change of accounts or tokens. It holds for the next request.
///
/// # Errors
/// As [`write()`].
pub async fn administer<Q>(call: &Call, query: Q) -> Result<(Q::Output, Asked), Refusal>
where
    Q: WriteQuery,
    Refusal: From<Q::Error>,
{
    let permitted = Permitted { query, caller: call.permission() };
    made(call.worker.identity.ask(Administer(permitted)).await?)
}

/// Makes a change that ends the token with this hash, and nothing else that is good. It holds for the next request.
///
/// # Errors
/// As [`write()`].
pub async fn end_token<Q>(call: &Call, query: Q, token: TokenHash) -> Result<(Q::Output, Asked), Refusal>
where
    Q: WriteQuery,
    Refusal: From<Q::Error>,
{
    let change = Permitted { query, caller: call.permission() };
    made(call.worker.identity.ask(EndToken { change, token }).await?)
}

/// Makes a change of rules. It holds for the next request.
///
/// # Errors
/// As [`write()`].
pub async fn change_rules<Q>(call: &Call, query: Q) -> Result<(Q::Output, Asked), Refusal>
where
    Q: WriteQuery<Error = RuleChangeError>,
{
    let permitted = Permitted { query, caller: call.permission() };
    made(call.worker.rules.ask(Change(permitted)).await?)
}

/// Asks an actor for a change by a message that carries the caller to the first write.
///
/// # Errors
/// As [`write()`].
pub async fn ask<A, M, T, E>(
    call: &Call,
    actor: &Handle<A>,
    message: impl FnOnce(Option<Caller>) -> M,
) -> Result<(T, Asked), Refusal>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: MayBeLost + Send + 'static,
    Refusal: From<E>,
{
    match actor.ask(message(call.permission())).await {
        Err(AskError::Refused(error)) if error.is_lost() => made(None),
        done => made(Some(done?)),
    }
}

//! The door of every change under `/v1`.
//!
//! A caller was judged when its request had come whole. Whatever the change then waits for (a password that is hashed, others
//! before it in the writer), the caller is asked for once more in the transaction of the change itself, or of the first write
//! that an actor makes for it. A route that can change something answers with [`Changed`], which is made from [`Asked`] alone,
//! and that comes out of this file: one that forgot its door does not compile.

mod changed;

use actix::dev::ToEnvelope;
use actix::{Actor, Handler, Message};
use mcr_actors::ask::{AskError, Handle};
use mcr_actors::auth_cache::Administer;
use mcr_actors::db::WriteQuery;
use mcr_actors::db::queries::permission::{Caller, MayBeLost, Permitted};
use mcr_actors::db::queries::policy_rules::RuleChangeError;
use mcr_actors::policy::Change;

pub use self::changed::{Asked, Changed};
use super::call::AdminCall;
use crate::http::error::ApiError;

/// What a change answered, unless the caller had lost the right to it.
async fn made<T>(call: &AdminCall, made: Option<T>) -> Result<(T, Asked), ApiError> {
    match made {
        Some(made) => Ok((made, Asked::made())),
        None => Err(call.refused().await),
    }
}

/// Makes a change of the registry's content.
///
/// # Errors
/// 401 or 403 when the right was lost; else as the change.
pub async fn write<Q>(call: &AdminCall, query: Q) -> Result<(Q::Output, Asked), ApiError>
where
    Q: WriteQuery,
    ApiError: From<Q::Error>,
{
    let permitted = Permitted { query, caller: call.permission() };
    made(call, call.state.worker.db.write(permitted).await?).await
}

/// Makes a change of accounts or tokens. It holds for the next request.
///
/// # Errors
/// As [`write()`].
pub async fn administer<Q>(call: &AdminCall, query: Q) -> Result<(Q::Output, Asked), ApiError>
where
    Q: WriteQuery,
    ApiError: From<Q::Error>,
{
    let permitted = Permitted { query, caller: call.permission() };
    made(call, call.state.worker.identity.ask(Administer(permitted)).await?).await
}

/// Makes a change of rules. It holds for the next request.
///
/// # Errors
/// As [`write()`].
pub async fn change_rules<Q>(call: &AdminCall, query: Q) -> Result<(Q::Output, Asked), ApiError>
where
    Q: WriteQuery<Error = RuleChangeError>,
{
    let permitted = Permitted { query, caller: call.permission() };
    made(call, call.state.worker.rules.ask(Change(permitted)).await?).await
}

/// Asks an actor for a change by a message that carries the caller to the first write.
///
/// # Errors
/// As [`write()`].
pub async fn ask<A, M, T, E>(
    call: &AdminCall,
    actor: &Handle<A>,
    message: impl FnOnce(Option<Caller>) -> M,
) -> Result<(T, Asked), ApiError>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: MayBeLost + Send + 'static,
    ApiError: From<E>,
{
    match actor.ask(message(call.permission())).await {
        Err(AskError::Refused(error)) if error.is_lost() => made(call, None).await,
        done => made(call, Some(done?)).await,
    }
}

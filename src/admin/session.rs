//! Login, logout, and who am I.

use mcr_actors::auth_cache::{Credentials, LoggedIn, Logout, Secret};
use mcr_actors::domain::EventName;

use super::call::Call;
use super::door::Asked;
use super::login;
use super::refusal::{Reason, Refusal};
use crate::caller::Caller;
use crate::model::LoginRequest;

/// Exchanges a name and password for a token.
///
/// # Errors
/// When they are not valid, or were wrong too often from this address.
pub async fn log_in(call: &Call, request: LoginRequest) -> Result<(LoggedIn, Asked), Refusal> {
    let LoginRequest { username, password } = request;
    let given = (username, Secret::new(password));
    let login = login::log_in(&call.worker, call.origin.clone(), call.address, given).await?;
    Ok((login, Asked::of_own_or_nothing()))
}

/// Revokes the token that the request came with.
///
/// # Errors
/// When it came with none, or with one that is nobody's.
pub async fn log_out(call: &Call, shown: Option<Credentials>) -> Result<((), Asked), Refusal> {
    let Some(Credentials::Token(token)) = shown else {
        return Err(Refusal::new(Reason::TokenNeeded, "only a token can be given back; use Bearer"));
    };
    if call.caller.as_ref().is_some_and(|caller| caller.principal.is_anonymous()) {
        let message = "an anonymous token is nobody's and ends by itself";
        return Err(Refusal::new(Reason::TokenNeeded, message));
    }
    call.worker.auth.ask(Logout { token }).await?;
    login::record(&call.worker, call.origin.clone(), EventName::Logout).await?;
    Ok(((), Asked::of_own_or_nothing()))
}

/// Tells who the caller is.
///
/// # Errors
/// When nobody asks.
pub async fn who(call: &Call) -> Result<Caller, Refusal> {
    call.caller.clone().ok_or_else(|| Refusal::not_found("caller"))
}

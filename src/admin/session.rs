//! Login, logout, and who am I.

use mcr_actors::auth_cache::{Credentials, LoggedIn, Logout, Secret};
use mcr_actors::domain::EventName;

use super::call::Call;
use super::door::Asked;
use super::login;
use super::refusal::{Reason, Refusal};
use crate::caller::Caller;
use crate::model::LoginRequest;

/// The longest one-time code in bytes.
const LONGEST_CODE: usize = 64;

/// A one-time code that can be passed on to who knows accounts.
fn code(call: &Call, code: Option<String>) -> Result<Option<Secret>, Refusal> {
    let Some(code) = code else { return Ok(None) };
    if !call.registry.provider().has_codes() {
        let message =
            "accounts that the registry itself keeps have no one-time codes: log in without totp_code";
        return Err(Refusal::invalid("totp_code", message));
    }
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if code.is_empty() || code.len() > LONGEST_CODE || !code.bytes().all(is_code) {
        let message = format!(
            "totp_code is a code of up to {LONGEST_CODE} digits, letters and hyphens, such as 123456"
        );
        return Err(Refusal::invalid("totp_code", message));
    }
    Ok(Some(Secret::new(code)))
}

/// Exchanges a name and password for a token; a one-time code is passed on to who knows accounts.
///
/// # Errors
/// When they are not valid, or were wrong too often from this address, or the code is none or nobody has such.
pub async fn log_in(call: &Call, request: LoginRequest) -> Result<(LoggedIn, Asked), Refusal> {
    let LoginRequest { username, password, totp_code } = request;
    let given = (username, Secret::new(password), code(call, totp_code)?);
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

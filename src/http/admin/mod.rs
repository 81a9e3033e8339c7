//! The admin API under `/v1`: what administrators and their scripts use.
//!
//! Its routes are a table like those of `/v2`: none can be written without saying which use case it is for, and so what it asks
//! of its caller. A handler reads path, query and JSON, calls the use case of [`admin`](crate::admin), and writes JSON.

pub mod audit;
pub mod call;
pub mod changed;
pub mod deletions;
#[cfg(test)]
mod differential;
pub mod gc;
pub mod manifests;
pub mod oneself;
pub mod openapi;
pub mod path;
pub mod policy;
pub mod repositories;
pub mod rights;
pub mod routes;
pub mod session;
pub mod snapshots;
pub mod system;
pub mod tags;
pub mod tokens;
pub mod uploads;
pub mod users;

use serde::de::DeserializeOwned;

use self::call::AdminCall;
use super::error::ApiError;
use crate::admin::page::{Listed, PAGE, Page};
use crate::admin::refusal::{Reason, Refusal};
use crate::model::List;

/// The JSON of a request's body.
///
/// # Errors
/// 400 with what is wrong.
fn json<T: DeserializeOwned>(call: &AdminCall) -> Result<T, ApiError> {
    parse(&call.body)
}

/// The JSON of a body that may be left out.
///
/// # Errors
/// As [`json`].
fn json_or_default<T: DeserializeOwned + Default>(call: &AdminCall) -> Result<T, ApiError> {
    if call.body.is_empty() { Ok(T::default()) } else { parse(&call.body) }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body is not the JSON that is expected: {error}");
        Refusal::new(Reason::BodyInvalid, message).into()
    })
}

/// `n` and `offset`.
///
/// # Errors
/// 400 when one is no number, or `offset` is too large.
fn page(call: &AdminCall) -> Result<Page, ApiError> {
    Ok(Page::new(number(call, "n", PAGE)?, number(call, "offset", 0)?)?)
}

/// The same for a list in which nothing has to be passed over to begin far behind its start.
///
/// # Errors
/// 400 when one is no number.
fn far_page(call: &AdminCall) -> Result<Page, ApiError> {
    Ok(Page::far(number(call, "n", PAGE)?, number(call, "offset", 0)?))
}

fn number(call: &AdminCall, key: &'static str, default: usize) -> Result<Option<usize>, ApiError> {
    let Some(text) = call.query.get(key) else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits {
        // More than fits is more than anything has.
        return Ok(Some(text.parse().unwrap_or(usize::MAX)));
    }
    Err(Refusal::invalid(key, format!("{key} is a number, such as {key}={default}")).into())
}

/// Where a page of `list` begins, sealed by [`sealed`] for the same caller and list, and read by `read`.
///
/// # Errors
/// 400 when it is not.
fn place<T>(call: &AdminCall, list: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, ApiError> {
    let Some(cursor) = call.query.get("cursor") else { return Ok(None) };
    let reader = reader(call)?;
    let opened = call.state.cursors.open_sealed(list, reader, cursor);
    opened.as_deref().and_then(read).map(Some).ok_or_else(|| {
        let message = "cursor is none of this list and this account: begin the list anew without it";
        Refusal::invalid("cursor", message).into()
    })
}

/// Seals where the next page of `list` begins.
///
/// # Errors
/// 503 when there is no randomness.
fn sealed(call: &AdminCall, list: &str, place: &str) -> Result<String, ApiError> {
    call.state.cursors.seal(list, reader(call)?, place)
}

/// For whom cursors are sealed.
fn reader(call: &AdminCall) -> Result<&str, ApiError> {
    let caller = call.caller.as_ref().ok_or_else(Refusal::nobody)?;
    Ok(&caller.principal.subject)
}

/// A page of a list, each entry in the words of the API.
fn listed<T, M>(Listed { total, items }: Listed<T>, model: impl FnMut(T) -> M) -> List<M> {
    List { total, items: items.into_iter().map(model).collect() }
}

/// A route's table row and its target disagree: a mistake of ours that no request can cause.
fn not_found(what: &str) -> ApiError {
    Refusal::not_found(what).into()
}

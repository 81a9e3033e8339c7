//! The admin API under `/v1`: what administrators and their scripts use.
//!
//! Its routes are a table like those of `/v2`: none can be written without saying what it asks of its caller.

pub mod audit;
pub mod call;
pub mod door;
pub mod gc;
pub mod model;
pub mod openapi;
pub mod path;
pub mod policy;
pub mod repositories;
pub mod routes;
pub mod session;
pub mod snapshots;
pub mod system;
pub mod uploads;
pub mod users;

use actix_web::http::StatusCode;
use serde::de::DeserializeOwned;

use self::call::AdminCall;
use super::error::ApiError;

/// Entries of a page when none are asked for, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;
/// The deepest page of a list whose entries are passed over one by one.
const MAX_OFFSET: usize = 1_000_000;
/// The deepest of any: the largest number that SQLite has.
const FAR: usize = usize::MAX >> 1;

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
        ApiError::admin(
            StatusCode::BAD_REQUEST,
            format!("the body is not the JSON that is expected: {error}"),
        )
    })
}

/// `n`, of which no more than [`MAX_PAGE`] are given, and `offset`.
///
/// # Errors
/// 400 when one is no number, or `offset` is larger than [`MAX_OFFSET`].
fn page(call: &AdminCall) -> Result<(usize, usize), ApiError> {
    let (limit, offset) = far_page(call)?;
    if offset > MAX_OFFSET {
        let message = format!("offset may be {MAX_OFFSET} at most: narrow the list instead");
        return Err(ApiError::admin(StatusCode::BAD_REQUEST, message));
    }
    Ok((limit, offset))
}

/// The same for a list in which nothing has to be passed over to begin far behind its start.
///
/// # Errors
/// 400 when one is no number.
fn far_page(call: &AdminCall) -> Result<(usize, usize), ApiError> {
    let number = |key: &str, default: usize| {
        let Some(text) = call.query.get(key) else { return Ok(default) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits {
            // More than fits is more than anything has.
            return Ok(text.parse().unwrap_or(usize::MAX).min(FAR));
        }
        let message = format!("{key} is a number, such as {key}={default}");
        Err(ApiError::admin(StatusCode::BAD_REQUEST, message))
    };
    Ok((number("n", PAGE)?.min(MAX_PAGE), number("offset", 0)?))
}

fn not_found(what: impl std::fmt::Display) -> ApiError {
    ApiError::admin(StatusCode::NOT_FOUND, format!("there is no {what}"))
}

//! The admin API under `/v1`: what administrators and their scripts use.
//!
//! Its routes are a table like those of `/v2`: none can be written without saying what it asks of its caller.

pub mod audit;
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
use bytes::Bytes;
use serde::de::DeserializeOwned;

use self::routes::AdminCall;
use super::body::collect;
use super::error::ApiError;

/// The longest JSON body in bytes.
const MAX_BODY: u64 = 256 * 1024;
/// Entries of a page when none are asked for, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;
/// The deepest page: beyond it, filters find entries faster.
const MAX_OFFSET: usize = 1_000_000;

/// Reads a JSON body.
///
/// # Errors
/// 400 with what is wrong, 413 when it is too long.
async fn json<T: DeserializeOwned>(call: &mut AdminCall) -> Result<T, ApiError> {
    let body: Bytes = collect(&mut call.payload, MAX_BODY, call.state.options.read_timeout).await?;
    parse(&body)
}

/// Reads a JSON body that may be left out.
///
/// # Errors
/// As [`json`].
async fn json_or_default<T: DeserializeOwned + Default>(call: &mut AdminCall) -> Result<T, ApiError> {
    let body: Bytes = collect(&mut call.payload, MAX_BODY, call.state.options.read_timeout).await?;
    if body.is_empty() { Ok(T::default()) } else { parse(&body) }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::admin(
            StatusCode::BAD_REQUEST,
            format!("the body is not the JSON that is expected: {error}"),
        )
    })
}

/// `n` and `offset`.
///
/// # Errors
/// 400 when one is no number.
fn page(call: &AdminCall) -> Result<(usize, usize), ApiError> {
    let number = |key: &str, default: usize, most: usize| {
        let Some(text) = call.query.get(key) else { return Ok(default) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { Some(text.parse().unwrap_or(most)) } else { None };
        number.map(|number: usize| number.min(most)).ok_or_else(|| {
            ApiError::admin(StatusCode::BAD_REQUEST, format!("{key} is a number, such as {key}={default}"))
        })
    };
    Ok((number("n", PAGE, MAX_PAGE)?, number("offset", 0, MAX_OFFSET)?))
}

fn not_found(what: impl std::fmt::Display) -> ApiError {
    ApiError::admin(StatusCode::NOT_FOUND, format!("there is no {what}"))
}

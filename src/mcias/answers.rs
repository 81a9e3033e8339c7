//! What MCIAS answers, read strictly: what is not exactly an answer is no verdict. Pure: the time is given.
//!
//! Errors tell where an answer goes wrong and never what stands there, since that may be a token.

use std::fmt;
use std::sync::Arc;

use mcr_actors::auth_cache::{ProviderError, Secret, Validation};
use mcr_actors::domain::{AccountType, Principal, Timestamp};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The longest token in bytes; with more, requests that carry it would not fit into the heads that servers take.
const LONGEST_TOKEN: usize = 6 * 1024;
/// The longest subject, name or role in bytes.
const LONGEST_WORD: usize = 255;

/// A failure with its reason.
pub(super) fn failed(reason: impl fmt::Display) -> ProviderError {
    ProviderError::Silent { reason: format!("MCIAS: {reason}") }
}

fn nonsense(what: &str) -> ProviderError {
    failed(format_args!("its answer makes no sense: {what}"))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(body).map_err(|error| {
        // The error's own text may quote the answer.
        nonsense(&format!(
            "not the JSON that was expected, at line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

#[derive(Deserialize)]
struct Token {
    token: String,
    expires_at: String,
}

#[derive(Deserialize)]
struct Verdict {
    valid: bool,
}

#[derive(Deserialize)]
struct Account {
    subject: String,
    username: String,
    account_type: String,
    #[serde(deserialize_with = "null_or_list")]
    roles: Vec<String>,
    expires_at: String,
}

/// `null` is how some write an empty list. A list that is absent is an error: a rule that denies something to a role
/// must not be passed because nobody said who has it.
fn null_or_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A moment as RFC 3339 writes it, with whatever offset, cut to milliseconds.
fn moment(text: &str) -> Result<Timestamp, ProviderError> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| nonsense("expires_at is not RFC 3339"))?;
    let millis = i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000));
    millis.map(Timestamp::from_millis).map_err(|_| nonsense("expires_at is out of range"))
}

fn word(text: String, what: &str) -> Result<String, ProviderError> {
    let fits = !text.is_empty() && text.len() <= LONGEST_WORD && !text.contains(char::is_control);
    if fits { Ok(text) } else { Err(nonsense(&format!("{what} is empty, too long or has controls in it"))) }
}

/// Whether this has the form of a bearer token, as RFC 6750 has it; anything else cannot be one.
pub(super) fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && text.len() <= LONGEST_TOKEN && body.bytes().all(fits)
}

/// The token of a login, and when its life ends.
///
/// # Errors
/// When it is no answer to a login.
pub(super) fn login(body: &[u8], now: Timestamp) -> Result<(Secret, Timestamp), ProviderError> {
    let Token { token, expires_at } = parse(body)?;
    let expires_at = moment(&expires_at)?;
    match is_token(&token) {
        true if expires_at > now => Ok((Secret::new(token), expires_at)),
        true => Err(nonsense("a new token has lapsed already; do the clocks agree?")),
        false => Err(nonsense("the token has not the form of one")),
    }
}

/// What is said of a token.
///
/// # Errors
/// When it is no answer to that question.
pub(super) fn validation(body: &[u8], now: Timestamp) -> Result<Validation, ProviderError> {
    if !parse::<Verdict>(body)?.valid {
        return Ok(Validation::Invalid);
    }
    let Account { subject, username, account_type, roles, expires_at } = parse(body)?;
    let account_type = match account_type.parse() {
        Ok(known @ (AccountType::Human | AccountType::System)) => known,
        // Whoever did not log in has no token of MCIAS.
        Ok(AccountType::Anonymous) | Err(_) => return Err(nonsense("an account_type that there is not")),
    };
    let principal = Arc::new(Principal {
        subject: word(subject, "subject")?,
        name: word(username, "username")?,
        account_type,
        roles: roles.into_iter().map(|role| word(role, "a role")).collect::<Result<_, _>>()?,
    });
    let expires_at = moment(&expires_at)?;
    Ok(if expires_at <= now {
        Validation::Lapsed { principal }
    } else {
        // What is no person has no other token there.
        let of_robot = principal.account_type == AccountType::System;
        Validation::Valid { principal, expires_at, of_robot }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn good() -> Value {
        json!({"valid": true, "subject": "u-1", "username": "ada", "account_type": "human",
            "roles": ["dev"], "expires_at": "2030-01-02T03:04:05.678+02:00", "something_new": 1})
    }

    fn read(value: &Value) -> Result<Validation, ProviderError> {
        validation(value.to_string().as_bytes(), NOW)
    }

    #[test]
    fn a_good_answer_is_an_account() {
        let Ok(Validation::Valid { principal, expires_at, .. }) = read(&good()) else { panic!() };
        assert_eq!((principal.subject.as_str(), principal.name.as_str()), ("u-1", "ada"));
        assert_eq!((principal.account_type, principal.has_role("dev")), (AccountType::Human, true));
        assert_eq!(expires_at, Timestamp::from_millis(1_893_546_245_678));
    }

    #[test]
    fn only_false_is_a_no() {
        assert_eq!(read(&json!({"valid": false})), Ok(Validation::Invalid));
        for body in ["", "{}", "null", "[]", "false", r#"{"valid":0}"#, r#"{"valid":"false"}"#, "<html>"] {
            assert!(validation(body.as_bytes(), NOW).is_err(), "{body}");
        }
        assert!(validation(br#"{"valid":false,"valid":true}"#, NOW).is_err());
    }

    #[test]
    fn whatever_is_odd_is_an_error_that_quotes_nothing() {
        let odd = [
            ("subject", json!("")),
            ("subject", json!(7)),
            ("username", json!("a\nb")),
            ("username", json!("secret".repeat(99))),
            ("account_type", json!("anonymous")),
            ("account_type", json!("secret")),
            ("roles", json!("secret")),
            ("roles", json!(["secret", ""])),
            ("expires_at", json!("secret")),
            ("expires_at", json!(1_893_546_245)),
            ("expires_at", json!("2030-01-02")),
            ("valid", json!("secret")),
        ];
        for (key, value) in odd {
            let mut answer = good();
            answer[key] = value.clone();
            let error = read(&answer).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
            answer.as_object_mut().unwrap().remove(key);
            assert!(read(&answer).is_err(), "without {key}");
        }
        let mut null = good();
        null["roles"] = Value::Null;
        assert!(read(&null).is_ok());
    }

    #[test]
    fn a_token_whose_time_is_over_has_lapsed() {
        let mut answer = good();
        answer["expires_at"] = json!("2027-01-15T08:00:00Z");
        assert!(matches!(read(&answer), Ok(Validation::Lapsed { .. })), "at its last moment");
        answer["expires_at"] = json!("2027-01-15T08:00:00.001Z");
        assert!(matches!(read(&answer), Ok(Validation::Valid { .. })));
    }

    #[test]
    fn a_login_gives_a_token_with_life_in_it() {
        let read = |token: &str, expires_at: &str| {
            login(json!({"token": token, "expires_at": expires_at}).to_string().as_bytes(), NOW)
        };
        let (token, _) = read("v4.public.abc-_~+/==", "2030-01-01T00:00:00Z").unwrap();
        assert_eq!(token.expose(), "v4.public.abc-_~+/==");
        assert!(read("abc", "2020-01-01T00:00:00Z").is_err());
        for token in ["", "==", "a b", "a\r\nb", "ä", "a=b", &"a".repeat(LONGEST_TOKEN + 1)] {
            assert!(read(token, "2030-01-01T00:00:00Z").is_err(), "{token}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = (login(&bytes, NOW).is_ok(), validation(&bytes, NOW).is_ok());
        }

        #[test]
        fn any_text_in_any_field_is_an_account_or_an_error(
            field in proptest::sample::select(vec!["subject", "username", "account_type", "expires_at", "valid"]),
            text in "\\PC{0,40}",
        ) {
            let mut value = good();
            value[field] = text.as_str().into();
            if let Ok(Validation::Valid { principal, .. }) = read(&value) {
                proptest::prop_assert!(!principal.is_anonymous());
                proptest::prop_assert!(!principal.subject.is_empty() && !principal.name.is_empty());
            }
        }
    }
}

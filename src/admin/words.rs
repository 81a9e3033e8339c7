//! Words that people give and that stand in rules and log lines.

use super::refusal::Refusal;

/// A role or the name of a token.
pub(super) fn check(field: &'static str, what: &str, word: &str) -> Result<(), Refusal> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    if (1..=128).contains(&word.len()) && word.bytes().all(fits) {
        return Ok(());
    }
    let message = format!("a {what} has 1 to 128 letters, digits, '.', '_', '-' or '@'");
    Err(Refusal::invalid(field, message))
}

/// Roles, each of them.
pub(super) fn check_roles(roles: &[String]) -> Result<(), Refusal> {
    roles.iter().try_for_each(|role| check("roles", "role", role))
}

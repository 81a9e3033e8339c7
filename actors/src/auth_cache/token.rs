//! Tokens of the embedded provider: 256 random bits.

use super::Secret;

/// What every token begins with, so that one is recognised where it leaked.
pub(super) const PREFIX: &str = "mcr_";
/// The randomness of a token, in bytes.
const TOKEN_BYTES: usize = 32;

/// A new token: 256 random bits in hexadecimal digits.
///
/// # Errors
/// When the system gives no randomness.
pub fn new_token() -> Result<Secret, getrandom::Error> {
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random)?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Secret::new(format!("{PREFIX}{digits}")))
}

/// Whether it looks like what [`new_token`] makes.
pub fn is_token(secret: &Secret) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let digits = secret.expose().strip_prefix(PREFIX);
    digits.is_some_and(|digits| digits.len() == 2 * TOKEN_BYTES && digits.bytes().all(is_digit))
}

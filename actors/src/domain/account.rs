//! What a new account may be called. Pure.

use std::fmt;
use std::str::FromStr;

/// The longest name in bytes.
const MAX_LEN: usize = 128;

/// The name in the audit log of whoever works at the registry's own machine with `mcrsrv`.
pub const OPERATOR: &str = "mcrsrv";
/// The name in the audit log of the collector.
pub const COLLECTOR: &str = "gc";
/// The name of whoever did not log in.
pub const ANONYMOUS: &str = "anonymous";

/// What the registry itself is called where others have their account's name.
const OURS: [&str; 3] = [OPERATOR, COLLECTOR, ANONYMOUS];
/// What every token begins with: an audit entry shows no more of such a name, since it may be one that leaked.
const OF_TOKENS: &str = "mcr_";

/// Why a new account may not be called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountNameError {
    /// It could not stand in a path, a rule, a log line or a Basic header (RFC 7617 §2).
    #[error(
        "a user name has 1 to {MAX_LEN} letters, digits, '.', '_', '-' or '@', the first of them a letter or a digit"
    )]
    Grammar,
    /// The registry itself is called so in the audit log, in whatever letter case.
    #[error("the registry itself goes by the name {0}: choose another one")]
    Ours(&'static str),
    /// It begins like a token.
    #[error("a user name does not begin with {OF_TOKENS}, as tokens do")]
    Token,
}

/// A name that a new account may have. Accounts from before this rule keep theirs: nothing that looks for an account asks
/// for this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountName(String);

impl AccountName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(text: &str) -> Result<Self, AccountNameError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !begins || text.len() > MAX_LEN || !text.bytes().all(fits) {
            return Err(AccountNameError::Grammar);
        }
        if let Some(ours) = OURS.into_iter().find(|ours| ours.eq_ignore_ascii_case(text)) {
            return Err(AccountNameError::Ours(ours));
        }
        if text.get(..OF_TOKENS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OF_TOKENS)) {
            return Err(AccountNameError::Token);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_addressed_and_are_nobody_elses() {
        for name in ["a", "0", "ada", "Ada.L_ovelace-1@example.com", "gcc", "anonymous2", &"a".repeat(128)] {
            assert_eq!(name.parse::<AccountName>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        for name in
            ["", ".", "..", "-rf", "_x", "@x", "a b", "a:b", "a/b", "a\nb", "a\0", "ä", &"a".repeat(129)]
        {
            assert_eq!(name.parse::<AccountName>(), Err(AccountNameError::Grammar), "{name:?}");
        }
        for name in ["gc", "GC", "anonymous", "Anonymous", "mcrsrv", "MCRSRV"] {
            assert!(matches!(name.parse::<AccountName>(), Err(AccountNameError::Ours(_))), "{name}");
        }
        for name in ["mcr_", "mcr_0123", "MCR_x"] {
            assert_eq!(name.parse::<AccountName>(), Err(AccountNameError::Token), "{name}");
        }
    }
}

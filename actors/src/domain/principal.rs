//! Who asks, and for what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The role that may do everything.
pub const ADMIN: &str = "admin";

/// What kind of account asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountType {
    /// A person.
    Human,
    /// A robot or service.
    System,
    /// Nobody in particular.
    Anonymous,
}

impl AccountType {
    /// Its name in rules and columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }
}

impl FromStr for AccountType {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Human, Self::System, Self::Anonymous]
            .into_iter()
            .find(|account_type| account_type.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// The word is not one of the closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown word")]
pub struct UnknownWord;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// The provider's lasting id of the account.
    pub subject: String,
    /// The name it logs in with.
    pub name: String,
    /// What kind of account it is.
    pub account_type: AccountType,
    /// Its roles.
    pub roles: Vec<String>,
}

impl Principal {
    /// The principal of whoever did not log in.
    pub fn anonymous() -> Self {
        Self {
            subject: String::new(),
            name: super::account::ANONYMOUS.to_owned(),
            account_type: AccountType::Anonymous,
            roles: Vec::new(),
        }
    }

    /// Whether logging in could give it more rights.
    pub fn is_anonymous(&self) -> bool {
        self.account_type == AccountType::Anonymous
    }

    /// The same with those of these roles that it has: what a token gives is never more than what its account has.
    #[must_use]
    pub fn limited_to(mut self, roles: &[String]) -> Self {
        self.roles.retain(|mine| roles.contains(mine));
        self
    }

    /// Whether it has the role `role`.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|mine| mine == role)
    }
}

/// What a rule allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Ask whether this is a registry.
    VersionCheck,
    /// Read a repository.
    Pull,
    /// Write to a repository.
    Push,
    /// Delete from a repository.
    Delete,
    /// List repositories.
    Catalog,
    /// Change the rules.
    ManagePolicy,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::VersionCheck, Self::Pull, Self::Push, Self::Delete, Self::Catalog, Self::ManagePolicy];

    /// Whether it concerns the registry as a whole and no one repository.
    pub fn is_global(self) -> bool {
        match self {
            Self::VersionCheck | Self::Catalog | Self::ManagePolicy => true,
            Self::Pull | Self::Push | Self::Delete => false,
        }
    }

    /// Its name in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VersionCheck => "registry:version_check",
            Self::Pull => "registry:pull",
            Self::Push => "registry:push",
            Self::Delete => "registry:delete",
            Self::Catalog => "registry:catalog",
            Self::ManagePolicy => "policy:manage",
        }
    }
}

impl FromStr for Action {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|action| action.as_str() == text).ok_or(UnknownWord)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_action_is_read_by_its_name() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
    }

    proptest! {
        #[test]
        fn only_names_are_read(text in "[a-z:_]{0,24}|\\PC{0,24}") {
            if let Ok(action) = text.parse::<Action>() {
                prop_assert_eq!(action.as_str(), &text);
            }
            if let Ok(kind) = text.parse::<AccountType>() {
                prop_assert_eq!(kind.as_str(), &text);
            }
        }
    }
}

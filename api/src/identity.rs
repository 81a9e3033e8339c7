//! Who somebody is: principals, logins, accounts, robot tokens.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::list::List;

/// Who somebody is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PrincipalModel {
    /// The account's lasting id.
    #[serde(default)]
    pub subject: String,
    /// The name it logs in with.
    #[serde(default)]
    pub name: String,
    /// What kind of account it is.
    pub account_type: AccountTypeModel,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// What kind of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccountTypeModel {
    /// A person.
    Human,
    /// A robot or service.
    System,
    /// Nobody in particular.
    Anonymous,
}

/// A name and a password, and a one-time code where the account wants one.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
    /// A one-time code, such as `123456`; only for accounts that are managed elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp_code: Option<String>,
}

/// A token, shown to whoever logged in.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct LoginAnswer {
    /// The token.
    pub token: String,
    /// When its life ends.
    pub expires_at: String,
    /// Whose it is.
    pub principal: PrincipalModel,
}

/// Who the caller is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The caller.
    pub principal: PrincipalModel,
    /// When the life of its token ends; none where a password was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Whether its token was made for a robot, and not by a login.
    pub robot: bool,
}

/// A new password of one's own.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password that the account has.
    pub old: String,
    /// The one that it shall have, of 8 to 1024 bytes without control characters.
    pub new: String,
    /// Whether the account's robot tokens end, too.
    #[serde(default)]
    pub end_tokens: bool,
}

/// An account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UserModel {
    /// Its lasting id.
    pub id: String,
    /// The name it logs in with.
    pub name: String,
    /// `human` or `system`.
    pub account_type: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

/// An account to make.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Its name: letters, digits, '.', '_', '-', '@', at most 128, the first a letter or a digit; none that differs from
    /// another account's only in the case of letters, and none that the registry itself goes by.
    pub name: String,
    /// Its password, of 8 to 1024 bytes without control characters; none for an account that has robot tokens only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// What kind of account it is.
    pub account_type: AccountTypeModel,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// What to change of an account.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// A new password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// New roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Whether it is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Whether all its tokens end, in the same change; with a new password those of its logins always do.
    #[serde(default)]
    pub end_tokens: bool,
}

/// An account that was changed, and which of its tokens go on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangedUserModel {
    /// The account.
    #[serde(flatten)]
    pub user: UserModel,
    /// How many of its tokens the change has ended.
    pub ended_tokens: u64,
    /// Those that are still good: robots' before logins', the newest first, at most a hundred.
    pub tokens: List<LiveTokenModel>,
}

/// A token of an account that is still good.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LiveTokenModel {
    /// The id by which a robot's is revoked; none for a login's.
    pub id: Option<String>,
    /// What a robot's is for; empty for a login's.
    pub name: String,
    /// `robot` or `login`.
    pub kind: Cow<'static, str>,
    /// When it was made.
    pub created_at: String,
    /// When its life ends.
    pub expires_at: String,
}

/// A robot token.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenModel {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The name of its account.
    pub user: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When its life ends.
    pub expires_at: String,
    /// When it was last used, to a minute.
    pub last_used_at: Option<String>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A robot token to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// The name of its account.
    pub user: String,
    /// Its roles, each one of its account's; all of them when none are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// How long it lives, such as `720h`; 90 days when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// A robot token of one's own to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOwnToken {
    /// What it is for.
    pub name: String,
    /// Its roles, each one of one's own; whatever the account has when none are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// How long it lives, such as `720h`; 90 days when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// Another secret for a robot token. Its id, name and roles stay.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenRenewal {
    /// How long it lives from now on, such as `720h`; as long as it was made for when it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
    /// How long the old secret goes on beside the new one, such as `1h`, within its own life; it ends at once when it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_ends_in: Option<String>,
}

/// A robot token just made: the only time that it is shown.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct NewTokenAnswer {
    /// The token itself.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub about: TokenModel,
}

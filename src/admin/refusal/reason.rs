//! The words for programs: why something is refused, and of which kind each is.

/// What a refusal is, as far as an API says it by a status of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What is asked for makes no sense.
    Invalid,
    /// Nothing says who asks, or only that nobody logged in.
    NoCredentials,
    /// What says who asks is not true, or not any more.
    BadCredentials,
    /// The caller may not.
    Denied,
    /// The caller was let in and lost the right before the change was made.
    Lost,
    /// What is named is not there.
    NotFound,
    /// What is to be made is there already.
    Exists,
    /// It does not fit to how things are.
    Conflict,
    /// What the caller saw is not there any more.
    Stale,
    /// It is too much at once.
    TooLarge,
    /// It is too often.
    TooMany,
    /// What is needed does not answer now.
    Unavailable,
    /// There is no room for it.
    NoRoom,
    /// The registry failed.
    Ours,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal: $kind:ident,)*) => {
        /// Why something is refused. The words are the same in every API, and never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What kind of refusal it is.
            pub fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => Kind::$kind,)*
                }
            }
        }
    };
}

reasons! {
    /// An argument is not as it must be; `field` says which.
    Invalid = "INVALID": Invalid,
    /// The body is not the JSON that is expected.
    BodyInvalid = "BODY_INVALID": Invalid,
    /// The method is none of those that the path takes.
    MethodNotAllowed = "METHOD_NOT_ALLOWED": Invalid,
    /// The body did not come in time.
    TimedOut = "TIMED_OUT": Invalid,
    /// Only a token of somebody's can be given back.
    TokenNeeded = "TOKEN_NEEDED": Invalid,
    /// Nothing says who asks, and somebody must.
    NoCredentials = "NO_CREDENTIALS": NoCredentials,
    /// The name, password or token is not valid.
    BadCredentials = "BAD_CREDENTIALS": BadCredentials,
    /// The token has lapsed.
    TokenLapsed = "TOKEN_LAPSED": BadCredentials,
    /// The caller may not.
    Denied = "DENIED": Denied,
    /// The password that must be given for the change is another one.
    WrongPassword = "WRONG_PASSWORD": Denied,
    /// The caller may not any more.
    RightLost = "RIGHT_LOST": Lost,
    /// What is named is not there.
    NotFound = "NOT_FOUND": NotFound,
    /// The name is taken.
    NameTaken = "NAME_TAKEN": Exists,
    /// Accounts and tokens are managed elsewhere.
    ManagedElsewhere = "MANAGED_ELSEWHERE": Conflict,
    /// Nobody could administer the registry any more.
    LastAdministrator = "LAST_ADMINISTRATOR": Conflict,
    /// A token would have a role that its account does not have.
    RoleNotHeld = "ROLE_NOT_HELD": Conflict,
    /// The account has as many robot tokens as it may.
    TooManyTokens = "TOO_MANY_TOKENS": Conflict,
    /// A token that was revoked is not renewed.
    TokenRevoked = "TOKEN_REVOKED": Conflict,
    /// Only a token of a login that is still good can be renewed.
    NoLogin = "NO_LOGIN": Conflict,
    /// The login is as old as a login may be.
    LoginTooOld = "LOGIN_TOO_OLD": Conflict,
    /// The rule is built in.
    BuiltInRule = "BUILT_IN_RULE": Conflict,
    /// A sweep runs.
    SweepRuns = "SWEEP_RUNS": Conflict,
    /// No sweep runs.
    NoSweepRuns = "NO_SWEEP_RUNS": Conflict,
    /// A snapshot is being taken.
    SnapshotRuns = "SNAPSHOT_RUNS": Conflict,
    /// Something that is to be deleted cannot be, and so nothing was.
    DeletionRefused = "DELETION_REFUSED": Conflict,
    /// Somebody else writes to the upload.
    UploadBusy = "UPLOAD_BUSY": Conflict,
    /// What the caller saw was changed meanwhile.
    PreconditionFailed = "PRECONDITION_FAILED": Stale,
    /// The body, URL or head is too large.
    TooLarge = "TOO_LARGE": TooLarge,
    /// Too much is asked at once.
    TooManyRequests = "TOO_MANY_REQUESTS": TooMany,
    /// Too many logins have failed.
    TooManyLogins = "TOO_MANY_LOGINS": TooMany,
    /// The registry is busy or stopping.
    Unavailable = "UNAVAILABLE": Unavailable,
    /// The identity service cannot be reached.
    IdentityUnavailable = "IDENTITY_UNAVAILABLE": Unavailable,
    /// The disk is full.
    NoSpace = "NO_SPACE": NoRoom,
    /// The registry failed; its log has the cause.
    Internal = "INTERNAL": Ours,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_reasons_share_a_word() {
        let words: HashSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        let is_upper_snake =
            |word: &&&str| word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        assert_eq!(words.iter().filter(is_upper_snake).count(), words.len());
    }
}

//! The table of use cases: what each asks of its caller.

use super::access::Access;

macro_rules! use_cases {
    ($($(#[$doc:meta])* $variant:ident: $access:ident,)*) => {
        /// What somebody can want of the registry beside its content.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum UseCase {
            $($(#[$doc])* $variant,)*
        }

        impl UseCase {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What it asks of its caller.
            pub fn access(self) -> Access {
                match self {
                    $(Self::$variant => Access::$access,)*
                }
            }
        }
    };
}

use_cases! {
    /// Whether the process lives.
    ReadHealth: Open,
    /// Whether the registry can serve.
    ReadReadiness: Open,
    /// What the registry is called and who knows its accounts; administrators are told how it is set and what it has.
    ReadSystem: Open,
    /// A name and password for a token.
    LogIn: Open,
    /// The end of the caller's own token.
    LogOut: Anybody,
    /// Who the caller is.
    ReadCaller: Anybody,
    /// The caller's own robot tokens.
    ListOwnTokens: Own,
    /// A new robot token of the caller's own.
    CreateOwnToken: Own,
    /// Another secret for a robot token of the caller's own.
    RenewOwnToken: Own,
    /// The end of a robot token of the caller's own.
    RevokeOwnToken: Own,
    /// A new token in the place of that of a login.
    RenewToken: Own,
    /// Another password of the caller's own.
    ChangePassword: Own,
    /// The description of an API, which that API has itself.
    DescribeApi: Anybody,
    /// Repositories.
    ListRepositories: Anybody,
    /// A repository with its tags.
    ReadRepository: Anybody,
    /// Who may do what to a repository, and by which rules.
    ReadAccess: Admin,
    /// The end of a repository with all in it.
    DeleteRepository: Admin,
    /// A repository's tags.
    ListTags: Anybody,
    /// A repository's manifests.
    ListManifests: Anybody,
    /// A manifest with what is around it.
    ReadManifest: Anybody,
    /// The end of some tags and manifests of a repository, for whoever may delete there.
    DeleteContent: Anybody,
    /// The end of a tag.
    DeleteTag: Admin,
    /// All accounts.
    ListUsers: Accounts,
    /// A new account.
    CreateUser: Accounts,
    /// An account.
    ReadUser: Accounts,
    /// Another password, other roles, or an account switched off or on.
    UpdateUser: Accounts,
    /// The end of an account with its tokens.
    DeleteUser: Accounts,
    /// All robot tokens.
    ListTokens: Accounts,
    /// A new robot token.
    CreateToken: Accounts,
    /// Another secret for a robot token.
    RenewRobotToken: Accounts,
    /// The end of a robot token.
    RevokeToken: Accounts,
    /// All uploads in progress.
    ListUploads: Admin,
    /// The end of an upload.
    CancelUpload: Admin,
    /// A new sweep.
    StartSweep: Admin,
    /// The end of the sweep that runs.
    StopSweep: Admin,
    /// What the collector does and did last.
    ReadCollector: Admin,
    /// Past sweeps.
    ListSweeps: Admin,
    /// What a dry run found.
    ListFindings: Admin,
    /// A new snapshot.
    StartSnapshot: Admin,
    /// Snapshots and how they are.
    ListSnapshots: Admin,
    /// The audit log.
    ListAudit: Admin,
    /// What each actor says of itself.
    ListActors: Admin,
    /// All that is counted, in the form of Prometheus; what is counted is how HTTP is asked.
    ReadMetrics: Admin,
    /// All rules.
    ListRules: Rules,
    /// A new rule.
    CreateRule: Rules,
    /// A rule.
    ReadRule: Rules,
    /// Another wording of a rule.
    UpdateRule: Rules,
    /// The end of a rule.
    DeleteRule: Rules,
    /// What policy would say.
    TestRules: Rules,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down a second time, since whoever changes what a use case asks lets others in.
    #[test]
    fn only_these_are_for_others_than_administrators() {
        let of = |access: Access| {
            let asks = UseCase::ALL.iter().filter(|use_case| use_case.access() == access);
            asks.map(|use_case| format!("{use_case:?}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(Access::Open), "ReadHealth ReadReadiness ReadSystem LogIn");
        assert_eq!(
            of(Access::Anybody),
            "LogOut ReadCaller DescribeApi ListRepositories ReadRepository ListTags ListManifests ReadManifest DeleteContent"
        );
        let own = "ListOwnTokens CreateOwnToken RenewOwnToken RevokeOwnToken RenewToken ChangePassword";
        assert_eq!(of(Access::Own), own);
        assert_eq!(of(Access::Rules), "ListRules CreateRule ReadRule UpdateRule DeleteRule TestRules");
        let accounts = "ListUsers CreateUser ReadUser UpdateUser DeleteUser ListTokens CreateToken RenewRobotToken RevokeToken";
        assert_eq!(of(Access::Accounts), accounts);
    }
}

//! What shapes use cases beside the actors, whatever API they are asked by.

/// The settings of use cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The URL that clients reach the registry by, without a slash at its end; none where that is the address they connect to.
    pub public_url: Option<String>,
    /// Whether tags can be deleted over the registry's own API.
    pub allow_tag_delete: bool,
    /// Whether a manifest may refer to what is not there.
    pub allow_sparse: bool,
    /// Whether pulls are recorded in the audit log.
    pub audit_pulls: bool,
    /// Robot tokens that an account has at most.
    pub max_robot_tokens: usize,
}

//! Paths under `/v1`, read once into what they name. Pure.
//!
//! A slash in a repository's name is written as `%2F`: [`repository_path`] and [`tag_path`] do. Written as it is, it is read
//! too, and then `tags` before the last part always begins a tag: `team/tags/v1` is the tag `v1` of `team`, and the repository
//! of that name is `team%2Ftags%2Fv1`. Likewise `tags` as the last part always is the list of tags: `team/tags` that of `team`. After
//! `tags` the same holds for `manifests`, and `access` and `deletions` as the last part always are who may do what and what is deleted.
//! So no path names two things.

use std::borrow::Cow;

use mcr_actors::domain::{Digest, DigestError, NameError, ReferenceError, RepositoryName, Tag};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use uuid::Uuid;

use crate::http::api;
use crate::http::path::without_empty_parts;

macro_rules! targets {
    ($($(#[$doc:meta])* $variant:ident $(($field:ty))? = $template:literal,)*) => {
        /// What a path names.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Target {
            $($(#[$doc])* $variant $(($field))?,)*
        }

        /// Which kind of [`Target`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Shape {
            $($(#[$doc])* $variant,)*
        }

        impl Shape {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
        }

        impl api::Shape for Shape {
            fn template(self) -> &'static str {
                match self {
                    $(Self::$variant => $template,)*
                }
            }
        }

        impl api::Target for Target {
            type Shape = Shape;

            fn shape(&self) -> Shape {
                match self {
                    $(Self::$variant { .. } => Shape::$variant,)*
                }
            }

            fn repository(&self) -> Option<&RepositoryName> {
                match self {
                    Self::Repository(repository)
                    | Self::RepositoryTags(repository)
                    | Self::RepositoryTag(TagOf { repository, .. })
                    | Self::RepositoryAccess(repository)
                    | Self::RepositoryManifests(repository)
                    | Self::RepositoryDeletions(repository)
                    | Self::RepositoryManifest(ManifestOf { repository, .. }) => Some(repository),
                    _ => None,
                }
            }
        }
    };
}

/// A repository's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagOf {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub tag: Tag,
}

/// A repository's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestOf {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub digest: Digest,
}

targets! {
    /// Whether the process lives.
    Health = "/v1/health",
    /// Whether it can serve.
    Ready = "/v1/ready",
    /// What it is, how it is set and what it has.
    System = "/v1/system",
    /// Name and password for a token.
    Login = "/v1/auth/login",
    /// A token's end.
    Logout = "/v1/auth/logout",
    /// Who am I.
    Me = "/v1/auth/me",
    /// The caller's own robot tokens.
    OwnTokens = "/v1/auth/tokens",
    /// One of them.
    OwnToken(String) = "/v1/auth/tokens/{id}",
    /// Another secret for one of them.
    OwnTokenRenewal(String) = "/v1/auth/tokens/{id}/renew",
    /// A new token in the place of the caller's.
    Renew = "/v1/auth/renew",
    /// The caller's own password.
    Password = "/v1/auth/password",
    /// All repositories.
    Repositories = "/v1/repositories",
    /// One repository.
    Repository(RepositoryName) = "/v1/repositories/{name}",
    /// Its tags.
    RepositoryTags(RepositoryName) = "/v1/repositories/{name}/tags",
    /// Who may do what to it.
    RepositoryAccess(RepositoryName) = "/v1/repositories/{name}/access",
    /// A tag of it.
    RepositoryTag(TagOf) = "/v1/repositories/{name}/tags/{tag}",
    /// Its manifests.
    RepositoryManifests(RepositoryName) = "/v1/repositories/{name}/manifests",
    /// A manifest of it.
    RepositoryManifest(ManifestOf) = "/v1/repositories/{name}/manifests/{digest}",
    /// What is deleted from it at once.
    RepositoryDeletions(RepositoryName) = "/v1/repositories/{name}/deletions",
    /// All rules.
    Rules = "/v1/policy/rules",
    /// One rule.
    Rule(i64) = "/v1/policy/rules/{id}",
    /// What policy would say.
    PolicyTest = "/v1/policy/test",
    /// All accounts.
    Users = "/v1/users",
    /// One account.
    User(String) = "/v1/users/{name}",
    /// All robot tokens.
    Tokens = "/v1/tokens",
    /// One robot token.
    Token(String) = "/v1/tokens/{id}",
    /// Another secret for one of them.
    TokenRenewal(String) = "/v1/tokens/{id}/renew",
    /// All uploads.
    Uploads = "/v1/uploads",
    /// One upload.
    Upload(Uuid) = "/v1/uploads/{id}",
    /// The collector.
    Gc = "/v1/gc",
    /// What the collector does and did last.
    GcStatus = "/v1/gc/status",
    /// Past sweeps.
    Sweeps = "/v1/gc/sweeps",
    /// What a dry run found.
    SweepItems(i64) = "/v1/gc/sweeps/{id}/items",
    /// Snapshots.
    Snapshots = "/v1/snapshots",
    /// The audit log.
    Audit = "/v1/audit",
    /// What each actor says of itself.
    Actors = "/v1/actors",
    /// What is counted.
    Metrics = "/metrics",
    /// The description of all this.
    OpenApi = "/v1/openapi.json",
}

/// Why a path names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No such kind of thing.
    #[error("there is nothing at this path")]
    Nothing,
    /// It would name something without its empty parts.
    #[error("there is nothing at this path, which has a slash too many; the right one is {0}")]
    Slashes(String),
    /// The repository's name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The tag is not valid.
    #[error(transparent)]
    Tag(#[from] ReferenceError),
    /// The digest is not valid.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A number or id is none.
    #[error("{0} is not a valid id")]
    Id(String),
}

/// Reads the raw path of a request. One that has a slash too many names nothing, and is told the right path.
pub fn parse(raw: &str) -> Result<Target, PathError> {
    read(raw).map_err(|error| match without_empty_parts(raw) {
        Some(right) if read(&right).is_ok() => PathError::Slashes(right),
        _ => error,
    })
}

fn read(raw: &str) -> Result<Target, PathError> {
    match raw {
        "/metrics" => return Ok(Target::Metrics),
        "/healthz" | "/livez" => return Ok(Target::Health),
        "/readyz" => return Ok(Target::Ready),
        _ => {}
    }
    let rest = raw.strip_prefix("/v1/").ok_or(PathError::Nothing)?;
    if let Some(of_repository) = rest.strip_prefix("repositories/") {
        return parse_repository(of_repository);
    }
    let segments = rest.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let segments: Vec<&str> = segments.iter().map(|segment| segment.as_ref()).collect();
    match segments.as_slice() {
        ["health"] => Ok(Target::Health),
        ["ready"] => Ok(Target::Ready),
        ["system"] => Ok(Target::System),
        ["auth", "login"] => Ok(Target::Login),
        ["auth", "logout"] => Ok(Target::Logout),
        ["auth", "me"] => Ok(Target::Me),
        ["auth", "tokens"] => Ok(Target::OwnTokens),
        ["auth", "tokens", id] if !id.is_empty() => Ok(Target::OwnToken((*id).to_owned())),
        ["auth", "tokens", id, "renew"] if !id.is_empty() => Ok(Target::OwnTokenRenewal((*id).to_owned())),
        ["auth", "renew"] => Ok(Target::Renew),
        ["auth", "password"] => Ok(Target::Password),
        ["repositories"] => Ok(Target::Repositories),
        ["policy", "rules"] => Ok(Target::Rules),
        ["policy", "rules", id] => Ok(Target::Rule(number(id)?)),
        ["policy", "test"] => Ok(Target::PolicyTest),
        ["users"] => Ok(Target::Users),
        ["users", name] if !name.is_empty() => Ok(Target::User((*name).to_owned())),
        ["tokens"] => Ok(Target::Tokens),
        ["tokens", id] if !id.is_empty() => Ok(Target::Token((*id).to_owned())),
        ["tokens", id, "renew"] if !id.is_empty() => Ok(Target::TokenRenewal((*id).to_owned())),
        ["uploads"] => Ok(Target::Uploads),
        ["uploads", id] => Ok(Target::Upload(
            Uuid::try_parse(id).map_err(|_| PathError::Id(id.escape_default().to_string()))?,
        )),
        ["gc"] => Ok(Target::Gc),
        ["gc", "status"] => Ok(Target::GcStatus),
        ["gc", "sweeps"] => Ok(Target::Sweeps),
        ["gc", "sweeps", id, "items"] => Ok(Target::SweepItems(number(id)?)),
        ["snapshots"] => Ok(Target::Snapshots),
        ["audit"] => Ok(Target::Audit),
        ["actors"] => Ok(Target::Actors),
        ["openapi.json"] => Ok(Target::OpenApi),
        _ => Err(PathError::Nothing),
    }
}

/// What comes after `/v1/repositories/`.
fn parse_repository(raw: &str) -> Result<Target, PathError> {
    let segments = raw.split('/').map(decode_any).collect::<Result<Vec<_>, _>>()?;
    let segments: Vec<&str> = segments.iter().map(|segment| segment.as_ref()).collect();
    match segments.as_slice() {
        [name @ .., "tags", tag] if !name.is_empty() => {
            let (repository, tag) = (name.join("/").parse()?, tag.parse()?);
            Ok(Target::RepositoryTag(TagOf { repository, tag }))
        }
        [name @ .., "access"] if !name.is_empty() => Ok(Target::RepositoryAccess(name.join("/").parse()?)),
        [name @ .., "tags"] if !name.is_empty() => Ok(Target::RepositoryTags(name.join("/").parse()?)),
        [name @ .., "manifests", digest] if !name.is_empty() => {
            let (repository, digest) = (name.join("/").parse()?, digest.parse()?);
            Ok(Target::RepositoryManifest(ManifestOf { repository, digest }))
        }
        [name @ .., "manifests"] if !name.is_empty() => {
            Ok(Target::RepositoryManifests(name.join("/").parse()?))
        }
        [name @ .., "deletions"] if !name.is_empty() => {
            Ok(Target::RepositoryDeletions(name.join("/").parse()?))
        }
        name => Ok(Target::Repository(name.join("/").parse()?)),
    }
}

/// One part of a path, as it is written.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The path of a repository.
pub fn repository_path(name: &str) -> String {
    format!("/v1/repositories/{}", encode(name))
}

/// The path of a repository's tags.
pub fn tags_path(name: &str) -> String {
    format!("{}/tags", repository_path(name))
}

/// The path of who may do what to a repository.
pub fn access_path(name: &str) -> String {
    format!("{}/access", repository_path(name))
}

/// The path of a repository's tag.
pub fn tag_path(name: &str, tag: &str) -> String {
    format!("{}/{}", tags_path(name), encode(tag))
}

/// The path of what is deleted from a repository at once.
pub fn deletions_path(name: &str) -> String {
    format!("{}/deletions", repository_path(name))
}

/// The path of a repository's manifests.
pub fn manifests_path(name: &str) -> String {
    format!("{}/manifests", repository_path(name))
}

/// The path of a repository's manifest.
pub fn manifest_path(name: &str, digest: &str) -> String {
    format!("{}/{}", manifests_path(name), encode(digest))
}

fn number(id: &str) -> Result<i64, PathError> {
    id.parse().map_err(|_| PathError::Id(id.escape_default().to_string()))
}

/// One segment; an encoded slash does not make two of it.
fn decode(segment: &str) -> Result<Cow<'_, str>, PathError> {
    let decoded = decode_any(segment)?;
    if decoded.contains('/') { Err(PathError::Nothing) } else { Ok(decoded) }
}

/// One segment that may have encoded slashes in it.
fn decode_any(segment: &str) -> Result<Cow<'_, str>, PathError> {
    let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| PathError::Nothing)?;
    if decoded.contains('\0') { Err(PathError::Nothing) } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    use mcr_actors::domain::Algorithm;
    use proptest::prelude::*;

    use super::api::{Shape as _, Target as _};
    use super::*;

    fn digest() -> Digest {
        Digest::of(Algorithm::Sha256, b"")
    }

    /// The template with parameters filled in.
    pub(crate) fn example(shape: Shape) -> String {
        let id = match shape {
            Shape::Rule | Shape::SweepItems => "1",
            _ => "8d6f3bd5-7d8c-4f4b-9df3-7e1e3c2fd6ae",
        };
        let path = shape.template().replace("{name}", "ab").replace("{tag}", "v1").replace("{id}", id);
        path.replace("{digest}", &digest().to_string())
    }

    #[test]
    fn every_template_is_read_as_its_shape() {
        for shape in Shape::ALL {
            assert_eq!(parse(&example(*shape)).map(|target| target.shape()), Ok(*shape), "{shape:?}");
        }
        let nested = parse("/v1/repositories/a/tags/tags/v1").unwrap();
        assert!(
            matches!(nested, Target::RepositoryTag(TagOf { repository, .. }) if repository.as_str() == "a/tags")
        );
    }

    /// Names whose parts are called like what a path is made of.
    fn name() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            prop::sample::select(vec![
                "tags",
                "access",
                "list",
                "manifests",
                "blobs",
                "uploads",
                "referrers",
                "repositories",
                "token",
                "v1",
                "v2",
                "items",
                "latest",
            ])
            .prop_map(str::to_owned),
            "[a-z0-9]{1,3}([._-][a-z0-9]{1,2}){0,2}",
        ];
        prop::collection::vec(part, 1..6).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #[test]
        fn no_two_resources_share_a_path(one in name(), other in name(), tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,6}|tags|list|access") {
            let paths = |name: &str| {
                let repository: RepositoryName = name.parse().unwrap();
                let tagged = TagOf { repository: repository.clone(), tag: tag.parse().unwrap() };
                let manifest = ManifestOf { repository: repository.clone(), digest: digest() };
                [
                    (repository_path(name), Target::Repository(repository.clone())),
                    (tags_path(name), Target::RepositoryTags(repository.clone())),
                    (access_path(name), Target::RepositoryAccess(repository.clone())),
                    (tag_path(name, &tag), Target::RepositoryTag(tagged)),
                    (manifests_path(name), Target::RepositoryManifests(repository.clone())),
                    (deletions_path(name), Target::RepositoryDeletions(repository)),
                    (manifest_path(name, &digest().to_string()), Target::RepositoryManifest(manifest)),
                ]
            };
            for (path, target) in paths(&one).into_iter().chain(paths(&other)) {
                prop_assert_eq!(parse(&path), Ok(target), "{}", path);
            }
            let (ours, theirs) = (paths(&one), paths(&other));
            prop_assert_eq!(one == other, ours[0].0 == theirs[0].0);
            for (place, our) in ours.iter().enumerate() {
                for their in theirs.iter().enumerate().filter(|(other, _)| *other != place) {
                    prop_assert_ne!(&our.0, &their.1.0);
                }
            }
            // With slashes as they are it is read the one way that is documented.
            let raw = parse(&format!("/v1/repositories/{one}/tags/{tag}"));
            prop_assert_eq!(raw, Ok(ours[3].1.clone()));
            let raw = parse(&format!("/v1/repositories/{one}/manifests/{}", digest()));
            prop_assert_eq!(raw, Ok(ours[6].1.clone()));
        }

        #[test]
        fn any_path_is_read_or_refused(path in "/v1/[a-z0-9%/:_.A-F-]{0,60}|\\PC{0,60}") {
            let _ = parse(&path);
        }
    }
}

//! Paths under `/v2`, read once into what they name.
//!
//! A repository's name has slashes, and its components may be called `blobs` or `manifests`, so a path is read from its
//! end. Pure: it knows no request.

use mcr_actors::domain::{Digest, DigestError, NameError, Reference, ReferenceError, RepositoryName};
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::api;

/// What a path under `/v2` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/v2/`
    Base,
    /// `/v2/token`
    Token,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags(RepositoryName),
    /// `/v2/<name>/manifests/<reference>`
    Manifest(RepositoryName, Reference),
    /// `/v2/<name>/blobs/<digest>`
    Blob(RepositoryName, Digest),
    /// `/v2/<name>/blobs/uploads/`
    Uploads(RepositoryName),
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload(RepositoryName, Uuid),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(RepositoryName, Digest),
}

/// Which kind of [`Target`], for the table of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// `/v2/`
    Base,
    /// `/v2/token`
    Token,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags,
    /// `/v2/<name>/manifests/<reference>`
    Manifest,
    /// `/v2/<name>/blobs/<digest>`
    Blob,
    /// `/v2/<name>/blobs/uploads/`
    Uploads,
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload,
    /// `/v2/<name>/referrers/<digest>`
    Referrers,
}

impl api::Shape for Shape {
    fn template(self) -> &'static str {
        match self {
            Self::Base => "/v2/",
            Self::Token => "/v2/token",
            Self::Catalog => "/v2/_catalog",
            Self::Tags => "/v2/{name}/tags/list",
            Self::Manifest => "/v2/{name}/manifests/{reference}",
            Self::Blob => "/v2/{name}/blobs/{digest}",
            Self::Uploads => "/v2/{name}/blobs/uploads/",
            Self::Upload => "/v2/{name}/blobs/uploads/{id}",
            Self::Referrers => "/v2/{name}/referrers/{digest}",
        }
    }
}

impl api::Target for Target {
    type Shape = Shape;

    fn shape(&self) -> Shape {
        match self {
            Self::Base => Shape::Base,
            Self::Token => Shape::Token,
            Self::Catalog => Shape::Catalog,
            Self::Tags(_) => Shape::Tags,
            Self::Manifest(..) => Shape::Manifest,
            Self::Blob(..) => Shape::Blob,
            Self::Uploads(_) => Shape::Uploads,
            Self::Upload(..) => Shape::Upload,
            Self::Referrers(..) => Shape::Referrers,
        }
    }

    fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Token | Self::Catalog => None,
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _) => Some(name),
        }
    }
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
    /// Neither a tag nor a digest.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// No digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// No upload could have this id.
    #[error("an upload's id is a UUID")]
    Upload,
}

/// Whether a path is one of the OCI API's, which has errors of its own form; also with slashes too many before it.
pub fn is_oci(raw: &str) -> bool {
    let path = raw.trim_start_matches('/');
    raw.starts_with('/') && (path == "v2" || path.starts_with("v2/"))
}

/// Reads the raw path of a request, percent-encoded as it came. One that has a slash too many names nothing, and is told
/// the right path: a redirect would turn the push of some clients into a GET.
pub fn parse(raw: &str) -> Result<Target, PathError> {
    read(raw).map_err(|error| match without_empty_parts(raw) {
        Some(right) if read(&right).is_ok() => PathError::Slashes(right),
        _ => error,
    })
}

/// The path with each run of slashes made one and without the last, where that changes it.
pub(super) fn without_empty_parts(raw: &str) -> Option<String> {
    let parts: Vec<&str> = raw.split('/').filter(|part| !part.is_empty()).collect();
    let right = format!("/{}", parts.join("/"));
    (right != raw).then_some(right)
}

fn read(raw: &str) -> Result<Target, PathError> {
    let rest = match raw.strip_prefix("/v2") {
        Some("" | "/") => return Ok(Target::Base),
        Some(rest) => rest.strip_prefix('/').ok_or(PathError::Nothing)?,
        None => return Err(PathError::Nothing),
    };
    let segments = rest.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let segments: Vec<&str> = segments.iter().map(|segment| segment.as_ref()).collect();
    match segments.as_slice() {
        ["token"] => Ok(Target::Token),
        ["_catalog"] => Ok(Target::Catalog),
        [name @ .., "tags", "list"] => Ok(Target::Tags(repository(name)?)),
        [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
            Ok(Target::Uploads(repository(name)?))
        }
        [name @ .., "blobs", "uploads", id] => {
            let name = repository(name)?;
            Ok(Target::Upload(name, Uuid::try_parse(id).map_err(|_| PathError::Upload)?))
        }
        [name @ .., "manifests", reference] => Ok(Target::Manifest(repository(name)?, reference.parse()?)),
        [name @ .., "blobs", digest] => Ok(Target::Blob(repository(name)?, digest.parse()?)),
        [name @ .., "referrers", digest] => Ok(Target::Referrers(repository(name)?, digest.parse()?)),
        _ => Err(PathError::Nothing),
    }
}

/// One segment; an encoded slash does not make two of it.
fn decode(segment: &str) -> Result<std::borrow::Cow<'_, str>, PathError> {
    let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| PathError::Nothing)?;
    if decoded.contains('/') { Err(PathError::Nothing) } else { Ok(decoded) }
}

fn repository(segments: &[&str]) -> Result<RepositoryName, PathError> {
    if segments.is_empty() { Err(PathError::Nothing) } else { Ok(segments.join("/").parse()?) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::api::Target as _;
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn every_shape_is_read() {
        let cases = [
            ("/v2", Shape::Base),
            ("/v2/", Shape::Base),
            ("/v2/token", Shape::Token),
            ("/v2/_catalog", Shape::Catalog),
            ("/v2/a/tags/list", Shape::Tags),
            ("/v2/a/b/manifests/v1", Shape::Manifest),
            (&format!("/v2/a/manifests/{DIGEST}"), Shape::Manifest),
            (&format!("/v2/a/blobs/{DIGEST}"), Shape::Blob),
            (&format!("/v2/a/blobs/{}", DIGEST.replace(':', "%3A")), Shape::Blob),
            ("/v2/a/blobs/uploads", Shape::Uploads),
            ("/v2/a/blobs/uploads/", Shape::Uploads),
            ("/v2/a/blobs/uploads/00000000-0000-0000-0000-000000000000", Shape::Upload),
            (&format!("/v2/a/referrers/{DIGEST}"), Shape::Referrers),
        ];
        for (path, shape) in cases {
            assert_eq!(parse(path).map(|target| target.shape()), Ok(shape), "{path}");
        }
    }

    #[test]
    fn a_component_may_be_called_like_a_kind() {
        let cases = [
            ("/v2/a/manifests/b/manifests/c", "a/manifests/b"),
            ("/v2/blobs/blobs/uploads/", "blobs"),
            (&format!("/v2/x/blobs/uploads/blobs/{DIGEST}"), "x/blobs/uploads"),
            ("/v2/tags/list/tags/list", "tags/list"),
        ];
        for (path, name) in cases {
            let target = parse(path).unwrap();
            assert_eq!(target.repository().map(RepositoryName::as_str), Some(name), "{path}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for path in
            ["/", "/v1/", "/v20", "/v2/a", "/v2/a/b/c", "/v2/tags/list", "/v2/a%2Fb/tags/list", "/v2/%ff"]
        {
            assert_eq!(parse(path), Err(PathError::Nothing), "{path}");
        }
        for path in ["/v2/../tags/list", "/v2/A/tags/list", "/v2/%00/tags/list", "/v2/a%20b/tags/list"] {
            assert!(matches!(parse(path), Err(PathError::Name(_))), "{path}");
        }
        assert!(matches!(parse("/v2/a/manifests/"), Err(PathError::Reference(_))));
        assert_eq!(parse("/v2/a//"), Err(PathError::Nothing));
        assert!(matches!(parse("/v2/a/manifests/sha256:bad"), Err(PathError::Reference(_))));
        assert!(matches!(parse("/v2/a/blobs/sha256:bad"), Err(PathError::Digest(_))));
        assert_eq!(parse("/v2/a/blobs/uploads/1"), Err(PathError::Upload));
    }

    #[test]
    fn a_slash_too_many_is_told_the_right_path() {
        let upload = "/v2/a/blobs/uploads/00000000-0000-0000-0000-000000000000";
        let (blob, blob_and_slash) = (format!("/v2/a/blobs/{DIGEST}"), format!("/v2/a/blobs/{DIGEST}/"));
        let cases = [
            ("/v2//", "/v2"),
            ("//v2/", "/v2"),
            ("/v2/token/", "/v2/token"),
            ("/v2/_catalog/", "/v2/_catalog"),
            ("/v2/a/tags/list/", "/v2/a/tags/list"),
            ("/v2/a//b/tags/list", "/v2/a/b/tags/list"),
            ("//v2/a/manifests/v1", "/v2/a/manifests/v1"),
            ("/v2/a/manifests/v1/", "/v2/a/manifests/v1"),
            ("/v2/a/blobs//uploads/", "/v2/a/blobs/uploads"),
            (&format!("{upload}/"), upload),
            (&blob_and_slash, &blob),
        ];
        for (path, right) in cases {
            assert_eq!(parse(path), Err(PathError::Slashes(right.to_owned())), "{path}");
        }
    }

    /// Names whose parts are called like what a path is made of.
    fn name() -> impl Strategy<Value = String> {
        let words = vec!["tags", "list", "manifests", "blobs", "uploads", "referrers", "token", "v2", "a"];
        prop::collection::vec(prop::sample::select(words), 1..6).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #[test]
        fn no_two_resources_share_a_path(
            names in (name(), name()),
            tag in prop::sample::select(vec!["list", "tags", "uploads", "manifests", "v1"]),
            id in any::<u128>().prop_map(Uuid::from_u128),
        ) {
            let targets = |name: &str| {
                let (name, digest): (RepositoryName, Digest) = (name.parse().unwrap(), DIGEST.parse().unwrap());
                vec![
                    (format!("/v2/{name}/tags/list"), Target::Tags(name.clone())),
                    (format!("/v2/{name}/manifests/{tag}"), Target::Manifest(name.clone(), tag.parse().unwrap())),
                    (format!("/v2/{name}/manifests/{digest}"), Target::Manifest(name.clone(), Reference::Digest(digest))),
                    (format!("/v2/{name}/blobs/{digest}"), Target::Blob(name.clone(), digest)),
                    (format!("/v2/{name}/blobs/uploads/"), Target::Uploads(name.clone())),
                    (format!("/v2/{name}/blobs/uploads/{id}"), Target::Upload(name.clone(), id)),
                    (format!("/v2/{name}/referrers/{digest}"), Target::Referrers(name, digest)),
                ]
            };
            let all: Vec<_> = targets(&names.0).into_iter().chain(targets(&names.1)).collect();
            for (path, target) in &all {
                prop_assert_eq!(parse(path), Ok(target.clone()), "{}", path);
            }
            for (path, target) in &all {
                for (other_path, other) in &all {
                    prop_assert_eq!(path == other_path, target == other);
                }
            }
        }

        #[test]
        fn any_path_is_read_or_refused(path in "/v2/[a-z0-9%/:_.A-F-]{0,80}|\\PC{0,80}") {
            let _ = parse(&path);
        }
    }
}

//! What is pushed: four blobs, and nine manifests that need them.

use mcr_actors::domain::{Algorithm, Digest, Manifest, MediaType, RepositoryName};

/// One of the two repositories.
pub(crate) type Repository = &'static str;

/// How many blobs there are.
pub(crate) const BLOBS: u8 = 4;
/// How many manifests there are.
pub(crate) const MANIFESTS: u8 = 9;

pub(crate) fn name(repository: Repository) -> RepositoryName {
    repository.parse().unwrap()
}

pub(crate) fn content(number: u8) -> Vec<u8> {
    vec![number; 10 + usize::from(number)]
}

pub(crate) fn blob(number: u8) -> Digest {
    Digest::of(Algorithm::Sha256, &content(number))
}

/// The blobs and the children of a manifest: 0 to 2 are images, 3 to 5 images with one of those as subject, 6 to 8 indexes.
pub(crate) fn parts(number: u8) -> (Vec<u8>, Vec<u8>) {
    match number {
        0..6 => (vec![number % 4, (number + 1) % 4], vec![]),
        _ => (vec![], vec![number % 6, number % 6 + 1]),
    }
}

pub(crate) fn manifest(number: u8) -> Manifest {
    let descriptor = |digest: &Digest| format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1}}"#);
    let (blobs, children) = parts(number);
    let kind = if children.is_empty() { "manifest" } else { "index" };
    let media_type = MediaType::parse(&format!("application/vnd.oci.image.{kind}.v1+json")).unwrap();
    let body = if children.is_empty() {
        let subject = match number {
            0..3 => String::new(),
            _ => format!(r#","subject":{}"#, descriptor(&manifest(number - 3).digest)),
        };
        let (config, layer) = (descriptor(&blob(blobs[0])), descriptor(&blob(blobs[1])));
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]{subject}}}"#)
    } else {
        let children: Vec<_> = children.iter().map(|child| descriptor(&manifest(*child).digest)).collect();
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, children.join(","))
    };
    Manifest::parse(Algorithm::Sha256, media_type, body.into()).unwrap()
}

/// The manifest that another one refers to.
pub(crate) fn subject(number: u8) -> Option<u8> {
    (3..6).contains(&number).then(|| number - 3)
}

//! What is pushed: four blobs, and manifests that refer to them and to one another in every way.

use mcr_actors::domain::{Algorithm, Digest, Manifest, MediaType, RepositoryName};

/// One of the two repositories.
pub(crate) type Repository = &'static str;

/// How many blobs there are.
pub(crate) const BLOBS: u8 = 4;
/// How many manifests there are.
pub(crate) const MANIFESTS: u8 = 12;

pub(crate) fn name(repository: Repository) -> RepositoryName {
    repository.parse().unwrap()
}

pub(crate) fn content(number: u8) -> Vec<u8> {
    vec![number; 10 + usize::from(number)]
}

pub(crate) fn blob(number: u8) -> Digest {
    Digest::of(Algorithm::Sha256, &content(number))
}

/// What a manifest refers to.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Blobs that must be there when it is pushed.
    pub(crate) blobs: Vec<u8>,
    /// Manifests that must be there when it is pushed.
    pub(crate) children: Vec<u8>,
    /// Blobs that it keeps when they are there.
    pub(crate) mentioned: Vec<u8>,
}

impl Parts {
    /// All blobs that it keeps.
    pub(crate) fn all_blobs(&self) -> impl Iterator<Item = u8> {
        self.blobs.iter().chain(&self.mentioned).copied()
    }
}

/// 0 to 2 are images, 3 to 5 images with one of those as subject, 6 to 8 indexes of images. 9 is an index of blobs and of an
/// image, as caches of builders are; 10 is of an unknown type and has its digests in odd places; 11 refers to 9 as its
/// subject.
pub(crate) fn parts(number: u8) -> Parts {
    let parts = |blobs: &[u8], children: &[u8], mentioned: &[u8]| Parts {
        blobs: blobs.to_vec(),
        children: children.to_vec(),
        mentioned: mentioned.to_vec(),
    };
    match number {
        0..6 => parts(&[number % 4, (number + 1) % 4], &[], &[]),
        6..9 => parts(&[], &[number % 6, number % 6 + 1], &[]),
        9 => parts(&[0, 3], &[2], &[]),
        10 => parts(&[1], &[], &[2, 3]),
        _ => parts(&[0], &[], &[1]),
    }
}

fn descriptor(digest: &Digest) -> String {
    format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1}}"#)
}

fn body(number: u8) -> String {
    let Parts { blobs, children, mentioned } = parts(number);
    let blobs: Vec<_> = blobs.into_iter().map(|number| descriptor(&blob(number))).collect();
    let children = children.into_iter().map(|child| descriptor(&manifest(child).digest));
    let mentioned: Vec<_> = mentioned.into_iter().map(blob).collect();
    match number {
        6..10 => {
            let all: Vec<_> = blobs.into_iter().chain(children).collect();
            format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, all.join(","))
        }
        10 => format!(
            r#"{{"blobs":{},"layers":[{{"digest":"{}"}}],"x":{{"{}":[1.5]}}}}"#,
            blobs[0], mentioned[0], mentioned[1]
        ),
        _ => {
            let subject = subject(number).map_or(String::new(), |subject| {
                format!(r#","subject":{}"#, descriptor(&manifest(subject).digest))
            });
            let note = mentioned
                .first()
                .map_or(String::new(), |digest| format!(r#","annotations":{{"base":"{digest}"}}"#));
            let (config, layers) = (&blobs[0], blobs[1..].join(","));
            format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]{subject}{note}}}"#)
        }
    }
}

pub(crate) fn manifest(number: u8) -> Manifest {
    let kind = match number {
        6..10 => "vnd.oci.image.index.v1+json",
        10 => "vnd.example+json",
        _ => "vnd.oci.image.manifest.v1+json",
    };
    let media_type = MediaType::parse(&format!("application/{kind}")).unwrap();
    Manifest::parse(Algorithm::Sha256, media_type, body(number).into()).unwrap()
}

/// The manifest that another one refers to.
pub(crate) fn subject(number: u8) -> Option<u8> {
    match number {
        3..6 => Some(number - 3),
        11 => Some(9),
        _ => None,
    }
}

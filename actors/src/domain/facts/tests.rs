use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::{Algorithm, Timestamp};

const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

fn digest(content: &str) -> Digest {
    Digest::of(Algorithm::Sha256, content.as_bytes())
}

fn descriptor(media_type: &str, content: &str, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": digest(content).to_string(), "size": size})
}

fn facts(media_type: &str, body: &Value) -> Facts {
    Facts::of(&MediaType::parse(media_type).unwrap(), body.to_string().as_bytes())
}

fn kind(artifact_type: Option<&str>, config: &str, layer: &str) -> Kind {
    let body = json!({"artifactType": artifact_type, "config": descriptor(config, "c", 2),
        "layers": [descriptor(layer, "l", 3)]});
    facts(MediaType::OCI_MANIFEST, &body).kind
}

#[test]
fn an_image_is_pulled_with_its_config_and_each_layer_once() {
    let body = json!({"config": descriptor(IMAGE_CONFIG, "c", 7), "layers": [
        descriptor(LAYER, "a", 100), descriptor(LAYER, "b", 20), descriptor(LAYER, "a", 100)]});
    let found = facts(MediaType::OCI_MANIFEST, &body);
    assert_eq!((found.kind, found.pull_bytes), (Kind::Image, Some(127)));
    assert_eq!((found.config, found.config_type.as_deref()), (Some(digest("c")), Some(IMAGE_CONFIG)));
    let docker = json!({"config": descriptor(CONFIGS[1], "c", 7), "layers": null});
    let found = facts(MediaType::DOCKER_MANIFEST, &docker);
    assert_eq!((found.kind, found.pull_bytes), (Kind::Image, Some(7)));
}

#[test]
fn an_index_has_its_children_by_platform() {
    let child = |content: &str, platform: Value| {
        let mut child = descriptor(MediaType::OCI_MANIFEST, content, 500);
        child["platform"] = platform;
        child
    };
    let body = json!({"manifests": [
        child("amd64", json!({"os": "linux", "architecture": "amd64"})),
        child("arm", json!({"os": "linux", "architecture": "arm", "variant": "v7", "os.features": ["x"]})),
        child("attestation", json!({"os": "unknown", "architecture": "unknown"})),
        child("none", Value::Null),
    ]});
    let found = facts(MediaType::OCI_INDEX, &body);
    assert_eq!((found.kind, found.pull_bytes, found.config), (Kind::Index, None, None));
    let platforms = [(digest("amd64"), "linux/amd64".to_owned()), (digest("arm"), "linux/arm/v7".to_owned())];
    assert_eq!(found.platforms, platforms);
}

#[test]
fn each_kind_is_known_by_its_types() {
    let image = IMAGE_CONFIG;
    for (found, expected) in [
        (kind(None, image, LAYER), Kind::Image),
        (kind(Some(""), image, LAYER), Kind::Image),
        (kind(Some("application/vnd.example"), image, LAYER), Kind::Artifact),
        (kind(None, EMPTY, "text/plain"), Kind::Artifact),
        (
            kind(
                None,
                "application/vnd.cncf.helm.config.v1+json",
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            ),
            Kind::Chart,
        ),
        (kind(None, image, "application/vnd.dev.cosign.simplesigning.v1+json"), Kind::Signature),
        (
            kind(Some("application/vnd.cncf.notary.signature"), EMPTY, "application/jose+json"),
            Kind::Signature,
        ),
        (kind(None, image, "application/vnd.in-toto+json"), Kind::Attestation),
        (kind(None, image, "application/vnd.dsse.envelope.v1+json"), Kind::Attestation),
        (kind(Some("application/spdx+json"), EMPTY, "application/spdx+json"), Kind::Sbom),
        (kind(Some("Application/vnd.CycloneDX+json"), EMPTY, LAYER), Kind::Sbom),
        (kind(None, "application/vnd.buildkit.cacheconfig.v0", LAYER), Kind::Cache),
    ] {
        assert_eq!(found, expected);
    }
    let bundle = |content: &str| {
        let body = json!({"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "config": descriptor(EMPTY, "e", 2), "layers": [],
            "annotations": {"a": {"b": 1}, "dev.sigstore.bundle.content": content}});
        facts(MediaType::OCI_MANIFEST, &body).kind
    };
    assert_eq!((bundle("message-signature"), bundle("dsse-envelope")), (Kind::Signature, Kind::Attestation));
    let cache = json!({"manifests": [descriptor(LAYER, "l", 10),
        descriptor("application/vnd.buildkit.cacheconfig.v0", "c", 1)]});
    let found = facts(MediaType::DOCKER_LIST, &cache);
    assert_eq!((found.kind, found.pull_bytes), (Kind::Cache, Some(11)));
    for kind in Kind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
}

#[test]
fn a_config_says_the_platform_and_what_people_look_for() {
    let body = json!({"os": "linux", "architecture": "arm64", "variant": "v8", "created": "2026-01-31T12:00:00.5Z",
        "config": {"Labels": {"org.opencontainers.image.version": "1.2", "other": "x",
            "org.opencontainers.image.description": "ü".repeat(300)}}});
    let found = ConfigFacts::of(body.to_string().as_bytes());
    assert_eq!(found.platform.as_deref(), Some("linux/arm64/v8"));
    assert_eq!(found.created, Timestamp::parse("2026-01-31T12:00:00.5Z"));
    assert_eq!(found.labels.len(), 2);
    assert_eq!((found.labels["version"].as_str(), found.labels["description"].len()), ("1.2", 254));
    for nothing in
        ["", "{}", "[]", r#"{"os":"","architecture":"amd64"}"#, r#"{"os":"a\nb","architecture":"c"}"#]
    {
        assert_eq!(ConfigFacts::of(nothing.as_bytes()), ConfigFacts::default(), "{nothing}");
    }
}

#[test]
fn a_list_that_never_ends_is_not_kept() {
    let many = format!(r#"{{"layers":[{}{{}}]}}"#, "{},".repeat(300_000));
    let document = Document::read(many.as_bytes()).unwrap();
    assert_eq!(document.layers.len(), crate::domain::references::MAX_REFERENCES);
}

proptest! {
    #[test]
    fn any_bytes_say_something(body: Vec<u8>, index: bool) {
        let media_type = if index { MediaType::OCI_INDEX } else { MediaType::OCI_MANIFEST };
        let found = Facts::of(&MediaType::parse(media_type).unwrap(), &body);
        prop_assert_eq!(found.kind, if index { Kind::Index } else { Kind::Artifact });
        let _ = ConfigFacts::of(&body);
    }
}

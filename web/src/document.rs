//! Manifests and configs as they are shown: read out of what strangers pushed, whatever it is. Pure.
//!
//! Names are those of the OCI image specification (`manifest.md`, `image-index.md`, `config.md`). What is missing or of another
//! kind is left out: the registry has judged the manifest, this only shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A value where it is of the kind that is expected, else the empty one.
fn lenient<'de, D: Deserializer<'de>, T: Default + serde::de::DeserializeOwned>(
    from: D,
) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).unwrap_or_default())
}

/// A manifest or an index.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Manifest {
    #[serde(deserialize_with = "lenient")]
    pub(crate) media_type: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) artifact_type: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) config: Option<Descriptor>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) manifests: Vec<Descriptor>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) subject: Option<Descriptor>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What something else refers to.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Descriptor {
    #[serde(deserialize_with = "lenient")]
    pub(crate) media_type: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) artifact_type: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) digest: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) size: u64,
    #[serde(deserialize_with = "lenient")]
    pub(crate) platform: Option<Platform>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What an image runs on.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Platform {
    #[serde(deserialize_with = "lenient")]
    pub(crate) os: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) architecture: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) variant: String,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

impl Descriptor {
    /// Whether it stands in an index for what is attached to another of its manifests, as BuildKit does it.
    pub(crate) fn is_attestation(&self) -> bool {
        self.annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest")
    }
}

/// The config of an image.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    #[serde(deserialize_with = "lenient")]
    pub(crate) created: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) os: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) architecture: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) variant: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) config: Execution,
    #[serde(deserialize_with = "lenient")]
    pub(crate) history: Vec<Step>,
}

/// How it is run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Execution {
    #[serde(deserialize_with = "lenient")]
    pub(crate) user: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) exposed_ports: BTreeMap<String, Value>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) env: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) entrypoint: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) cmd: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) volumes: BTreeMap<String, Value>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) working_dir: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) stop_signal: String,
}

/// A step of its making.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Step {
    #[serde(deserialize_with = "lenient")]
    pub(crate) created_by: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) comment: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) empty_layer: bool,
}

/// JSON as one of these; the empty one when it is none.
pub(crate) fn read<T: Default + serde::de::DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap_or_default()
}

/// Each step with the layer that it made, in order: a layer for each step that is not empty. Layers that no step made come last.
pub(crate) fn beside<'a>(
    steps: &'a [Step],
    layers: &'a [Descriptor],
) -> Vec<(Option<&'a Step>, Option<&'a Descriptor>)> {
    let mut left = layers.iter();
    let mut rows: Vec<_> =
        steps.iter().map(|step| (Some(step), if step.empty_layer { None } else { left.next() })).collect();
    rows.extend(left.map(|layer| (None, Some(layer))));
    rows
}

/// What a step did, without what each step of a Dockerfile has before it.
pub(crate) fn command(step: &Step) -> &str {
    let text = if step.created_by.is_empty() { &step.comment } else { &step.created_by };
    let text = text.strip_prefix("/bin/sh -c ").unwrap_or(text);
    text.strip_prefix("#(nop) ").unwrap_or(text).trim_end_matches(" # buildkit").trim()
}

/// What something that is attached is, in a word, by its artifact type.
pub(crate) fn attached(artifact_type: &str) -> &'static str {
    let text = artifact_type.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["cosign", "notary.signature", "notary.v2.signature", "sigstore"]) {
        "signature"
    } else if has(&["spdx", "cyclonedx", "sbom", "syft"]) {
        "SBOM"
    } else if has(&["in-toto", "slsa", "provenance"]) {
        "attestation"
    } else if has(&["sarif", "trivy", "vuln"]) {
        "scan report"
    } else {
        "attachment"
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_stand_beside_what_they_made() {
        let step = |empty_layer| Step { empty_layer, ..Step::default() };
        let layer = |digest: &str| Descriptor { digest: digest.to_owned(), ..Descriptor::default() };
        let (steps, layers) = ([step(false), step(true), step(false)], [layer("a"), layer("b"), layer("c")]);
        let rows = beside(&steps, &layers);
        let made: Vec<_> = rows.iter().map(|(_, layer)| layer.map(|layer| layer.digest.as_str())).collect();
        assert_eq!(made, [Some("a"), None, Some("b"), Some("c")]);
        assert!(rows[3].0.is_none());
        assert_eq!(beside(&steps, &[]).len(), 3);
    }

    #[test]
    fn what_is_of_another_kind_is_left_out_and_nothing_else() {
        let body = br#"{"mediaType": 7, "layers": [{"digest": "d", "size": "many"}], "annotations": {"a": 1}, "config": []}"#;
        let manifest: Manifest = read(body);
        assert_eq!((manifest.media_type.as_str(), manifest.layers[0].digest.as_str()), ("", "d"));
        assert!(manifest.annotations.is_empty() && manifest.layers[0].size == 0);
        let config: Config =
            read(br#"{"config": {"Entrypoint": null, "User": "0", "Env": null}, "history": null}"#);
        assert_eq!((config.config.user.as_str(), config.config.entrypoint.len()), ("0", 0));
    }

    #[test]
    fn a_step_says_what_it_did() {
        let of = |text: &str| command(&Step { created_by: text.to_owned(), ..Step::default() }).to_owned();
        assert_eq!(of("/bin/sh -c #(nop)  CMD [\"sh\"]"), "CMD [\"sh\"]");
        assert_eq!(of("RUN /bin/sh -c make # buildkit"), "RUN /bin/sh -c make");
        assert_eq!(of(""), "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_shown(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _: (Manifest, Config) = (read(&body), read(&body));
        }
    }
}

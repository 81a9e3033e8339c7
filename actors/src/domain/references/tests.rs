use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::*;
use crate::domain::{Algorithm, Manifest};

const UNKNOWN: &str = "application/vnd.example+json";

fn parse(kind: &str, body: &str) -> Result<Manifest, String> {
    let media_type = MediaType::parse(kind).unwrap();
    Manifest::parse(Algorithm::Sha256, media_type, body.to_owned().into()).map_err(|error| error.to_string())
}

fn digest(content: &str) -> Digest {
    Digest::of(Algorithm::Sha256, content.as_bytes())
}

fn descriptor(content: &str) -> Value {
    json!({"mediaType": "a/b", "digest": digest(content).to_string(), "size": 1})
}

/// A descriptor with another value under a key, or without the key.
fn with(key: &str, value: Option<Value>) -> Value {
    let mut changed = descriptor("changed");
    match value {
        Some(value) => changed[key] = value,
        None => drop(changed.as_object_mut().unwrap().remove(key)),
    }
    changed
}

/// What is wrong with a descriptor, and where.
fn malformed() -> Vec<(Value, &'static str)> {
    let mut cases: Vec<(Value, &str)> = Vec::new();
    for value in [
        None,
        Some(json!(null)),
        Some(json!("100")),
        Some(json!(100.0)),
        Some(json!(-1)),
        Some(json!(u64::MAX)),
    ] {
        cases.push((with("size", value), ".size"));
    }
    for value in [None, Some(json!(1)), Some(json!("sha256:00")), Some(json!("md5:00")), Some(json!([]))] {
        cases.push((with("digest", value), ".digest"));
    }
    for value in [json!("x"), json!([1]), json!({})] {
        cases.push((with("urls", Some(value)), ".urls"));
    }
    cases.push((with("mediaType", Some(json!(1))), ".mediaType"));
    for value in [json!("x"), json!(1), json!([[]]), json!(true)] {
        cases.push((value, ""));
    }
    cases
}

/// Every place where a descriptor must be: the type, the document with it, and what the place is called.
fn places(value: &Value) -> Vec<(&'static str, Value, &'static str)> {
    let good = descriptor("good");
    vec![
        (MediaType::OCI_MANIFEST, json!({"config": value, "layers": []}), "config"),
        (MediaType::DOCKER_MANIFEST, json!({"config": good, "layers": [good, value]}), "layers[1]"),
        (MediaType::OCI_INDEX, json!({"manifests": [value]}), "manifests[0]"),
        (MediaType::DOCKER_LIST, json!({"manifests": [good, good, value]}), "manifests[2]"),
        (MediaType::OCI_ARTIFACT, json!({"blobs": [value]}), "blobs[0]"),
        (MediaType::OCI_MANIFEST, json!({"config": good, "layers": [], "subject": value}), "subject"),
        (MediaType::OCI_INDEX, json!({"manifests": [], "subject": value}), "subject"),
        (UNKNOWN, json!({"subject": value}), "subject"),
    ]
}

#[test]
fn what_is_malformed_where_a_descriptor_must_be_is_refused_with_its_place() {
    for (value, field) in malformed() {
        for (kind, document, place) in places(&value) {
            let refused = parse(kind, &document.to_string()).expect_err(&document.to_string());
            let told = format!(": {place}{field} ");
            assert!(refused.contains(&told), "{refused:?} does not say {told:?} of {document}");
        }
    }
    for (kind, document, place) in places(&descriptor("good")) {
        assert!(parse(kind, &document.to_string()).is_ok(), "{place} of {kind}");
    }
    for (kind, body, told) in [
        (MediaType::OCI_MANIFEST, json!({"config": descriptor("c"), "layers": {}}), "layers is no list"),
        (MediaType::OCI_MANIFEST, json!({"config": descriptor("c"), "layers": "x"}), "layers is no list"),
        (MediaType::OCI_MANIFEST, json!({"config": [], "layers": []}), "config is no descriptor"),
        (MediaType::OCI_INDEX, json!({"manifests": descriptor("c")}), "manifests is no list"),
    ] {
        let refused = parse(kind, &body.to_string()).unwrap_err();
        assert!(refused.contains(told), "{refused:?} does not say {told:?}");
    }
    let twice =
        format!(r#"{{"manifests":[{{"digest":"{}","digest":"{}","size":1}}]}}"#, digest("a"), digest("b"));
    assert!(parse(MediaType::OCI_INDEX, &twice).unwrap_err().contains("manifests[0].digest is there twice"));
    assert!(parse(UNKNOWN, r#"{"layers":[],"layers":[]}"#).unwrap_err().contains("layers is there twice"));
}

/// What is malformed in a type that nobody knows is kept all the same.
#[test]
fn nothing_is_dropped_in_silence_whatever_is_wrong_with_it() {
    for (value, field) in malformed() {
        if field == ".digest" || field.is_empty() {
            continue;
        }
        for key in ["config", "layers", "blobs", "manifests", "fsLayers", "x"] {
            for document in [json!({key: value}), json!({key: [value]}), json!({"y": {key: [[value]]}})] {
                let manifest = parse(UNKNOWN, &document.to_string()).unwrap();
                let kept = Referenced { digest: digest("changed"), required: false, holds: true };
                assert_eq!(manifest.references, [kept], "{document}");
            }
        }
    }
}

#[test]
fn only_descriptors_must_be_there_and_a_subject_holds_its_referrer() {
    let body = json!({
        "config": descriptor("config"),
        "layers": [
            descriptor("layer"),
            {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
             "digest": digest("foreign").to_string(), "size": 1, "urls": ["https://example.org"]},
        ],
        "subject": descriptor("subject"),
        "annotations": {"org.opencontainers.image.base.digest": digest("base").to_string()},
    });
    let manifest = parse(MediaType::OCI_MANIFEST, &body.to_string()).unwrap();
    let found = |content: &str| {
        let found = manifest.references.iter().find(|found| found.digest == digest(content)).unwrap();
        (found.required, found.holds)
    };
    assert_eq!(manifest.references.len(), 5);
    assert_eq!((found("config"), found("layer")), ((true, true), (true, true)));
    assert_eq!((found("foreign"), found("base")), ((false, true), (false, true)));
    assert_eq!((found("subject"), manifest.subject), ((false, false), Some(digest("subject"))));
    let both = json!({"manifests": [descriptor("subject")], "subject": descriptor("subject")});
    let both = parse(MediaType::OCI_INDEX, &both.to_string()).unwrap();
    assert_eq!(both.references, [Referenced { digest: digest("subject"), required: true, holds: true }]);
}

#[test]
fn what_is_stored_and_cannot_be_read_any_more_keeps_its_digests() {
    let (one, two) = (digest("1"), Digest::of(Algorithm::Sha512, b"2"));
    let deep = format!(r#"{{"a":{}"{one}"{},"b":"{two}"}}"#, "[".repeat(500), "]".repeat(500));
    let cut = format!(r#"{{"a":["{one}"],"b":{{"{two}"#);
    for body in [deep, cut] {
        assert_eq!(digests_in(body.as_bytes()), [one, two], "{body}");
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(&["digest", "size", "urls", "mediaType", "config", "layers", "x", "Layers", "annotations"][..])
            .prop_map(str::to_owned),
        1 => text(),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..40u8, any::<bool>()).prop_map(|(number, long)| {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            Digest::of(algorithm, &[number]).to_string()
        }),
        1 => "\\PC{0,20}",
        1 => Just("sha256:00".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => text().prop_map(Value::from),
        1 => select(vec![json!(null), json!(true), json!(0), json!(-1), json!(100.0), json!(1u64 << 63), json!("100")]),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn digests_of(value: &Value, found: &mut Vec<Digest>) {
    match value {
        Value::String(text) => found.extend(text.parse::<Digest>()),
        Value::Array(items) => items.iter().for_each(|item| digests_of(item, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                found.extend(key.parse::<Digest>());
                digests_of(value, found);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn every_digest_of_a_document_is_a_reference(
        fields in prop::collection::vec((select(&["config", "layers", "blobs", "manifests", "x", "fsLayers"][..]), value()), 0..5),
        escaped: bool,
        image: bool,
    ) {
        let mut document: Map<String, Value> =
            fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        if image {
            document.remove("manifests");
            document.insert("config".to_owned(), descriptor("config"));
            document.insert("layers".to_owned(), json!([descriptor("layer")]));
        }
        let document = Value::Object(document);
        let mut expected = Vec::new();
        digests_of(&document, &mut expected);
        let mut body = document.to_string();
        if escaped {
            body = body.replace("sha256:", "sh\\u0061256\\u003a");
        }
        let manifest = parse(if image { MediaType::OCI_MANIFEST } else { UNKNOWN }, &body).unwrap();
        let sorted = |mut digests: Vec<Digest>| {
            digests.sort_unstable();
            digests.dedup();
            digests
        };
        let expected = sorted(expected);
        let found: Vec<Digest> = manifest.references.iter().map(|found| found.digest).collect();
        prop_assert_eq!(found.len(), expected.len(), "one is there twice");
        prop_assert_eq!(sorted(found), expected.clone());
        prop_assert_eq!(sorted(digests_in(body.as_bytes())), expected);
        prop_assert!(manifest.references.iter().all(|found| found.holds));
    }
}

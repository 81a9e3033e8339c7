//! What is read of every request, and what is computed of every blob.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "the inputs are constant and valid")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mcr_actors::domain::{Algorithm, Digest, Hasher, Manifest, MediaType, Reference, RepositoryName, Tag};
use mcr_bench::content::{Noise, Part, image, small_blob};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn names(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.bench_function("digest", |bench| bench.iter(|| black_box(DIGEST).parse::<Digest>().unwrap()));
    let name = "team/product/service";
    group.bench_function("name", |bench| bench.iter(|| black_box(name).parse::<RepositoryName>().unwrap()));
    group.bench_function("tag", |bench| bench.iter(|| black_box("v1.2.3-alpine").parse::<Tag>().unwrap()));
    group.bench_function("reference", |bench| {
        bench.iter(|| black_box(DIGEST).parse::<Reference>().unwrap());
    });
    for (what, path) in [
        ("path of a tag", "/v2/team/product/service/manifests/v1.2.3".to_owned()),
        ("path of a blob", format!("/v2/team/product/service/blobs/{DIGEST}")),
    ] {
        group.bench_function(what, |bench| bench.iter(|| mcr::http::path::parse(black_box(&path)).unwrap()));
    }
    group.finish();
}

fn manifests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("manifest");
    for layers in [5_u64, 100] {
        let parts: Vec<Part> = (0..=layers).map(|index| Part::of(&small_blob(1, index))).collect();
        let body = bytes::Bytes::from(image(parts[0], &parts[1..], None, "note"));
        let media_type = MediaType::parse(MediaType::OCI_MANIFEST).unwrap();
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("{layers} layers"), |bench| {
            bench.iter(|| Manifest::parse(Algorithm::Sha256, media_type.clone(), body.clone()).unwrap());
        });
    }
    // As large as a manifest may be, of a type that nobody knows, and nothing but small values.
    let items = r#"{"a":[1,"x",null]},"#.repeat(220_000);
    let body = bytes::Bytes::from(format!(r#"{{"x":[{items}0]}}"#));
    let media_type = MediaType::parse("application/vnd.example+json").unwrap();
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.sample_size(10);
    group.bench_function("4 MiB of an unknown type", |bench| {
        bench.iter(|| Manifest::parse(Algorithm::Sha256, media_type.clone(), body.clone()).unwrap());
    });
    group.finish();
}

fn hashes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    for (algorithm, length) in
        [(Algorithm::Sha256, 4096), (Algorithm::Sha256, 1 << 20), (Algorithm::Sha512, 1 << 20)]
    {
        let content = Noise::new(1).bytes(length);
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("{} of {length} bytes", algorithm.as_str()), |bench| {
            bench.iter(|| {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(black_box(&content));
                hasher.finish()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, names, manifests, hashes);
criterion_main!(benches);

//! Pushes what the workloads that read will ask for: the same content to every registry.

use mcr_bench::content::{Noise, Part, image};
use serde_json::json;

use crate::session::{Registry, Session};

/// The command line of `load seed`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    registry: Registry,
    /// The length of the large blob; none is pushed at 0
    #[arg(long, default_value_t = 0)]
    bytes: usize,
    /// Layers of the large image
    #[arg(long, default_value_t = 10)]
    layers: u64,
    /// The length of each of its layers
    #[arg(long, default_value_t = 32 << 20)]
    layer_bytes: usize,
}

/// Runs it, and prints what there is to ask for.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let client = arguments.registry.open()?;
    let mut session = Session::new(&client)?;
    let mut push = |repository: &str, count: u64, length: usize| -> anyhow::Result<Vec<Part>> {
        let mut parts = Vec::new();
        for number in 0..count {
            let content = Noise::new((length as u64) << 8 | number).bytes(length);
            session.push_blob(repository, &content)?;
            parts.push(Part::of(&content));
        }
        let body = image(parts[0], &parts[1..], None, "");
        session.push_manifest(repository, "latest", &body)?;
        parts.push(Part::of(body.as_bytes()));
        Ok(parts)
    };
    let small = push("bench/small", 4, 4096)?;
    let digests = |parts: &[Part]| parts.iter().map(|part| part.digest.to_string()).collect::<Vec<_>>();
    let mut seeded = json!({"blob": small[0].digest.to_string(), "manifest": small[4].digest.to_string(),
        "manifest_bytes": small[4].size});
    if arguments.bytes > 0 {
        let large = push("bench/large", 1, arguments.bytes)?;
        let layers = push("bench/layers", arguments.layers, arguments.layer_bytes)?;
        seeded["large"] = json!(large[0].digest.to_string());
        seeded["layers"] = json!(digests(&layers[..layers.len() - 1]));
    }
    println!("{seeded}");
    Ok(true)
}

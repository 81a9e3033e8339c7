//! Embeds the assets: each under a name with its hash in it, so that it may be kept for ever, and compressed once.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Each asset, its media type, and the constant that names it.
const ASSETS: [(&str, &str, &str); 3] = [
    ("mcr.css", "text/css; charset=utf-8", "CSS"),
    ("mcr.js", "text/javascript; charset=utf-8", "JS"),
    ("icon.svg", "image/svg+xml", "ICON"),
];

fn main() -> io::Result<()> {
    let (from, to) = (Path::new("assets"), env::var_os("OUT_DIR").unwrap_or_default());
    let to = Path::new(&to);
    let (mut table, mut names) = (String::new(), String::new());
    for (file, media_type, constant) in ASSETS {
        println!("cargo::rerun-if-changed=assets/{file}");
        let content = fs::read(from.join(file))?;
        let hash = Sha256::digest(&content);
        let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let (stem, extension) = file.split_once('.').unwrap_or((file, ""));
        let name = format!("{stem}.{hash}.{extension}");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&content)?;
        fs::write(to.join(file), &content)?;
        fs::write(to.join(format!("{file}.gz")), gzip.finish()?)?;
        names.push_str(&format!(
            "/// Where `{file}` is served.\npub(crate) const {constant}: &str = \"/static/{name}\";\n"
        ));
        table.push_str(&format!(
            "Asset {{ name: \"{name}\", media_type: \"{media_type}\", plain: include_bytes!(concat!(env!(\"OUT_DIR\"), \
             \"/{file}\")), gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}.gz\")) }},\n"
        ));
    }
    let count = ASSETS.len();
    fs::write(to.join("assets.rs"), format!("{names}static ASSETS: [Asset; {count}] = [\n{table}];\n"))
}

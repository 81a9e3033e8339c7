//! Tells the program which commit it is built from: what `MCR_COMMIT` says, and for a release what git says of this very directory.
//! Where neither does, the program does not know it, and is built all the same.

use std::path::Path;
use std::process::Command;

fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(directory).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The commit of a checkout of this directory, and of no other that it happens to lie in.
fn checked_out(directory: &Path) -> Option<String> {
    let top = git(directory, &["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != directory.canonicalize().ok()? {
        return None;
    }
    // It gets a line with each commit and each checkout.
    let log = git(directory, &["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo::rerun-if-changed={}", directory.join(log).display());
    git(directory, &["rev-parse", "HEAD"])
}

fn main() {
    println!("cargo::rerun-if-env-changed=MCR_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("MCR_COMMIT").is_some() {
        return;
    }
    // A build that is only tried is not made anew with each commit.
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let directory = std::env::var_os("CARGO_MANIFEST_DIR").filter(|_| is_release);
    if let Some(commit) = directory.and_then(|directory| checked_out(Path::new(&directory))) {
        println!("cargo::rustc-env=MCR_COMMIT={commit}");
    }
}

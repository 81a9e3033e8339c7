//! Where a path really leads: symbolic links resolved, also of what is not there yet.
//!
//! Two spellings of one place must not pass for two places, or two programs would each own it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Symbolic links that are followed before it is taken for a circle, as the system does.
const LINKS: usize = 40;

/// The path without symbolic links, dots or relative parts. What is not there yet is resolved as far as it is there; a link
/// to nothing is followed too.
///
/// # Errors
///
/// When the system does not let anybody look, or links lead in a circle.
pub fn real_path(path: &Path) -> io::Result<PathBuf> {
    resolve(&std::path::absolute(path)?, LINKS)
}

fn resolve(path: &Path, links: usize) -> io::Result<PathBuf> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match fs::canonicalize(path) {
        Err(error) if [NotFound, NotADirectory].contains(&error.kind()) => {}
        resolved => return resolved,
    }
    let Some(parent) = path.parent() else { return Ok(path.to_owned()) };
    let Some(name) = path.file_name() else {
        // It ends with two dots.
        let mut above = resolve(parent, links)?;
        above.pop();
        return Ok(above);
    };
    match fs::read_link(path) {
        Ok(_) if links == 0 => Err(io::Error::other("its symbolic links lead in a circle")),
        Ok(target) => resolve(&parent.join(target), links - 1),
        Err(_) => Ok(resolve(parent, links)?.join(name)),
    }
}

/// Whether `inner` is `outer` or lies in it. Both are [`real_path`]s; a directory that is mounted at two places is one.
pub fn contains(outer: &Path, inner: &Path) -> bool {
    if inner.starts_with(outer) {
        return true;
    }
    let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let Some(outer) = identity(outer) else { return false };
    inner.ancestors().any(|above| identity(above) == Some(outer))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_resolved_whether_or_not_they_lead_to_something() {
        let place = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(place.path()).unwrap();
        fs::create_dir(root.join("there")).unwrap();
        symlink("there", root.join("link")).unwrap();
        symlink("nowhere/deep", root.join("dangling")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        for (given, real) in [
            ("there", "there"),
            ("there/../there/./x", "there/x"),
            ("link", "there"),
            ("link/x/y", "there/x/y"),
            ("dangling", "nowhere/deep"),
            ("dangling/x", "nowhere/deep/x"),
            ("missing/x", "missing/x"),
            ("missing/../x", "x"),
            ("link/../missing/../y", "y"),
        ] {
            assert_eq!(real_path(&root.join(given)).unwrap(), root.join(real), "{given}");
        }
        assert!(real_path(&root.join("circle")).is_err());
    }

    #[test]
    fn a_place_contains_itself_and_what_is_below_by_whatever_name() {
        let place = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(place.path()).unwrap();
        fs::create_dir(root.join("a")).unwrap();
        assert!(contains(&root.join("a"), &root.join("a")));
        assert!(contains(&root, &root.join("a/b/c")));
        assert!(!contains(&root.join("a"), &root.join("ab")));
        assert!(!contains(&root.join("a/b"), &root.join("a")));
        assert!(contains(Path::new("/proc/self/root"), &root), "another name of the root");
    }
}

//! Calls of the system that fail or wait in a program under test, on files of one's choice.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What is loaded into the program, and the directory that tells it what fails.
pub(crate) struct Faults {
    directory: tempfile::TempDir,
    library: PathBuf,
}

pub(crate) const EPERM: i32 = 1;
pub(crate) const EIO: i32 = 5;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const EDQUOT: i32 = 122;

impl Faults {
    /// `None` where there is no C compiler.
    pub(crate) fn new() -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("mcr-faults-").tempdir().unwrap();
        let library = directory.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/support/faults.c");
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        compiled.is_ok_and(|status| status.success()).then_some(Self { directory, library })
    }

    /// The variables of a program under test.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 2] {
        let (library, directory) = (self.library.to_str().unwrap(), self.directory.path().to_str().unwrap());
        [("LD_PRELOAD", library), ("MCR_FAULTS", directory)]
    }

    /// From now on a call (`sync`, `write`, `read`, `link`, `rename`) fails with this error on files with `part` in their paths;
    /// `flock` does nothing and says that it has locked.
    pub(crate) fn arm(&self, call: &str, error: i32, part: &str) {
        let new = self.directory.path().join("new");
        std::fs::write(&new, format!("{error} {part}")).unwrap();
        std::fs::rename(new, self.directory.path().join(call)).unwrap();
    }

    /// From now on it does what it should.
    pub(crate) fn disarm(&self, call: &str) {
        std::fs::remove_file(self.directory.path().join(call)).unwrap();
    }
}

//! How much must stay free on the disks: looked at once a second at most, however much is written.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reserve::Owed;
use crate::fs::Fs;

/// How long what was seen is believed.
const FRESH: Duration = Duration::from_secs(1);

/// What a change does to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// It adds what others sent, for good: it is refused while less is free than must stay free.
    Adds,
    /// It frees, or replaces what is there, or adds a little that has a bound: it goes on to the end.
    Keeps,
}

/// The bytes that must stay free on each of some file systems, which what only adds must not touch.
#[derive(Debug, Default)]
pub struct Floor {
    min_free: u64,
    places: Vec<(Arc<dyn Fs>, PathBuf)>,
    owed: Owed,
    last: Option<(Instant, bool)>,
}

impl Floor {
    /// Leaves `min_free` bytes free on the file system of each of these paths.
    pub fn new(min_free: u64, places: Vec<(Arc<dyn Fs>, PathBuf)>) -> Self {
        Self { min_free, places, owed: Owed::default(), last: None }
    }

    /// The same above what is owed to those who must go on.
    pub(super) fn above(self, owed: Owed) -> Self {
        Self { owed, ..self }
    }

    /// Whether less is free on any of them than must stay free.
    pub(super) fn is_undercut(&mut self) -> bool {
        let least = self.min_free.saturating_add(self.owed.bytes());
        if least == 0 {
            return false;
        }
        if let Some((_, undercut)) = self.last.filter(|(at, _)| at.elapsed() < FRESH) {
            return undercut;
        }
        let undercut = self.places.iter().any(|(fs, path)| match fs.free_space(path) {
            Ok(free) => free < least,
            Err(error) => {
                // Whatever is wrong there, the change will be told.
                log::warn!("nobody knows how much is free at {}: {error}", path.display());
                false
            }
        });
        if undercut && !self.last.is_some_and(|(_, before)| before) {
            log::warn!("less than storage.min_free is free: what adds is refused until there is more");
        }
        self.last = Some((Instant::now(), undercut));
        undercut
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fs::fake::FakeFs;

    fn floor(fs: &FakeFs, min_free: u64) -> Floor {
        Floor::new(min_free, vec![(Arc::new(fs.clone()), PathBuf::from("/")); 2])
    }

    #[test]
    fn any_disk_that_has_too_little_undercuts_it() {
        let (one, other) = (FakeFs::default(), FakeFs::default());
        other.set_free(99);
        let place = |fs: &FakeFs| -> (Arc<dyn Fs>, PathBuf) { (Arc::new(fs.clone()), PathBuf::from("/")) };
        assert!(Floor::new(100, vec![place(&one), place(&other)]).is_undercut());
        assert!(!Floor::new(99, vec![place(&one), place(&other)]).is_undercut());
        assert!(!Floor::new(0, vec![place(&other)]).is_undercut());
    }

    #[test]
    fn it_is_looked_at_once_a_second() {
        let fs = FakeFs::default();
        let mut floor = floor(&fs, 1);
        let calls = fs.calls();
        for _ in 0..1000 {
            assert!(!floor.is_undercut());
        }
        assert!(fs.calls() - calls <= 4, "{} looks", fs.calls() - calls);
        fs.set_free(0);
        std::thread::sleep(FRESH);
        assert!(floor.is_undercut());
        assert!(fs.is_dir(Path::new("/")).unwrap());
    }
}

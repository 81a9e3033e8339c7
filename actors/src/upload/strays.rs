//! Files that belong to no upload: what a crash or a failed removal left.
//!
//! One goes when it was found so twice, as far apart as files of blobs. Where far too many are found it is rather the rows that
//! are missing, and none of those goes that may have acknowledged bytes, until somebody says so. A file with a second name's form
//! has none that are not elsewhere: it is that of an upload in one request, or a link or copy on its way to a blob's place.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;

use super::error::UploadError;
use super::session::Shared;
use super::{Swept, names};
use crate::domain::Timestamp;
use crate::gc;

/// So many are never too many. A crash leaves a file where it comes between the commit that forgets an upload and the removal: one
/// for each that ends at that moment, which in a small registry is more than a tenth of all.
const FEW: usize = 16;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Strays {
    /// When each was found first.
    seen: HashMap<PathBuf, Timestamp>,
    /// How many were too many when that was last said.
    told: usize,
}

/// What is in the directory.
#[derive(Debug, Default)]
struct Found {
    /// Files of uploads that had a row, with a row or without.
    files: usize,
    /// Those of them without a row.
    rowless: Vec<PathBuf>,
    /// Files that hold nothing that was acknowledged and is not elsewhere.
    passing: Vec<PathBuf>,
}

/// Whether so many files have no row that rather the rows are missing: more than a tenth, and more than a few.
fn is_doubtful(files: usize, rowless: usize) -> bool {
    rowless > FEW && rowless.saturating_mul(10) > files
}

/// The files of uploads.
#[derive(Debug)]
pub(super) struct Needed {
    /// Of those that there are.
    pub(super) known: HashSet<PathBuf>,
    /// Of those that have a session, which may just need a second name.
    pub(super) running: HashSet<PathBuf>,
}

impl Strays {
    /// Removes files that belong to no upload. Whatever has a name of another form, or is a link, a socket or a directory, is
    /// somebody else's and stays.
    pub(super) fn remove(
        &mut self,
        shared: &Shared,
        needed: &Needed,
        take: bool,
    ) -> Result<Swept, UploadError> {
        let (now, wait) = (shared.clock.now(), gc::strays_wait(shared.keep));
        let Found { files, rowless, passing } = find(shared, needed)?;
        let kept = if is_doubtful(files, rowless.len()) && !take { rowless.len() } else { 0 };
        self.tell(kept, files);
        let first_seen = |path: &PathBuf| self.seen.get(path).copied().unwrap_or(now);
        let stay = if kept > 0 { rowless.len() } else { 0 };
        let found = rowless.into_iter().chain(passing).enumerate();
        let mut seen = HashMap::new();
        let mut strays = 0;
        for (index, path) in found {
            let first_seen = first_seen(&path);
            if index < stay || now.since(first_seen) < wait {
                seen.insert(path, first_seen);
                continue;
            }
            match shared.fs.remove(&path) {
                Ok(()) => strays += 1,
                Err(error) => log::warn!("stray upload file {} stays behind: {error}", path.display()),
            }
        }
        self.seen = seen;
        let (kept, files) = (kept as u64, files as u64);
        Ok(Swept { strays, kept, files, ..Swept::default() })
    }

    /// Says it once, and again when it has changed: it is found every minute.
    fn tell(&mut self, kept: usize, files: usize) {
        if std::mem::replace(&mut self.told, kept) != kept && kept > 0 {
            log::error!("{}", Swept { kept: kept as u64, files: files as u64, ..Swept::default() });
        }
    }
}

fn find(shared: &Shared, Needed { known, running }: &Needed) -> Result<Found, UploadError> {
    let mut found = Found::default();
    let names = match shared.fs.list(shared.directory.path()) {
        // Somebody has removed it, and with it all that could be found; the next push makes it again.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed?,
    };
    for name in names.into_iter().filter(|name| names::is_own(name)) {
        let path = shared.directory.path().join(name);
        let is_passing = path.extension().is_some();
        // A second name has an extension.
        let is_needed = known.contains(&path) || running.contains(&path.with_extension(""));
        if !is_needed && !matches!(shared.fs.len(&path), Ok(Some(_))) {
            continue;
        }
        found.files += usize::from(!is_passing);
        match is_passing {
            _ if is_needed => {}
            true => found.passing.push(path),
            false => found.rowless.push(path),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_never_too_many_and_more_than_a_tenth_are() {
        for (files, rowless, doubtful) in [
            (1, 1, false),
            (16, 16, false),
            (17, 17, true),
            (169, 17, true),
            (170, 17, false),
            (1024, 102, false),
            (1024, 103, true),
        ] {
            assert_eq!(is_doubtful(files, rowless), doubtful, "{rowless} of {files}");
        }
    }
}
